/* SPDX-License-Identifier: MIT */
/* switch.c - one world leaves the core, the other gets it. Only the home core switches, so the context needs no lock. */
#include <arch_helpers.h>
#include <bl31/bl31.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "monitor.h"
#include "smc.h"

static cpu_context_t secure_context;

void switch_init(void)
{
    cm_set_context(&secure_context, SECURE);
}

uintptr_t enter_secure(void)
{
    uint32_t events = monitor.events, lanes = monitor.lanes;

    monitor.events = monitor.lanes = 0;
    spin_unlock(&monitor.lock);
    cm_el1_sysregs_context_save(NON_SECURE);
    cm_el1_sysregs_context_restore(SECURE);
    cm_set_next_eret_context(SECURE);
    SMC_RET3(&secure_context, IST_SMC_OK, events, lanes);
}

uintptr_t leave_secure(void)
{
    cm_el1_sysregs_context_save(SECURE);
    cm_el1_sysregs_context_restore(NON_SECURE);
    cm_set_next_eret_context(NON_SECURE);
    SMC_RET0(cm_get_context(NON_SECURE));
}

/* The Secure world's first READY: Linux is started. */
uintptr_t start_normal(void)
{
    cm_el1_sysregs_context_save(SECURE);
    cm_init_my_context(bl31_plat_get_next_image_ep_info(NON_SECURE));
    cm_prepare_el3_exit_ns();
    SMC_RET0(cm_get_context(NON_SECURE));
}
