/* SPDX-License-Identifier: MIT */
/* power.c - what PSCI may do: what it does to "the system" it does to Linux, and nothing stops the Secure world.
 *
 * The dispatcher's own hooks cannot refuse a CPU_ON or replace a reset, so the platform's operations are wrapped. */
#include <arch_helpers.h>
#include <plat/common/platform.h>
#include <psci_private.h>

#include "monitor.h"
#include "smc.h"

/* Everything else is not offered, whatever the platform could do. */
#define OFFERED                                                                                            \
    (PSCI_GENERIC_CAP | define_psci_cap(PSCI_CPU_OFF) | define_psci_cap(PSCI_CPU_ON_AARCH64) |             \
     define_psci_cap(PSCI_CPU_SUSPEND_AARCH64) | define_psci_cap(PSCI_SYSTEM_OFF) |                        \
     define_psci_cap(PSCI_SYSTEM_RESET) | define_psci_cap(PSCI_STAT_RESIDENCY_AARCH64) |                   \
     define_psci_cap(PSCI_STAT_COUNT_AARCH64))

#define PRIORITIES 128
#define IDLE 0xffu

static const plat_psci_ops_t *platform;

/* ---- Linux's cores ----------------------------------------------------------------------------------------------- */

static int core_on(u_register_t mpidr)
{
    int core = plat_core_pos_by_mpidr(mpidr), rc;
    uint32_t bit = core >= 0 && core < BOARD_CORES ? 1u << core & BOARD_NORMAL_CORES : 0;

    lock_take(&monitor.lock);
    if (bit == 0 || monitor.called != 0) { /* not Linux's; or Linux is about to stop */
        lock_give(&monitor.lock);
        return PSCI_E_DENIED;
    }
    monitor.mpidr[core] = mpidr;
    monitor.on |= bit;
    lock_give(&monitor.lock);
    rc = platform->pwr_domain_on(mpidr);
    if (rc != PSCI_E_SUCCESS) {
        lock_take(&monitor.lock);
        monitor.on &= ~bit;
        lock_give(&monitor.lock);
    }
    return rc;
}

static int32_t core_off(u_register_t unused)
{
    uint32_t bit = 1u << plat_my_core_pos();

    (void)unused;
    if (plat_my_core_pos() == BOARD_FIRST_CORE) /* where it begins again, and the home core where that is shared */
        return PSCI_E_DENIED;
    lock_take(&monitor.lock);
    monitor.on &= ~bit;
    monitor.called &= ~bit;
    lock_give(&monitor.lock);
    return PSCI_E_SUCCESS;
}

/* What an earlier Linux acknowledged on this core and never ended would stand before all interrupts of the next one. It
 * is ended one by one, whatever it was: not every controller lets the active priorities be written. */
static void core_comes(u_register_t unused)
{
    const u_register_t scr = read_scr_el3();
    u_register_t running;

    if (!BOARD_CORE_SHARED)
        own_core_on(unused);
    if ((read_id_aa64pfr0_el1() >> ID_AA64PFR0_GIC_SHIFT & ID_AA64PFR0_GIC_MASK) == 0)
        return;
    write_scr_el3(scr | SCR_NS_BIT);
    isb();
    for (unsigned int left = PRIORITIES; left > 0; left--) {
        __asm__ volatile("mrs %0, S3_0_C12_C11_3" : "=r"(running)); /* ICC_RPR_EL1 */
        if ((running & IDLE) == IDLE)
            break;
        write_icc_eoir1_el1(0);
    }
    write_scr_el3(scr);
    isb();
}

/* A core that is powered down hears no call. */
static int standby_only(unsigned int state, psci_power_state_t *requested)
{
    if (psci_get_pstate_type(state) != PSTATE_TYPE_STANDBY)
        return PSCI_E_INVALID_PARAMS;
    return platform->validate_power_state(state, requested);
}

/* ---- "the system" ------------------------------------------------------------------------------------------------ */

static void __dead2 quit(uint32_t next)
{
    lock_take(&monitor.lock);
    normal_stop(next);
    normal_quit();
}

static void __dead2 system_off(void)
{
    quit(IST_NORMAL_OFF);
}

static void __dead2 system_reset(void)
{
    quit(IST_NORMAL_RUNNING);
}

static int system_reset2(int is_vendor, int type, u_register_t cookie)
{
    (void)type, (void)cookie;
    if (is_vendor)
        return PSCI_E_INVALID_PARAMS;
    quit(IST_NORMAL_RUNNING);
}

void __dead2 power_off(void)
{
    platform->system_off();
}

/* ---- the trusted OS, as PSCI calls it ---------------------------------------------------------------------------- */

/* Linux asks this before it takes a core off line. */
static int32_t migrate_info(u_register_t *resident)
{
    *resident = monitor.mpidr[BOARD_FIRST_CORE];
    return PSCI_TOS_NOT_UP_MIG_CAP;
}

static int32_t refuse_migrate(u_register_t from, u_register_t to)
{
    (void)from, (void)to;
    return PSCI_E_DENIED;
}

void power_setup(void)
{
    static const spd_pm_ops_t hooks = {
        .svc_off = core_off,
        .svc_on_finish = core_comes,
        .svc_migrate = refuse_migrate,
        .svc_migrate_info = migrate_info,
    };
    static plat_psci_ops_t ops;

    platform = psci_plat_pm_ops;
    ops = *platform;
    ops.pwr_domain_on = core_on;
    ops.validate_power_state = standby_only;
    ops.get_sys_suspend_power_state = NULL;
    ops.system_off = system_off;
    ops.system_reset = system_reset;
    ops.system_reset2 = system_reset2;
    psci_plat_pm_ops = &ops;
    psci_caps = (psci_caps & OFFERED) | define_psci_cap(PSCI_SYSTEM_RESET2_AARCH64);
    /* Cores that come up read this before their caches are on. */
    flush_dcache_range((uintptr_t)&ops, sizeof ops);
    flush_dcache_range((uintptr_t)&psci_plat_pm_ops, sizeof psci_plat_pm_ops);
    psci_register_spd_pm_hook(&hooks);
}
