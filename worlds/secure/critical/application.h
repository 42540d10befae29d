/* SPDX-License-Identifier: MIT */
/* application.h - the critical application: what it gives to the Secure world, and what it gets.
 *
 * It is one `struct application`, called `application`, in a file of its own (actuator.c is an example that uses all of
 * this). The board file names its tasks and their cost C, deadline D and period T; each pre-empts what stands below it:
 *
 *     above     every T, before everything else: the control law. Alone feeds the watchdog.
 *     (network work: channel, IP stack, status page)
 *     inside    for a datagram of its flow, as part of the network work
 *     below     every T, in what the others leave
 *     (Linux)
 *
 * A function may be interrupted anywhere by those above it, never by those below. So what two of them share is written
 * by one of them alone, as single words, with shared_set() and shared_get(); on the host they run at the same time, and
 * the same holds. There is no allocation, and nothing to wait for: a function returns when its work is done, within C.
 *
 * State that outlives a restart of channel and IP stack is marked CRITICAL_STATE; what is not begins anew with them. */
#ifndef ISTHMUS_APPLICATION_H
#define ISTHMUS_APPLICATION_H

#include <stdint.h>

#include "abi.h"

struct text;

#define CRITICAL_STATE __attribute__((section(".bss.kept"))) /* starts as zeros */

/* Why the safe state is asked for. */
enum safe_reason {
    SAFE_DEAD,     /* the peer broke the channel's protocol */
    SAFE_FAULT,    /* an exception or a broken invariant of ours: nothing of ours runs behind this call */
    SAFE_OVERRUN,  /* a task used more than its C */
    SAFE_WATCHDOG, /* not fed in time: nothing of ours runs behind this call */
    SAFE_REASONS
};

/* ---- what the application gives ----------------------------------------------------------------------------------- */

struct application {
    const char *name;
    /* Once, before the first period; nothing else runs yet. */
    void (*start)(void);
    /* The tasks, `now` in ns. A task that the board file does not name is never run. */
    void (*above)(uint64_t now);
    void (*below)(uint64_t now);
    /* A datagram of its flow came: `length` bytes at `data`, a private copy. The answer, at most `room` bytes, goes in
     * its place. Returns its length; 0 for none. */
    uint32_t (*inside)(uint64_t now, uint8_t *data, uint32_t length, uint32_t room);
    /* The link's state has changed. Part of the network work; at most one period after it. */
    void (*link)(enum ist_state state);
    /* Enter the safe state, now. Comes from anywhere, between any two instructions of the other functions, also with
     * interrupts masked: set outputs, leave a word for the control law, return. May come again. */
    void (*safe)(enum safe_reason why);
    /* Members of the status' "app": text_member() and the like of text.h. Part of the network work. */
    void (*report)(struct text *t);
};

extern const struct application application;

/* ---- what it gets: each may be called from any of its functions ------------------------------------------------- */

#define CRITICAL_NEVER UINT64_MAX
#define CRITICAL_NO_FLOW UINT32_MAX

/* ns of a clock that never goes back. */
uint64_t critical_now(void);
/* The running task has some of its C left: for work that is the better the longer it lasts. The last sixteenth is kept
 * back for what enters and leaves the task. */
int critical_cost_left(void);
enum ist_state critical_link(void);
/* The board's flow of this name, or CRITICAL_NO_FLOW: to be asked for once, at the start. */
uint32_t critical_flow(const char *name);
/* ns since the flow's last valid frame: judged and copied by the guard, and addressed as the board file says. What is
 * in it is the application's to judge. CRITICAL_NEVER before the first, and for CRITICAL_NO_FLOW. */
uint64_t critical_flow_age(uint32_t flow);
/* How often the guard came to this verdict in any lane, or the session to this end, of each. Begins anew with the channel. */
uint64_t critical_verdicts(enum ist_verdict verdict);
/* Feeds the watchdog. From the task above alone: from elsewhere it is counted, and no food. */
void critical_feed(void);

static inline void shared_set(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline uint32_t shared_get(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

#endif
