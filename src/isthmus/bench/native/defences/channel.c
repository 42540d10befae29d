/* SPDX-License-Identifier: MIT */
/* channel.c - frames of BYTES bytes from one endpoint to another in one thread, in batches of 32.
 *
 *   channel CPU FRAMES PIECES MICROSECONDS BYTES RING TAG      RING: bytes each way; TAG: enum ist_tag */
#include "isthmus.h"
#include "link.h"
#include "pieces.h"

enum { BYTES = OWN, RING, TAG, ARGUMENTS, BATCH = 32 };

static struct ist_endpoint ends[2];
static ist_u32 bytes;

static int piece(uint32_t frames)
{
    static ist_u8 frame[2048];
    struct ist_frame f;

    for (uint32_t n = 0; n < frames; n += BATCH) {
        for (int i = 0; i < BATCH; i++)
            if (ist_send(&ends[IST_NORMAL], frame, bytes, NULL) != IST_V_OK)
                return -1;
        ist_publish(&ends[IST_NORMAL]);
        for (int i = 0; i < BATCH; i++)
            if (ist_receive(&ends[IST_SECURE], 0, frame, &f) != IST_V_OK)
                return -1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const ist_u64 key[2] = {1, 2};
    struct ist_config c = {.frame_max = 1536, .mtu = 1500};
    void *buffers[2];

    bytes = argc == ARGUMENTS ? (ist_u32)atoi(argv[BYTES]) : 0;
    if (bytes == 0 || bytes > 1514)
        return EXIT_MISSING;
    c.ring_bytes[0] = c.ring_bytes[1] = (ist_u32)atoi(argv[RING]);
    c.tag = (ist_u32)atoi(argv[TAG]);
    if (ist_config_check(&c) != IST_V_OK)
        return EXIT_MISSING;
    for (ist_u32 role = 0; role < 2; role++)
        buffers[role] = aligned_alloc(4096, (ist_buffer_size(&c, role) + 4095) & ~4095u);
    for (ist_u32 role = 0; role < 2; role++) {
        c.role = role;
        if (ist_init(&ends[role], &c, buffers[role], buffers[role ^ 1]) != IST_V_OK)
            return EXIT_BROKEN;
        ends[role].copy_crc = ist_hw_copy_crc();
        ist_begin(&ends[role], 1, key, 0);
    }
    for (int i = 0; i < 8; i++)
        ist_poll(&ends[i % 2], 0);
    return measure_pieces(argv, piece);
}
