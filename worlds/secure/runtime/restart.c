/* SPDX-License-Identifier: MIT */
#include "restart.h"

#include <stdint.h>
#include <string.h>

#include "fault.h"

#define ROOM 8192u

extern char __data_start[], __initial_end[], __restart_start[], __bss_end[];

static KEPT uint8_t initial[ROOM];

static size_t initialised(void)
{
    return (uintptr_t)__initial_end - (uintptr_t)__data_start;
}

void restart_prepare(void)
{
    if (initialised() > ROOM)
        fault("more initialised memory than restart.c keeps");
    memcpy(initial, __data_start, initialised());
}

void restart_memory(void)
{
    memcpy(__data_start, initial, initialised());
    memset(__restart_start, 0, (uintptr_t)__bss_end - (uintptr_t)__restart_start);
}
