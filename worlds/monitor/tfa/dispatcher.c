/* SPDX-License-Identifier: MIT */
/* dispatcher.c - the monitor: an SPD of Trusted Firmware-A. It switches worlds and judges calls; it never looks at a
 * frame and maps no shared memory.
 *
 *     Linux --SMC DOORBELL--> enter_secure() ... Secure world --SMC YIELD--> leave_secure() --> Linux goes on
 *     Linux --secure timer--> enter_secure() ...
 *
 * The Secure world is one thread on one core, its home. Where Linux shares that, the Secure world runs until it yields:
 * interrupts of Linux's wait, its own are taken where it runs. While Linux has the home core, the Secure world always
 * stands in YIELD, so entering it means returning from that call with the events that have come up. Calls from other
 * cores leave their event and kick the home core; where that is the Secure world's own (own.h), all of them do. */
#include <arch_helpers.h>
#include <bl31/bl31.h>
#include <bl31/interrupt_mgmt.h>
#include <common/debug.h>
#include <common/runtime_svc.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "entropy.h"
#include "kick.h"
#include "monitor.h"
#include "priority.h"
#include "smc.h"

struct monitor monitor;

uintptr_t reply(void *handle, long result)
{
    lock_give(&monitor.lock);
    SMC_RET1(handle, (uint64_t)result);
}

/* An interrupt of the Secure world's has come while Linux ran. It stays pending: the Secure world takes it itself. */
static uint64_t on_secure_interrupt(uint32_t id, uint32_t flags, void *handle, void *cookie)
{
    (void)id, (void)flags, (void)handle, (void)cookie;
    lock_take(&monitor.lock);
    if (!at_home() || monitor.secure != SECURE_UP) { /* a call out of Linux; no other one can be here */
        kick_end();
        if (normal_called(plat_my_core_pos()))
            return normal_leave();
        lock_give(&monitor.lock);
        return 0;
    }
    monitor.events |= IST_EVENT_INTERRUPT;
    return tell_secure();
}

uintptr_t from_either(uint32_t fid, void *handle)
{
    switch (fid) {
    case IST_SMC_CALL_COUNT:
        SMC_RET1(handle, IST_SMC_COUNT);
    case IST_SMC_UID:
        SMC_RET4(handle, IST_SMC_UID_0, IST_SMC_UID_1, IST_SMC_UID_2, IST_SMC_UID_3);
    case IST_SMC_REVISION:
        SMC_RET2(handle, IST_SMC_MAJOR, IST_SMC_MINOR);
    case IST_SMC_GET_VERSION:
        SMC_RET2(handle, IST_SMC_VERSION_WORD, BOARD_INSECURE_TEST_KEY ? IST_SMC_FEATURE_TEST_KEY : 0);
    default:
        SMC_RET1(handle, SMC_UNK);
    }
}

static uintptr_t on_call(uint32_t fid, u_register_t x1, u_register_t x2, u_register_t x3, u_register_t x4,
                         void *cookie, void *handle, u_register_t flags)
{
    (void)cookie;
    return is_caller_secure(flags) ? from_secure(fid, x1, x2, x3, x4, handle)
                                   : from_normal(fid, x1, x2, x3, x4, handle);
}

static uint64_t ticks(uint64_t ns)
{
    return ns * read_cntfrq_el0() / 1000000000u;
}

static int32_t setup(void)
{
    entry_point_info_t *entry = bl31_plat_get_next_image_ep_info(SECURE);
    uint32_t attributes = SECURE | EP_ST_ENABLE; /* the secure timer is the Secure world's own */
    uint32_t flags = 0;

    if (!switch_init()) {
        ERROR("isthmus: this core has EL1 registers that are not listed\n");
        return -1;
    }
    if (BOARD_PRIORITIES_MOVE && !priority_init()) {
        ERROR("isthmus: this interrupt controller's active priorities cannot be written\n");
        return -1;
    }
    if (entry == NULL || entry->pc == 0 || plat_my_core_pos() != BOARD_SECURE_CORE) {
        ERROR("isthmus: %s\n", entry == NULL ? "no Secure world" : "started on another core than the board says");
        return -1;
    }
    monitor.home_mpidr = read_mpidr_el1();
    monitor.mpidr[BOARD_FIRST_CORE] =
        BOARD_CORE_SHARED ? monitor.home_mpidr & MPIDR_AFFINITY_MASK : own_mpidr_of(BOARD_FIRST_CORE);
    monitor.rate.interval = ticks(BOARD_DOORBELL_INTERVAL_NS);
    monitor.rate.tolerance = monitor.rate.interval * (BOARD_DOORBELL_BURST - 1);

    SET_PARAM_HEAD(entry, PARAM_EP, VERSION_1, attributes);
    entry->spsr = SPSR_64(MODE_EL1, MODE_SP_ELX, DISABLE_ALL_EXCEPTIONS);
    entry->args = (aapcs64_params_t){0};
    (void)entropy_draw(&entry->args.arg0, 2); /* its seed; zeros where there is none */

    set_interrupt_rm_flag(flags, NON_SECURE);
    if (register_interrupt_type_handler(INTR_TYPE_S_EL1, on_secure_interrupt, flags) != 0)
        return -1;
    bl31_set_next_image_type(SECURE); /* it comes first; Linux is started by its READY */
    return 0;
}

DECLARE_RT_SVC(isthmus, IST_SMC_OWNER, IST_SMC_OWNER, SMC_TYPE_FAST, setup, on_call);
