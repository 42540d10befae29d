/* SPDX-License-Identifier: MIT */
/* race.c - a TCG plugin: a word of shared memory changes behind the k-th load that the Secure world makes of it.
 *
 *     arguments     secure=BASE-END   the Secure world's code, mapped one to one like the window
 *                   buffer=BASE-END   of the Normal world: its loads are counted
 *                   ram=BASE          where the machine's memory begins, which is the file of the name RAM_NAME here
 *                   control=FILE      struct control, shared with whoever drives the race
 *
 * Counting begins with the first load that can see another head than when the race was armed: the same k is the same
 * instruction, whatever else went on before. The callback comes behind the load, so a value that was read is kept.
 *
 * The declarations are those of QEMU's plugin interface, version 1, as far as they are used. */
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
#define HEAD 0x80u /* IST_CTL_HEAD */
#define SEEN_MAX 1024u

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef void (*on_access)(unsigned int core, qemu_plugin_meminfo_t, uint64_t at, void *data);
enum { NO_REGISTERS = 0, LOADS_AND_STORES = 3 }; /* version 7.2 takes one for the other */

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, on_access, int, int, void *);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

struct control {
    uint32_t armed;       /* written last by who drives; 0 again after the strike, which is then done */
    uint32_t k;           /* 0: never */
    uint32_t head;        /* what the head is before the race */
    uint32_t mask, value; /* the word becomes (word & ~mask) ^ value */
    uint32_t loads;       /* of the buffer, since the head moved */
    uint64_t word;        /* address of what changes */
    uint32_t seen[SEEN_MAX]; /* offset of each of those loads in the buffer */
};

static struct {
    uint64_t base, end;
} secure, buffer;
static uint64_t ram_base;
static uint8_t *ram;
static struct control *control;

static void find_ram(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps != NULL && ram == NULL && fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, RAM_NAME) != NULL)
            ram = (uint8_t *)strtoull(line, NULL, 16);
    if (maps != NULL)
        fclose(maps);
    if (ram == NULL)
        abort();
}

static volatile uint32_t *word_at(uint64_t at)
{
    return (volatile uint32_t *)(ram + (at - ram_base));
}

static void on_load(unsigned int core, qemu_plugin_meminfo_t info, uint64_t at, void *data)
{
    uint32_t n;

    (void)core, (void)data;
    if (at < buffer.base || at >= buffer.end || qemu_plugin_mem_is_store(info) ||
        !__atomic_load_n(&control->armed, __ATOMIC_ACQUIRE))
        return;
    if (ram == NULL)
        find_ram();
    if (control->loads == 0 && *word_at(buffer.base + HEAD) == control->head)
        return;
    n = ++control->loads;
    if (n <= SEEN_MAX)
        control->seen[n - 1] = (uint32_t)(at - buffer.base);
    if (n == control->k) {
        volatile uint32_t *word = word_at(control->word);

        *word = (*word & ~control->mask) ^ control->value;
        __atomic_store_n(&control->armed, 0, __ATOMIC_RELEASE);
    }
}

static void on_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        const uint64_t at = qemu_plugin_insn_vaddr(insn);

        if (at >= secure.base && at < secure.end)
            qemu_plugin_register_vcpu_mem_cb(insn, on_load, NO_REGISTERS, LOADS_AND_STORES, NULL);
    }
}

static bool share(const char *file)
{
    const int fd = open(file, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return false;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return control != MAP_FAILED;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        char *end = argv[i];

        if (sscanf(argv[i], "secure=%lx-%lx", &secure.base, &secure.end) == 2 ||
            sscanf(argv[i], "buffer=%lx-%lx", &buffer.base, &buffer.end) == 2 ||
            sscanf(argv[i], "ram=%lx", &ram_base) == 1)
            continue;
        end = strchr(argv[i], '=');
        if (end == NULL || strncmp(argv[i], "control", 7) != 0 || !share(end + 1)) {
            fprintf(stderr, "race: cannot use %s\n", argv[i]);
            return -1;
        }
    }
    if (control == NULL || secure.end == 0 || buffer.end == 0 || ram_base == 0)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_block);
    return 0;
}
