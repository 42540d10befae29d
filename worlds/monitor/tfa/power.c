/* SPDX-License-Identifier: MIT */
/* power.c - what PSCI may do to the core that the Secure world runs on: nothing that stops it. */
#include <arch_helpers.h>
#include <lib/psci/psci.h>
#include <plat/common/platform.h>

#include "monitor.h"

static uint64_t home_mpidr;

static int32_t refuse_off(u_register_t unused)
{
    (void)unused;
    return at_home() ? PSCI_E_DENIED : PSCI_E_SUCCESS;
}

/* Linux asks this before it takes a core off line. */
static int32_t migrate_info(u_register_t *resident)
{
    *resident = home_mpidr;
    return PSCI_TOS_NOT_UP_MIG_CAP;
}

static int32_t refuse_migrate(u_register_t from, u_register_t to)
{
    (void)from, (void)to;
    return PSCI_E_DENIED;
}

void power_setup(void)
{
    static const spd_pm_ops_t ops = {
        .svc_off = refuse_off,
        .svc_migrate = refuse_migrate,
        .svc_migrate_info = migrate_info,
    };

    home_mpidr = read_mpidr_el1() & MPIDR_AFFINITY_MASK;
    psci_register_spd_pm_hook(&ops);
}
