/* SPDX-License-Identifier: MIT */
/* spec_states.c - prints what the core does in every own state for every condition of the peer, for SPEC's table:
 *
 *     own <tab> condition <tab> next <tab> verdict that was counted, or "-"
 *
 * Each state is reached by the calls that lead there; the peer is a buffer whose words we write ourselves. */
#include <stdio.h>
#include <string.h>

#include "isthmus.h"

static const struct ist_config normal = {
    .ring_bytes = {IST_RING_MIN, IST_RING_MIN}, .frame_max = 1518, .mtu = 1500, .role = IST_NORMAL};
static const ist_u64 key[2] = {1, 2};
static const ist_u64 epoch = 0x1234;
static const char *const states[] = {"RESET", "INIT", "READY", "RUN", "DEAD"};

static ist_u32 own_buffer[4096], peer_buffer[4096];

static void peer_word(ist_u32 word)
{
    peer_buffer[IST_CTL_STATE / 4] = word;
}

static void peer_state(ist_u32 state)
{
    peer_word(IST_STATE_WORD(IST_SECURE, state));
}

/* The peer's buffer with an identity that fits, as its own core would have written it. */
static void peer_identity(void)
{
    static struct ist_endpoint peer;
    struct ist_config secure = normal;
    secure.role = IST_SECURE;
    memset(peer_buffer, 0, sizeof peer_buffer);
    ist_init(&peer, &secure, peer_buffer, own_buffer);
    ist_begin(&peer, epoch, key, 0);
    peer_word(0);
}

static int reach(struct ist_endpoint *e, ist_u32 state)
{
    memset(own_buffer, 0, sizeof own_buffer);
    peer_identity();
    ist_init(e, &normal, own_buffer, peer_buffer);
    if (state != IST_RESET)
        ist_begin(e, epoch, key, 0);
    if (state >= IST_READY) {
        peer_state(IST_INIT);
        ist_poll(e, 0);
    }
    if (state >= IST_RUN) {
        peer_state(IST_READY);
        ist_poll(e, 0);
    }
    if (state == IST_DEAD) {
        peer_word(~0u);
        ist_poll(e, 0);
    }
    return ist_link_state(e) == (enum ist_state)state;
}

static void show(ist_u32 own, const char *condition, ist_u32 word, ist_u32 mtu)
{
    struct ist_endpoint e;
    if (!reach(&e, own)) {
        printf("%s\tnot reached\t-\t-\n", states[own]);
        return;
    }
    ist_u64 before[IST_VERDICT_COUNT];
    memcpy(before, e.count, sizeof before);
    peer_word(word);
    peer_buffer[IST_CTL_MTU / 4] = mtu;
    ist_u32 next = ist_poll(&e, 1);
    const char *verdict = "-";
    for (ist_u32 v = 0; v < IST_VERDICT_COUNT; v++)
        if (e.count[v] != before[v])
            verdict = ist_verdict_name(v);
    printf("%s\t%s\t%s\t%s\n", states[own], condition, states[next], verdict);
}

int main(void)
{
    for (ist_u32 own = 0; own < IST_STATES; own++) {
        show(own, "absent (RESET, or 0)", IST_STATE_WORD(IST_SECURE, IST_RESET), 1500);
        if (own <= IST_INIT) /* later on a word of zeros is garbled: the peer had been there */
            show(own, "absent (RESET, or 0)", 0, 1500);
        show(own, "unfit", IST_STATE_WORD(IST_SECURE, IST_INIT), 1400);
        for (ist_u32 state = IST_INIT; state < IST_STATES; state++)
            show(own, states[state], IST_STATE_WORD(IST_SECURE, state), 1500);
        show(own, "garbled", IST_STATE_WORD(IST_SECURE, IST_STATES), 1500);
        show(own, "garbled", IST_STATE_WORD(IST_NORMAL, IST_RUN), 1500);
        show(own, "garbled", IST_STATE_WORD(IST_SECURE, IST_RUN) + 0x100u, 1500);
        show(own, "garbled", IST_STATE_WORD(IST_SECURE, IST_RUN) ^ 0x10000u, 1500);
    }
    return 0;
}
