/* SPDX-License-Identifier: MIT */
/* isthmus.c - the channel itself, as a product would use it: the core as it is shipped with every check, over sealed
 * memfds that each end makes and the other verifies, doorbell and heartbeat included. In one process (threads=1) the
 * buffers are plain memory; nothing else differs. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "link.h"

#define EPOCH 1u
#define TEND_EVERY 4096u /* publications or waits between two polls of the session */
#define SPIN_NS 1000u    /* a spinning end looks for so long at nothing but the peer's head */
#define NAP_MS 100       /* longest sleep; a lost doorbell shows as a latency of this size */

struct port {
    struct ist_endpoint ep;
    struct run *run;
    int end, bell;
    uint32_t turns;
};

static struct {
    int bell[2];
    void *plain[2]; /* threads only */
} inherited;

static struct ist_config config_of(const struct run *r, int end)
{
    return (struct ist_config){
        .ring_bytes = {r->opt.ring_bytes, r->opt.ring_bytes},
        .frame_max = r->opt.frame > 1518u ? r->opt.frame : 1518u,
        .tag = r->opt.tag,
        .mtu = (r->opt.frame > 1518u ? r->opt.frame : 1518u) - IST_ETHER_ROOM,
        .role = (uint32_t)end,
    };
}

static int prepare(struct run *r, const char **why)
{
    const struct ist_config c = config_of(r, 0);
    const enum ist_verdict v = ist_config_check(&c);
    *why = ist_verdict_name(v);
    if (v != IST_V_OK)
        return -1;
    *why = "no socket pair for the doorbell";
    if (ist_bell_pair(inherited.bell) != 0)
        return -1;
    *why = "no memory for the buffers";
    for (uint32_t end = 0; r->opt.threads && end < 2u; end++) {
        inherited.plain[end] = shared_memory(ist_memfd_size(&c, end));
        if (!inherited.plain[end])
            return -1;
    }
    return 0;
}

static void pass_descriptor(struct run *r, int end, int fd)
{
    char byte = 0, room[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8))) = {0};
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(r->wire[end], &m, MSG_NOSIGNAL) != 1)
        fail(r, end, "descriptor not sent: %s", strerror(errno));
}

static int take_descriptor(struct run *r, int end)
{
    int fd = -1;
    char byte, room[CMSG_SPACE(sizeof fd)] __attribute__((aligned(8)));
    struct iovec data = {&byte, 1};
    struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(r->wire[end], &m, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&m))
        fail(r, end, "descriptor not received");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

/* Own buffer and the peer's, the way two worlds exchange them. */
static void map_buffers(struct run *r, int end, const struct ist_config *c, void **own, const void **peer)
{
    if (r->opt.threads) {
        *own = inherited.plain[end];
        *peer = inherited.plain[!end];
        return;
    }
    const char *why = "";
    const int fd = ist_memfd_make("isthmus-bench", ist_memfd_size(c, (uint32_t)end), own);
    if (fd < 0)
        fail(r, end, "own buffer: %s", strerror(-fd));
    memset(*own, 0, ist_memfd_size(c, (uint32_t)end)); /* every page is there before the clock runs */
    pass_descriptor(r, end, fd);
    const int theirs = take_descriptor(r, end);
    if (ist_memfd_map(theirs, ist_memfd_size(c, (uint32_t)!end), peer, &why) != 0)
        fail(r, end, "peer's buffer: %s", why);
    close(fd);
    close(theirs);
}

static void port_open(struct port *p, struct run *r, int end)
{
    struct ist_config c = config_of(r, end);
    const uint64_t key[2] = {r->opt.seed, ~r->opt.seed};
    void *own;
    const void *peer;
    volatile unsigned char touched = 0;
    map_buffers(r, end, &c, &own, &peer);
    for (size_t i = 0; i < ist_memfd_size(&c, (uint32_t)!end); i += 4096u)
        touched = (unsigned char)(touched + ((const unsigned char *)peer)[i]);
    c.features = ist_fence_register() == 0 ? IST_FEATURE_SLEEPER_FENCE : 0u;
    enum ist_verdict v = ist_init(&p->ep, &c, own, peer);
    if (v != IST_V_OK)
        fail(r, end, "%s", ist_verdict_name(v));
    p->run = r;
    p->end = end;
    p->bell = inherited.bell[end];
    p->ep.copy_crc = ist_hw_copy_crc();
    ist_begin(&p->ep, EPOCH, key, now_ns());
    while (ist_poll(&p->ep, now_ns()) != IST_RUN)
        relax();
}

static inline void ring_bell(struct port *p)
{
    if (ist_bell_ring(p->bell) != 0)
        fail(p->run, p->end, "the other end is gone");
}

/* What a world does once per period, here once per so many turns. */
static inline void tend(struct port *p)
{
    if (__builtin_expect(++p->turns % TEND_EVERY == 0, 0) && ist_poll(&p->ep, now_ns()) != IST_RUN)
        fail(p->run, p->end, "link ended: %s", ist_verdict_name(p->ep.reason));
}

static inline int port_send(struct port *p, const void *frame, uint32_t n)
{
    const enum ist_verdict v = ist_send(&p->ep, frame, n, NULL);
    if (__builtin_expect(v != IST_V_OK && v != IST_V_FULL, 0))
        fail(p->run, p->end, "send: %s", ist_verdict_name(v));
    return v == IST_V_OK;
}

static inline void port_publish(struct port *p)
{
    if (ist_publish(&p->ep))
        ring_bell(p);
    tend(p);
}

static inline uint32_t port_receive(struct port *p, void *frame)
{
    struct ist_frame f = {0, {0, 0, 0, 0}};
    const enum ist_verdict v = ist_receive(&p->ep, 0, frame, &f);
    if (ist_rx_bell(&p->ep))
        ring_bell(p);
    if (__builtin_expect(v == IST_V_OK, 1))
        return f.length;
    if (v != IST_V_EMPTY)
        fail(p->run, p->end, "receive: %s", ist_verdict_name(v));
    return 0;
}

static void nap(struct port *p)
{
    struct pollfd bell = {p->bell, POLLIN, 0};
    poll(&bell, 1, NAP_MS);
    if (ist_bell_clear(p->bell) < 0)
        fail(p->run, p->end, "the other end is gone");
}

static void port_wait_frame(struct port *p)
{
    tend(p);
    if (p->run->opt.wait == WAIT_SPIN) {
        (void)ist_spin(&p->ep, SPIN_NS);
        return;
    }
    if (p->run->opt.wait == WAIT_ADAPTIVE && ist_spin(&p->ep, ADAPTIVE_NS))
        return;
    const int pending = ist_arm_for_sleep(&p->ep);
    if (ist_rx_bell(&p->ep))
        ring_bell(p);
    if (!pending)
        nap(p);
    ist_disarm(&p->ep);
}

static void port_wait_room(struct port *p)
{
    tend(p);
    if (p->run->opt.wait == WAIT_SPIN)
        relax();
    else if (!ist_arm_tx(&p->ep, p->run->opt.frame))
        nap(p);
}

#define CASE case_isthmus
#define CASE_NAME "isthmus"
#include "traffic.h"
