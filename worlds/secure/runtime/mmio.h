/* SPDX-License-Identifier: MIT */
/* mmio.h - device registers, 32 bits each. */
#ifndef ISTHMUS_RUNTIME_MMIO_H
#define ISTHMUS_RUNTIME_MMIO_H

#include <stdint.h>

static inline uint32_t mmio_read(uint64_t at)
{
    return *(const volatile uint32_t *)at;
}

static inline void mmio_write(uint64_t at, uint32_t value)
{
    *(volatile uint32_t *)at = value;
}

static inline void mmio_write8(uint64_t at, uint8_t value)
{
    *(volatile uint8_t *)at = value;
}

static inline void mmio_set(uint64_t at, uint32_t bits)
{
    mmio_write(at, mmio_read(at) | bits);
}

static inline void mmio_clear(uint64_t at, uint32_t bits)
{
    mmio_write(at, mmio_read(at) & ~bits);
}

#endif
