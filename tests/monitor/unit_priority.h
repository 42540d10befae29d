/* SPDX-License-Identifier: MIT */
/* unit_priority.h - the interrupt controller changes hands */
#include "machine.h"

#if BOARD_PRIORITIES_MOVE
static void moved(char *text, size_t room, unsigned int timer, unsigned int its_kick)
{
    snprintf(text, room, "[10180]=%x wait wait [%x]=%x [%x]=%x [10100]=%x", 1u << BOARD_TIMER_INTERRUPT,
             0x10400 + BOARD_TIMER_INTERRUPT, timer, 0x10400 + BOARD_KICK_INTERRUPT, its_kick, 1u << BOARD_TIMER_INTERRUPT);
}

TEST(priorities_are_tried_at_the_start)
{
    static const char *const tries[] = {
        [5] = "active_0=80000000 isb active_0=0 isb", [6] = "active_1=80000000 isb active_1=0 isb",
        [7] = "active_2=80000000 active_3=0 isb active_2=0 active_3=0 isb",
    };

    for (unsigned int bits = 5; bits <= 7; bits++) {
        cold();
        cpu.scr_el3 = 0x400;
        cpu.control = (uint64_t)(bits - 1) << 8 | 0xf800;
        CHECK(priority_init());
        DID("scr_el3=401 isb %s scr_el3=400 isb", tries[bits]);
    }
}

/* Linux's mask, group and active priorities are away while the Secure world runs, and come back. */
TEST(priorities_change_hands)
{
    char ours[200], above[200];
    const unsigned int distributor = BOARD_GICD_BASE >= FRAME ? BOARD_GICD_BASE - FRAME : BOARD_GICD_BASE;

    moved(ours, sizeof ours, BOARD_TIMER_PRIORITY, BOARD_KICK_PRIORITY);
    moved(above, sizeof above, 0x20, 0x20);
    for (int busy = 0; busy < 2; busy++)
        for (int fresh = 0; fresh < 2; fresh++) {
            cold();
            CHECK(priority_init());
            cpu.icc_pmr_el1 = 0xe0;
            priority_leave(true); /* the Secure world's own mask */
            cpu.distributor = 0x12;
            cpu.scr_el3 = SCR_NS_BIT;
            cpu.active_2 = busy ? 0x10 : 0;
            cpu.active_3 = busy ? 0x1 : 0;
            cpu.icc_pmr_el1 = 0xa0;
            anew();
            priority_enter();
            DID("[%x]=10 wait wait %sicc_pmr_el1=e0 %s", distributor, busy ? "active_2=0 active_3=0 isb " : "", ours);
            cpu.scr_el3 = 0x400;
            cpu.distributor = 0x40; /* what else is in there is not Linux's to come back */
            priority_leave(fresh);
            DID("%s scr_el3=401 isb %sicc_pmr_el1=%x [%x]=42 wait wait", above,
                busy && !fresh ? "active_2=10 active_3=1 isb " : "", fresh ? GIC_PRI_MASK : 0xa0, distributor);
        }
}
#endif
