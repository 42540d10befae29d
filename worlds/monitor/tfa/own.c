/* SPDX-License-Identifier: MIT */
#include "own.h"

#include <arch_helpers.h>
#include <bl31/bl31.h>
#include <common/debug.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <lib/psci/psci.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "monitor.h"
#include "smc.h"

#define AFFINITIES 8u /* of a level that are tried */

/* The platform numbers cores by their affinity, and has no way back. */
u_register_t own_mpidr_of(int position)
{
    for (u_register_t cluster = 0; cluster < AFFINITIES; cluster++)
        for (u_register_t core = 0; core < AFFINITIES; core++)
            if (plat_core_pos_by_mpidr(cluster << MPIDR_AFF1_SHIFT | core) == position)
                return cluster << MPIDR_AFF1_SHIFT | core;
    return INVALID_MPID;
}

void own_start_linux(void)
{
    const uintptr_t any = BOARD_NORMAL_BUFFER_BASE; /* PSCI wants an address of Linux's; own_core_on() has the entry */

    if (psci_cpu_on(monitor.mpidr[BOARD_FIRST_CORE], any, 0) != PSCI_E_SUCCESS)
        ERROR("isthmus: Linux's first core does not start\n");
}

void own_core_on(u_register_t unused)
{
    entry_point_info_t *entry = bl31_plat_get_next_image_ep_info(NON_SECURE);

    (void)unused;
    if (monitor.starts != 0) /* Linux runs, and asked for this core: PSCI knows what for */
        return;
    monitor.starts = 1; /* nobody else writes it before Linux runs */
    entry->args = (aapcs64_params_t){0}; /* as start_normal() has it */
    cm_init_my_context(entry);
}

uintptr_t own_yield(void *handle)
{
    uint32_t events, lanes;

    while (monitor.secure == SECURE_STOPPED)
        wfi();
    lock_take(&monitor.lock);
    events = monitor.events;
    lanes = monitor.lanes;
    monitor.events = monitor.lanes = 0;
    lock_give(&monitor.lock);
    SMC_RET3(handle, IST_SMC_OK, events, lanes);
}
