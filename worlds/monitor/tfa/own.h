/* SPDX-License-Identifier: MIT */
/* own.h - the Secure world's core is its own: Linux begins on another one, and this one is never given away.
 *
 * The Secure world still has the core that the machine starts on, so that nothing runs before it. To PSCI that core is
 * on, and stays so. */
#ifndef ISTHMUS_MONITOR_OWN_H
#define ISTHMUS_MONITOR_OWN_H

#include <stdint.h>

#include <lib/utils_def.h>

/* MPIDR of the core that the platform gives this position. */
u_register_t own_mpidr_of(int position);

/* Linux's first core is switched on. */
void own_start_linux(void);
/* PSCI's hook: this core of Linux's has been switched on. */
void own_core_on(u_register_t unused);

/* YIELD and READY return at once, with what has come up; after a stop, never. What their caller returns to TF-A. */
uintptr_t own_yield(void *handle);

#endif
