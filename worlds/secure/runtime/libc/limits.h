/* SPDX-License-Identifier: MIT */
/* limits.h - the compiler's own asks for a libc's. */
#ifndef ISTHMUS_LIBC_LIMITS_H
#define ISTHMUS_LIBC_LIMITS_H

#define CHAR_BIT __CHAR_BIT__
#define INT_MAX __INT_MAX__
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX (INT_MAX * 2u + 1u)

#endif
