/* SPDX-License-Identifier: MIT */
/* raw.h - raw sequenced frames: what proves that no torn, stale or duplicated frame crosses a restart.
 *
 * An Ethernet frame of EtherType 0x88B5 (local experimental) whose payload is, in network byte order,
 *
 *     offset 0   8 bytes  incarnation: chosen anew by each sender, greater than any before
 *            8   8 bytes  sequence: counts up from any value within an incarnation
 *           16   4 bytes  n: bytes of pattern
 *           20   n bytes  pattern: byte i = (incarnation + sequence + i) mod 256
 *         20+n   4 bytes  CRC-32 (IEEE 802.3, as zlib's) of everything from offset 0
 *
 * and then padding to the smallest frame. A frame that verifies is sent back with source and destination swapped.
 *
 *   ok      verified, and its sequence is above the last one of its incarnation
 *   torn    length, pattern or CRC do not fit
 *   stale   verified, but its sequence was seen already, or its incarnation has been followed by a later one */
#ifndef ISTHMUS_RAW_H
#define ISTHMUS_RAW_H

#include <stdint.h>

#define RAW_ETHERTYPE 0x88b5u
#define RAW_HEADER 20u
#define RAW_OVERHEAD 24u

/* What stands behind the Ethernet header, `room` bytes with padding. True: it verified and is to be sent back. */
int raw_judge(const uint8_t *body, uint32_t room);
/* It was sent back. */
void raw_echoed(void);

#endif
