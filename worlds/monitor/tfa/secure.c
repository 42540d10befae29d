/* SPDX-License-Identifier: MIT */
/* secure.c - calls of the Secure world. */
#include <arch_helpers.h>
#include <common/debug.h>
#include <drivers/console.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "monitor.h"
#include "smc.h"

/* Linux's first start. */
static uintptr_t normal_first(void *handle)
{
    if (!BOARD_CORE_SHARED) {
        own_start_linux();
        return own_yield(handle);
    }
    monitor.on = 1u << BOARD_FIRST_CORE;
    lock_take(&monitor.lock);
    return normal_leave();
}

static uintptr_t on_ready(void *handle)
{
    lock_take(&monitor.lock);
    if (monitor.secure != SECURE_BOOTING)
        return reply(handle, IST_SMC_DENIED);
    monitor.secure = SECURE_UP;
    lock_give(&monitor.lock);
    power_setup();
    return normal_first(handle);
}

/* Nothing may come up for a world that is never entered again. */
static void stop(void)
{
    lock_take(&monitor.lock);
    monitor.secure = SECURE_STOPPED;
    session_end(&monitor.session);
    lock_give(&monitor.lock);
    plat_ic_disable_interrupt(BOARD_TIMER_INTERRUPT); /* the kick may still call Linux's core */
}

/* All that YIELD may mean. Out of line, so that the common one needs no stack. */
static __attribute__((noinline)) uintptr_t yield_for_any_reason(void *handle, uint64_t flags)
{
    const bool up = monitor.secure == SECURE_UP;

    if (flags > IST_YIELD_STOP)
        SMC_RET1(handle, (uint64_t)IST_SMC_INVALID);
    if (flags == IST_YIELD_STOP)
        stop(); /* a Linux that does not run yet is started all the same: it is not what failed */
    else if (!up)
        SMC_RET1(handle, (uint64_t)IST_SMC_DENIED);
    if (!up)
        return normal_first(handle);
    if (!BOARD_CORE_SHARED)
        return own_yield(handle);
    if (normal_called(BOARD_SECURE_CORE)) {
        lock_take(&monitor.lock);
        return normal_leave();
    }
    return leave_secure();
}

uintptr_t on_yield(void *handle, uint64_t flags)
{
    if (BOARD_CORE_SHARED && flags < IST_YIELD_STOP && monitor.secure == SECURE_UP && !normal_called(BOARD_SECURE_CORE))
        return leave_secure();
    return yield_for_any_reason(handle, flags);
}

/* It has used an FP register, which the board does not let it have: for a critical world, a fault like any other. */
uintptr_t on_fp(void *handle)
{
    ERROR("isthmus: the Secure world used FP, pc 0x%lx: stopped\n", read_elr_el3());
    return on_yield(handle, IST_YIELD_STOP);
}

static uintptr_t on_ring(void *handle, uint64_t channel, uint64_t lanes)
{
    lock_take(&monitor.lock);
    if (channel != 0 || lanes == 0 || (lanes & ~(uint64_t)IST_LANES_ALL) != 0)
        return reply(handle, IST_SMC_INVALID);
    if (monitor.session.state != IST_SESSION_SEALED)
        return reply(handle, IST_SMC_DENIED);
    plat_ic_set_interrupt_pending(BOARD_DOORBELL_INTERRUPT);
    return reply(handle, IST_SMC_OK);
}

static uintptr_t on_session(void *handle, uint64_t channel)
{
    struct session s;

    lock_take(&monitor.lock);
    if (channel != 0)
        return reply(handle, IST_SMC_INVALID);
    s = monitor.session;
    lock_give(&monitor.lock);
    SMC_RET5(handle, IST_SMC_OK, s.state, s.epoch, s.key[0], s.key[1]);
}

static uintptr_t on_quiesced(void *handle, uint64_t channel, uint64_t epoch)
{
    lock_take(&monitor.lock);
    return reply(handle, session_quiesced(&monitor.session, channel, epoch));
}

static uintptr_t on_normal(void *handle)
{
    uint64_t state, starts;

    lock_take(&monitor.lock);
    state = monitor.called != 0 ? IST_NORMAL_STOPPING : monitor.normal;
    starts = monitor.starts;
    lock_give(&monitor.lock);
    SMC_RET3(handle, IST_SMC_OK, state, starts);
}

static uintptr_t on_normal_restart(void *handle)
{
    lock_take(&monitor.lock);
    if (monitor.secure != SECURE_UP)
        return reply(handle, IST_SMC_DENIED);
    if (monitor.called != 0)
        return reply(handle, IST_SMC_BUSY);
    normal_stop(IST_NORMAL_RUNNING);
    return reply(handle, IST_SMC_OK);
}

/* What comes from below is printable or a line's end, or it is a dot. */
static uintptr_t on_log(void *handle, uint64_t n, uint64_t x2, uint64_t x3, uint64_t x4)
{
    const uint64_t words[IST_LOG_MAX / 8] = {x2, x3, x4, SMC_GET_GP(handle, CTX_GPREG_X5),
                                             SMC_GET_GP(handle, CTX_GPREG_X6)};

    if (n > IST_LOG_MAX)
        SMC_RET1(handle, (uint64_t)IST_SMC_INVALID);
    for (uint64_t i = 0; i < n; i++) {
        int c = (int)(words[i / 8] >> (i % 8 * 8) & 0xff);

        console_putc((c >= ' ' && c <= '~') || c == '\n' ? c : '.');
    }
    SMC_RET1(handle, IST_SMC_OK);
}

uintptr_t from_secure(uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, void *handle)
{
    switch (fid) {
    case IST_SMC_READY:
        return on_ready(handle);
    case IST_SMC_YIELD:
        return on_yield(handle, x1);
    case IST_SMC_RING:
        return on_ring(handle, x1, x2);
    case IST_SMC_SESSION:
        return on_session(handle, x1);
    case IST_SMC_QUIESCED:
        return on_quiesced(handle, x1, x2);
    case IST_SMC_NORMAL:
        return on_normal(handle);
    case IST_SMC_NORMAL_RESTART:
        return on_normal_restart(handle);
    case IST_SMC_POWER_OFF:
        power_off();
    case IST_SMC_LOG:
        return on_log(handle, x1, x2, x3, x4);
    default:
        return from_either(fid, handle);
    }
}
