/* SPDX-License-Identifier: MIT */
/* seqpacket.c - the peer `unix-seqpacket`. */
#include "descriptors.h"

static int prepare(struct run *r, const char **why)
{
    *why = "no AF_UNIX SOCK_SEQPACKET sockets";
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->opt.fd);
}

static void port_open(struct port *p, struct run *r, int end)
{
    *p = (struct port){r, end, r->opt.fd[end], r->opt.fd[end], r->opt.wait == WAIT_SPIN ? MSG_DONTWAIT : 0};
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    return given(p, send(p->out, frame, n, p->flags | MSG_NOSIGNAL), n);
}

static inline uint32_t port_receive(struct port *p, void *frame) { return taken(p, recv(p->in, frame, FRAME_ROOM, p->flags)); }

#define CASE case_seqpacket
#define CASE_NAME "unix-seqpacket"
#include "traffic.h"
