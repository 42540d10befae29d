/* SPDX-License-Identifier: MIT */
/* count.c - a TCG plugin: instructions executed, per core and per world, written out whenever the guest passes a mark.
 *
 *     mark          HINT #96..#127: no operation to the processor, number 0..31 to us, at any exception level
 *     written       "MARK CORE" and then NORMAL SECURE CRITICAL MONITOR CROSSING MASKED of each core, one line per mark
 *     arguments     monitor=BASE-END secure=BASE-END (memory of the firmware and of the Secure world, mapped one to one),
 *                   critical=ENTRY-RETURN (from where the network work is interrupted to where it goes on),
 *                   crossing=BASE-END (of what the Secure world gives the core away with: counted again as CROSSING),
 *                   vectors=BASE-END (where the Secure world's exceptions are taken, masked),
 *                   until=BASE-END (optional: the first instruction there ends the counting, and is mark 32), out=FILE
 *
 * MASKED is the longest stretch since the last mark that no interrupt of the Secure world's could cut short: at EL3, and
 * at Secure EL1 from an exception or DAIFSet until DAIFClr or ERET. Blocks are counted whole, so it is an upper bound.
 *
 * What runs at a PC in those regions and lies in the machine's secure RAM belongs to EL3 or to the Secure world; a
 * program of Linux's may use the same virtual addresses, but not the same memory. Everything else is the Normal world.
 * Cores must take turns in one thread (icount): `live` belongs to the one that runs.
 *
 * The declarations are those of QEMU's plugin interface, version 1, as far as they are used. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;
typedef void (*on_execution)(unsigned int core, void *data);
enum { NO_REGISTERS = 0, ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, on_execution, int, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_execution, int, void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, int, void *, uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

enum world { NORMAL, SECURE, CRITICAL, MONITOR, CROSSING, WORLDS };
enum { CORES = 8, FIRST_HINT = 96, HINTS = 32, END_MARK = HINTS };
static const uint32_t HINT = 0xd503201f; /* its number is in bits 5..11 */

struct range {
    uint64_t base, end;
};

static struct range monitor, secure, critical, crossing, until, vectors;
static bool ended; /* until was reached: what is translated from now on runs as if we were not here */
static uint64_t live[WORLDS]; /* of the core that runs, since it began to; in CRITICAL nothing, see settle() */
static uint64_t counted[CORES][WORLDS];
static unsigned int running, cores = 1;
static bool in_critical;
static bool masked[CORES];                      /* where the Secure world stands, or will go on */
static uint64_t stretch[CORES], longest[CORES]; /* MASKED: of now, and since the last mark */
static bool known;      /* where secure RAM lies in this process: */
static uint64_t offset; /* host address - address, learnt from the firmware's first instruction */
static FILE *out;

static bool within(const struct range *r, uint64_t at)
{
    return at >= r->base && at < r->end;
}

static void settle(void)
{
    if (in_critical) {
        counted[running][CRITICAL] += live[SECURE];
        live[SECURE] = 0;
    }
    for (int w = 0; w < WORLDS; w++) {
        counted[running][w] += live[w];
        live[w] = 0;
    }
}

/* What a translated block does to MASKED, in 64 bits: blocks come and go, and nobody tells when. */
enum {
    ENTERS = 1u << 31, /* a vector */
    OF_MONITOR = 1u << 30,
    OF_SECURE = 1u << 29,
    MASKS = 1u << 28,
    UNMASKS = 1u << 27,
    CALLS = 1u << 26, /* ends with SVC */
    RETURNS = 1u << 25,
    LENGTH = 0xffff
};

/* Where an SVC made with interrupts masked goes on: so they are again after its ERET. */
static uint32_t resumed[16];
static bool returning[CORES];

static bool resumes_masked(uint32_t at)
{
    for (size_t i = 0; i < sizeof resumed / sizeof *resumed; i++)
        if (resumed[i] == at)
            return true;
    return false;
}

static void on_masking(unsigned int core, uint64_t what)
{
    const uint32_t block = (uint32_t)what, at = (uint32_t)(what >> 32);

    if (returning[core] && (block & OF_SECURE) != 0) {
        returning[core] = false;
        masked[core] = resumes_masked(at);
        if (!masked[core])
            stretch[core] = 0; /* what was pending has been taken */
    }
    if ((block & ENTERS) != 0)
        masked[core] = true;
    if ((block & OF_MONITOR) != 0 || ((block & OF_SECURE) != 0 && masked[core])) {
        stretch[core] += block & LENGTH;
        if (stretch[core] > longest[core])
            longest[core] = stretch[core];
    } else {
        stretch[core] = 0;
    }
    if ((block & MASKS) != 0)
        masked[core] = true;
    if ((block & UNMASKS) != 0) {
        masked[core] = false;
        stretch[core] = 0;
    }
    if ((block & RETURNS) != 0)
        returning[core] = true;
    if ((block & CALLS) != 0 && masked[core]) {
        const uint32_t next = at + 4 * (block & LENGTH);

        for (size_t i = 0; i < sizeof resumed / sizeof *resumed && !resumes_masked(next); i++)
            if (resumed[i] == 0)
                resumed[i] = next;
    }
}

static void on_block(unsigned int core, void *data)
{
    if (core >= CORES)
        return;
    on_masking(core, (uintptr_t)data);
    if (core == running)
        return;
    settle();
    running = core;
    if (core >= cores)
        cores = core + 1;
}

static void on_critical(unsigned int core, void *data)
{
    (void)core;
    settle();
    in_critical = data != NULL;
}

static void on_mark(unsigned int core, void *data)
{
    settle();
    fprintf(out, "%u %u", (unsigned int)(uintptr_t)data, core);
    for (unsigned int c = 0; c < cores; c++) {
        for (int w = 0; w < WORLDS; w++)
            fprintf(out, " %llu", (unsigned long long)counted[c][w]);
        fprintf(out, " %llu", (unsigned long long)longest[c]);
        longest[c] = 0;
    }
    fputc('\n', out);
    fflush(out);
}

static void on_end(unsigned int core, void *data)
{
    if (!ended)
        on_mark(core, data);
    ended = true;
}

static enum world world_of(const struct qemu_plugin_insn *insn)
{
    uint64_t at = qemu_plugin_insn_vaddr(insn), host = (uint64_t)(uintptr_t)qemu_plugin_insn_haddr(insn);

    if (!within(&monitor, at) && !within(&secure, at))
        return NORMAL;
    if (!known) {
        known = true;
        offset = host - at;
    }
    if (host - at != offset)
        return NORMAL;
    return within(&monitor, at) ? MONITOR : SECURE;
}

/* MSR DAIFSet or DAIFClr of the bits that the Secure world's interrupts come by, IRQ or FIQ. */
static bool sets_daif(uint32_t opcode, uint32_t which)
{
    return (opcode & 0xfffff0ff) == which && (opcode >> 8 & 3) != 0;
}

static uint64_t masking_of(const struct qemu_plugin_tb *tb)
{
    const size_t n = qemu_plugin_tb_n_insns(tb);
    const struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(tb, 0);
    const enum world world = world_of(first);
    uint32_t block = (uint32_t)n | (world == MONITOR ? OF_MONITOR : world == SECURE ? OF_SECURE : 0);

    if (world != SECURE)
        return block; /* the Secure world's addresses alone are asked for: they lie below 4 GB */
    if (within(&vectors, qemu_plugin_insn_vaddr(first)))
        block |= ENTERS;
    for (size_t i = 0; i < n; i++) {
        uint32_t opcode;

        memcpy(&opcode, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(tb, i)), sizeof opcode);
        if (sets_daif(opcode, 0xd50340df))
            block = (block & ~UNMASKS) | MASKS;
        if (sets_daif(opcode, 0xd50340ff))
            block = (block & ~MASKS) | UNMASKS;
        if (opcode == 0xd69f03e0) /* ERET */
            block |= RETURNS;
        if (opcode == 0xd4000001) /* SVC #0 */
            block |= CALLS;
    }
    return qemu_plugin_insn_vaddr(first) << 32 | block;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    if (ended)
        return;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, NO_REGISTERS, (void *)(uintptr_t)masking_of(tb));
    for (size_t i = 0, n = qemu_plugin_tb_n_insns(tb); i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        enum world world = world_of(insn);
        uint64_t at = qemu_plugin_insn_vaddr(insn);
        uint32_t opcode;

        memcpy(&opcode, qemu_plugin_insn_data(insn), sizeof opcode);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &live[world], 1);
        if (world == SECURE && within(&crossing, at))
            qemu_plugin_register_vcpu_insn_exec_inline(insn, ADD_U64, &live[CROSSING], 1);
        if (world == SECURE && (at == critical.base || at == critical.end))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_critical, NO_REGISTERS, at == critical.base ? &critical : NULL);
        if (world == NORMAL && within(&until, at))
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, NO_REGISTERS, (void *)(uintptr_t)END_MARK);
        if ((opcode & ~(0x7fu << 5)) == HINT && (opcode >> 5 & 0x7f) >= FIRST_HINT)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, NO_REGISTERS,
                                                   (void *)(uintptr_t)((opcode >> 5 & 0x7f) - FIRST_HINT));
    }
}

static bool range_of(struct range *r, const char *text)
{
    char *end;

    r->base = strtoull(text, &end, 0);
    if (*end != '-')
        return false;
    r->end = strtoull(end + 1, &end, 0);
    return *end == '\0';
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        bool good = value != NULL;

        if (good)
            *value++ = '\0';
        if (good && strcmp(argv[i], "monitor") == 0)
            good = range_of(&monitor, value);
        else if (good && strcmp(argv[i], "secure") == 0)
            good = range_of(&secure, value);
        else if (good && strcmp(argv[i], "critical") == 0)
            good = range_of(&critical, value);
        else if (good && strcmp(argv[i], "crossing") == 0)
            good = range_of(&crossing, value);
        else if (good && strcmp(argv[i], "until") == 0)
            good = range_of(&until, value);
        else if (good && strcmp(argv[i], "vectors") == 0)
            good = range_of(&vectors, value);
        else if (good && strcmp(argv[i], "out") == 0)
            good = (out = fopen(value, "w")) != NULL;
        else
            good = false;
        if (!good) {
            fprintf(stderr, "count: cannot use %s\n", argv[i]);
            return -1;
        }
    }
    if (out == NULL) {
        fprintf(stderr, "count: no out=FILE\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
