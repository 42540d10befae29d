/* SPDX-License-Identifier: MIT */
/* judge.c - core/filter.c as a filter of standard input, for the differential test: a table, then cases; verdicts out.
 *
 *   u32 words, u64 table[words]; then per case: u32 length, u16 flags, segment, start, offset, u64 now, frame
 *
 * Each frame lies at the end of an allocation of its own (of at most IST_FILTER_HEAD bytes), so that a sanitizer sees
 * any byte read beyond it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter.h"

static int get(void *to, size_t n)
{
    return fread(to, 1, n, stdin) == n;
}

/* What a call finds on its stack that it does not set itself: as if TCP had been there. */
static __attribute__((__noinline__)) void leave_traces(void)
{
    volatile ist_u32 stack[1024];
    for (unsigned i = 0; i < sizeof stack / sizeof *stack; i++)
        stack[i] = 6;
}

int main(void)
{
    static struct ist_filter f;
    struct {
        ist_u32 length;
        ist_u16 meta[4];
        ist_u32 pad;
        ist_u64 now;
    } c;
    ist_u32 words;
    if (!get(&words, sizeof words))
        return 2;
    ist_u64 *table = malloc(words ? words * sizeof *table : 1);
    if (!get(table, words * sizeof *table))
        return 2;
    memset(&f, 0x55, sizeof f); /* whatever it was before */
    const enum ist_verdict v = ist_filter_load(&f, table, words);
    puts(ist_verdict_name(v));
    while (v == IST_V_OK && get(&c, sizeof c)) {
        const ist_u32 kept = c.length < IST_FILTER_HEAD ? c.length : IST_FILTER_HEAD;
        ist_u8 *frame = malloc(kept ? kept : 1);
        ist_u8 *whole = malloc(c.length ? c.length : 1);
        if (!get(whole, c.length))
            return 2;
        memcpy(frame, whole, kept);
        const struct ist_meta m = {c.meta[0], c.meta[1], c.meta[2], c.meta[3]};
        leave_traces();
        puts(ist_verdict_name(ist_filter_judge(&f, frame, c.length, &m, c.now)));
        free(whole);
        free(frame);
    }
    free(table);
    return 0;
}
