/* SPDX-License-Identifier: MIT */
#include "raw.h"

#include "apps.h"

static struct {
    uint64_t ok, torn, stale, echoed;
    uint64_t incarnation, sequence; /* of the last frame that verified */
} raw;

static uint64_t be(const uint8_t *p, unsigned bytes)
{
    uint64_t v = 0;

    while (bytes-- > 0)
        v = v << 8 | *p++;
    return v;
}

static uint32_t crc32_of(const uint8_t *p, uint32_t n)
{
    static uint32_t table[256];
    uint32_t crc = 0xffffffffu;

    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (unsigned k = 0; k < 8; k++)
                c = c & 1u ? 0xedb88320u ^ c >> 1 : c >> 1;
            table[i] = c;
        }
    while (n-- > 0)
        crc = table[(crc ^ *p++) & 0xffu] ^ crc >> 8;
    return ~crc;
}

/* Whether the frame behind its Ethernet header is whole. */
static int whole(const uint8_t *p, uint32_t room)
{
    uint32_t n;
    uint8_t expected;

    if (room < RAW_OVERHEAD)
        return 0;
    n = (uint32_t)be(p + 16, 4);
    if (n > room - RAW_OVERHEAD)
        return 0;
    expected = (uint8_t)(be(p, 8) + be(p + 8, 8));
    for (uint32_t i = 0; i < n; i++, expected++)
        if (p[RAW_HEADER + i] != expected)
            return 0;
    return crc32_of(p, RAW_HEADER + n) == be(p + RAW_HEADER + n, 4);
}

int raw_judge(const uint8_t *body, uint32_t room)
{
    uint64_t incarnation, sequence;

    if (!whole(body, room)) {
        raw.torn++;
        return 0;
    }
    incarnation = be(body, 8);
    sequence = be(body + 8, 8);
    if (incarnation < raw.incarnation || (incarnation == raw.incarnation && sequence <= raw.sequence && raw.ok > 0)) {
        raw.stale++;
    } else {
        raw.ok++;
        raw.incarnation = incarnation;
        raw.sequence = sequence;
    }
    return 1;
}

void raw_echoed(void)
{
    raw.echoed++;
}

void raw_json(struct text *t)
{
    text_open(t, "raw");
    text_member(t, "ok", raw.ok);
    text_member(t, "torn", raw.torn);
    text_member(t, "stale", raw.stale);
    text_member(t, "echoed", raw.echoed);
    text_close(t);
}
