/* SPDX-License-Identifier: MIT */
#include "entropy.h"

#include <arch_helpers.h>

#include "board.h"

#if TRNG_SUPPORT

#include <plat/common/plat_trng.h>

bool entropy_draw(uint64_t *words, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++)
        if (!plat_get_entropy(&words[i]))
            return false;
    return true;
}

#elif BOARD_INSECURE_TEST_KEY

/* Differs from boot to boot only as far as the counter does; anybody can work it out. */
bool entropy_draw(uint64_t *words, unsigned int n)
{
    static uint64_t x;

    for (unsigned int i = 0; i < n; i++) {
        uint64_t z = x += 0x9e3779b97f4a7c15u + read_cntpct_el0(); /* splitmix64 */

        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        words[i] = z ^ z >> 31;
    }
    return true;
}

#else

bool entropy_draw(uint64_t *words, unsigned int n)
{
    (void)words, (void)n;
    return false;
}

#endif
