/* SPDX-License-Identifier: MIT */
/* lwippools.h - the size classes behind mem_malloc. A segment of a 1500-byte MTU fits the third with its headers. */
LWIP_MALLOC_MEMPOOL_START
LWIP_MALLOC_MEMPOOL(ISTHMUS_LWIP_SEGMENTS, 144)
LWIP_MALLOC_MEMPOOL(64, 512)
LWIP_MALLOC_MEMPOOL(ISTHMUS_LWIP_SEGMENTS, 1600)
LWIP_MALLOC_MEMPOOL(2 * ISTHMUS_LWIP_SEND_BUFFER / 8192, 9216)
LWIP_MALLOC_MEMPOOL(2 * ISTHMUS_LWIP_SEND_BUFFER / 16384, 16640)
LWIP_MALLOC_MEMPOOL(2, 65520) /* the reply to a ping of a jumbo MTU, where the request's buffer cannot be reused */
LWIP_MALLOC_MEMPOOL_END
