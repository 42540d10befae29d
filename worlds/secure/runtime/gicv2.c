/* SPDX-License-Identifier: MIT */
/* gicv2.c - registers in memory, which each core sees its own of. Built where the board says so. */
#include "gic.h"

#include "board.h"
#include "mmio.h"

#define GICD BOARD_GICD_BASE
#define IGROUPR 0x080u
#define ISENABLER 0x100u
#define IPRIORITYR 0x400u

#define GICC BOARD_GIC_PRIVATE_BASE
#define CTLR 0x00u
#define CTLR_ENABLE_0 (1u << 0)
#define CTLR_FIQ (1u << 3) /* Group 0 arrives as FIQ */
#define PMR 0x04u
#define IAR 0x0cu
#define EOIR 0x10u

_Static_assert(BOARD_TIMER_INTERRUPT < 32 && BOARD_KICK_INTERRUPT < 32, "private interrupts");

static void enable(uint32_t id, uint8_t priority)
{
    const uint32_t bit = 1u << id;

    mmio_clear(GICD + IGROUPR, bit);
    mmio_write8(GICD + IPRIORITYR + id, priority);
    mmio_write(GICD + ISENABLER, bit);
}

const char *gic_init(uint8_t timer, uint8_t kick)
{
    if (!gic_allows(timer, kick))
        return "Linux could mask its interrupts: give them priorities below 0x80, or name theirs in the board file";
    enable(BOARD_TIMER_INTERRUPT, timer);
    enable(BOARD_KICK_INTERRUPT, kick);
    if (mmio_read(GICD + IGROUPR) & (1u << BOARD_TIMER_INTERRUPT | 1u << BOARD_KICK_INTERRUPT))
        return "its interrupts cannot be made the Secure world's";
    mmio_write(GICC + PMR, 0xff); /* everything passes */
    mmio_set(GICC + CTLR, CTLR_ENABLE_0 | CTLR_FIQ);
    __asm__ volatile("dsb sy\n\tisb" ::: "memory");
    return 0;
}

uint32_t gic_take(void)
{
    return mmio_read(GICC + IAR); /* of another core's kick, which core is in it too, and has to be in what ends it */
}

void gic_end(uint32_t taken)
{
    mmio_write(GICC + EOIR, taken);
    __asm__ volatile("dsb sy\n\tisb" ::: "memory");
}
