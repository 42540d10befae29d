/* SPDX-License-Identifier: MIT */
/* A hostile peer at every load. Each script is played once undisturbed to count the loads our endpoint makes; then
 * again for every load x word x value x mode. After each, whatever happened, an honest peer's frames pass again.
 *
 *   hostile                      every case of every geometry, one line of numbers each
 *   hostile --only GEOMETRY      one geometry
 *   hostile --cut 1              without cases that amount to others, see amounts_to_another
 *   hostile --case ID            one case; a failure prints its id
 *   hostile --random N --seed S  N seeded runs that change many words; --case random:SEED replays one */
#include "stage.h"

/* ---- what is exhausted ---------------------------------------------------------------------------------------- */

struct geometry {
    const char *name;
    ist_u32 ring_me, ring_peer, frame_max, tag, cursor;
    ist_u64 sequence;
    ist_u32 features;
    ist_u64 budget;
};

static const struct geometry geometries[] = {
    {"plain", 4096, 4096, 256, IST_TAG_NONE, 0, 0, IST_FEATURE_OFFLOAD, 0},
    {"wrap", 4096, 4096, 256, IST_TAG_NONE, 0xfffffc00u, 0xfffffffdu, 0, 0},
    {"crc", 4096, 4096, 96, IST_TAG_CRC32C, 0xfffff400u, 0xfffffffffffffffdu, IST_FEATURE_OFFLOAD, 0},
    {"siphash", 4096, 4096, 64, IST_TAG_SIPHASH, 0x7ffffff0u, 0, IST_FEATURE_SLEEPER_FENCE, 0},
    {"tight", 4096, 4096, 4080, IST_TAG_NONE, 0xfffff010u, 0, 0, 0}, /* one record fills the ring */
    {"uneven", 8192, 4096, 128, IST_TAG_CRC32C, 0xffffe000u, 0, 0, 0},
    {"budget", 4096, 4096, 128, IST_TAG_NONE, 0, 0, 0, 3},
};
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

static ist_u32 record(ist_u32 length)
{
    return IST_REC_PAYLOAD + IST_ROUND(length) + (stage.config.tag == IST_TAG_NONE ? 0 : IST_TRAILER);
}

/* Words that the peer may change, by where they lie; SEEN is the word or the bytes about to be read. */
enum word {
    SEEN, STATE, REFUSAL, EPOCH_LO, EPOCH_HI, DIGEST_LO, DIGEST_HI, MTU, FEATURES, BEAT, HEAD, TAIL, WAKE_RX, WAKE_TX,
    LENGTH, SEQUENCE, FLAGS, CSUM, PAYLOAD, LAST, TRAILER, NEXT_LENGTH, NEXT_SEQUENCE, WORDS
};
static const char *const word_names[WORDS] = {
    "seen", "state", "refusal", "epoch_lo", "epoch_hi", "digest_lo", "digest_hi", "mtu", "features", "beat", "head",
    "tail", "wake_rx", "wake_tx", "length", "sequence", "flags", "csum", "payload", "last", "trailer", "next_length",
    "next_sequence",
};

/* The record words are those of the record our endpoint reads next, by its private cursor. */
static ist_u32 offset_of(enum word w, ist_u32 seen)
{
    static const ist_u16 control[] = {
        0, IST_CTL_STATE, IST_CTL_REFUSAL, IST_CTL_EPOCH_LO, IST_CTL_EPOCH_HI, IST_CTL_DIGEST_LO, IST_CTL_DIGEST_HI,
        IST_CTL_MTU, IST_CTL_FEATURES, IST_CTL_BEAT, IST_CTL_HEAD, IST_CTL_TAIL, IST_CTL_WAKE_RX, IST_CTL_WAKE_TX,
    };
    if (w == SEEN)
        return seen & ~3u;
    if (w <= WAKE_TX)
        return control[w];
    const ist_u32 ring = stage.config.ring_bytes[PEER];
    const ist_u32 at = IST_CONTROL_SIZE + (stage.me.rx.tail & (ring - 1));
    ist_u32 length = word_get(stage.theirs, at + IST_REC_LENGTH);
    if (length < IST_FRAME_MIN || length > stage.config.frame_max)
        length = IST_FRAME_MIN;
    const ist_u32 next = IST_CONTROL_SIZE + ((stage.me.rx.tail + record(length)) & (ring - 1));
    switch (w) {
    case LENGTH: return at + IST_REC_LENGTH;
    case SEQUENCE: return at + IST_REC_SEQUENCE;
    case FLAGS: return at + IST_REC_FLAGS;
    case CSUM: return at + IST_REC_CSUM;
    case PAYLOAD: return at + IST_REC_PAYLOAD;
    case LAST: return at + IST_REC_PAYLOAD + ((length - 1) & ~3u);
    case TRAILER: return at + IST_ROUND(IST_REC_PAYLOAD + length) - (stage.config.tag == IST_TAG_NONE ? 16 : 0);
    case NEXT_LENGTH: return next + IST_REC_LENGTH;
    default: return next + IST_REC_SEQUENCE;
    }
}

/* Values: fixed ones, and ones that lie close to what the word holds, to our cursors and to the limits. */
#define VALUES(X)                                                                                                   \
    X("0", 0) X("1", 1) X("2", 2) X("15", 15) X("16", 16) X("59", 59) X("60", 60) X("0x7fffffff", 0x7fffffff)                 \
    X("0x80000000", 0x80000000) X("0xfffffff0", 0xfffffff0) X("0xffffffff", 0xffffffff) X("now+1", now + 1)         \
    X("now-1", now - 1) X("now+16", now + 16) X("now-16", now - 16) X("now+ring", now + ring)                       \
    X("now-ring", now - ring) X("now+ring+16", now + ring + 16) X("now+ring-16", now + ring - 16) X("~now", ~now)   \
    X("now^top", now ^ 0x80000000) X("now<<16", now << 16) X("max", stage.config.frame_max)                         \
    X("max+1", stage.config.frame_max + 1) X("first", stage.config.first_cursor)                                    \
    X("tail", stage.me.rx.tail) X("tail+ring", stage.me.rx.tail + ring) X("tail|1", stage.me.rx.tail | 1)           \
    X("tail+16", stage.me.rx.tail + 16) X("head", stage.me.tx.published) X("head+16", stage.me.tx.published + 16)   \
    X("RESET", IST_STATE_WORD((ist_u32)PEER, IST_RESET)) X("INIT", IST_STATE_WORD((ist_u32)PEER, IST_INIT))         \
    X("READY", IST_STATE_WORD((ist_u32)PEER, IST_READY)) X("RUN", IST_STATE_WORD((ist_u32)PEER, IST_RUN))           \
    X("DEAD", IST_STATE_WORD((ist_u32)PEER, IST_DEAD)) X("state5", IST_STATE_WORD((ist_u32)PEER, 5u))               \
    X("same_role", IST_STATE_WORD((ist_u32)ME, IST_RUN))

static const char *const value_names[] = {
#define X(name, value) name,
    VALUES(X)
#undef X
};
enum { VALUE_COUNT = sizeof value_names / sizeof *value_names };

static ist_u32 value_of(unsigned which, ist_u32 now)
{
    const ist_u32 ring = stage.config.ring_bytes[PEER];
    const ist_u32 values[] = {
#define X(name, value) (ist_u32)(value),
        VALUES(X)
#undef X
    };
    return values[which];
}

/* ONCE: written, and there until the peer writes the word itself. FLASH: there for this one load, the old value before
 * and after. HELD: seen by every load from here on, whatever the peer writes. */
enum mode { ONCE, FLASH, HELD, MODES };
static const char *const mode_names[MODES] = {"once", "flash", "held"};

/* ---- the peer's hand ---------------------------------------------------------------------------------------------- */

static struct stage start; /* in RUN, nothing in flight: where every case begins */
static ist_u8 *start_own, *start_theirs;

static struct change {
    ist_u32 event; /* 0: none */
    enum word word;
    unsigned value;
    enum mode mode;
    ist_u32 offset, held, old; /* where and what, once it has happened */
    int done, undo;
} change;

static ist_u64 dice; /* of a random run; `violence` in 256 is the chance at each load */
static ist_u32 violence;

static ist_u32 hostile_at_random(ist_u32 offset)
{
    if (random_below(&dice, 256) >= violence)
        return 0;
    const ist_u32 kind = random_below(&dice, 8);
    ist_u32 at = offset_of((enum word)random_below(&dice, WORDS), offset);
    if (kind == 0)
        at = random_below(&dice, stage.peer_size / 4) * 4;
    const ist_u32 now = word_get(stage.theirs, at);
    ist_u32 value = value_of(random_below(&dice, VALUE_COUNT), now);
    if (kind == 1)
        value = (ist_u32)random_next(&dice);
    if (kind == 2)
        value = now ^ 1u << random_below(&dice, 32);
    stage.tail_lied |= at == IST_CTL_TAIL || offset == IST_CTL_TAIL;
    if (kind == 3) { /* seen by this load alone */
        hostile_replaces = 1;
        return value;
    }
    word_set(stage.theirs, at, value);
    return 0;
}

/* What an undisturbed play of the script reads, and where the words then lie. */
enum { EVENTS_MAX = 1000 };
static struct {
    ist_u32 offset, bytes, words[WORDS];
} trace[EVENTS_MAX];
static int tracing;

static void trace_event(ist_u32 event, ist_u32 offset, int copy)
{
    CHECK(event < EVENTS_MAX);
    trace[event].offset = offset;
    trace[event].bytes = copy ? tap.copy_bytes : 4;
    for (unsigned w = 0; w < WORDS; w++)
        trace[event].words[w] = offset_of((enum word)w, offset);
}

static ist_u32 hostile(ist_u32 event, ist_u32 offset, int copy)
{
    if (tracing)
        trace_event(event, offset, copy);
    if (violence)
        return hostile_at_random(offset);
    if (change.undo) { /* the flash is over */
        word_set(stage.theirs, change.offset, change.old);
        change.undo = 0;
    }
    if (event == change.event) {
        change.offset = offset_of(change.word, offset);
        change.old = word_get(stage.theirs, change.offset);
        change.held = value_of(change.value, change.old);
        change.done = 1;
        word_set(stage.theirs, change.offset, change.held);
        change.undo = change.mode == FLASH;
    } else if (change.done && change.mode == HELD && copy) {
        word_set(stage.theirs, change.offset, change.held);
    }
    /* Without a tag a changed frame is the peer's word against its own, and nothing binds a record to its epoch: under a
     * false head the last epoch's look like this one's. */
    if (change.done && stage.config.tag == IST_TAG_NONE &&
        (change.offset >= IST_CONTROL_SIZE || (change.offset == IST_CTL_HEAD && stage.epoch != start.epoch)))
        stage.exact = 0;
    stage.tail_lied |= change.done && change.offset == IST_CTL_TAIL;
    if (change.done && change.mode == HELD && offset == change.offset && !copy) {
        hostile_replaces = 1;
        return change.held;
    }
    return 0;
}

/* ---- scripts --------------------------------------------------------------------------------------------------------- */

static void poll_both(int times)
{
    while (times--) {
        me_poll();
        peer_poll();
    }
}

static void peer_sends(ist_u32 frames)
{
    const ist_u32 lengths[] = {IST_FRAME_MIN, stage.config.frame_max, 64, (stage.config.frame_max + 61) / 2};
    for (ist_u32 i = 0; i < frames; i++)
        (void)peer_send(lengths[i % 4]);
    peer_publish();
}

static void handshake(void)
{
    stage.epoch++;
    peer_begin();
    me_begin();
    poll_both(5);
    peer_sends(2);
    me_drain();
}

static void receive(void)
{
    for (ist_u32 round = 0; round < 3; round++) {
        peer_sends(3 + round);
        if (round == 1)
            (void)me_receive(1);
        me_drain();
        stage.now += 7;
    }
    me_release();
    me_drain();
}

static void send(void)
{
    for (int round = 0; round < 2; round++) {
        while (me_send(stage.config.frame_max) == IST_V_OK)
            me_publish();
        me_arm_tx(stage.config.frame_max);
        me_room();
        peer_drain();
        ist_rx_bell(&stage.peer);
        me_send_publish(IST_FRAME_MIN);
        me_arm_tx(64);
    }
    peer_drain();
}

static void sleep_and_wake(void)
{
    me_arm(1);
    ist_arm(&stage.peer, 1);
    peer_sends(2);
    me_arm(stage.config.features & IST_FEATURE_SLEEPER_FENCE ? 0 : 1);
    me_drain();
    me_release();
    me_send_publish(64);
    me_publish();
    peer_drain();
    me_arm(1);
    me_poll();
    peer_poll();
    me_release();
}

static void restart(void)
{
    peer_sends(2);
    (void)me_receive(0);
    stage.epoch++;
    peer_begin(); /* in the middle of a batch */
    me_drain();
    me_send_publish(64);
    poll_both(1);
    me_begin();
    poll_both(3);
    peer_sends(1);
    me_drain();
    ist_end(&stage.peer, IST_V_PEER_LEFT);
    poll_both(1);
}

static const struct script {
    const char *name;
    void (*play)(void);
} scripts[] = {
    {"handshake", handshake}, {"receive", receive}, {"send", send}, {"sleep", sleep_and_wake}, {"restart", restart},
};
enum { SCRIPTS = sizeof scripts / sizeof *scripts };

/* ---- one case -------------------------------------------------------------------------------------------------------- */

static void open_geometry(const struct geometry *g)
{
    struct ist_config c = config_of(g->ring_peer, g->frame_max, g->tag);
    c.ring_bytes[ME] = g->ring_me;
    c.first_cursor = g->cursor;
    c.first_sequence = g->sequence;
    c.features = g->features;
    c.mtu = IST_MTU_MIN;
    c.budget_interval = g->budget;
    c.budget_tolerance = 10 * g->budget;
    c.silence = 1u << 30;
    change.event = 0;
    violence = 0;
    stage_open(&c);
    check_recovers();
    start = stage;
    free(start_own);
    free(start_theirs);
    start_own = malloc(stage.own_size);
    start_theirs = malloc(stage.peer_size);
    memcpy(start_own, stage.own, stage.own_size);
    memcpy(start_theirs, stage.theirs, stage.peer_size);
}

static void rewind_stage(void)
{
    stage_rewind(&start);
    memcpy(stage.own, start_own, stage.own_size);
    memcpy(stage.theirs, start_theirs, stage.peer_size);
}

/* Where the link survived, the next valid frames of the peer pass: within as many as a forged sequence can cost. */
static void check_goes_on(void)
{
    poll_both(2);
    me_drain();
    stage.delivered = 0;
    const ist_u32 cost = 2 + stage.config.ring_bytes[PEER] / IST_ROUND(IST_REC_PAYLOAD + IST_FRAME_MIN);
    for (ist_u32 i = 0; i < cost && !stage.delivered && stage.me.state == IST_RUN && stage.peer.state == IST_RUN; i++) {
        if (peer_send(IST_FRAME_MIN) == IST_V_DOWN) /* our cursor followed its false head: now it sees that it is false */
            CHECK(is_violation(stage.peer.reason));
        peer_publish();
        stage.now += 1u << 10;
        me_drain();
    }
    CHECK(stage.delivered || stage.me.state != IST_RUN || stage.peer.state != IST_RUN);
}

static void play(const struct script *s)
{
    rewind_stage();
    s->play();
    if (change.undo)
        word_set(stage.theirs, change.offset, change.old);
    change = (struct change){0, SEEN, 0, ONCE, 0, 0, 0, 0, 0};
    check_goes_on();
    check_recovers();
}

static ist_u32 count_events(const struct script *s)
{
    change.event = 0;
    rewind_stage();
    tracing = 1;
    s->play();
    tracing = 0;
    const ist_u32 events = tap.events;
    CHECK_EQ(stage.me.count[IST_V_STATE_WORD] + stage.me.count[IST_V_HEAD_RANGE] + stage.me.count[IST_V_TAIL_RANGE], 0);
    return events;
}

static void play_case(const struct geometry *g, const struct script *s, ist_u32 event, unsigned word, unsigned value,
                      unsigned mode)
{
    snprintf(test_case, sizeof test_case, "%s/%s@%u:%s=%s,%s", g->name, s->name, event, word_names[word],
             value_names[value], mode_names[mode]);
    change = (struct change){event, (enum word)word, value, (enum mode)mode, 0, 0, 0, 0, 0};
    play(s);
}

/* A word other than the one about to be read is seen when it is read. HELD is then the same as HELD from there on, FLASH
 * is over by then, and a word that the rest of the script does not read changes nothing. What remains is ONCE, before
 * a later read, which the peer may overwrite in between. */
static int amounts_to_another(ist_u32 event, unsigned word, unsigned mode, ist_u32 events)
{
    if (word == SEEN)
        return 0;
    if (mode != ONCE)
        return 1;
    const ist_u32 at = trace[event].words[word];
    for (ist_u32 later = event; later <= events; later++)
        if (at < trace[later].offset + trace[later].bytes && trace[later].offset < at + 4)
            return 0;
    return 1;
}

static void exhaust(const struct geometry *g, int cut)
{
    open_geometry(g);
    unsigned long cases = 0, loads = 0;
    for (unsigned s = 0; s < SCRIPTS; s++) {
        const ist_u32 events = count_events(&scripts[s]);
        CHECK(events > 5);
        loads += events;
        for (ist_u32 event = 1; event <= events; event++)
            for (unsigned word = 0; word < WORDS; word++)
                for (unsigned value = 0; value < VALUE_COUNT; value++)
                    for (unsigned mode = 0; mode < MODES; mode++)
                        if (!cut || !amounts_to_another(event, word, mode, events)) {
                            play_case(g, &scripts[s], event, word, value, mode);
                            cases++;
                        }
    }
    test_case[0] = 0;
    printf("%s: %lu loads, %lu cases\n", g->name, loads, cases);
    fflush(stdout);
}

/* ---- random runs ------------------------------------------------------------------------------------------------------ */

static void random_run(ist_u64 seed)
{
    static const struct geometry *opened;
    snprintf(test_case, sizeof test_case, "random:%llu", (unsigned long long)seed);
    dice = seed;
    const struct geometry *g = &geometries[(seed >> 8) % GEOMETRIES]; /* neighbours share the stage */
    if (g != opened)
        open_geometry(g);
    opened = g;
    rewind_stage();
    stage.exact = stage.config.tag != IST_TAG_NONE;
    change.event = 0;
    violence = 4u << random_below(&dice, 7);
    for (ist_u32 step = 0; step < 80; step++)
        switch (random_below(&dice, 16)) {
        case 0: me_poll(); break;
        case 1: peer_poll(); break;
        case 2: peer_sends(1 + random_below(&dice, 6)); break;
        case 3: me_drain(); break;
        case 4: (void)me_receive((int)random_below(&dice, 2)); break;
        case 5: (void)me_send(1 + random_below(&dice, stage.config.frame_max)); break;
        case 6: me_publish(); break;
        case 7: me_send_publish(1 + random_below(&dice, stage.config.frame_max)); break;
        case 8: me_arm((int)random_below(&dice, 2)); break;
        case 9: me_arm_tx(1 + random_below(&dice, stage.config.frame_max)); break;
        case 10: me_release(); break;
        case 11: me_room(); break;
        case 12: peer_drain(); break;
        case 13: stage.now += random_below(&dice, 64); break;
        case 14: /* a side enters an epoch that the other is in already, or a new one; never the same one twice */
            if (stage.me.state == IST_RESET || stage.me.state == IST_DEAD) {
                stage.epoch += stage.me.epoch == stage.epoch;
                me_begin();
            }
            break;
        default:
            if (stage.peer.state == IST_RESET || random_below(&dice, 8) == 0) {
                stage.epoch += stage.peer.epoch == stage.epoch;
                peer_begin();
            }
        }
    violence = 0;
    check_recovers();
    test_case[0] = 0;
}

/* ---- the command line -------------------------------------------------------------------------------------------------- */

#ifdef STAGE_ASAN
static void say_case(void)
{
    fprintf(stderr, "replay: --case %s (last call: %s)\n", test_case, tap.call ? tap.call : "-");
}
#endif

static unsigned index_of(const char *name, const char *const *names, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!strcmp(name, names[i]))
            return i;
    fprintf(stderr, "unknown: %s\n", name);
    exit(2);
}

static int replay(const char *id)
{
    char geometry[32], script[32], word[32], value[32], mode[32];
    unsigned event;
    unsigned long long seed;
    if (sscanf(id, "random:%llu", &seed) == 1) {
        random_run(seed);
        return 0;
    }
    if (sscanf(id, "%31[^/]/%31[^@]@%u:%31[^=]=%31[^,],%31s", geometry, script, &event, word, value, mode) != 6) {
        fprintf(stderr, "not a case: %s\n", id);
        return 2;
    }
    const char *names[GEOMETRIES], *script_names[SCRIPTS];
    for (unsigned i = 0; i < GEOMETRIES; i++)
        names[i] = geometries[i].name;
    for (unsigned i = 0; i < SCRIPTS; i++)
        script_names[i] = scripts[i].name;
    const struct geometry *g = &geometries[index_of(geometry, names, GEOMETRIES)];
    open_geometry(g);
    play_case(g, &scripts[index_of(script, script_names, SCRIPTS)], event, index_of(word, word_names, WORDS),
              index_of(value, value_names, VALUE_COUNT), index_of(mode, mode_names, MODES));
    return 0;
}

static void close_all(void)
{
    stage_close();
    free(start_own);
    free(start_theirs);
    start_own = start_theirs = NULL;
}

int main(int argc, char **argv)
{
    ist_u64 runs = 0, seed = 1;
    const char *only = NULL;
    int cut = 0;
#ifdef STAGE_ASAN
    __sanitizer_set_death_callback(say_case);
#endif
    atexit(close_all);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--case"))
            return replay(argv[i + 1]);
        if (!strcmp(argv[i], "--random"))
            runs = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (!strcmp(argv[i], "--only"))
            only = argv[i + 1];
        else if (!strcmp(argv[i], "--cut"))
            cut = atoi(argv[i + 1]);
    }
    for (ist_u64 i = 0; i < runs; i++)
        random_run(seed + i);
    if (runs) {
        printf("%llu random runs from seed %llu\n", (unsigned long long)runs, (unsigned long long)seed);
        return 0;
    }
    int played = 0;
    for (unsigned g = 0; g < GEOMETRIES; g++)
        if (!only || !strcmp(only, geometries[g].name)) {
            exhaust(&geometries[g], cut);
            played++;
        }
    return played ? 0 : 2;
}
