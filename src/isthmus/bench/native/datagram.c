/* SPDX-License-Identifier: MIT */
/* datagram.c - the peer `udp-veth`: two connected UDP sockets, given by the caller, each in a network namespace of its
 * own. */
#include "descriptors.h"
#include "window.h"

static int prepare(struct run *r, const char **why)
{
    for (int end = 0; end < 2; end++) {
        const int bytes = 4 << 20; /* the kernel grants up to its limit */
        *why = "needs two UDP sockets";
        if (setsockopt(r->opt.fd[end], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0)
            return -1;
    }
    return 0;
}

static void port_open(struct port *p, struct run *r, int end)
{
    *p = (struct port){r, end, r->opt.fd[end], r->opt.fd[end], r->opt.wait == WAIT_SPIN ? MSG_DONTWAIT : 0};
    window_open();
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    if (!window_has_room(p))
        return 0;
    const int ok = given(p, send(p->out, frame, n, p->flags), n);
    flow.sent += (uint64_t)ok;
    return ok;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    const uint32_t n = taken(p, recv(p->in, frame, FRAME_ROOM, p->flags));
    if (n > 0)
        window_took(p);
    return n;
}

#define CASE case_datagram
#define CASE_NAME "udp-veth"
#include "traffic.h"
