/* SPDX-License-Identifier: MIT */
/* normal.c - calls of the Normal world. Whatever it asks, what is not its own stays as it was. */
#include <arch_helpers.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "kick.h"
#include "limit.h"
#include "monitor.h"
#include "smc.h"

static uintptr_t on_register(void *handle, const struct claim *c)
{
    struct session *s = &monitor.session;
    uint64_t epoch, key[2];
    long result = monitor.secure == SECURE_UP ? session_register(s, c) : IST_SMC_DENIED;

    if (result != IST_SMC_OK)
        return reply(handle, result);
    monitor.events |= IST_EVENT_SESSION; /* told at the next period: attaching again and again buys no switches */
    epoch = s->epoch;
    key[0] = s->key[0];
    key[1] = s->key[1];
    lock_give(&monitor.lock);
    SMC_RET4(handle, IST_SMC_OK, epoch, key[0], key[1]);
}

static uintptr_t on_detach(void *handle, uint64_t channel, uint64_t epoch)
{
    long result = session_detach(&monitor.session, channel, epoch);

    if (result == IST_SMC_OK) {
        monitor.events |= IST_EVENT_SESSION;
        if (monitor.secure != SECURE_UP) /* nobody is left to say so */
            (void)session_quiesced(&monitor.session, channel, epoch);
    }
    return reply(handle, result);
}

uintptr_t on_doorbell(void *handle, uint64_t channel, uint64_t lanes)
{
    if (channel != 0 || lanes == 0 || (lanes & ~(uint64_t)IST_LANES_ALL) != 0)
        SMC_RET1(handle, (uint64_t)IST_SMC_INVALID);
    lock_take(&monitor.lock);
    if (monitor.secure != SECURE_UP || monitor.session.state != IST_SESSION_SEALED)
        return reply(handle, IST_SMC_DENIED);
    monitor.events |= IST_EVENT_DOORBELL;
    monitor.lanes |= (uint32_t)lanes;
    if (!ist_limit_step(&monitor.rate, read_cntpct_el0(), monitor.rate.interval)) {
        monitor.latched++;
        return reply(handle, IST_SMC_LATCHED);
    }
    if (!BOARD_CORE_SHARED || !at_home()) {
        if (!BOARD_DOORBELL_POLL)
            kick(monitor.home_mpidr & MPIDR_AFFINITY_MASK);
        return reply(handle, IST_SMC_OK);
    }
    write_ctx_reg(get_gpregs_ctx((cpu_context_t *)handle), CTX_GPREG_X0, IST_SMC_OK);
    return tell_secure();
}

static uintptr_t on_status(void *handle, uint64_t channel)
{
    uint64_t state = monitor.session.state, epoch = monitor.session.epoch, latched = monitor.latched;

    if (channel != 0)
        return reply(handle, IST_SMC_INVALID);
    lock_give(&monitor.lock);
    SMC_RET4(handle, IST_SMC_OK, state, epoch, latched);
}

uintptr_t from_normal(uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, void *handle)
{
    switch (fid) {
    case IST_SMC_REGISTER:
        lock_take(&monitor.lock);
        return on_register(handle, &(struct claim){x1, x2, x3, x4, SMC_GET_GP(handle, CTX_GPREG_X5)});
    case IST_SMC_DETACH:
        lock_take(&monitor.lock);
        return on_detach(handle, x1, x2);
    case IST_SMC_DOORBELL:
        return on_doorbell(handle, x1, x2);
    case IST_SMC_STATUS:
        lock_take(&monitor.lock);
        return on_status(handle, x1);
    default:
        return from_either(fid, handle);
    }
}
