/* SPDX-License-Identifier: MIT */
#include "text.h"

void text_char(struct text *t, char c)
{
    if (t->at < t->end)
        *t->at++ = c;
    else
        t->cut = 1;
}

void text_str(struct text *t, const char *s)
{
    while (*s != '\0')
        text_char(t, *s++);
}

void text_u64_pad(struct text *t, uint64_t v, unsigned digits)
{
    char d[20];
    unsigned n = 0;

    do
        d[n++] = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    while (digits-- > n)
        text_char(t, '0');
    while (n > 0)
        text_char(t, d[--n]);
}

void text_u64(struct text *t, uint64_t v)
{
    text_u64_pad(t, v, 1);
}

void text_key(struct text *t, const char *name)
{
    if (t->at[-1] != '{')
        text_char(t, ',');
    text_char(t, '"');
    text_str(t, name);
    text_str(t, "\":");
}

void text_member(struct text *t, const char *name, uint64_t v)
{
    text_key(t, name);
    text_u64(t, v);
}

void text_member_str(struct text *t, const char *name, const char *v)
{
    text_key(t, name);
    text_char(t, '"');
    text_str(t, v);
    text_char(t, '"');
}

void text_open(struct text *t, const char *name)
{
    text_key(t, name);
    text_char(t, '{');
}

void text_close(struct text *t)
{
    text_char(t, '}');
}
