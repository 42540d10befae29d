/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* names.c - the verdicts' names, one behind the other in one string: no table of pointers, nothing to relocate. */
#include "isthmus.h"

const char *ist_verdict_name(ist_u32 verdict)
{
    static const char names[] =
#define IST_X(name, text) #name "\0"
        IST_VERDICTS(IST_X)
#undef IST_X
        ;
    const char *p = names;
    if (verdict >= IST_VERDICT_COUNT)
        return "?";
    while (verdict--)
        while (*p++)
            ;
    return p;
}
