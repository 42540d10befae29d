/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#undef memcpy
#undef memset

typedef uint64_t word __attribute__((aligned(1), may_alias)); /* at any address */

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    for (; n >= 32; n -= 32, d += 32, s += 32) {
        const word *in = (const word *)(const void *)s;
        word *out = (word *)(void *)d, a = in[0], b = in[1], c = in[2], e = in[3];

        out[0] = a;
        out[1] = b;
        out[2] = c;
        out[3] = e;
    }
    for (; n >= 8; n -= 8, d += 8, s += 8)
        *(word *)(void *)d = *(const word *)(const void *)s;
    for (; n > 0; n--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;

    if ((uintptr_t)d - (uintptr_t)s >= n) /* the end of one does not reach into the other from below */
        return memcpy(to, from, n);
    while (n-- > 0)
        d[n] = s[n];
    return to;
}

void *memset(void *at, int value, size_t n)
{
    uint8_t *d = at;
    const uint64_t pattern = 0x0101010101010101u * (uint8_t)value;

    for (; n >= 8; n -= 8, d += 8)
        *(word *)(void *)d = pattern;
    for (; n > 0; n--)
        *d++ = (uint8_t)value;
    return at;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;

    for (; n > 0; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strlen(const char *s)
{
    const char *end = s;

    while (*end != '\0')
        end++;
    return (size_t)(end - s);
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || *a == '\0')
            return (uint8_t)*a - (uint8_t)*b;
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (*s == '\0')
            return NULL;
    }
}

char *strstr(const char *s, const char *wanted)
{
    const size_t n = strlen(wanted);

    for (; strncmp(s, wanted, n) != 0; s++)
        if (*s == '\0')
            return NULL;
    return (char *)(uintptr_t)s;
}

void *memchr(const void *at, int value, size_t n)
{
    for (const uint8_t *p = at; n > 0; n--, p++)
        if (*p == (uint8_t)value)
            return (void *)(uintptr_t)p;
    return NULL;
}

size_t strcspn(const char *s, const char *any)
{
    size_t n = 0;

    while (s[n] != '\0' && strchr(any, s[n]) == NULL)
        n++;
    return n;
}

int atoi(const char *s)
{
    int sign = 1, value = 0;

    while (*s == ' ')
        s++;
    if (*s == '-') {
        sign = -1;
        s++;
    }
    for (; *s >= '0' && *s <= '9'; s++)
        value = value * 10 + (*s - '0');
    return sign * value;
}
