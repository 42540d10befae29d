/* SPDX-License-Identifier: MIT */
/* pipe.c - the peer `pipe`: a pair of pipes, frames of one size, so the byte stream needs no lengths. */
#include "descriptors.h"

struct pipes {
    int fd[2][2]; /* by sender */
};

static struct pipes pipes;

static int prepare(struct run *r, const char **why)
{
    const int flags = O_CLOEXEC | (r->opt.wait == WAIT_SPIN ? O_NONBLOCK : 0);
    for (int sender = 0; sender < 2; sender++) {
        *why = "no pipes";
        if (pipe2(pipes.fd[sender], flags) != 0)
            return -1;
        fcntl(pipes.fd[sender][1], F_SETPIPE_SZ, (int)r->opt.ring_bytes); /* refused: it keeps its own size */
    }
    return 0;
}

static void port_open(struct port *p, struct run *r, int end)
{
    *p = (struct port){r, end, pipes.fd[!end][0], pipes.fd[end][1], 0};
}

/* Writes up to PIPE_BUF are whole or refused; longer ones may be split, so the rest is pushed on. */
static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    ssize_t put = write(p->out, frame, n);
    if (put < 0)
        return given(p, put, n);
    for (uint32_t done = (uint32_t)put; done < n; done += put > 0 ? (uint32_t)put : 0u) {
        put = write(p->out, (const char *)frame + done, n - done);
        if (put < 0)
            given(p, put, n);
    }
    return 1;
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    const uint32_t n = p->run->opt.frame;
    uint32_t done = taken(p, read(p->in, frame, n));
    while (done > 0 && done < n)
        done += taken(p, read(p->in, (char *)frame + done, n - done));
    return done;
}

#define CASE case_pipe
#define CASE_NAME "pipe"
#include "traffic.h"
