/* SPDX-License-Identifier: MIT */
#include "priority.h"

#include "board.h"

#if BOARD_PRIORITIES_MOVE

#include <arch_helpers.h>
#include <drivers/arm/gicv3.h>
#include <lib/mmio.h>

#define ABOVE_LINUX 0x20u
#define OURS (1u << BOARD_TIMER_INTERRUPT | 1u << BOARD_KICK_INTERRUPT)

/* The active priorities' registers, of the world that SCR_EL3.NS names. Linux's priorities are the upper half: of one
 * register with 5 bits of priority, which Arm's own cores have; the second with 6; the third and fourth with more. */
DEFINE_RENAME_SYSREG_RW_FUNCS(active_0, S3_0_C12_C9_0)
DEFINE_RENAME_SYSREG_RW_FUNCS(active_1, S3_0_C12_C9_1)
DEFINE_RENAME_SYSREG_RW_FUNCS(active_2, S3_0_C12_C9_2)
DEFINE_RENAME_SYSREG_RW_FUNCS(active_3, S3_0_C12_C9_3)
DEFINE_RENAME_SYSREG_READ_FUNC(control, ICC_CTLR_EL3)

extern const gicv3_driver_data_t *gicv3_driver_data; /* TF-A's, with the addresses that it found */

/* Of Linux's, while the Secure world runs. */
static struct {
    u_register_t mask;
    uint64_t active;  /* priorities */
    uint32_t enabled; /* its group: the distributor's bit, or 0 */
} normal;
static u_register_t secure_mask;
static uintptr_t frame; /* of the home core's redistributor */

static unsigned int bits(void)
{
    return (unsigned int)(read_control() >> 8 & 7) + 1u;
}

static uint64_t active(void)
{
    switch (bits()) {
    case 5:
        return read_active_0();
    case 6:
        return read_active_1();
    default:
        return read_active_2() | read_active_3() << 32;
    }
}

static void set_active(uint64_t priorities)
{
    switch (bits()) {
    case 5:
        write_active_0(priorities);
        break;
    case 6:
        write_active_1(priorities);
        break;
    default:
        write_active_2(priorities & UINT32_MAX);
        write_active_3(priorities >> 32);
    }
    isb();
}

/* Off meanwhile, and the redistributor is waited for: one that is pending is offered to the core anew, as it is then. */
static void move(uint8_t timer, uint8_t kick)
{
    uint32_t on = mmio_read_32(frame + GICR_ISENABLER0) & OURS;

    mmio_write_32(frame + GICR_ICENABLER0, on);
    while (mmio_read_32(frame + GICR_CTLR) & GICR_CTLR_RWP_BIT) {
    }
    mmio_write_8(frame + GICR_IPRIORITYR + BOARD_TIMER_INTERRUPT, timer);
    mmio_write_8(frame + GICR_IPRIORITYR + BOARD_KICK_INTERRUPT, kick);
    mmio_write_32(frame + GICR_ISENABLER0, on);
}

static void set_group(uint32_t enabled)
{
    const uint32_t others = mmio_read_32(BOARD_GICD_BASE + GICD_CTLR) & ~CTLR_ENABLE_G1NS_BIT;

    mmio_write_32(BOARD_GICD_BASE + GICD_CTLR, others | enabled);
    while (mmio_read_32(BOARD_GICD_BASE + GICD_CTLR) & GICD_CTLR_RWP_BIT) {
    }
}

static void bank_normal(void)
{
    write_scr_el3(read_scr_el3() | SCR_NS_BIT);
    isb();
}

bool priority_init(void)
{
    const u_register_t scr = read_scr_el3();
    const uint64_t lowest = UINT64_C(1) << 31;
    bool kept;

    frame = gicv3_driver_data->rdistif_base_addrs[BOARD_SECURE_CORE];
    bank_normal();
    set_active(lowest);
    kept = active() == lowest;
    set_active(0);
    write_scr_el3(scr);
    isb();
    return kept;
}

void priority_enter(void)
{
    normal.enabled = mmio_read_32(BOARD_GICD_BASE + GICD_CTLR) & CTLR_ENABLE_G1NS_BIT;
    set_group(0);
    normal.active = active();
    if (normal.active != 0)
        set_active(0);
    normal.mask = read_icc_pmr_el1();
    write_icc_pmr_el1(secure_mask);
    move(BOARD_TIMER_PRIORITY, BOARD_KICK_PRIORITY);
}

void priority_leave(bool fresh)
{
    if (fresh) {
        normal.mask = GIC_PRI_MASK;
        normal.active = 0;
    }
    move(ABOVE_LINUX, ABOVE_LINUX);
    secure_mask = read_icc_pmr_el1();
    bank_normal();
    if (normal.active != 0)
        set_active(normal.active);
    write_icc_pmr_el1(normal.mask);
    set_group(normal.enabled);
}

#endif
