/* SPDX-License-Identifier: MIT */
/* ethernet.h - peers that carry Ethernet frames over descriptors given by the caller. The frame that is measured lies
 * behind a header of the wire's; its length is what the channel carries too. */
#include <sys/uio.h>

#include "descriptors.h"
#include "window.h"

#define HEADER 14u

/* As network_ends.py has them. */
static const unsigned char header[2][HEADER] = {
    {0x02, 0x49, 0x53, 0x42, 0, 0x0b, 0x02, 0x49, 0x53, 0x42, 0, 0x0a, 0x88, 0xb5},
    {0x02, 0x49, 0x53, 0x42, 0, 0x0a, 0x02, 0x49, 0x53, 0x42, 0, 0x0b, 0x88, 0xb5},
};

static int prepare(struct run *r, const char **why)
{
    *why = "needs two descriptors";
    for (int end = 0; end < 2; end++) {
        const int flags = fcntl(r->opt.fd[end], F_GETFL);
        const int bytes = 4 << 20; /* the kernel grants up to its limit; a TAP has no such buffer */
        const int wanted = r->opt.wait == WAIT_SPIN ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
        if (flags < 0 || fcntl(r->opt.fd[end], F_SETFL, wanted) != 0)
            return -1;
        (void)setsockopt(r->opt.fd[end], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    }
    return 0;
}

static void port_open(struct port *p, struct run *r, int end)
{
    *p = (struct port){r, end, r->opt.fd[end], r->opt.fd[end], 0};
    window_open();
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    if (!window_has_room(p))
        return 0;
    union { const void *in; void *out; } plain = {frame}; /* writev only reads */
    const struct iovec parts[] = {{(void *)(uintptr_t)header[p->end], HEADER}, {plain.out, n}};
    const int ok = given(p, writev(p->out, parts, 2), HEADER + n);
    flow.sent += (uint64_t)ok;
    return ok;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    unsigned char head[HEADER];
    const struct iovec parts[] = {{head, HEADER}, {frame, FRAME_ROOM}};
    const uint32_t n = taken(p, readv(p->in, parts, 2));
    if (n <= HEADER || memcmp(head, header[!p->end], HEADER) != 0)
        return 0; /* the kernel's own, of a bridge for one */
    window_took(p);
    return n - HEADER;
}
