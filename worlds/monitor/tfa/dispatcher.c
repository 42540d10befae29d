/* SPDX-License-Identifier: MIT */
/* dispatcher.c - the monitor: an SPD of Trusted Firmware-A. It switches worlds and judges calls; it never looks at a
 * frame and maps no shared memory.
 *
 *     Linux --SMC DOORBELL--> enter_secure() ... Secure world --SMC YIELD--> leave_secure() --> Linux goes on
 *     Linux --secure timer--> enter_secure() ...
 *
 * The Secure world is one thread on one core, its home. It runs until it yields: interrupts of Linux's wait, its own
 * are taken where it runs. While Linux has the home core, the Secure world always stands in YIELD, so entering it means
 * returning from that call with the events that have come up. Calls from other cores leave their event and kick the
 * home core. Every static below is under the lock, except the context, which only the home core touches. */
#include <arch_helpers.h>
#include <bl31/bl31.h>
#include <bl31/interrupt_mgmt.h>
#include <common/debug.h>
#include <common/runtime_svc.h>
#include <drivers/console.h>
#include <lib/el3_runtime/context_mgmt.h>
#include <lib/spinlock.h>
#include <plat/common/platform.h>
#include <smccc_helpers.h>

#include "board.h"
#include "dispatcher.h"
#include "entropy.h"
#include "isthmus.h"
#include "session.h"
#include "smc.h"

enum secure_state {
    SECURE_BOOTING, /* until READY: Linux does not run yet */
    SECURE_UP,
    SECURE_STOPPED, /* it said so, after a fault: never entered again */
};

static struct {
    spinlock_t lock;
    enum secure_state secure;
    struct session session;
    struct ist_limit rate; /* of doorbells that enter the Secure world, in ticks of the system counter */
    uint64_t latched;      /* doorbells beyond it */
    uint32_t events, lanes; /* not yet told to the Secure world */
    uint64_t home_mpidr;
} monitor;

static cpu_context_t secure_context;

bool dispatcher_at_home(void)
{
    return plat_my_core_pos() == BOARD_SECURE_CORE;
}

/* ---- switching --------------------------------------------------------------------------------------------------- */

/* Home core, lock held; returns without it. The Normal world's registers x0.. must have their results already. */
static uintptr_t enter_secure(void)
{
    uint32_t events = monitor.events, lanes = monitor.lanes;

    monitor.events = monitor.lanes = 0;
    spin_unlock(&monitor.lock);
    cm_el1_sysregs_context_save(NON_SECURE);
    cm_el1_sysregs_context_restore(SECURE);
    cm_set_next_eret_context(SECURE);
    SMC_RET3(&secure_context, IST_SMC_OK, events, lanes);
}

static uintptr_t leave_secure(void)
{
    cm_el1_sysregs_context_save(SECURE);
    cm_el1_sysregs_context_restore(NON_SECURE);
    cm_set_next_eret_context(NON_SECURE);
    SMC_RET0(cm_get_context(NON_SECURE));
}

/* The Secure world's first READY: Linux is started. */
static uintptr_t start_normal(void)
{
    cm_el1_sysregs_context_save(SECURE);
    cm_init_my_context(bl31_plat_get_next_image_ep_info(NON_SECURE));
    cm_prepare_el3_exit_ns();
    SMC_RET0(cm_get_context(NON_SECURE));
}

/* An interrupt of the Secure world's has come while Linux ran. It stays pending: the Secure world takes it itself. */
static uint64_t on_secure_interrupt(uint32_t id, uint32_t flags, void *handle, void *cookie)
{
    (void)id, (void)flags, (void)handle, (void)cookie;
    spin_lock(&monitor.lock);
    if (!dispatcher_at_home() || monitor.secure != SECURE_UP) {
        /* None is aimed at another core, and stop() has switched off all. */
        spin_unlock(&monitor.lock);
        panic();
    }
    monitor.events |= IST_EVENT_INTERRUPT;
    return enter_secure();
}

/* ---- calls of the Normal world ----------------------------------------------------------------------------------- */

static uintptr_t reply(void *handle, long result)
{
    spin_unlock(&monitor.lock);
    SMC_RET1(handle, (uint64_t)result);
}

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
    spin_unlock(&monitor.lock);
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

static uintptr_t on_doorbell(void *handle, uint64_t channel, uint64_t lanes)
{
    if (channel != 0 || lanes == 0 || (lanes & ~(uint64_t)IST_LANES_ALL) != 0)
        return reply(handle, IST_SMC_INVALID);
    if (monitor.secure != SECURE_UP || monitor.session.state != IST_SESSION_SEALED)
        return reply(handle, IST_SMC_DENIED);
    monitor.events |= IST_EVENT_DOORBELL;
    monitor.lanes |= (uint32_t)lanes;
    if (!ist_limit_take(&monitor.rate, read_cntpct_el0(), monitor.rate.interval)) {
        monitor.latched++;
        return reply(handle, IST_SMC_LATCHED);
    }
    if (!dispatcher_at_home()) {
        plat_ic_raise_s_el1_sgi(BOARD_KICK_INTERRUPT, monitor.home_mpidr);
        return reply(handle, IST_SMC_OK);
    }
    write_ctx_reg(get_gpregs_ctx((cpu_context_t *)handle), CTX_GPREG_X0, IST_SMC_OK);
    return enter_secure();
}

static uintptr_t on_status(void *handle, uint64_t channel)
{
    uint64_t state = monitor.session.state, epoch = monitor.session.epoch, latched = monitor.latched;

    if (channel != 0)
        return reply(handle, IST_SMC_INVALID);
    spin_unlock(&monitor.lock);
    SMC_RET4(handle, IST_SMC_OK, state, epoch, latched);
}

static uintptr_t from_normal(uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, void *handle)
{
    switch (fid) {
    case IST_SMC_GET_VERSION:
        SMC_RET2(handle, IST_SMC_VERSION_WORD, BOARD_INSECURE_TEST_KEY ? IST_SMC_FEATURE_TEST_KEY : 0);
    case IST_SMC_REGISTER:
        spin_lock(&monitor.lock);
        return on_register(handle, &(struct claim){x1, x2, x3, x4, SMC_GET_GP(handle, CTX_GPREG_X5)});
    case IST_SMC_DETACH:
        spin_lock(&monitor.lock);
        return on_detach(handle, x1, x2);
    case IST_SMC_DOORBELL:
        spin_lock(&monitor.lock);
        return on_doorbell(handle, x1, x2);
    case IST_SMC_STATUS:
        spin_lock(&monitor.lock);
        return on_status(handle, x1);
    default:
        SMC_RET1(handle, SMC_UNK);
    }
}

/* ---- calls of the Secure world ----------------------------------------------------------------------------------- */

static uintptr_t on_ready(void *handle)
{
    spin_lock(&monitor.lock);
    if (monitor.secure != SECURE_BOOTING)
        return reply(handle, IST_SMC_DENIED);
    monitor.secure = SECURE_UP;
    spin_unlock(&monitor.lock);
    power_setup();
    return start_normal();
}

/* Nothing may come up for a world that is never entered again. */
static void stop(void)
{
    monitor.secure = SECURE_STOPPED;
    session_end(&monitor.session);
    plat_ic_disable_interrupt(BOARD_TIMER_INTERRUPT);
    plat_ic_disable_interrupt(BOARD_KICK_INTERRUPT);
}

static uintptr_t on_yield(void *handle, uint64_t flags)
{
    spin_lock(&monitor.lock);
    if (flags > IST_YIELD_STOP)
        return reply(handle, IST_SMC_INVALID);
    if (monitor.secure == SECURE_BOOTING && flags == IST_YIELD_STOP) {
        stop(); /* Linux is started all the same: it is not what failed */
        spin_unlock(&monitor.lock);
        return start_normal();
    }
    if (monitor.secure != SECURE_UP)
        return reply(handle, IST_SMC_DENIED);
    if (flags == IST_YIELD_STOP)
        stop();
    spin_unlock(&monitor.lock);
    return leave_secure();
}

static uintptr_t on_ring(void *handle, uint64_t channel, uint64_t lanes)
{
    spin_lock(&monitor.lock);
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

    spin_lock(&monitor.lock);
    if (channel != 0)
        return reply(handle, IST_SMC_INVALID);
    s = monitor.session;
    spin_unlock(&monitor.lock);
    SMC_RET5(handle, IST_SMC_OK, s.state, s.epoch, s.key[0], s.key[1]);
}

static uintptr_t on_quiesced(void *handle, uint64_t channel, uint64_t epoch)
{
    spin_lock(&monitor.lock);
    return reply(handle, session_quiesced(&monitor.session, channel, epoch));
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

static uintptr_t from_secure(uint32_t fid, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4, void *handle)
{
    switch (fid) {
    case IST_SMC_GET_VERSION:
        SMC_RET2(handle, IST_SMC_VERSION_WORD, BOARD_INSECURE_TEST_KEY ? IST_SMC_FEATURE_TEST_KEY : 0);
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
    case IST_SMC_LOG:
        return on_log(handle, x1, x2, x3, x4);
    default:
        SMC_RET1(handle, SMC_UNK);
    }
}

/* ---- the service ------------------------------------------------------------------------------------------------- */

static uintptr_t on_call(uint32_t fid, u_register_t x1, u_register_t x2, u_register_t x3, u_register_t x4,
                         void *cookie, void *handle, u_register_t flags)
{
    (void)cookie;
    switch (fid) {
    case IST_SMC_CALL_COUNT:
        SMC_RET1(handle, IST_SMC_COUNT);
    case IST_SMC_UID:
        SMC_RET4(handle, IST_SMC_UID_0, IST_SMC_UID_1, IST_SMC_UID_2, IST_SMC_UID_3);
    case IST_SMC_REVISION:
        SMC_RET2(handle, IST_SMC_MAJOR, IST_SMC_MINOR);
    default:
        return is_caller_secure(flags) ? from_secure(fid, x1, x2, x3, x4, handle)
                                       : from_normal(fid, x1, x2, x3, x4, handle);
    }
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

    if (entry == NULL || entry->pc == 0 || !dispatcher_at_home()) {
        ERROR("isthmus: %s\n", entry == NULL ? "no Secure world" : "started on another core than the board says");
        return -1;
    }
    monitor.home_mpidr = read_mpidr_el1() & MPIDR_AFFINITY_MASK;
    monitor.rate.interval = ticks(BOARD_DOORBELL_INTERVAL_NS);
    monitor.rate.tolerance = monitor.rate.interval * (BOARD_DOORBELL_BURST - 1);

    SET_PARAM_HEAD(entry, PARAM_EP, VERSION_1, attributes);
    entry->spsr = SPSR_64(MODE_EL1, MODE_SP_ELX, DISABLE_ALL_EXCEPTIONS);
    entry->args = (aapcs64_params_t){0};
    (void)entropy_draw(&entry->args.arg0, 2); /* its seed; zeros where there is none */
    cm_set_context(&secure_context, SECURE);

    set_interrupt_rm_flag(flags, NON_SECURE);
    if (register_interrupt_type_handler(INTR_TYPE_S_EL1, on_secure_interrupt, flags) != 0)
        return -1;
    bl31_set_next_image_type(SECURE); /* it comes first; Linux is started by its READY */
    return 0;
}

DECLARE_RT_SVC(isthmus, IST_SMC_OWNER, IST_SMC_OWNER, SMC_TYPE_FAST, setup, on_call);
