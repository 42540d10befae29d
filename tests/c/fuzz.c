/* SPDX-License-Identifier: MIT */
/* libFuzzer plays the peer: its input decides what happens next and what each load of shared memory sees. The bytes are
 * used up in order; when they are gone the peer is honest, and has to be taken back. */
#define HARNESS_ABORTS /* so that the fuzzer keeps the input that failed */
#include "stage.h"

int LLVMFuzzerTestOneInput(const ist_u8 *data, size_t size);

static const ist_u8 *input;
static size_t left;

static ist_u32 byte(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

static ist_u32 word(void)
{
    const ist_u32 low = byte() | byte() << 8;
    return low | byte() << 16 | byte() << 24;
}

/* One byte at each load: mostly nothing, else the word about to be read, or one of the record, or any other, is set to
 * something near what it holds or to anything. */
static ist_u32 hostile(ist_u32 event, ist_u32 offset, int copy)
{
    (void)event;
    (void)copy;
    const ist_u32 what = byte();
    if (what < 0xc0)
        return 0;
    ist_u32 at = offset & ~3u;
    if ((what & 3) == 1)
        at = IST_CONTROL_SIZE + ((stage.me.rx.tail & (stage.config.ring_bytes[PEER] - 1)) + (byte() & 0x1c));
    if ((what & 3) == 2)
        at = (word() % (stage.peer_size / 4)) * 4;
    if (at == IST_CTL_TAIL || offset == IST_CTL_TAIL)
        stage.tail_lied = 1;
    const ist_u32 now = word_get(stage.theirs, at);
    ist_u32 value = word();
    switch (what >> 2 & 3) {
    case 0: value = now + (ist_u32)(ist_u8)value * IST_ALIGN; break;
    case 1: value = now - (ist_u32)(ist_u8)value; break;
    case 2: value = now ^ 1u << value % 32; break;
    default: break;
    }
    if (what & 0x10) {
        hostile_replaces = 1;
        return value;
    }
    word_set(stage.theirs, at, value);
    return 0;
}

static void step(ist_u32 what)
{
    const ist_u32 length = 1 + (what >> 4) * stage.config.frame_max / 16;
    switch (what & 15) {
    case 0: me_poll(); break;
    case 1: peer_poll(); break;
    case 2: (void)peer_send(IST_FRAME_MIN + (what >> 4)); break;
    case 3: (void)peer_send(stage.config.frame_max - (what >> 4)); break;
    case 4: peer_publish(); break;
    case 5: me_drain(); break;
    case 6: (void)me_receive(what >> 4 & 1); break;
    case 7: (void)me_send(length); break;
    case 8: me_publish(); break;
    case 9: me_send_publish(length); break;
    case 10: me_arm((int)(what >> 4 & 1)); break;
    case 11: me_arm_tx(length); break;
    case 12: me_release(); break;
    case 13: peer_drain(); break;
    case 14:
        if (stage.me.state == IST_RESET || stage.me.state == IST_DEAD) {
            stage.epoch += stage.me.epoch == stage.epoch;
            me_begin();
        }
        break;
    default:
        if (stage.peer.state == IST_RESET || what >> 4 == 15) {
            stage.epoch += stage.peer.epoch == stage.epoch;
            peer_begin();
        }
    }
}

/* The stage of each tag, in RUN, made once. */
static struct saved {
    struct stage stage;
    ist_u8 *landing, *own, *theirs;
} saved[IST_TAGS];

static void set_the_stage(ist_u32 tag)
{
    struct saved *s = &saved[tag];
    if (!s->own) {
        struct ist_config c = config_of(4096, 128, tag);
        c.first_cursor = 0xfffff800u;
        c.first_sequence = 0xffffffffffffff80u;
        memset(&stage, 0, sizeof stage); /* the stages of other tags stay open */
        stage_open(&c);
        check_recovers();
        s->stage = stage;
        s->landing = landing;
        s->own = malloc(stage.own_size);
        s->theirs = malloc(stage.peer_size);
        memcpy(s->own, stage.own, stage.own_size);
        memcpy(s->theirs, stage.theirs, stage.peer_size);
    }
    stage_rewind(&s->stage);
    landing = s->landing;
    memcpy(stage.own, s->own, stage.own_size);
    memcpy(stage.theirs, s->theirs, stage.peer_size);
}

int LLVMFuzzerTestOneInput(const ist_u8 *data, size_t size)
{
    left = 0; /* honest while the stage is set */
    const ist_u32 tag = size ? data[0] % IST_TAGS : 0;
    set_the_stage(tag);
    stage.exact = tag == IST_TAG_SIPHASH; /* a CRC may be forged, and a fuzzer could learn to */
    input = data + 1;
    left = size ? size - 1 : 0;
    while (left)
        step(byte());
    check_recovers();
    return 0;
}
