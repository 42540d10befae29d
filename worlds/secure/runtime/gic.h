/* SPDX-License-Identifier: MIT */
/* gic.h - GICv3, the Secure world's part: two interrupts of Group 1 Secure, private to its core.
 *
 *     kind                arrives at S-EL1 as   while Linux runs
 *     Group 1 Secure      IRQ                   FIQ to EL3, the monitor enters us
 *     Group 1 Non-secure  FIQ, kept masked      IRQ of Linux's own
 *
 * Priorities lie below 0x80, where no write of Linux's to its priority mask reaches and no interrupt that it never ends
 * stands in the way. */
#ifndef ISTHMUS_RUNTIME_GIC_H
#define ISTHMUS_RUNTIME_GIC_H

#include <stdint.h>

#define GIC_PRIORITY_TIMER 0x20u
#define GIC_PRIORITY_KICK 0x40u
#define GIC_NONE 1020u /* this id and those above: nothing to take */

/* NULL, or what does not hold. */
const char *gic_init(void);
uint32_t gic_take(void);
void gic_end(uint32_t id);

#endif
