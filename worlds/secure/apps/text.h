/* SPDX-License-Identifier: MIT */
/* text.h - writing text into a fixed buffer, without a libc. What does not fit is cut off, and text_fits() says so. */
#ifndef ISTHMUS_TEXT_H
#define ISTHMUS_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
    char *at, *end; /* one byte before end is kept for nobody: there is no terminator */
    int cut;
};

static inline struct text text_over(char *buffer, size_t room)
{
    return (struct text){buffer, buffer + room, 0};
}

void text_char(struct text *t, char c);
void text_str(struct text *t, const char *s);
void text_u64(struct text *t, uint64_t v);
void text_u64_pad(struct text *t, uint64_t v, unsigned digits); /* leading zeros up to `digits` */

/* JSON: a member of the object being written, with a comma before it unless it is the first. */
void text_key(struct text *t, const char *name);
void text_member(struct text *t, const char *name, uint64_t v);
void text_member_str(struct text *t, const char *name, const char *v); /* v has nothing to escape */
void text_open(struct text *t, const char *name);                      /* "name":{ */
void text_close(struct text *t);                                       /* } */

#endif
