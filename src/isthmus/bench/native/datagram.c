/* SPDX-License-Identifier: MIT */
/* datagram.c - the peer `udp-veth`: two connected UDP sockets, given by the caller, each in a network namespace of its
 * own. UDP has no flow control and a full receive buffer drops, so to be lossless the sender keeps within a window; the
 * receiver's count lies in shared memory, which costs the peer next to nothing. */
#include "descriptors.h"

#define WINDOW 128u /* frames on the way; fits the receive buffer that any user may have */
#define TELL 16u    /* frames between two updates of the receiver's count */

static _Thread_local struct {
    uint64_t sent, allowed, got;
} flow;

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
    flow.sent = flow.got = 0;
    flow.allowed = WINDOW;
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    if (flow.sent == flow.allowed) {
        flow.allowed = __atomic_load_n(&p->run->board->window[!p->end], __ATOMIC_ACQUIRE) + WINDOW;
        if (flow.sent == flow.allowed)
            return 0;
    }
    const int ok = given(p, send(p->out, frame, n, p->flags), n);
    flow.sent += (uint64_t)ok;
    return ok;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    const uint32_t n = taken(p, recv(p->in, frame, FRAME_ROOM, p->flags));
    if (n > 0 && ++flow.got % TELL == 0)
        __atomic_store_n(&p->run->board->window[p->end], flow.got, __ATOMIC_RELEASE);
    return n;
}

#define CASE case_datagram
#define CASE_NAME "udp-veth"
#include "traffic.h"
