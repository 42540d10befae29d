/* SPDX-License-Identifier: MIT */
/* kick.h - the interrupt by which the monitor reaches another core: the Secure world's own, which Linux cannot mask. */
#ifndef ISTHMUS_MONITOR_KICK_H
#define ISTHMUS_MONITOR_KICK_H

#include <stdint.h>

#include <lib/mmio.h>
#include <plat/common/platform.h>

#include "board.h"

#define KICK_GICD_SGIR 0xf00 /* GICv2: to the cores in bits 16..23, of Group 0 */

/* mpidr: affinity fields alone. */
static inline void kick(u_register_t mpidr)
{
#if BOARD_GIC_VERSION == 2
    /* TF-A's driver wants a table of targets that not every platform gives it. */
    dsbishst();
    mmio_write_32(BOARD_GICD_BASE + KICK_GICD_SGIR, 1u << (16 + plat_core_pos_by_mpidr(mpidr)) | BOARD_KICK_INTERRUPT);
#else
    plat_ic_raise_s_el1_sgi(BOARD_KICK_INTERRUPT, mpidr);
#endif
}

/* Takes back the one that brought this core here, where nobody below EL3 will. */
static inline void kick_end(void)
{
#if BOARD_GIC_VERSION == 2
    plat_ic_end_of_interrupt(plat_ic_acknowledge_interrupt());
#else
    plat_ic_clear_interrupt_pending(BOARD_KICK_INTERRUPT);
#endif
}

#endif
