/* SPDX-License-Identifier: MIT */
/* unit_stops.h - interrupts, and how Linux or a core of its stops and begins again */
#include "machine.h"

static void took_back(void)
{
    if (BOARD_GIC_VERSION == 2)
        CHECK(strncmp(doings, "end77", 5) == 0);
    else
        CHECK_EQ(strtoul(doings + 5, NULL, 10), BOARD_KICK_INTERRUPT);
}

TEST(its_interrupts_enter_the_secure_world)
{
    running();
    on_core(BOARD_SECURE_CORE);
    cpu.scr_el3 = SCR_NS_BIT;
    monitor.events = IST_EVENT_SESSION;
    anew();
    CHECK_EQ(handler(0, 0, &caller, NULL), (uintptr_t)secure_context);
    free_again();
    CHECK_EQ(told_events(), IST_EVENT_SESSION | IST_EVENT_INTERRUPT);
    CHECK_EQ(((cpu_context_t *)secure_context)->x[0], IST_SMC_OK);
    CHECK_EQ(strstr(doings, "icc_pmr") != NULL, BOARD_PRIORITIES_MOVE);
    monitor.secure = SECURE_STOPPED;
    anew();
    CHECK_EQ(handler(0, 0, &caller, NULL), 0);
    free_again();
    took_back();
    monitor.secure = SECURE_UP;
    if (BOARD_CORES == 1)
        return;
    on_core(ANOTHER);
    anew();
    CHECK_EQ(handler(0, 0, &caller, NULL), 0); /* nobody called */
    free_again();
    took_back();
    CHECK_EQ(monitor.events, 0);
}

TEST(a_call_takes_a_core_out_of_linux)
{
    running();
    if (BOARD_CORES > 1) {
        on_core(ANOTHER);
        monitor.called = 7;
        anew();
        LEAVES(handler(0, 0, &caller, NULL));
        took_back();
        CHECK(strstr(doings, "off"));
        CHECK_EQ(monitor.called, 7 & ~(1u << ANOTHER));
        CHECK_EQ(monitor.starts, 1);
    }
    monitor.called = 1u << BOARD_FIRST_CORE;
    on_core(BOARD_FIRST_CORE);
    monitor.secure = SECURE_STOPPED;
    anew();
    CHECK_EQ(handler(0, 0, &caller, NULL), (uintptr_t)&contexts[NON_SECURE]);
    free_again();
    CHECK(strstr(doings, "init0"));
    CHECK_EQ(monitor.starts, 2);
}

/* ---- Linux stops --------------------------------------------------------------------------------------------------- */

static void all_on(void)
{
    for (unsigned int i = 0; i < BOARD_CORES; i++)
        if (BOARD_NORMAL_CORES >> i & 1) {
            monitor.on |= 1u << i;
            monitor.mpidr[i] = cpu.place[i];
        }
}

static void called_others(unsigned int from)
{
    char want[200] = "", one[64];

    for (unsigned int i = 0; i < BOARD_CORES; i++)
        if ((BOARD_NORMAL_CORES >> i & 1) && i != from) {
            if (BOARD_GIC_VERSION == 3)
                snprintf(one, sizeof one, "%skick%d:%" PRIx64, want[0] ? " " : "", BOARD_KICK_INTERRUPT, cpu.place[i]);
            else
                snprintf(one, sizeof one, "%sdsb [%x]=%x", want[0] ? " " : "",
                         BOARD_GICD_BASE + 0xf00 >= FRAME ? BOARD_GICD_BASE + 0xf00 - FRAME : BOARD_GICD_BASE + 0xf00,
                         1u << (16 + i) | BOARD_KICK_INTERRUPT);
            strcat(want, one);
        }
    DID("%s", want);
}

TEST(the_secure_world_restarts_linux)
{
    running();
    all_on();
    on_core(BOARD_SECURE_CORE);
    CHECK_EQ(smc(SECURE, IST_SMC_NORMAL_RESTART, 0, 0), IST_SMC_OK);
    CHECK_EQ(monitor.called, BOARD_NORMAL_CORES);
    CHECK_EQ(monitor.events, IST_EVENT_SESSION | IST_EVENT_NORMAL);
    CHECK_EQ(monitor.session.state, IST_SESSION_ENDING);
    called_others(BOARD_SECURE_CORE);
    REFUSED(SECURE, IST_SMC_NORMAL_RESTART, 0, 0, IST_SMC_BUSY);
    monitor.called = 0;
    monitor.secure = SECURE_STOPPED;
    REFUSED(SECURE, IST_SMC_NORMAL_RESTART, 0, 0, IST_SMC_DENIED);
}

static void ends(int way)
{
    if (way == 0)
        psci_plat_pm_ops->system_off();
    else if (way == 1)
        psci_plat_pm_ops->system_reset();
    else
        (void)psci_plat_pm_ops->system_reset2(0, 0, 0);
}

TEST(a_reset_of_linuxs_is_linuxs_alone)
{
    for (int way = 0; way < 3; way++) {
        running();
        all_on();
        on_core(BOARD_FIRST_CORE);
        cpu.scr_el3 = SCR_NS_BIT;
        anew();
        LEAVES((ends(way), 0));
        CHECK(strstr(doings, way == 0 ? "init1" : "init0"));
        CHECK(strstr(doings, "back"));
        CHECK_EQ(monitor.normal, way == 0 ? IST_NORMAL_OFF : IST_NORMAL_RUNNING);
        CHECK_EQ(monitor.called, BOARD_NORMAL_CORES & ~(1u << BOARD_FIRST_CORE));
        CHECK_EQ(monitor.session.state, IST_SESSION_ENDING);
        CHECK_EQ(monitor.starts, way == 0 ? 1 : 2);
    }
    CHECK_EQ(psci_plat_pm_ops->system_reset2(1, 0, 0), PSCI_E_INVALID_PARAMS);
}

TEST(linux_stops_once_and_without_a_secure_world_too)
{
    running();
    all_on();
    on_core(BOARD_SECURE_CORE);
    monitor.secure = SECURE_STOPPED;
    lock_take(&monitor.lock);
    normal_stop(IST_NORMAL_RUNNING);
    CHECK_EQ(monitor.session.state, IST_SESSION_NONE);
    called_others(BOARD_SECURE_CORE);
    monitor.called = 1u << BOARD_FIRST_CORE;
    normal_stop(IST_NORMAL_OFF);
    DID("");
    CHECK_EQ(monitor.called, 1u << BOARD_FIRST_CORE);
    CHECK_EQ(monitor.normal, IST_NORMAL_OFF);
}

TEST(no_core_beyond_the_boards_is_called)
{
    running();
    on_core(BOARD_SECURE_CORE);
    monitor.on = ~0u;
    anew();
    lock_take(&monitor.lock);
    normal_stop(IST_NORMAL_RUNNING);
    unsigned int calls = 0;
    for (const char *at = doings; (at = strstr(at, BOARD_GIC_VERSION == 3 ? "kick" : "dsb")) != NULL; at++)
        calls++;
    CHECK_EQ(calls, BOARD_CORES - (BOARD_SECURE_CORE < BOARD_CORES));
}

/* ---- PSCI ---------------------------------------------------------------------------------------------------------- */

TEST(what_psci_offers)
{
    running();
    const unsigned int offers = define_psci_cap(PSCI_SYSTEM_SUSPEND_AARCH64);
    CHECK_EQ(psci_caps & offers, 0);
    CHECK(psci_caps & define_psci_cap(PSCI_SYSTEM_RESET2_AARCH64));
    CHECK(psci_caps & define_psci_cap(PSCI_CPU_ON_AARCH64));
    CHECK_EQ(psci_caps >> 9, 0);
    CHECK(psci_plat_pm_ops->get_sys_suspend_power_state == NULL);
    cold();
    power_setup();
    DID("flush flush");
    int requested = 0;
    CHECK_EQ(psci_plat_pm_ops->validate_power_state(5, &requested), PSCI_E_SUCCESS);
    CHECK_EQ(requested, 5);
    CHECK_EQ(psci_plat_pm_ops->validate_power_state(1u << 16, &requested), PSCI_E_INVALID_PARAMS);
    CHECK_EQ(hooks->svc_migrate(0, 1), PSCI_E_DENIED);
    u_register_t resident = 9;
    CHECK_EQ(hooks->svc_migrate_info(&resident), PSCI_TOS_NOT_UP_MIG_CAP);
    CHECK_EQ(resident, monitor.mpidr[BOARD_FIRST_CORE]);
}

TEST(linux_starts_its_own_cores_alone)
{
    for (unsigned int core = 0; core < 4; core++) {
        const bool its_own = core < BOARD_CORES && (BOARD_NORMAL_CORES >> core & 1);
        running();
        monitor.on = 0;
        memset(monitor.mpidr, 0, sizeof monitor.mpidr);
        anew();
        CHECK_EQ((uint32_t)psci_plat_pm_ops->pwr_domain_on(cpu.place[core]),
                 (uint32_t)(its_own ? PSCI_E_SUCCESS : PSCI_E_DENIED));
        free_again();
        CHECK_EQ(monitor.on, its_own ? 1u << core : 0);
        if (its_own) {
            CHECK_EQ(monitor.mpidr[core], cpu.place[core]);
            DID("on:%" PRIx64, cpu.place[core]);
        } else
            DID("");
        monitor.on = 0;
        monitor.called = 1u << BOARD_FIRST_CORE;
        CHECK_EQ((uint32_t)psci_plat_pm_ops->pwr_domain_on(cpu.place[core]), (uint32_t)PSCI_E_DENIED);
        free_again();
        DID("");
        CHECK_EQ(monitor.on, 0);
        monitor.called = 0;
        cpu.on_result = (uint64_t)PSCI_E_INVALID_PARAMS;
        CHECK_EQ((uint32_t)psci_plat_pm_ops->pwr_domain_on(cpu.place[core]),
                 (uint32_t)(its_own ? PSCI_E_INVALID_PARAMS : PSCI_E_DENIED));
        free_again();
        CHECK_EQ(monitor.on, 0);
    }
    CHECK_EQ((uint32_t)psci_plat_pm_ops->pwr_domain_on(0x12345), (uint32_t)PSCI_E_DENIED);
}

TEST(a_core_goes_off_line_but_for_the_first)
{
    running();
    monitor.on = monitor.called = 7;
    on_core(BOARD_FIRST_CORE);
    CHECK_EQ((uint32_t)hooks->svc_off(0), (uint32_t)PSCI_E_DENIED);
    CHECK_EQ(monitor.on, 7);
    on_core(ANOTHER);
    CHECK_EQ((uint32_t)hooks->svc_off(0), PSCI_E_SUCCESS);
    free_again();
    CHECK_EQ(monitor.on, 7 & ~(1u << ANOTHER));
    CHECK_EQ(monitor.called, 7 & ~(1u << ANOTHER));
}

/* However many an earlier Linux has left, up to all there are; with its own interrupts banked in, then as it was. */
TEST(a_core_that_comes_has_no_active_priority)
{
    static const unsigned int left[] = {0, 3, 128, 200};

    for (unsigned int i = 0; i < 4; i++) {
        running();
        cpu.scr_el3 = 0x400;
        cpu.running = left[i];
        anew();
        hooks->svc_on_finish(0);
        CHECK_EQ(cpu.running, left[i] > 128 ? left[i] - 128 : 0);
        CHECK(strncmp(doings, "scr_el3=401 isb", 15) == 0);
        CHECK(strstr(doings, left[i] ? "eoir=0 scr_el3=400 isb" : "isb scr_el3=400 isb"));
        CHECK_EQ(strstr(doings, "eoir") != NULL, left[i] > 0);
    }
    cpu.id_aa64pfr0_el1 = UINT64_C(1) << 28;
    anew();
    hooks->svc_on_finish(0);
    DID(""); /* a controller without these registers */
}
