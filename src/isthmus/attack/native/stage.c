/* SPDX-License-Identifier: MIT */
/* stage.c - a channel in one process for attacks: the Secure end under attack, a Normal end that keeps the rules, and
 * memory that the attacker may write at any time, also between two loads of one call. Built with IST_TEST_HOOKS and
 * driven from Python (attack/stage.py).
 *
 * Both buffers end before an inaccessible page; frames land before a canary. */
#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "filter.h"
#include "shared.h"

#define PAGE 4096u
#define ROOM 65536u
#define CANARY 0xa5
#define OVERRUN 0xffffffffu /* in place of a verdict: written beyond the frame's buffer */

static struct ist_endpoint me, peer;
static struct ist_filter filter;
static ist_u8 *buffer[2]; /* by role */
static ist_u8 landing[ROOM + PAGE];
static uint64_t now;
static struct {
    const ist_u8 *at; /* changed behind the load after which `left` reaches 0 */
    uint32_t value, left, copies;
    uint32_t loads;
} change;

/* ---- the hostile peer in every load --------------------------------------------------------------------------- */

static void strike(void)
{
    memcpy((void *)(uintptr_t)change.at, &change.value, sizeof change.value);
    change.at = NULL;
}

ist_u32 ist_test_load(const void *addr, ist_u32 value)
{
    const ist_u8 *p = addr;

    change.loads += p >= buffer[0] && p < buffer[0] + ist_buffer_size(&me.config, 0);
    if (change.at != NULL && change.at == p && change.left > 0 && --change.left == 0)
        strike();
    return value;
}

void ist_test_copy(const void *addr, ist_size n)
{
    (void)addr, (void)n;
    if (change.at != NULL && change.copies > 0 && --change.copies == 0)
        strike();
}

/* The word at `offset` of the Normal world's buffer changes behind its `loads`-th load from now on, or before the
 * `copies`-th copy of payload. */
void stage_change(uint32_t offset, uint32_t value, uint32_t loads, uint32_t copies)
{
    change.at = buffer[0] + offset;
    change.value = value;
    change.left = loads;
    change.copies = copies;
}

/* ---- setting up -------------------------------------------------------------------------------------------------- */

static ist_u8 *guarded(size_t size)
{
    const size_t whole = (size + PAGE - 1) / PAGE * PAGE;
    ist_u8 *at = mmap(NULL, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED || mprotect(at + whole, PAGE, PROT_NONE) != 0)
        return NULL;
    return at + whole - size;
}

uint32_t stage_open(const struct ist_config *config)
{
    struct ist_config c = *config;
    uint32_t v;

    for (uint32_t role = 0; role < 2; role++)
        if ((buffer[role] = guarded(ist_buffer_size(&c, role))) == NULL)
            return IST_V_NO_BUFFER;
    c.role = IST_SECURE;
    v = ist_init(&me, &c, buffer[1], buffer[0]);
    c.role = IST_NORMAL;
    c.budget_interval = 0;
    c.silence = 0;
    return v != IST_V_OK ? v : ist_init(&peer, &c, buffer[0], buffer[1]);
}

uint32_t stage_filter(const uint64_t *table, uint32_t words)
{
    me.filter = &filter;
    return ist_filter_load(&filter, table, words);
}

void stage_begin(uint64_t mine, uint64_t theirs)
{
    const ist_u64 key[2] = {mine ^ 0x1234, mine + 99};

    ist_begin(&me, mine, key, now);
    if (theirs != 0)
        ist_begin(&peer, theirs, key, now);
}

void stage_time(uint64_t t)
{
    now = t;
}

/* ---- one step of either end ------------------------------------------------------------------------------------------ */

uint32_t stage_poll(void)
{
    return ist_poll(&me, now);
}

uint32_t stage_peer_poll(void)
{
    return ist_poll(&peer, now);
}

uint32_t stage_peer_send(const void *frame, uint32_t length, const struct ist_meta *meta)
{
    const uint32_t v = ist_send(&peer, frame, length, meta);

    (void)ist_publish(&peer);
    return v;
}

uint32_t stage_peer_receive(void *frame, uint32_t *length)
{
    struct ist_frame f = {0, {0, 0, 0, 0}};
    uint32_t v = ist_peek(&peer, now, &f);

    *length = f.length;
    if (v == IST_V_OK)
        v = ist_take(&peer, frame);
    return v;
}

uint32_t stage_send(const void *frame, uint32_t length)
{
    const uint32_t v = ist_send(&me, frame, length, NULL);

    (void)ist_publish(&me);
    return v;
}

/* The frame lies at the end of the landing zone, `*length` bytes before the canary. */
uint32_t stage_receive(void *frame, uint32_t *length)
{
    struct ist_frame f = {0, {0, 0, 0, 0}};
    uint32_t v = ist_peek(&me, now, &f);

    *length = 0;
    if (v != IST_V_OK)
        return v;
    if (f.length > me.config.frame_max)
        return OVERRUN;
    memset(landing + ROOM, CANARY, PAGE);
    ist_u8 *to = landing + ROOM - f.length;
    v = ist_take(&me, to);
    for (uint32_t i = 0; i < PAGE; i++)
        if (landing[ROOM + i] != CANARY)
            return OVERRUN;
    *length = f.length;
    memcpy(frame, to, f.length);
    return v;
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

void *stage_buffer(uint32_t role)
{
    return buffer[role];
}

uint32_t stage_buffer_size(uint32_t role)
{
    return ist_buffer_size(&me.config, role);
}

uint64_t stage_count(uint32_t verdict)
{
    return me.count[verdict];
}

uint32_t stage_state(void)
{
    return me.state;
}

/* Bytes in flight from us, as we account for them. */
uint32_t stage_in_flight(void)
{
    return me.tx.head - me.tx.tail;
}
