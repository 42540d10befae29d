/* SPDX-License-Identifier: MIT */
/* string.h - what the IP stacks and the applications use of it, and no more. */
#ifndef ISTHMUS_LIBC_STRING_H
#define ISTHMUS_LIBC_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *at, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);
/* Of a size that the compiler knows, without a call. */
#define memcpy(to, from, n) __builtin_memcpy(to, from, n)
#define memset(at, value, n) __builtin_memset(at, value, n)

void *memchr(const void *at, int value, size_t n);
size_t strlen(const char *s);
size_t strcspn(const char *s, const char *any);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *wanted);

#endif
