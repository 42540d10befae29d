/* SPDX-License-Identifier: MIT */
/* race.c - a TCG plugin: a word of the Normal world's buffer changes behind the k-th load that the Secure world makes.
 *
 *     arguments     secure=BASE-END   the Secure world's code, mapped one to one like the window
 *                   buffer=BASE-END   of the Normal world: its loads are counted
 *                   ram=BASE          where the machine's memory begins, which is the file of the name RAM_NAME here
 *                   control=FILE      struct control, shared with whoever drives the races
 *
 * The attacker passes a mark (HINT #MARK, no operation to the processor) when a record is written and not yet published:
 * the next race begins. Its loads are counted from the first one of the word at `begin` that can see the record, to the
 * SMC that ends the Secure world's look: the same k is the same instruction, whatever else went on before. The callback
 * comes behind the load, so a value that was read is kept, and load k + 1 is the first that sees another.
 *
 * Cores must take turns in one thread (icount). The declarations are those of QEMU's plugin interface, version 1, as far
 * as they are used. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define RAM_NAME "isthmus-ram"

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef void (*on_access)(unsigned int core, qemu_plugin_meminfo_t, uint64_t at, void *data);
typedef void (*on_execution)(unsigned int core, void *data);
enum { NO_REGISTERS = 0, LOADS_AND_STORES = 3 }; /* version 7.2 takes one for the other */

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, on_access, int, int, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, on_execution, int, void *);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

enum { HEAD = 0x80, CONTROL_SIZE = 0x200 }; /* IST_CTL_HEAD, IST_CONTROL_SIZE */
enum { RACES_MAX = 128, SEEN_MAX = 125 };
enum { MARK = 95, HINT = 0xd503201f | MARK << 5, SMC = 0xd4000003 };

struct race {
    uint32_t k;              /* in; NEVER: the loads are only counted */
    uint32_t place;          /* of the record in the buffer */
    uint32_t loads;          /* how many were made; 0: the race did not take place */
    uint32_t seen[SEEN_MAX]; /* where in the buffer each was */
};

/* `races` is written last by who drives them; `begun` and `ended` by the plugin alone. */
struct control {
    uint32_t races, begun, ended;
    uint32_t ring;            /* bytes, a power of two */
    uint32_t begin;           /* offset in the buffer of the word whose load is the first */
    uint32_t of_record;       /* whether `offset` is in the record, or else in the buffer */
    uint32_t offset;          /* of the word that changes */
    uint32_t mask, value;     /* it becomes (word & ~mask) ^ value, */
    uint32_t back;            /* and, if set, behind the next load what it was */
    struct race race[RACES_MAX];
};

static struct {
    uint64_t base, end;
} secure, buffer;
static uint64_t ram_base;
static uint8_t *memory; /* the buffer's */
static struct control *control;
static struct race *now; /* the race that goes on */
static uint32_t head;    /* before its record is published */
static volatile uint32_t *struck;
static uint32_t was, lie;

static void find_memory(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps != NULL && memory == NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, RAM_NAME) != NULL)
            memory = (uint8_t *)strtoull(line, NULL, 16) + (buffer.base - ram_base);
    if (maps != NULL)
        fclose(maps);
    if (memory == NULL)
        abort();
}

static volatile uint32_t *word_at(uint32_t offset)
{
    return (volatile uint32_t *)(memory + offset);
}

static void strike(void)
{
    struck = word_at(control->offset + (control->of_record ? now->place : 0));
    was = *struck;
    lie = (was & ~control->mask) ^ control->value;
    *struck = lie;
}

static void take_back(void)
{
    if (struck != NULL && control->back && *struck == lie)
        *struck = was;
    struck = NULL;
}

static void end(void)
{
    take_back();
    now = NULL;
    __atomic_store_n(&control->ended, control->ended + 1, __ATOMIC_RELEASE);
}

static void on_mark(unsigned int core, void *data)
{
    (void)core, (void)data;
    if (now != NULL)
        end(); /* it never came to an SMC */
    if (control->begun >= __atomic_load_n(&control->races, __ATOMIC_ACQUIRE))
        return;
    if (memory == NULL)
        find_memory();
    now = &control->race[control->begun++];
    head = *word_at(HEAD);
    now->place = CONTROL_SIZE + (head & (control->ring - 1));
    now->loads = 0;
    if (now->k == 0)
        strike();
}

static void on_load(unsigned int core, qemu_plugin_meminfo_t info, uint64_t at, void *data)
{
    (void)core, (void)data;
    if (now == NULL || at < buffer.base || at >= buffer.end || qemu_plugin_mem_is_store(info))
        return;
    if (now->loads == 0 && (at - buffer.base != control->begin || *word_at(HEAD) == head))
        return;
    take_back();
    if (now->loads < SEEN_MAX)
        now->seen[now->loads] = (uint32_t)(at - buffer.base);
    if (++now->loads == now->k)
        strike();
}

static void on_smc(unsigned int core, void *data)
{
    (void)core, (void)data;
    if (now != NULL && now->loads > 0)
        end();
}

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t at = qemu_plugin_insn_vaddr(insn);
        uint32_t opcode;

        memcpy(&opcode, qemu_plugin_insn_data(insn), sizeof opcode);
        if (opcode == HINT)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, NO_REGISTERS, NULL);
        if (at < secure.base || at >= secure.end)
            continue;
        qemu_plugin_register_vcpu_mem_cb(insn, on_load, NO_REGISTERS, LOADS_AND_STORES, NULL);
        if (opcode == SMC)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_smc, NO_REGISTERS, NULL);
    }
}

static bool share(const char *file)
{
    const int fd = open(file, O_RDWR | O_CLOEXEC);
    void *shared;

    if (fd < 0)
        return false;
    shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    control = shared == MAP_FAILED ? NULL : shared;
    return control != NULL;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        const char *file = strncmp(argv[i], "control=", 8) == 0 ? argv[i] + 8 : NULL;

        if (sscanf(argv[i], "secure=%lx-%lx", &secure.base, &secure.end) == 2 ||
            sscanf(argv[i], "buffer=%lx-%lx", &buffer.base, &buffer.end) == 2 ||
            sscanf(argv[i], "ram=%lx", &ram_base) == 1 || (file != NULL && share(file)))
            continue;
        fprintf(stderr, "race: cannot use %s\n", argv[i]);
        return -1;
    }
    if (control == NULL || secure.end == 0 || buffer.end == 0 || ram_base == 0) {
        fprintf(stderr, "race: an argument is missing\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    return 0;
}
