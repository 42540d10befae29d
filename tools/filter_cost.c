/* SPDX-License-Identifier: MIT */
/* filter_cost.c - one frame judged FRAMES times by a table.
 *
 *     filter_cost FRAMES FILE       nanoseconds of processor time for each; FILE: u32 words, u64 table[words], u32 length, frame
 *
 * What is counted under an instruction counter is the difference of two numbers of frames. Exit status 1: it is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "filter.h"

enum { WORDS = 4096, LONGEST = 2048 };

int main(int argc, char **argv)
{
    static struct ist_filter f;
    static ist_u64 table[WORDS];
    static ist_u8 frame[LONGEST];
    const struct ist_meta whole = {0, 0, 0, 0};
    const unsigned long frames = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    ist_u32 words, length;
    FILE *const in = argc == 3 ? fopen(argv[2], "rb") : NULL;
    struct timespec from, to;

    if (frames == 0 || in == NULL || fread(&words, sizeof words, 1, in) != 1 || words > WORDS ||
        fread(table, sizeof *table, words, in) != words || fread(&length, sizeof length, 1, in) != 1 ||
        length > LONGEST || fread(frame, 1, length, in) != length)
        return 2;
    if (ist_filter_load(&f, table, words) != IST_V_OK)
        return 1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    for (unsigned long n = 0; n < frames; n++)
        if (ist_filter_judge(&f, frame, length, &whole, n) != IST_V_OK)
            return 1;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    printf("%.2f\n", (double)((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec - from.tv_nsec) / (double)frames);
    return 0;
}
