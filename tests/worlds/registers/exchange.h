/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* exchange.h - patterns for every register of a world, and what became of them. For Linux's kernel and for the Secure
 * world of the test; the includer has u64 and knows whether it is NORMAL. */
#ifndef REGISTERS_EXCHANGE_H
#define REGISTERS_EXCHANGE_H

#include "list.h"

struct exchange {
    u64 x_in[32], x_out[32];
    u64 q_in[64], q_out[64];
    u64 own[EXCHANGE_SLOTS], in[EXCHANGE_SLOTS], filled[EXCHANGE_SLOTS], out[EXCHANGE_SLOTS];
};
_Static_assert(sizeof(struct exchange) == EXCHANGE_BYTES, "as list.h says");

/* exchange.S */
void exchange_call(struct exchange *e);
void exchange_spin(struct exchange *e);

#define NAME(r, n, s) #r,
#define BITS(r, n, s) (NORMAL ? (n) : (s)),
static const char *const names[] = {LISTED_REGISTERS(NAME)};
static const u64 bits[] = {LISTED_REGISTERS(BITS)};
enum { LISTED = sizeof(names) / sizeof(names[0]) };

/* splitmix64 */
static u64 next(u64 *seed)
{
    u64 z = *seed += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Patterns in every register; the caller puts the call's arguments over x_in. `own` is what the registers hold now. */
static void fill(struct exchange *e, u64 seed, const u64 *own)
{
    int i;

    for (i = 0; i < 31; i++)
        e->x_in[i] = next(&seed);
    for (i = 0; i < 64; i++)
        e->q_in[i] = next(&seed);
    for (i = 0; i < LISTED; i++)
        e->in[i] = (own[i] & ~bits[i]) | (next(&seed) & bits[i]);
    e->in[EXCHANGE_SP] = next(&seed) & ~15ull;
}

/* The first register that does not hold what was put into it, x0..x`results`-1 left out; `which` is its number where
 * it has one, else -1. NULL: all do. */
static const char *changed(const struct exchange *e, int results, int *which, u64 *was, u64 *is)
{
    int i;

    for (i = results; i < 31; i++)
        if (i != 19 && e->x_in[i] != e->x_out[i]) {
            *which = i, *was = e->x_in[i], *is = e->x_out[i];
            return "x";
        }
#if EXCHANGE_FP
    for (i = 0; i < 64; i++)
        if (e->q_in[i] != e->q_out[i]) {
            *which = i / 2, *was = e->q_in[i], *is = e->q_out[i];
            return "v";
        }
#endif
    *which = -1;
    for (i = 0; i < LISTED; i++)
        if (e->filled[i] != e->out[i]) {
            *was = e->filled[i], *is = e->out[i];
            return names[i];
        }
    *was = e->filled[EXCHANGE_SP], *is = e->out[EXCHANGE_SP];
    return *was == *is ? 0 : "sp";
}

#endif
