/* SPDX-License-Identifier: MIT */
/* zmq.c - the peer `zmq-ipc`: a PAIR of ZeroMQ sockets over an AF_UNIX address that no file stands for. Its own I/O
 * thread writes and reads, and makes batches. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "bench.h"

struct port {
    struct run *run;
    int end, flags;
    void *pair;
};

static int prepare(struct run *r, const char **why)
{
    static char address[64];
    (void)why;
    snprintf(address, sizeof address, "ipc://@isthmus-bench-%ld", (long)getpid());
    r->shared = address;
    return 0;
}

static void port_open(struct port *p, struct run *r, int end)
{
    *p = (struct port){r, end, r->opt.wait == WAIT_SPIN ? ZMQ_DONTWAIT : 0, zmq_socket(zmq_ctx_new(), ZMQ_PAIR)};
    if (!p->pair || (end == 0 ? zmq_bind : zmq_connect)(p->pair, r->shared) != 0)
        fail(r, end, "%s", zmq_strerror(errno));
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    if (zmq_send(p->pair, frame, n, p->flags) == (int)n)
        return 1;
    if (errno != EAGAIN && errno != EINTR)
        fail(p->run, p->end, "send: %s", zmq_strerror(errno));
    return 0;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    const int got = zmq_recv(p->pair, frame, FRAME_ROOM, p->flags);
    if (got >= 0)
        return (uint32_t)got;
    if (errno != EAGAIN && errno != EINTR)
        fail(p->run, p->end, "receive: %s", zmq_strerror(errno));
    return 0;
}

static inline void port_publish(struct port *p) { (void)p; }
static inline void port_wait_room(struct port *p) { (void)p; }
static inline void port_wait_frame(struct port *p) { (void)p; }

#define CASE case_zmq
#define CASE_NAME "zmq-ipc"
#include "traffic.h"

const struct bench_case *const cases[] = {&case_zmq, 0};
