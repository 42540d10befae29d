/* SPDX-License-Identifier: MIT */
/* cc.h - what lwIP asks of the compiler and the platform. The three functions below are all that a platform supplies,
 * beside sys_now(). */
#ifndef ISTHMUS_LWIP_CC_H
#define ISTHMUS_LWIP_CC_H

#include <stddef.h>
#include <stdint.h>

#define BYTE_ORDER LITTLE_ENDIAN
#ifndef LITTLE_ENDIAN
#define LITTLE_ENDIAN 1234
#endif

#define LWIP_NO_INTTYPES_H 1
#define X8_F "02x"
#define U16_F "u"
#define S16_F "d"
#define X16_F "x"
#define U32_F "u"
#define S32_F "d"
#define X32_F "x"
#define SZT_F "zu"

#define LWIP_NO_UNISTD_H 1
#define LWIP_TIMEVAL_PRIVATE 0
#define SSIZE_MAX INT32_MAX
typedef ptrdiff_t isthmus_ssize;
#define ssize_t isthmus_ssize

/* A broken invariant of lwIP's own: the world stops here and is started anew. Does not return. */
_Noreturn void isthmus_lwip_assert(const char *what, const char *file, int line);
#define LWIP_PLATFORM_ASSERT(what) isthmus_lwip_assert((what), __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(x) ((void)0)

/* 32 bits that a peer cannot guess. */
uint32_t isthmus_lwip_random(void);
#define LWIP_RAND() isthmus_lwip_random()

/* The Internet sum of `length` bytes at any address, folded, not inverted. */
uint16_t isthmus_chksum(const void *data, int length);

#endif
