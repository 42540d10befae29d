/* SPDX-License-Identifier: MIT */
#ifndef ISTHMUS_LIBC_STDLIB_H
#define ISTHMUS_LIBC_STDLIB_H

#include <stddef.h>

int atoi(const char *s);

#endif
