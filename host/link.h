/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* link.h - how a Linux process holds its end of a channel: sealed memfds, a socket pair as doorbell, bounded spinning.
 *
 *   own buffer    a memfd that we made, mapped writable, then sealed (FUTURE_WRITE, SHRINK, GROW, SEAL) before anybody
 *                 else gets a descriptor: whoever holds one may map it for reading only, however it reopens it
 *   peer's buffer a descriptor that came from outside: size and seals are checked before it is mapped, so it can
 *                 neither shrink under us (SIGBUS) nor be anybody's to write but its maker's
 *   bell          one end of a SOCK_STREAM pair. One writer per direction; nobody can steal our wake-ups; end of file
 *                 says that the peer process is gone
 *
 * Used by the Python extension, by both host worlds and by the bench. Not part of the core: it has a kernel beneath. */
#ifndef ISTHMUS_HOST_LINK_H
#define ISTHMUS_HOST_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "isthmus.h"

/* New sealed memfd of `size` bytes (a multiple of the page size), close-on-exec, mapped writable at *map.
 * Returns the descriptor or -errno. */
int ist_memfd_make(const char *name, size_t size, void **map);

/* Checks a foreign descriptor and maps it read-only. 0, or -errno; *why then names what is wrong. */
int ist_memfd_map(int fd, size_t size, const void **map, const char **why);

/* The seals that both sides insist on. */
#define IST_SEALS (0x0001 /* SEAL */ | 0x0002 /* SHRINK */ | 0x0004 /* GROW */ | 0x0010 /* FUTURE_WRITE */)

/* Bytes in whole pages; and so many for `role`'s buffer of one lane. */
size_t ist_memfd_pages(size_t bytes);
size_t ist_memfd_size(const struct ist_config *c, uint32_t role);

/* Bell: a non-blocking, close-on-exec SOCK_STREAM pair. 0 or -errno. */
int ist_bell_pair(int fd[2]);
/* One byte; a full socket already wakes the peer, so EAGAIN is success. 0, or -EPIPE when the peer is gone. */
int ist_bell_ring(int fd);
/* Empties the bell with at most 4 reads (a peer may keep it full). How many rings were read, -EPIPE: peer gone. */
int ist_bell_clear(int fd);

/* Asymmetric fence. Register once per process; where that fails do not offer IST_FEATURE_SLEEPER_FENCE.
 * ist_fence_peers() then makes every running thread of every registered process pass a full barrier. */
int ist_fence_register(void);
void ist_fence_peers(void);

uint64_t ist_now(void);   /* CLOCK_MONOTONIC, ns */
void ist_relax(void);     /* pause / yield: what a spinning core owes its neighbour */

/* Spins until a frame is pending (1) or `ns` have passed (0). Never sleeps, makes no system call but the clock's. For who
 * spins anyway, too: between two calls of ist_receive it takes a fifth off the round trip of asking that alone. */
int ist_spin(const struct ist_endpoint *e, uint64_t ns);
/* The same until the peer's tail is another than `from`, e->tx.tail as it was, or the link is not in RUN (1). Trusts
 * nothing: ist_room judges what the tail says. */
int ist_spin_tail(const struct ist_endpoint *e, uint32_t from, uint64_t ns);

/* Arms the doorbell, with the fence moved here where the peer relies on it. 1: work pending already, do not sleep. */
int ist_arm_for_sleep(struct ist_endpoint *e);
/* The same before sleeping for room: 1: `length` fits already, or the link is down. */
int ist_arm_tx_for_sleep(struct ist_endpoint *e, uint32_t length);

/* CRC-32C with the CPU's instruction where it has one (checked at run time), else NULL. */
ist_copy_crc_fn ist_hw_copy_crc(void);

#endif
