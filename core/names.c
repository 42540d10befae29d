/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* names.c - the verdicts' names and texts. Apart from the rest, since a world that only counts needs none of them. */
#include "isthmus.h"

const char *ist_verdict_name(ist_u32 verdict)
{
    static const char *const name[] = {
#define IST_X(name, text) #name,
        IST_VERDICTS(IST_X)
#undef IST_X
    };
    return verdict < IST_VERDICT_COUNT ? name[verdict] : "?";
}

const char *ist_verdict_text(ist_u32 verdict)
{
    static const char *const text[] = {
#define IST_X(name, text) text,
        IST_VERDICTS(IST_X)
#undef IST_X
    };
    return verdict < IST_VERDICT_COUNT ? text[verdict] : "no such verdict";
}
