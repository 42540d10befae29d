/* SPDX-License-Identifier: MIT */
/* unit_calls.h - who may ask what in which state, and what the answer is */
#include "machine.h"

TEST(a_registration_needs_a_world_that_is_up)
{
    booted();
    CHECK_EQ(claimed(), IST_SMC_DENIED);
    running();
    CHECK_EQ(monitor.session.state, IST_SESSION_SEALED);
    monitor.session.state = IST_SESSION_NONE;
    CHECK_EQ(claimed(), IST_SMC_OK);
    CHECK_EQ(monitor.events, IST_EVENT_SESSION);
    CHECK_EQ(caller.x[1], monitor.session.epoch);
    CHECK_EQ(caller.x[2], monitor.session.key[0]);
    CHECK_EQ(caller.x[3], monitor.session.key[1]);
    monitor.events = 0;
    CHECK(claimed() != IST_SMC_OK); /* there is one */
    CHECK_EQ(monitor.events, 0);
    monitor.session.state = IST_SESSION_NONE;
    monitor.secure = SECURE_STOPPED;
    CHECK_EQ(claimed(), IST_SMC_DENIED);
}

TEST(a_session_ends_by_its_epoch)
{
    running();
    const uint64_t epoch = monitor.session.epoch;
    REFUSED(LINUX, IST_SMC_DETACH, 0, epoch + 1, IST_SMC_DENIED);
    CHECK_EQ(smc(LINUX, IST_SMC_DETACH, 0, epoch), IST_SMC_OK);
    CHECK_EQ(monitor.events, IST_EVENT_SESSION);
    CHECK_EQ(monitor.session.state, IST_SESSION_ENDING); /* until the Secure world says so */
    CHECK(smc(SECURE, IST_SMC_QUIESCED, 0, epoch + 1) != IST_SMC_OK);
    CHECK_EQ(smc(SECURE, IST_SMC_QUIESCED, 0, epoch), IST_SMC_OK);
    CHECK_EQ(monitor.session.state, IST_SESSION_NONE);
    running();
    monitor.secure = SECURE_STOPPED;
    CHECK_EQ(smc(LINUX, IST_SMC_DETACH, 0, monitor.session.epoch), IST_SMC_OK);
    CHECK_EQ(monitor.session.state, IST_SESSION_NONE);
}

TEST(what_a_doorbell_may_name)
{
    running();
    REFUSED(LINUX, IST_SMC_DOORBELL, 1, 1, IST_SMC_INVALID);
    REFUSED(LINUX, IST_SMC_DOORBELL, 0, 0, IST_SMC_INVALID);
    REFUSED(LINUX, IST_SMC_DOORBELL, 0, (uint64_t)IST_LANES_ALL + 1, IST_SMC_INVALID);
    REFUSED(LINUX, IST_SMC_DOORBELL, 0, UINT64_C(1) << 32 | 1, IST_SMC_INVALID);
    monitor.session.state = IST_SESSION_ENDING;
    REFUSED(LINUX, IST_SMC_DOORBELL, 0, 1, IST_SMC_DENIED);
    monitor.session.state = IST_SESSION_SEALED;
    monitor.secure = SECURE_STOPPED;
    REFUSED(LINUX, IST_SMC_DOORBELL, 0, 1, IST_SMC_DENIED);
}

/* On the home core it enters; from another one it kicks; beyond its rate it waits for the next period. */
TEST(doorbells_have_a_rate)
{
    running();
    for (unsigned int i = 0; i < BOARD_DOORBELL_BURST; i++) {
        anew();
        cpu.scr_el3 = SCR_NS_BIT;
        const uintptr_t back = ask(LINUX, IST_SMC_DOORBELL, 0, IST_LANES_ALL, 0, 0);
        CHECK_EQ(caller.x[0], IST_SMC_OK);
        CHECK_EQ(back, BOARD_CORE_SHARED ? (uintptr_t)secure_context : (uintptr_t)&caller);
        if (BOARD_CORE_SHARED) {
            CHECK_EQ(told_events(), IST_EVENT_DOORBELL);
            CHECK_EQ(((cpu_context_t *)secure_context)->x[2], IST_LANES_ALL);
            CHECK_EQ(monitor.events, 0);
            CHECK_EQ(monitor.lanes, 0);
        } else if (!BOARD_DOORBELL_POLL && BOARD_GIC_VERSION == 3)
            DID("kick%d:%" PRIx64, BOARD_KICK_INTERRUPT, cpu.place[BOARD_SECURE_CORE]);
        else if (BOARD_DOORBELL_POLL)
            DID("");
    }
    CHECK_EQ(smc(LINUX, IST_SMC_DOORBELL, 0, 1), IST_SMC_LATCHED);
    DID("");
    CHECK_EQ(monitor.latched, 1);
    CHECK_EQ(monitor.events, IST_EVENT_DOORBELL);
    CHECK_EQ(monitor.lanes, BOARD_CORE_SHARED ? 1 : IST_LANES_ALL);
    CHECK_EQ(smc(LINUX, IST_SMC_STATUS, 0, 0), IST_SMC_OK);
    CHECK_EQ(caller.x[3], 1);
    REFUSED(LINUX, IST_SMC_STATUS, 1, 0, IST_SMC_INVALID);
    cpu.cntpct_el0 += 1000000;
    if (BOARD_CORES == 1)
        return;
    on_core(ANOTHER);
    CHECK_EQ(smc(LINUX, IST_SMC_DOORBELL, 0, 1), IST_SMC_OK);
    if (BOARD_DOORBELL_POLL)
        DID("");
    else if (BOARD_GIC_VERSION == 3)
        DID("kick%d:%" PRIx64, BOARD_KICK_INTERRUPT, cpu.place[BOARD_SECURE_CORE]);
    else
        DID("dsb [%x]=%x", BOARD_GICD_BASE + 0xf00 >= FRAME ? BOARD_GICD_BASE + 0xf00 - FRAME : BOARD_GICD_BASE + 0xf00,
            1u << (16 + BOARD_SECURE_CORE) | BOARD_KICK_INTERRUPT);
}

TEST(each_world_has_its_own_calls)
{
    running();
    REFUSED(LINUX, IST_SMC_YIELD, 0, 0, -1);
    REFUSED(LINUX, IST_SMC_POWER_OFF, 0, 0, -1);
    REFUSED(SECURE, IST_SMC_DOORBELL, 0, 1, -1);
    CHECK_EQ(smc(SECURE, IST_SMC_GET_VERSION, 0, 0), IST_SMC_VERSION_WORD);
    CHECK_EQ(smc(LINUX, IST_SMC_GET_VERSION, 0, 0), IST_SMC_VERSION_WORD);
    LEAVES(ask(SECURE, IST_SMC_POWER_OFF, 0, 0, 0, 0));
    DID("off");
}

/* ---- calls of the Secure world's ----------------------------------------------------------------------------------- */

/* By both ways in: entry.S has one of its own for this call. */
static uintptr_t yields(uint64_t flags, bool direct)
{
    anew();
    on_core(BOARD_SECURE_CORE);
    cpu.scr_el3 = 0x400;
    const uintptr_t back = direct ? on_yield(&caller, flags) : ask(SECURE, IST_SMC_YIELD, flags, 0, 0, 0);
    free_again();
    return back;
}

TEST(a_yield_goes_on_where_linux_stands)
{
    for (int direct = 0; direct < 2; direct++) {
        running();
        monitor.events = 5;
        monitor.lanes = 3;
        if (BOARD_CORE_SHARED) {
            CHECK_EQ(yields(0, direct), (uintptr_t)&contexts[NON_SECURE]);
            CHECK(strstr(doings, "switch"));
            CHECK_EQ(strstr(doings, "icc_pmr") != NULL, BOARD_PRIORITIES_MOVE);
            CHECK_EQ(monitor.events, 5);
            monitor.called = 1u << ANOTHER; /* which is not this one */
            CHECK_EQ(yields(0, direct), (uintptr_t)&contexts[NON_SECURE]);
            CHECK(strstr(doings, "init") == NULL);
            CHECK_EQ(monitor.called, 1u << ANOTHER);
            monitor.called = 1u << BOARD_SECURE_CORE; /* Linux is to begin again, on this core */
            CHECK_EQ(yields(0, direct), (uintptr_t)&contexts[NON_SECURE]);
            CHECK(strstr(doings, "init0"));
            CHECK_EQ(monitor.called, 0);
            CHECK_EQ(yields(0, direct), (uintptr_t)&contexts[NON_SECURE]);
            CHECK(strstr(doings, "init") == NULL);
            CHECK_EQ(monitor.starts, 2);
        } else {
            CHECK_EQ(yields(0, direct), (uintptr_t)&caller);
            CHECK_EQ(caller.x[0], IST_SMC_OK);
            CHECK_EQ(caller.x[1], 5);
            CHECK_EQ(caller.x[2], 3);
            CHECK_EQ(monitor.events, 0);
            CHECK_EQ(monitor.lanes, 0);
        }
        CHECK_EQ(yields(IST_YIELD_STOP + 1, direct), (uintptr_t)&caller);
        CHECK_EQ((int64_t)caller.x[0], IST_SMC_INVALID);
        CHECK_EQ(monitor.secure, SECURE_UP);
    }
}

TEST(a_yield_before_ready_is_denied)
{
    for (int direct = 0; direct < 2; direct++) {
        booted();
        CHECK_EQ(yields(0, direct), (uintptr_t)&caller);
        CHECK_EQ((int64_t)caller.x[0], IST_SMC_DENIED);
        DID("");
    }
}

static void stopped(uint64_t flags, bool by_fp, bool direct)
{
    cpu.idle = 3;
    on_core(BOARD_SECURE_CORE);
    cpu.scr_el3 = 0x400;
    anew();
    if (BOARD_CORE_SHARED) {
        const uintptr_t back = by_fp ? on_fp(&caller) : yields(flags, direct);
        CHECK_EQ(back, (uintptr_t)&contexts[NON_SECURE]);
    } else {
        LEAVES(by_fp ? on_fp(&caller) : yields(flags, direct));
        CHECK(strstr(doings, "wfi wfi wfi wfi away"));
    }
    free_again();
    CHECK_EQ(monitor.secure, SECURE_STOPPED);
    CHECK(monitor.session.state != IST_SESSION_SEALED);
    char *off = strstr(doings, "disable");
    CHECK(off && strtoul(off + 7, NULL, 10) == BOARD_TIMER_INTERRUPT);
}

TEST(a_world_that_stops_is_never_entered_again)
{
    for (int way = 0; way < 3; way++) {
        running();
        stopped(IST_YIELD_STOP, way == 2, way);
        booted(); /* before READY: Linux is started all the same */
        stopped(IST_YIELD_STOP, way == 2, way);
        CHECK_EQ(monitor.normal, IST_NORMAL_RUNNING);
        CHECK_EQ(monitor.starts, BOARD_CORE_SHARED);
    }
}

TEST(what_the_secure_world_may_ring)
{
    running();
    REFUSED(SECURE, IST_SMC_RING, 1, 1, IST_SMC_INVALID);
    REFUSED(SECURE, IST_SMC_RING, 0, 0, IST_SMC_INVALID);
    REFUSED(SECURE, IST_SMC_RING, 0, (uint64_t)IST_LANES_ALL + 1, IST_SMC_INVALID);
    CHECK_EQ(smc(SECURE, IST_SMC_RING, 0, IST_LANES_ALL), IST_SMC_OK);
    DID("ring%u", BOARD_DOORBELL_INTERRUPT);
    monitor.session.state = IST_SESSION_ENDING;
    REFUSED(SECURE, IST_SMC_RING, 0, 1, IST_SMC_DENIED);
}

TEST(what_the_secure_world_learns)
{
    running();
    REFUSED(SECURE, IST_SMC_SESSION, 1, 0, IST_SMC_INVALID);
    CHECK_EQ(smc(SECURE, IST_SMC_SESSION, 0, 0), IST_SMC_OK);
    CHECK_EQ(caller.x[1], IST_SESSION_SEALED);
    CHECK_EQ(caller.x[2], monitor.session.epoch);
    CHECK_EQ(caller.x[3], monitor.session.key[0]);
    CHECK_EQ(caller.x[4], monitor.session.key[1]);
    CHECK_EQ(smc(SECURE, IST_SMC_NORMAL, 0, 0), IST_SMC_OK);
    CHECK_EQ(caller.x[1], IST_NORMAL_RUNNING);
    CHECK_EQ(caller.x[2], 1);
    monitor.called = 1;
    CHECK_EQ(smc(SECURE, IST_SMC_NORMAL, 0, 0), IST_SMC_OK);
    CHECK_EQ(caller.x[1], IST_NORMAL_STOPPING);
}

TEST(only_what_can_be_printed_is)
{
    static const unsigned char text[16] = "A ~\n\x1b\x7f\x1f\x80\xff\0abcdef";
    uint64_t words[2];

    running();
    memcpy(words, text, sizeof words);
    CHECK_EQ(ask(SECURE, IST_SMC_LOG, 10, words[0], words[1], 0), (uintptr_t)&caller);
    CHECK_EQ(caller.x[0], IST_SMC_OK);
    DID("'A' ' ' '~' '\n' '.' '.' '.' '.' '.' '.'");
    CHECK_EQ(ask(SECURE, IST_SMC_LOG, IST_LOG_MAX, words[0], words[0], words[0]), (uintptr_t)&caller);
    CHECK_EQ(caller.x[0], IST_SMC_OK);
    CHECK(strlen(doings) >= 3 * IST_LOG_MAX);
    anew();
    REFUSED(SECURE, IST_SMC_LOG, IST_LOG_MAX + 1, 0, IST_SMC_INVALID);
}
