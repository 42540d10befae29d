/* SPDX-License-Identifier: MIT */
/* mmu.c - 4 KiB pages, 32 bits of address, tables from a fixed pool. Compiled with -mstrict-align: it runs while memory
 * is still device memory. */
#include "mmu.h"

#include <stdint.h>

#include "board.h"
#include "fault.h"
#include "restart.h"
#include "sysreg.h"

#define PAGE 4096u
#define ENTRIES 512u
#define TABLES 24u

#define VALID_TABLE 3u /* also: a page, at the last level */
#define ATTR_NORMAL (0u << 2)
#define ATTR_DEVICE (1u << 2)
#define NON_SECURE (1u << 5)
#define READ_ONLY (2u << 6)
#define INNER_SHAREABLE (3u << 8)
#define ACCESSED (1u << 10)
#define NEVER_EXECUTE (3ull << 53)
#define ADDRESS 0x0000fffffffff000ull

#define MAIR (0xffull << 0 | 0x04ull << 8) /* write-back, device nGnRE */
/* 32 bits below (T0SZ), walks write-back and inner shareable, nothing above (EPD1). */
#define TCR (32ull | 1ull << 8 | 1ull << 10 | 3ull << 12 | 1ull << 23)
#define SCTLR_ON (1ull << 0 | 1ull << 2 | 1ull << 3 | 1ull << 12 | 1ull << 19) /* M, C, SA, I, WXN */

#define CODE (ATTR_NORMAL | READ_ONLY | INNER_SHAREABLE)
#define CONSTANTS (CODE | NEVER_EXECUTE)
#define DATA (ATTR_NORMAL | INNER_SHAREABLE | NEVER_EXECUTE)
#define DEVICE (ATTR_DEVICE | NEVER_EXECUTE)
#define PEER (CONSTANTS | NON_SECURE)
#define OWN (DATA | NON_SECURE)

extern char __text_start[], __text_end[], __rodata_start[], __rodata_end[], __data_start[], __data_end[];
extern char __main_stack_low[], __main_stack_high[], __control_stack_low[], __control_stack_high[];
extern char __below_stack_low[], __below_stack_high[], __exception_stack_low[], __exception_stack_high[];

static KEPT uint64_t tables[TABLES][ENTRIES] __attribute__((aligned(PAGE))); /* the first is the root */
static uint32_t used = 1;

static uint64_t *next_level(uint64_t *entry)
{
    if (*entry == 0) {
        if (used == TABLES)
            for (;;) /* the board maps more than TABLES hold; there is no console yet */
                ;
        *entry = (uint64_t)tables[used++] | VALID_TABLE;
    }
    return (uint64_t *)(*entry & ADDRESS);
}

static void map(uint64_t from, uint64_t to, uint64_t attributes)
{
    for (uint64_t at = from; at < to; at += PAGE) {
        uint64_t *level2 = next_level(&tables[0][at >> 30]);
        uint64_t *level3 = next_level(&level2[at >> 21 & (ENTRIES - 1)]);

        level3[at >> 12 & (ENTRIES - 1)] = at | attributes | ACCESSED | VALID_TABLE;
    }
}

static void map_linked(const char *from, const char *to, uint64_t attributes)
{
    map((uint64_t)from, (uint64_t)to, attributes);
}

static void map_size(uint64_t base, uint64_t size, uint64_t attributes)
{
    map(base, base + size, attributes);
}

void mmu_on(void)
{
    map_linked(__text_start, __text_end, CODE);
    map_linked(__rodata_start, __rodata_end, CONSTANTS);
    map_linked(__data_start, __data_end, DATA);
    map_linked(__main_stack_low, __main_stack_high, DATA);
    map_linked(__control_stack_low, __control_stack_high, DATA);
    map_linked(__below_stack_low, __below_stack_high, DATA);
    map_linked(__exception_stack_low, __exception_stack_high, DATA);
    map_size(BOARD_CONSOLE_BASE, BOARD_CONSOLE_SIZE, DEVICE);
    map_size(BOARD_GICD_BASE, BOARD_GICD_SIZE, DEVICE);
    map_size(BOARD_GIC_PRIVATE_BASE, BOARD_GIC_PRIVATE_SIZE, DEVICE);
    map_size(BOARD_NORMAL_BUFFER_BASE, BOARD_NORMAL_BUFFER_SIZE, PEER);
    map_size(BOARD_SECURE_BUFFER_BASE, BOARD_SECURE_BUFFER_SIZE, OWN);

    write_sysreg(mair_el1, MAIR);
    write_sysreg(tcr_el1, TCR);
    write_sysreg(ttbr0_el1, (uint64_t)tables[0]);
    __asm__ volatile("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb" ::: "memory");
    write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_ON);
    __asm__ volatile("isb" ::: "memory");
}

/* ---- what the hardware makes of it ------------------------------------------------------------------------------- */

#define PAR_FAULT 1u
#define PAR_NON_SECURE (1u << 9)

static uint64_t can_read(uint64_t at)
{
    __asm__ volatile("at s1e1r, %0\n\tisb" ::"r"(at) : "memory");
    return read_sysreg(par_el1);
}

static uint64_t can_write(uint64_t at)
{
    __asm__ volatile("at s1e1w, %0\n\tisb" ::"r"(at) : "memory");
    return read_sysreg(par_el1);
}

/* Shared with Linux, which maps it write-back: the attributes must be the same, or the two see different memory. */
static int is_shared(uint64_t par)
{
    return !(par & PAR_FAULT) && (par & PAR_NON_SECURE) && par >> 56 == 0xff && (par >> 7 & 3u) == 3u;
}

static int is_guard(const char *at)
{
    return (can_read((uint64_t)at) & PAR_FAULT) != 0;
}

/* No instruction asks whether an address can be executed, so the tables are read, from where the hardware reads them. */
static uint64_t descriptor(uint64_t at)
{
    const uint64_t *table = (const uint64_t *)(read_sysreg(ttbr0_el1) & ADDRESS);

    for (unsigned shift = 30; shift > 12; shift -= 9) {
        const uint64_t entry = table[at >> shift & (ENTRIES - 1)];

        if ((entry & VALID_TABLE) != VALID_TABLE)
            return 0;
        table = (const uint64_t *)(entry & ADDRESS);
    }
    return table[at >> 12 & (ENTRIES - 1)];
}

static const char *check_window(uint64_t base, uint64_t size, int own)
{
    const uint64_t wanted = VALID_TABLE | NON_SECURE | NEVER_EXECUTE;

    for (uint64_t at = base; at < base + size; at += PAGE) {
        if (!is_shared(own ? can_write(at) : can_read(at)))
            return "the window is not Normal, write-back, inner shareable, non-secure memory";
        if ((descriptor(at) & wanted) != wanted)
            return "the window can be executed";
        if (!own && !(can_write(at) & PAR_FAULT))
            return "the peer's buffer can be written";
    }
    return 0;
}

const char *mmu_check(void)
{
    const char *failure;

    if (!(can_write((uint64_t)__text_start) & PAR_FAULT))
        return "code can be written";
    if (!(can_write((uint64_t)__rodata_start) & PAR_FAULT))
        return "constants can be written";
    if (can_write((uint64_t)__data_start) & (PAR_FAULT | PAR_NON_SECURE))
        return "data cannot be written, or is not secure";
    if (!is_guard(__main_stack_low - 1) || !is_guard(__control_stack_low - 1) || !is_guard(__below_stack_low - 1) ||
        !is_guard(__exception_stack_low - 1) || !is_guard(__exception_stack_high))
        return "a stack's guard page is mapped";
    if (!(can_read(0) & PAR_FAULT))
        return "address 0 is mapped";
    failure = check_window(BOARD_NORMAL_BUFFER_BASE, BOARD_NORMAL_BUFFER_SIZE, 0);
    return failure ? failure : check_window(BOARD_SECURE_BUFFER_BASE, BOARD_SECURE_BUFFER_SIZE, 1);
}
