/* SPDX-License-Identifier: MIT */
/* descriptors.h - peers that go through the kernel, one call a frame. A case defines RECEIVE and SEND over `p->in` and
 * `p->out`, then includes this file. Spinning ends never block; sleeping ones block in the call itself. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

struct port {
    struct run *run;
    int end, in, out;
    int flags; /* MSG_DONTWAIT or 0 */
};

static inline uint32_t taken(struct port *p, ssize_t got)
{
    if (got > 0)
        return (uint32_t)got;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    fail(p->run, p->end, "receive: %s", got ? strerror(errno) : "the other end is gone");
}

static inline int given(struct port *p, ssize_t put, uint32_t n)
{
    if (put == (ssize_t)n)
        return 1;
    if (put < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
        return 0;
    fail(p->run, p->end, "send: %s", put < 0 ? strerror(errno) : "cut short");
}

static inline void port_publish(struct port *p) { (void)p; }
static inline void port_wait_room(struct port *p) { (void)p; }
static inline void port_wait_frame(struct port *p) { (void)p; }
