/* SPDX-License-Identifier: MIT */
/* The integrity tags. Vectors here are the published ones; tests/test_core_tag.py compares many more with an
 * independent implementation, by way of `--lines`: "KIND KEY0 KEY1 HEX" in, "TAG0 TAG1" out. */
#include "harness.h"

static const ist_u64 key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static void tag_whole(ist_u32 kind, const ist_u64 k[2], const void *data, ist_size n, ist_u64 out[2])
{
    struct ist_tagger t;
    ist_tag_start(&t, kind, k);
    ist_tag_feed(&t, data, n);
    ist_tag_finish(&t, out);
}

TEST(crc32c_published_vectors)
{
    ist_u8 bytes[32];
    CHECK_EQ(ist_crc32c(0, "123456789", 9), 0xe3069283);
    CHECK_EQ(ist_crc32c(0, "", 0), 0);
    memset(bytes, 0, sizeof bytes); /* RFC 3720, B.4 */
    CHECK_EQ(ist_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    CHECK_EQ(ist_crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++)
        bytes[i] = (ist_u8)i;
    CHECK_EQ(ist_crc32c(0, bytes, 32), 0x46dd794e);
    for (int i = 0; i < 32; i++)
        bytes[i] = (ist_u8)(31 - i);
    CHECK_EQ(ist_crc32c(0, bytes, 32), 0x113fdb5c);
}

TEST(crc32c_continues_over_pieces)
{
    ist_u8 data[100];
    pattern_fill(data, sizeof data, 1);
    ist_u32 whole = ist_crc32c(0, data, sizeof data);
    for (ist_size cut = 0; cut <= sizeof data; cut++)
        CHECK_EQ(ist_crc32c(ist_crc32c(0, data, cut), data + cut, sizeof data - cut), whole);
}

TEST(siphash_published_vector)
{
    /* SipHash-2-4 with 128 bits over 00 01 .. 0e under the key 00 01 .. 0f, and over nothing. */
    ist_u8 message[15];
    ist_u64 out[2];
    for (int i = 0; i < 15; i++)
        message[i] = (ist_u8)i;
    tag_whole(IST_TAG_SIPHASH, key, message, 15, out);
    CHECK_EQ(out[0], 0x11a8b03399e99354);
    CHECK_EQ(out[1], 0xd9c3cf970fec087e);
    tag_whole(IST_TAG_SIPHASH, key, message, 0, out);
    CHECK_EQ(out[0], 0xe6a825ba047f81a3);
    CHECK_EQ(out[1], 0x930255c71472f66d);
}

TEST(a_tag_does_not_depend_on_how_it_is_fed)
{
    enum { N = 70 };
    ist_u8 data[N], copy[N];
    for (ist_u32 kind = IST_TAG_CRC32C; kind < IST_TAGS; kind++)
        for (ist_u32 n = 0; n <= N; n++) {
            ist_u64 whole[2], pieces[2];
            pattern_fill(data, N, n);
            tag_whole(kind, key, data, n, whole);
            for (ist_u32 a = 0; a <= n; a++)
                for (ist_u32 b = a; b <= n; b += kind == IST_TAG_CRC32C ? 5 : 1) {
                    struct ist_tagger t;
                    memset(copy, 0xee, sizeof copy);
                    ist_tag_start(&t, kind, key);
                    ist_tag_copy(&t, copy, data, a, NULL);
                    ist_tag_feed(&t, data + a, b - a);
                    memcpy(copy + a, data + a, b - a);
                    ist_tag_copy(&t, copy + b, data + b, n - b, NULL);
                    ist_tag_finish(&t, pieces);
                    CHECK_EQ(pieces[0], whole[0]);
                    CHECK_EQ(pieces[1], whole[1]);
                    CHECK(!memcmp(copy, data, n));
                    for (ist_u32 i = n; i < N; i++)
                        CHECK_EQ(copy[i], 0xee);
                }
        }
}

static unsigned hook_calls;

static ist_u32 hook(void *dst, const void *src, ist_size n, ist_u32 crc)
{
    hook_calls++;
    memcpy(dst, src, n);
    return ist_crc32c(crc, src, n);
}

TEST(an_architecture_may_fill_in_the_copy)
{
    ist_u8 data[300], copy[300];
    ist_u64 portable[2], filled[2];
    pattern_fill(data, sizeof data, 5);
    tag_whole(IST_TAG_CRC32C, key, data, sizeof data, portable);
    struct ist_tagger t;
    hook_calls = 0;
    ist_tag_start(&t, IST_TAG_CRC32C, key);
    ist_tag_copy(&t, copy, data, 100, hook);
    ist_tag_copy(&t, copy + 100, data + 100, 200, hook);
    ist_tag_finish(&t, filled);
    CHECK_EQ(hook_calls, 2);
    CHECK_EQ(filled[0], portable[0]);
    CHECK_EQ(filled[1], portable[1]);
    CHECK(!memcmp(copy, data, sizeof data));
}

/* Every flip of one, two or three bits in a frame of 64 bytes is found by the CRC: all of them, by the sums of their
 * syndromes. */
TEST(crc32c_finds_every_flip_of_up_to_three_bits)
{
    enum { BITS = 64 * 8 };
    ist_u32 syndrome[BITS]; /* the CRC is affine: flips add up */
    ist_u8 zero[64] = {0};
    ist_u32 base = ist_crc32c(0, zero, 64);
    for (int i = 0; i < BITS; i++) {
        zero[i / 8] = (ist_u8)(1 << i % 8);
        syndrome[i] = ist_crc32c(0, zero, 64) ^ base;
        zero[i / 8] = 0;
    }
    for (int a = 0; a < BITS; a++) {
        CHECK(syndrome[a]);
        for (int b = 0; b < a; b++) {
            CHECK(syndrome[a] ^ syndrome[b]);
            for (int c = 0; c < b; c++)
                CHECK(syndrome[a] ^ syndrome[b] ^ syndrome[c]);
        }
    }
}

static int lines(void)
{
    static char hex[200000];
    static ist_u8 data[100000];
    unsigned kind;
    unsigned long long k0, k1;
    while (scanf("%u %llx %llx %199999s", &kind, &k0, &k1, hex) == 4) {
        ist_size n = hex[0] == '-' ? 0 : strlen(hex) / 2;
        for (ist_size i = 0; i < n; i++) {
            unsigned byte;
            sscanf(hex + 2 * i, "%2x", &byte);
            data[i] = (ist_u8)byte;
        }
        ist_u64 k[2] = {k0, k1}, out[2];
        tag_whole(kind, k, data, n, out);
        printf("%016llx %016llx\n", (unsigned long long)out[0], (unsigned long long)out[1]);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--lines"))
        return lines();
    return run_tests(argc, argv);
}
