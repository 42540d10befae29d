/* SPDX-License-Identifier: MIT */
/* fault.h - the end of the Secure world: the application enters its safe state, the reason is reported, and the core is
 * Linux's for good. */
#ifndef ISTHMUS_RUNTIME_FAULT_H
#define ISTHMUS_RUNTIME_FAULT_H

#include <stdint.h>

/* A broken invariant of our own. */
_Noreturn void fault(const char *what);
/* The watchdog was not fed in time. */
_Noreturn void fault_unfed(void);
/* An exception that nobody expects, from start.S. */
_Noreturn void on_fault(uint64_t vector, uint64_t esr, uint64_t elr, uint64_t far, uint64_t spsr, uint64_t lr);

#endif
