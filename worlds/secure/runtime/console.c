/* SPDX-License-Identifier: MIT */
#include "console.h"

#include "board.h"
#include "mmio.h"

#define DATA 0x00u
#define FLAGS 0x18u
#define FLAG_FULL (1u << 5)
#define CONTROL 0x30u
#define FLAG_EMPTY (1u << 4)
#define CONTROL_ON (1u << 0 | 1u << 8 | 1u << 9) /* UART, transmitter, receiver enabled */
#define LINE_CONTROL 0x2cu
#define LINE_8_BITS_FIFO (3u << 5 | 1u << 4)
#define PATIENCE 10000u

void console_init(void)
{
    mmio_write(BOARD_CONSOLE_BASE + CONTROL, 0);
    mmio_write(BOARD_CONSOLE_BASE + LINE_CONTROL, LINE_8_BITS_FIFO);
    mmio_write(BOARD_CONSOLE_BASE + CONTROL, CONTROL_ON);
}

static void put(char c)
{
    for (uint32_t tries = 0; mmio_read(BOARD_CONSOLE_BASE + FLAGS) & FLAG_FULL; tries++)
        if (tries == PATIENCE)
            return;
    mmio_write(BOARD_CONSOLE_BASE + DATA, (uint8_t)c);
}

static void text(const char *s)
{
    while (*s != '\0')
        put(*s++);
}

void console_line(const char *first, const char *second)
{
    text("isthmus: ");
    text(first);
    text(second);
    text("\r\n");
}

void console_write(const char *s, size_t n)
{
    while (n-- > 0)
        put(*s++);
}

int console_take(void)
{
    if (mmio_read(BOARD_CONSOLE_BASE + FLAGS) & FLAG_EMPTY)
        return -1;
    return (int)(mmio_read(BOARD_CONSOLE_BASE + DATA) & 0xffu);
}

void console_hex(const char *name, uint64_t value)
{
    char digits[19] = "0x";

    for (unsigned i = 0; i < 16; i++)
        digits[2 + i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15u];
    digits[18] = '\0';
    console_line(name, digits);
}

void console_number(const char *name, uint64_t value)
{
    char digits[21], *at = digits + sizeof digits - 1;

    *at = '\0';
    do
        *--at = (char)('0' + value % 10u);
    while ((value /= 10u) != 0);
    console_line(name, at);
}
