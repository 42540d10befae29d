/* SPDX-License-Identifier: MIT */
/* console.h - the Secure world's own serial line (a PL011). A line that does not take a byte in time loses it: nothing
 * waits for a console. */
#ifndef ISTHMUS_RUNTIME_CONSOLE_H
#define ISTHMUS_RUNTIME_CONSOLE_H

#include <stdint.h>

void console_init(void);
/* "isthmus: " first second newline */
void console_line(const char *first, const char *second);
void console_hex(const char *name, uint64_t value);
void console_number(const char *name, uint64_t value);

#endif
