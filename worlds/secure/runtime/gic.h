/* SPDX-License-Identifier: MIT */
/* gic.h - the interrupt controller, the Secure world's part: two interrupts, private to its core.
 *
 *     version   of the Secure world    arrives at S-EL1 as   while Linux has the core
 *     3         Group 1 Secure         IRQ                   FIQ to EL3, the monitor enters us
 *     2         Group 0                FIQ                   FIQ to EL3, the monitor enters us
 *
 * Linux's (Group 1 Non-secure; version 2: Group 1) arrive as the other one of IRQ and FIQ, which stays masked here.
 *
 * Priorities lie below 0x80, where no write of Linux's to its priority mask reaches and no interrupt that it
 * never ends stands in the way, or the monitor moves them while Linux has the core. */
#ifndef ISTHMUS_RUNTIME_GIC_H
#define ISTHMUS_RUNTIME_GIC_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"

#define GIC_PRIORITY_LINUX 0x80u /* from here on they are Linux's to mask */
#define GIC_NONE 1020u /* this id and those above: nothing to take */
#define GIC_ID(taken) ((taken) & 0x3ffu)

/* Below Linux's; or the board's, which the monitor then gives back with the core. */
static inline bool gic_allows(uint8_t timer, uint8_t kick)
{
#if BOARD_PRIORITIES_MOVE
    return timer == BOARD_TIMER_PRIORITY && kick == BOARD_KICK_PRIORITY;
#else
    return (timer < GIC_PRIORITY_LINUX && kick < GIC_PRIORITY_LINUX) || !BOARD_CORE_SHARED;
#endif
}

/* Both interrupts on, with these priorities. NULL, or what does not hold. */
const char *gic_init(uint8_t timer, uint8_t kick);
/* What gic_end() gets back; GIC_ID() of it is which interrupt. */
uint32_t gic_take(void);
void gic_end(uint32_t taken);

#endif
