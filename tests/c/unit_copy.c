/* SPDX-License-Identifier: MIT */
/* The processor's copy-with-CRC (host/crc32c.h) against the core's portable one, which is the reference. */
#include "harness.h"
#include "crc32c.h"

enum { N = 800, ROOM = N + 32 }; /* more than four times what the widest way takes at once */

/* Every length at every alignment of source and destination, continuing any CRC; nothing beside is touched. */
static void agrees(ist_copy_crc_fn fast)
{
    ist_u8 from[ROOM], to[ROOM];
    ist_u64 dice = 1;
    pattern_fill(from, sizeof from, 1);
    for (ist_u32 n = 0; n <= N; n++)
        for (ist_u32 a = 0; a < 16; a++) {
            const ist_u32 b = random_below(&dice, 16), crc = (ist_u32)random_next(&dice);
            memset(to, 0xee, sizeof to);
            CHECK_EQ(fast(to + b, from + a, n, crc), ist_crc32c(crc, from + a, n));
            CHECK(!memcmp(to + b, from + a, n));
            for (ist_u32 i = 0; i < ROOM; i++)
                CHECK((i >= b && i < b + n) || to[i] == 0xee);
        }
}

TEST(every_way_of_the_processor_agrees_with_the_reference)
{
    unsigned ways = 0;
    while (crc_way(ways))
        agrees(crc_way(ways++));
    printf("this processor has %u ways\n", ways); /* 0: the reference is used itself */
}

static void between_both(ist_u32 tag)
{
    struct ist_config c = config_of(4096, N, tag);
    struct pair p;
    pair_up(&p, &c);
    for (ist_u32 round = 0; round < 2; round++) {
        p.side[round].e.copy_crc = crc_way(0);
        p.side[1 - round].e.copy_crc = NULL;
        for (ist_u32 length = 1; length <= N; length++)
            for (ist_u32 from = 0; from < 2; from++) {
                ist_u8 frame[N], got[N];
                struct ist_frame f;
                pattern_fill(frame, length, length + from);
                CHECK_VERDICT(ist_send(&p.side[from].e, frame, length, NULL), IST_V_OK);
                ist_publish(&p.side[from].e);
                CHECK_VERDICT(ist_peek(&p.side[1 - from].e, ++p.now, &f), IST_V_OK);
                CHECK_VERDICT(ist_take(&p.side[1 - from].e, got), IST_V_OK);
                CHECK(!memcmp(frame, got, length));
            }
    }
    pair_close(&p);
}

/* One side with the instruction, the other without: they understand one another. Another tag is not its business. */
TEST(frames_pass_between_both)
{
    between_both(IST_TAG_CRC32C);
    between_both(IST_TAG_SIPHASH);
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
