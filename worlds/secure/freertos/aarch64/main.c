/* SPDX-License-Identifier: MIT */
/* main.c - the Secure world starts under FreeRTOS: checks what it stands on, creates the tasks; the first periods of the
 * critical ones come before Linux (border.c). */
#include "isthmus_aarch64.h"

#include "FreeRTOS.h"
#include "task.h"

#include "begin.h"
#include "console.h"
#include "fault.h"

_Noreturn void main(uint64_t seed_low, uint64_t seed_high);

void vApplicationStackOverflowHook(TaskHandle_t task, char *name)
{
    (void)task;
    console_line("the stack is full of task ", name);
    fault("a task's stack");
}

_Noreturn void main(uint64_t seed_low, uint64_t seed_high)
{
    const uint64_t seed[2] = {seed_low, seed_high};

    begin();
    must("interrupt controller", interrupts_init());
    must("network", border_init(seed));
    must("critical tasks", tasks_init());
    vTaskStartScheduler();
    fault("the scheduler did not start");
}
