/* SPDX-License-Identifier: MIT */
/* Configuration: each mistake is refused by its own name, what is accepted can be used to its limits, and the digest
 * moves with what both sides must agree on and with nothing else. */
#include "harness.h"

static struct ist_config good(void)
{
    return config_of(16384, 1536, IST_TAG_NONE);
}

#define REFUSED(verdict, change)                              \
    do {                                                      \
        struct ist_config c = good();                         \
        change;                                               \
        CHECK_VERDICT(ist_config_check(&c), IST_V_##verdict); \
        struct ist_endpoint e;                                \
        ist_u8 unused[4] = {1, 2, 3, 4};                      \
        CHECK_VERDICT(ist_init(&e, &c, unused, unused), IST_V_##verdict); \
        CHECK(unused[0] == 1 && unused[3] == 4);              \
    } while (0)

TEST(good_configuration_is_accepted)
{
    struct ist_config c = good();
    CHECK_VERDICT(ist_config_check(&c), IST_V_OK);
}

TEST(ring_must_be_a_power_of_two_within_limits)
{
    static const ist_u32 bad[] = {0, 1, 16, IST_RING_MIN - 1, IST_RING_MIN / 2, IST_RING_MIN + 16, 16383, 16385,
                                  3 * 4096, IST_RING_MAX - 1, IST_RING_MAX + 1, 1u << 31, 0xffffffffu};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(BAD_RING, c.ring_bytes[IST_NORMAL] = bad[i]);
        REFUSED(BAD_RING, c.ring_bytes[IST_SECURE] = bad[i]);
    }
    for (ist_u32 ring = IST_RING_MIN; ring && ring <= IST_RING_MAX; ring <<= 1) {
        struct ist_config c = good();
        c.ring_bytes[IST_NORMAL] = ring;
        CHECK_VERDICT(ist_config_check(&c), IST_V_OK);
    }
}

TEST(frame_limit_must_lie_in_its_range)
{
    REFUSED(BAD_FRAME, c.frame_max = 0);
    REFUSED(BAD_FRAME, c.frame_max = IST_FRAME_MIN - 1);
    REFUSED(BAD_FRAME, c.frame_max = IST_FRAME_LIMIT + 1);
    REFUSED(BAD_FRAME, c.frame_max = 0x7fffffff);
    REFUSED(BAD_FRAME, c.frame_max = 0x80000000);
    REFUSED(BAD_FRAME, c.frame_max = 0xffffffff);
}

TEST(frame_limits_own_borders_are_accepted)
{
    REFUSED(BAD_MTU, c.frame_max = IST_FRAME_MIN; c.mtu = IST_MTU_MIN); /* in range, but no MTU fits */
    struct ist_config c = good();
    c.ring_bytes[0] = c.ring_bytes[1] = 131072;
    c.frame_max = IST_FRAME_LIMIT;
    CHECK_VERDICT(ist_config_check(&c), IST_V_OK);
}

TEST(frame_limit_above_a_ring_is_refused_by_name)
{
    REFUSED(FRAME_RING, c.ring_bytes[IST_NORMAL] = 4096; c.frame_max = 4097);
    REFUSED(FRAME_RING, c.ring_bytes[IST_SECURE] = 4096; c.frame_max = 4097);
    REFUSED(FRAME_RING, c.frame_max = IST_FRAME_LIMIT);
}

/* The border itself, for every tag: the largest frame limit that the check accepts really passes, one more byte's
 * worth of record is refused. */
TEST(largest_accepted_frame_really_passes)
{
    for (ist_u32 tag = 0; tag < IST_TAGS; tag++) {
        ist_u32 accepted = 0;
        for (ist_u32 frame = IST_FRAME_MIN + 4; frame <= 4096; frame++) {
            struct ist_config c = config_of(4096, frame, tag);
            enum ist_verdict v = ist_config_check(&c);
            if (v == IST_V_OK) {
                CHECK_EQ(accepted, frame == IST_FRAME_MIN + 4 ? 0 : frame - 1); /* no hole in the range */
                accepted = frame;
            } else {
                CHECK_VERDICT(v, IST_V_FRAME_RING);
            }
        }
        CHECK_EQ(accepted, 4096 - IST_REC_PAYLOAD - (tag == IST_TAG_NONE ? 0 : IST_TRAILER)); /* record = ring */
        for (ist_u32 cursor = 0; cursor < 8192; cursor += 16) {
            struct ist_config c = config_of(4096, accepted, tag);
            c.first_cursor = cursor - 4096;
            struct pair p;
            pair_up(&p, &c);
            ist_u8 frame[4096], got[4096];
            pattern_fill(frame, accepted, cursor);
            CHECK_EQ(ist_room(&p.side[0].e), accepted);
            CHECK_VERDICT(ist_send(&p.side[0].e, frame, accepted, NULL), IST_V_OK);
            ist_publish(&p.side[0].e);
            struct ist_frame f;
            CHECK_VERDICT(ist_peek(&p.side[1].e, ++p.now, &f), IST_V_OK);
            CHECK_EQ(f.length, accepted);
            CHECK_VERDICT(ist_take(&p.side[1].e, got), IST_V_OK);
            CHECK(!memcmp(frame, got, accepted));
            pair_close(&p);
        }
    }
}

TEST(mtu_must_fit_the_frame)
{
    REFUSED(BAD_MTU, c.mtu = 0);
    REFUSED(BAD_MTU, c.mtu = IST_MTU_MIN - 1);
    REFUSED(BAD_MTU, c.mtu = c.frame_max - IST_ETHER_ROOM + 1);
    REFUSED(BAD_MTU, c.mtu = c.frame_max);
    REFUSED(BAD_MTU, c.mtu = 0xffffffff);
    REFUSED(BAD_MTU, c.mtu = 0xffffffffu - IST_ETHER_ROOM + 1); /* mtu + room wraps to 0 */
    struct ist_config c = good();
    c.mtu = IST_MTU_MIN;
    CHECK_VERDICT(ist_config_check(&c), IST_V_OK);
    c.mtu = c.frame_max - IST_ETHER_ROOM;
    CHECK_VERDICT(ist_config_check(&c), IST_V_OK);
}

TEST(tag_role_features_and_cursor_are_checked)
{
    REFUSED(BAD_TAG, c.tag = IST_TAGS);
    REFUSED(BAD_TAG, c.tag = 0xffffffff);
    REFUSED(BAD_ROLE, c.role = 2);
    REFUSED(BAD_ROLE, c.role = 0xffffffff);
    REFUSED(BAD_FEATURES, c.features = IST_FEATURES_ALL + 1);
    REFUSED(BAD_FEATURES, c.features = 0x80000000);
    REFUSED(BAD_FEATURES, c.features = IST_FEATURE_OFFLOAD; c.required = IST_FEATURE_SLEEPER_FENCE);
    REFUSED(BAD_FEATURES, c.required = 0x80000000);
    for (ist_u32 low = 1; low < IST_ALIGN; low++)
        REFUSED(BAD_CURSOR, c.first_cursor = 0xfffffff0u + low);
}

TEST(buffer_is_control_ring_and_one_largest_record)
{
    for (ist_u32 tag = 0; tag < IST_TAGS; tag++)
        for (ist_u32 frame = 64; frame < 1600; frame += 7) {
            struct ist_config c = config_of(4096, frame, tag);
            c.ring_bytes[IST_SECURE] = 8192;
            ist_u32 record = IST_REC_PAYLOAD + IST_ROUND(frame) + (tag == IST_TAG_NONE ? 0 : IST_TRAILER);
            CHECK_EQ(ist_buffer_size(&c, IST_NORMAL), IST_CONTROL_SIZE + 4096 + record);
            CHECK_EQ(ist_buffer_size(&c, IST_SECURE), IST_CONTROL_SIZE + 8192 + record);
        }
}

TEST(no_role_leads_beyond_the_configuration)
{
    struct ist_config c = config_of(4096, 256, IST_TAG_NONE);
    c.ring_bytes[IST_SECURE] = 8192;
    for (ist_u32 role = 2; role < 9; role++)
        CHECK_EQ(ist_buffer_size(&c, role), ist_buffer_size(&c, role % 2));
}

TEST(digest_moves_with_the_geometry_only)
{
    ist_u64 seen[16];
    unsigned n = 0;
    struct ist_config c = good();
    seen[n++] = ist_config_digest(&c);
#define CHANGED(change)                        \
    do {                                       \
        c = good();                            \
        change;                                \
        seen[n++] = ist_config_digest(&c);     \
    } while (0)
    CHANGED(c.ring_bytes[0] = 32768);
    CHANGED(c.ring_bytes[1] = 32768);
    CHANGED(c.ring_bytes[0] = c.ring_bytes[1] = 32768);
    CHANGED(c.frame_max = 1537);
    CHANGED(c.tag = IST_TAG_CRC32C);
    CHANGED(c.tag = IST_TAG_SIPHASH);
    CHANGED(c.first_cursor = 16);
    CHANGED(c.first_cursor = 0xfffffff0);
    CHANGED(c.first_sequence = 1);
    CHANGED(c.first_sequence = 1ull << 32);
    CHANGED(c.first_sequence = 1ull << 63);
#undef CHANGED
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(seen[i] != seen[j]);
    c = good();
    c.mtu = 46;
    c.role = 1;
    c.features = 3;
    c.required = 1;
    c.silence = c.budget_interval = c.budget_tolerance = 99;
    CHECK_EQ(ist_config_digest(&c), seen[0]);
}

TEST(every_verdict_has_a_name)
{
#define IST_X(name, text) CHECK(!strcmp(ist_verdict_name(IST_V_##name), #name));
    IST_VERDICTS(IST_X)
#undef IST_X
    static const ist_u32 outside[] = {IST_VERDICT_COUNT, IST_VERDICT_COUNT + 1, 0x7fffffff, 0x80000000, 0xffffffff};
    for (unsigned i = 0; i < 5; i++)
        CHECK(!strcmp(ist_verdict_name(outside[i]), "?"));
}

int main(int argc, char **argv)
{
    return run_tests(argc, argv);
}
