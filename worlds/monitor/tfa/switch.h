/* SPDX-License-Identifier: MIT */
/* switch.h - one world leaves the core, the other gets it.
 *
 * Only the home core switches, so what is saved needs no lock. Whoever has left stands where it called or was
 * interrupted; the one that comes goes on with all its registers: x0..x30, SP_EL0, and those of registers.h. What
 * a function returns, its caller returns to TF-A. */
#ifndef ISTHMUS_MONITOR_SWITCH_H
#define ISTHMUS_MONITOR_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

/* Before the Secure world's first instruction. False: this core has registers that registers.h does not list. */
bool switch_init(void);

/* From Linux to the Secure world: its YIELD returns x1 and x2. */
uintptr_t enter_secure(uint64_t events, uint64_t lanes);

/* From the Secure world to where Linux stands. */
uintptr_t leave_secure(void);

/* From either world to the loader, which starts Linux or leaves it off, with nothing of an earlier Linux in any EL1, EL0
 * or FP register. On Linux's first core. */
uintptr_t start_normal(bool off);

#endif
