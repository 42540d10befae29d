/* SPDX-License-Identifier: MIT */
#include "random.h"

#include "isthmus.h"

static uint64_t key[2], count;

void random_seed(const uint64_t seed[2])
{
    key[0] = seed[0];
    key[1] = seed[1];
}

uint32_t random_draw(void)
{
    const uint64_t n = __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    struct ist_tagger t;
    ist_u64 out[2];

    ist_tag_start(&t, IST_TAG_SIPHASH, key);
    ist_tag_feed(&t, &n, sizeof n);
    ist_tag_finish(&t, out);
    return (uint32_t)out[0];
}

void random_seed_next(uint64_t seed[2])
{
    for (unsigned i = 0; i < 2; i++)
        seed[i] = (uint64_t)random_draw() << 32 | random_draw();
}
