/* SPDX-License-Identifier: MIT */
/* unit_setup.h - what the monitor wants of a machine, and how the first Linux begins; its random words */
#include "machine.h"

TEST(the_secure_world_comes_first)
{
    const uint64_t interval = BOARD_DOORBELL_INTERVAL_NS / 16;

    cold();
    cpu.cptr_el3 = 0x80000000u;
    CHECK_EQ(service.setup(), 0);
    CHECK(strstr(doings, "context0") && strstr(doings, "handler0:2") && strstr(doings, "first 0"));
    CHECK_EQ(strstr(doings, "cptr_el3=80000400") != NULL, !BOARD_FP_SWITCHED);
    CHECK_EQ(monitor.home_mpidr, cpu.mpidr_el1);
    CHECK_EQ(monitor.mpidr[BOARD_FIRST_CORE], cpu.place[BOARD_FIRST_CORE]);
    CHECK_EQ(monitor.rate.interval, interval);
    CHECK_EQ(monitor.rate.tolerance, interval * (BOARD_DOORBELL_BURST - 1));
    CHECK_EQ(images[SECURE].attributes, SECURE | EP_ST_ENABLE);
    CHECK_EQ(images[SECURE].args.arg7, 0);
    CHECK(images[SECURE].args.arg0 != images[SECURE].args.arg1);
}

TEST(a_machine_that_does_not_fit_is_refused)
{
    const struct {
        uint64_t id, writable;
    } processors[] = {{UINT64_C(1) << 28, 0}, {UINT64_C(8) << 28, 0}, {0, 1}, {0, 1u << 31}};

    for (unsigned int i = 0; i < 4; i++) {
        cold();
        cpu.id_aa64pfr0_el1 = processors[i].id;
        cpu.writable = processors[i].writable;
        CHECK_EQ(service.setup(), -1);
    }
    cold();
    first_image = NULL;
    CHECK_EQ(service.setup(), -1);
    cold();
    images[SECURE].pc = 0;
    CHECK_EQ(service.setup(), -1);
    cold();
    on_core((BOARD_SECURE_CORE + 1) % 3);
    CHECK_EQ(service.setup(), -1);
    cold();
    cpu.handler_result = 1;
    CHECK_EQ(service.setup(), -1);
    CHECK(strstr(doings, "first 0") == NULL);
    cold();
    cpu.active_is_fixed = true;
    CHECK_EQ(service.setup(), BOARD_PRIORITIES_MOVE ? -1 : 0);
}

TEST(a_core_is_found_by_its_position)
{
    cold();
    for (int position = 0; position < 3; position++)
        CHECK_EQ(own_mpidr_of(position), cpu.place[position]);
    CHECK_EQ(own_mpidr_of(3), INVALID_MPID); /* it has affinities that are not tried */
    cpu.place[3] = 0x008;
    CHECK_EQ(own_mpidr_of(3), INVALID_MPID);
}

TEST(linux_starts_once_the_secure_world_is_ready)
{
    for (int result = 0; result < 2; result++) {
        booted();
        cpu.starts_result = (uint64_t)result;
        cpu.distributor = 0x12;
        const uintptr_t back = ask(SECURE, IST_SMC_READY, 0, 0, 0, 0);
        CHECK_EQ(monitor.secure, SECURE_UP);
        CHECK_EQ(monitor.normal, IST_NORMAL_RUNNING);
        CHECK(hooks && psci_plat_pm_ops != &platform_ops);
        if (BOARD_CORE_SHARED) {
            CHECK_EQ(back, (uintptr_t)&contexts[NON_SECURE]);
            CHECK_EQ(monitor.on, 1u << BOARD_FIRST_CORE);
            CHECK_EQ(monitor.starts, 1);
        } else {
            CHECK_EQ(back, (uintptr_t)&caller);
            DID("flush flush start:%" PRIx64 ":%" PRIx64 ":0%s", cpu.place[BOARD_FIRST_CORE],
                (uint64_t)BOARD_NORMAL_BUFFER_BASE, result ? " error" : "");
            monitor.starts = 0;
            hooks->svc_on_finish(0);
            CHECK_EQ(monitor.starts, 1);
            CHECK_EQ(images[NON_SECURE].args.arg3, 0);
            CHECK(strncmp(doings, "init0", 5) == 0);
            anew();
            hooks->svc_on_finish(0);
            CHECK(strstr(doings, "init0") == NULL); /* it runs */
        }
    }
    REFUSED(SECURE, IST_SMC_READY, 0, 0, IST_SMC_DENIED);
}

TEST(linux_begins_with_nothing_of_before)
{
    if (!BOARD_CORE_SHARED)
        return;
    booted();
    cpu.cptr_el3 = 0x80000400u;
    (void)ask(SECURE, IST_SMC_READY, 0, 0, 0, 0);
    char *begin = strstr(doings, "init0");
    CHECK(begin);
    CHECK(strstr(begin, "switch exit"));
    CHECK(next_context == &contexts[NON_SECURE]);
    CHECK_EQ(strstr(doings, "cptr_el3=80000000") != NULL, !BOARD_FP_SWITCHED);
    CHECK_EQ(strstr(begin, "icc_pmr_el1=ff") != NULL, BOARD_PRIORITIES_MOVE);
    CHECK_EQ(images[NON_SECURE].args.arg3, 0);
    const void *secure_place = switched[0];

    cpu.scr_el3 = SCR_NS_BIT | 0x400;
    monitor.called = monitor.on;
    anew();
    lock_take(&monitor.lock);
    CHECK_EQ(normal_leave(), (uintptr_t)&contexts[NON_SECURE]); /* out of Linux itself */
    CHECK(switched[0] != secure_place);
    CHECK(strstr(doings, "icc_pmr") == NULL);
    cpu.scr_el3 = 0x400;
    monitor.called = monitor.on;
    monitor.normal = IST_NORMAL_OFF;
    lock_take(&monitor.lock);
    anew();
    CHECK_EQ(normal_leave(), (uintptr_t)&contexts[NON_SECURE]); /* in the Secure world's time */
    CHECK(switched[0] == secure_place);
    CHECK(strstr(doings, "init1"));
    CHECK_EQ(monitor.starts, 2); /* staying off is no start */
}

/* ---- entropy ------------------------------------------------------------------------------------------------------- */

TEST(as_many_random_words_as_asked_for)
{
    uint64_t words[4] = {1, 1, 1, 1};

    cold();
    CHECK(entropy_draw(words, 3));
    CHECK(words[0] != words[1] && words[1] != words[2] && words[2] != 1);
    CHECK_EQ(words[3], 1);
#if TRNG_SUPPORT
    cpu.entropy = 2;
    CHECK(!entropy_draw(words, 3));
#endif
}
