/* SPDX-License-Identifier: MIT */
/* console.h - the Secure world's own serial line (a PL011). A line that does not take a byte in time loses it: nothing
 * waits for a console. */
#ifndef ISTHMUS_RUNTIME_CONSOLE_H
#define ISTHMUS_RUNTIME_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

void console_init(void);
/* "isthmus: " first second newline */
void console_line(const char *first, const char *second);
/* As it is. */
void console_write(const char *s, size_t n);
/* A byte that was typed, or -1. */
int console_take(void);
void console_hex(const char *name, uint64_t value);
void console_number(const char *name, uint64_t value);

#endif
