/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* world.h - the frame of a host world process: its end of the channel, kept attached by the supervisor.
 *
 * Owns the endpoint, the own memfd, the peer's mapping, the bell and the control socket; handles every control message.
 * The caller runs the loop: it polls ist_world.control_fd and ist_world.bell_fd and calls ist_world_control /
 * ist_world_bell when they are readable, and ist_world_tick once per period. */
#ifndef ISTHMUS_HOST_WORLD_H
#define ISTHMUS_HOST_WORLD_H

#include "control.h"
#include "lane.h"
#include "link.h"

struct ist_world {
    union {
        struct ist_endpoint ep; /* the bulk lane's */
        struct ist_endpoint lane[IST_LANES_MAX];
    };
    uint32_t lanes;
    int control_fd;
    int own_fd;
    int bell_fd; /* -1 while detached */
    void *own;
    const void *peer; /* NULL while detached */
    size_t own_size, peer_size;
    uint32_t peer_at[IST_LANES_MAX]; /* where each lane begins there */
    const void *blank; /* a zero page mapping that stands in for the peer while detached */
    uint32_t told_state; /* last state reported to the supervisor */
    int stopping;        /* STOP came, or the supervisor is gone */
    uint64_t stall_ns;   /* STALL came: burn so much processor time in the next receive step, then clear it */
    uint64_t inject;     /* FAULT came: which one, for the caller to make; then clear it */
    uint32_t offers;     /* features of the caller's program, set before ist_world_open; OFFLOAD counts with a tag alone */
    uint64_t attaches;
    uint64_t rings; /* doorbells heard, those that fell together included */
    /* Writes the world's own part of the status: JSON members with a leading comma, or nothing. Returns bytes. */
    size_t (*status)(void *ctx, char *text, size_t room);
    void *ctx;
};

/* Parses the environment: ISTHMUS_CONTROL (descriptor) and ISTHMUS_CONFIG (space-separated key=value, the members of
 * struct ist_config: role, ring_normal, ring_secure, frame_max, tag, first_cursor, first_sequence, mtu, features,
 * required, silence, budget_interval, budget_tolerance), and where the channel has lanes beside the bulk lane
 * ISTHMUS_LANES: the same for each of them, separated by semicolons. Makes the own memfd and says HELLO.
 * 0, or -1 after one line on standard error. */
int ist_world_open(struct ist_world *w);
/* Reads one control message, if any, and acts on it. */
void ist_world_control(struct ist_world *w);
/* Clears the bell; a peer that hung up is reported by the supervisor, not here. */
void ist_world_bell(struct ist_world *w);
/* The common members of the status, those of one lane, as JSON text, without the braces. Returns bytes written, fewer than room. */
size_t ist_world_status(const struct ist_world *w, uint32_t lane, char *text, size_t room);
/* Handshake, heartbeat, state report, for all lanes: their fate is one. Call once per period and after every wake-up. Returns the link state. */
enum ist_state ist_world_tick(struct ist_world *w, uint64_t now);
/* Rings the peer, if there is one. */
void ist_world_ring(struct ist_world *w);
void ist_world_close(struct ist_world *w);

#endif
