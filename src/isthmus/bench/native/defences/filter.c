/* SPDX-License-Identifier: MIT */
/* filter.c - one frame judged over and over by a table, in one thread.
 *
 *   filter CPU FRAMES PIECES MICROSECONDS FILE      FILE: u32 words, u64 table[words], u32 length, frame */
#include "filter.h"
#include "pieces.h"

enum { FILE_NAME = OWN, ARGUMENTS, WORDS = 4096, LONGEST = 2048 };

static struct ist_filter filter;
static ist_u8 frame[LONGEST];
static ist_u32 length;

static int piece(uint32_t frames)
{
    static const struct ist_meta whole = {0, 0, 0, 0};
    static ist_u64 now;

    for (uint32_t n = 0; n < frames; n++)
        if (ist_filter_judge(&filter, frame, length, &whole, now++) != IST_V_OK)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    static ist_u64 table[WORDS];
    FILE *const in = argc == ARGUMENTS ? fopen(argv[FILE_NAME], "rb") : NULL;
    ist_u32 words;

    if (in == NULL || fread(&words, sizeof words, 1, in) != 1 || words > WORDS ||
        fread(table, sizeof *table, words, in) != words || fread(&length, sizeof length, 1, in) != 1 ||
        length > LONGEST || fread(frame, 1, length, in) != length || ist_filter_load(&filter, table, words) != IST_V_OK) {
        fprintf(stderr, "%s: no table and frame\n", program_invocation_short_name);
        return EXIT_MISSING;
    }
    return measure_pieces(argv, piece);
}
