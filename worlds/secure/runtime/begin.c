/* SPDX-License-Identifier: MIT */
#include "begin.h"

#include "board.h"
#include "clock.h"
#include "console.h"
#include "fault.h"
#include "mmu.h"
#include "restart.h"

void must(const char *part, const char *failure)
{
    if (failure == 0)
        return;
    console_line(part, " does not hold:");
    fault(failure);
}

void begin(void)
{
    restart_prepare();
    console_init();
    console_line("secure world on ", BOARD_NAME " " BOARD_DIGEST); /* the commands look for it in a payload */
    must("address space", mmu_check());
    clock_init();
}
