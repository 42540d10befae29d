/* SPDX-License-Identifier: MIT */
/* gicv3.c - system registers, and a frame of registers per core. Built where the board says so. */
#include "gic.h"

#include "board.h"
#include "mmio.h"
#include "sysreg.h"

#define FRAME 0x10000u /* a redistributor has two: control, then private interrupts */
#define STRIDE (2u * FRAME)
#define TYPER 0x08u
#define TYPER_LAST (1u << 4)
#define IGROUPR 0x080u
#define ISENABLER 0x100u
#define IPRIORITYR 0x400u
#define IGRPMODR 0xd00u

_Static_assert(BOARD_TIMER_INTERRUPT < 32 && BOARD_KICK_INTERRUPT < 32, "private interrupts");

/* The frame of private interrupts that belongs to this core; 0 if the board does not have it. */
static uint64_t own_frame(void)
{
    uint64_t mpidr = read_sysreg(mpidr_el1);
    uint32_t affinity = (uint32_t)(mpidr & 0xffffffu) | (uint32_t)(mpidr >> 32 & 0xffu) << 24;

    for (uint64_t at = BOARD_GIC_PRIVATE_BASE; at + STRIDE <= BOARD_GIC_PRIVATE_BASE + BOARD_GIC_PRIVATE_SIZE; at += STRIDE) {
        if (mmio_read(at + TYPER + 4) == affinity)
            return at + FRAME;
        if (mmio_read(at + TYPER) & TYPER_LAST)
            break;
    }
    return 0;
}

static void enable(uint64_t frame, uint32_t id, uint8_t priority)
{
    const uint32_t bit = 1u << id;

    mmio_clear(frame + IGROUPR, bit);
    mmio_set(frame + IGRPMODR, bit);
    mmio_write8(frame + IPRIORITYR + id, priority);
    mmio_write(frame + ISENABLER, bit);
}

const char *gic_init(uint8_t timer, uint8_t kick)
{
    uint64_t frame = own_frame();

    if (frame == 0)
        return "no redistributor for this core";
    if (!gic_allows(timer, kick))
        return "Linux could mask its interrupts: give them priorities below 0x80, or name theirs in the board file";
    enable(frame, BOARD_TIMER_INTERRUPT, timer);
    enable(frame, BOARD_KICK_INTERRUPT, kick);
    write_sysreg(S3_0_C4_C6_0, 0xff);    /* ICC_PMR_EL1: everything passes */
    write_sysreg(S3_0_C12_C12_7, 1);     /* ICC_IGRPEN1_EL1 */
    __asm__ volatile("dsb sy\n\tisb" ::: "memory");
    return 0;
}

uint32_t gic_take(void)
{
    uint32_t id = (uint32_t)read_sysreg(S3_0_C12_C12_0); /* ICC_IAR1_EL1 */

    __asm__ volatile("dsb sy" ::: "memory");
    return id;
}

void gic_end(uint32_t taken)
{
    write_sysreg(S3_0_C12_C12_1, taken); /* ICC_EOIR1_EL1 */
    __asm__ volatile("isb" ::: "memory");
}
