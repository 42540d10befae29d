/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* mark.h - a mark that the emulator's instruction counter sees (0..31); to the processor, no operation. */
#ifndef ISTHMUS_MARK_H
#define ISTHMUS_MARK_H

#define MARK(number) __asm__ volatile("hint %0" : : "i"(96 + (number)) : "memory")

#endif
