/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what the supervisor hands over at start ---------------------------------------------------------------- */

static int complain(const char *what, const char *detail)
{
    fprintf(stderr, "isthmus: %s%s%s\n", what, detail ? ": " : "", detail ? detail : "");
    return -1;
}

static uint32_t low32(uint64_t value)
{
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value; /* too large stays too large, and is refused by name */
}

static int set_key(struct ist_config *c, const char *key, size_t n, uint64_t value)
{
    const struct {
        const char *name;
        uint32_t *word;
        uint64_t *wide;
    } known[] = {
        {"role", &c->role, NULL},
        {"ring_normal", &c->ring_bytes[IST_NORMAL], NULL},
        {"ring_secure", &c->ring_bytes[IST_SECURE], NULL},
        {"frame_max", &c->frame_max, NULL},
        {"tag", &c->tag, NULL},
        {"first_cursor", &c->first_cursor, NULL},
        {"mtu", &c->mtu, NULL},
        {"features", &c->features, NULL},
        {"required", &c->required, NULL},
        {"first_sequence", NULL, &c->first_sequence},
        {"silence", NULL, &c->silence},
        {"budget_interval", NULL, &c->budget_interval},
        {"budget_tolerance", NULL, &c->budget_tolerance},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) != n || memcmp(known[i].name, key, n) != 0)
            continue;
        if (known[i].word)
            *known[i].word = low32(value);
        else
            *known[i].wide = value;
        return 0;
    }
    return -1;
}

/* One lane's configuration, up to the end or a semicolon; *rest: behind it. */
static int parse_config(struct ist_config *c, const char *text, const char **rest)
{
    const char *p = text + strspn(text, " ");
    memset(c, 0, sizeof *c);
    for (; *p && *p != ';'; p += strspn(p, " ")) {
        size_t n = strcspn(p, "= ;");
        char *end;
        if (p[n] != '=')
            return complain("ISTHMUS_CONFIG wants key=value", p);
        errno = 0;
        uint64_t value = strtoull(p + n + 1, &end, 0);
        if (errno != 0 || end == p + n + 1 || (*end != ' ' && *end != ';' && *end != 0))
            return complain("ISTHMUS_CONFIG holds a value that is no number", p);
        if (set_key(c, p, n, value) != 0)
            return complain("ISTHMUS_CONFIG holds an unknown key", p);
        p = end;
    }
    *rest = *p ? p + 1 : p;
    return 0;
}

/* All lanes' configurations. How many, or -1. */
static int parse_lanes(struct ist_config c[IST_LANES_MAX], const char *bulk)
{
    const char *more = getenv("ISTHMUS_LANES");
    uint32_t lanes = 1;
    if (parse_config(&c[0], bulk, &bulk) != 0)
        return -1;
    for (; more && *more; lanes++)
        if (lanes == IST_LANES_MAX)
            return complain("ISTHMUS_LANES names too many lanes", NULL);
        else if (parse_config(&c[lanes], more, &more) != 0)
            return -1;
    for (uint32_t k = 0; k < lanes; k++) {
        const enum ist_verdict v = ist_config_check(&c[k]);
        if (v != IST_V_OK || c[k].role != c[0].role)
            return complain("channel configuration refused", ist_verdict_name(v == IST_V_OK ? IST_V_BAD_ROLE : v));
    }
    return (int)lanes;
}

/* ---- the control socket ---------------------------------------------------------------------------------------- */

static int say(struct ist_world *w, struct ist_message m, const char *text, size_t bytes, int fd)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {.room = {0}};
    struct iovec iov[2] = {{&m, sizeof m}, {(void *)(uintptr_t)text, bytes}};
    struct msghdr h = {.msg_iov = iov, .msg_iovlen = text ? 2 : 1};
    m.version = IST_CONTROL_VERSION;
    if (fd >= 0) {
        h.msg_control = control.room;
        h.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(w->control_fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* Reads one packet and its descriptors (at most 2). Bytes, 0 at end of file, or -errno. */
static ssize_t hear(struct ist_world *w, struct ist_message *m, int fd[2])
{
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {m, sizeof *m};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control};
    fd[0] = fd[1] = -1;
    ssize_t n = recvmsg(w->control_fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return -errno;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(fd, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return n;
}

/* ---- attach and detach ------------------------------------------------------------------------------------------ */

static void detach(struct ist_world *w, enum ist_verdict why)
{
    ist_lanes_end(w->lane, w->lanes, why);
    if (w->peer) {
        for (uint32_t k = 0; k < w->lanes; k++)
            ist_attach(&w->lane[k], w->blank);
        munmap((void *)(uintptr_t)w->peer, w->peer_size);
        w->peer = NULL;
    }
    if (w->bell_fd >= 0)
        close(w->bell_fd);
    w->bell_fd = -1;
}

static void attach(struct ist_world *w, const struct ist_message *m, int fd[2])
{
    const char *why = "descriptors are missing";
    const void *peer = NULL;
    detach(w, IST_V_PEER_LEFT);
    int error = fd[0] >= 0 && fd[1] >= 0 ? ist_memfd_map(fd[0], w->peer_size, &peer, &why) : -EBADF;
    if (error != 0) {
        complain("attach refused", why);
        say(w, (struct ist_message){.type = IST_MSG_REFUSED, .value = error, .epoch = m->epoch}, NULL, 0, -1);
        return;
    }
    w->peer = peer;
    w->bell_fd = fd[1];
    fd[1] = -1;
    w->attaches++;
    for (uint32_t k = 0; k < w->lanes; k++)
        ist_attach(&w->lane[k], (const uint8_t *)peer + w->peer_at[k]);
    ist_lanes_begin(w->lane, w->lanes, m->epoch, m->key, ist_now());
    say(w, (struct ist_message){.type = IST_MSG_ATTACHED, .epoch = m->epoch}, NULL, 0, -1);
}

/* ---- status -------------------------------------------------------------------------------------------------------- */

size_t ist_world_status(const struct ist_world *w, uint32_t lane, char *text, size_t room)
{
    static const char *const state[IST_STATES] = {"RESET", "INIT", "READY", "RUN", "DEAD"};
    const struct ist_endpoint *e = &w->lane[lane];
    size_t n = (size_t)snprintf(
        text, room,
        "\"state\":\"%s\",\"reason\":\"%s\",\"epoch\":%llu,\"agreed\":%u,\"attaches\":%llu,\"sent\":%llu,"
        "\"sent_bytes\":%llu,\"received_bytes\":%llu,\"lost\":%llu,\"in_flight\":%u,\"counters\":{",
        state[ist_link_state(e)], ist_verdict_name(e->reason), (unsigned long long)e->epoch, e->agreed,
        (unsigned long long)w->attaches, (unsigned long long)e->sent, (unsigned long long)e->tx.bytes,
        (unsigned long long)e->rx.bytes, (unsigned long long)e->rx.lost, e->tx.head - e->tx.tail);
    for (uint32_t v = 0; v < IST_VERDICT_COUNT && n < room; v++)
        n += (size_t)snprintf(text + n, room - n, "%s\"%s\":%llu", v ? "," : "", ist_verdict_name(v),
                              (unsigned long long)e->count[v]);
    if (n < room)
        n += (size_t)snprintf(text + n, room - n, "}");
    return n < room ? n : room - 1;
}

static void reply_status(struct ist_world *w, int64_t value)
{
    static char text[IST_CONTROL_MAX - sizeof(struct ist_message)];
    size_t room = sizeof text, n = 0;
    text[n++] = '{';
    n += ist_world_status(w, 0, text + n, room - n);
    for (uint32_t k = 1; k < w->lanes && n < room / 2; k++) { /* a list of its own, beside what has always been there */
        n += (size_t)snprintf(text + n, room - n, k == 1 ? ",\"lanes\":[{" : ",{");
        n += ist_world_status(w, k, text + n, room - n);
        n += (size_t)snprintf(text + n, room - n, k + 1 == w->lanes ? "}]" : "}");
    }
    if (w->status)
        n += w->status(w->ctx, text + n, room - n - 1);
    text[n++] = '}';
    say(w, (struct ist_message){.type = IST_MSG_STATUS_REPLY, .value = value}, text, n, -1);
}

/* ---- the world's life ---------------------------------------------------------------------------------------------- */

int ist_world_open(struct ist_world *w)
{
    const char *control = getenv("ISTHMUS_CONTROL"), *config = getenv("ISTHMUS_CONFIG");
    struct ist_config c[IST_LANES_MAX];
    w->control_fd = w->own_fd = w->bell_fd = -1;
    w->peer = NULL;
    w->stopping = 0;
    w->stall_ns = w->inject = w->attaches = w->rings = 0;
    w->lanes = 0;
    w->told_state = IST_RESET;
    if (!control || !config)
        return complain("this program is started by `isthmus run`: ISTHMUS_CONTROL or ISTHMUS_CONFIG is not set", NULL);
    w->control_fd = atoi(control);
    if (fcntl(w->control_fd, F_SETFD, FD_CLOEXEC) != 0)
        return complain("ISTHMUS_CONTROL names no open descriptor", control);
    const int lanes = parse_lanes(c, config);
    if (lanes < 0)
        return -1;
    w->lanes = (uint32_t)lanes;
    if (ist_fence_register() != 0)
        for (uint32_t k = 0; k < w->lanes; k++)
            c[k].features &= ~IST_FEATURE_SLEEPER_FENCE;
    const uint32_t role = c[0].role;
    w->own_size = ist_memfd_pages(ist_lanes_size(c, w->lanes, role));
    w->peer_size = ist_memfd_pages(ist_lanes_size(c, w->lanes, role ^ 1u));
    w->own_fd = ist_memfd_make(role == IST_SECURE ? "isthmus-secure" : "isthmus-normal", w->own_size, &w->own);
    if (w->own_fd < 0)
        return complain("cannot make the shared buffer", strerror(-w->own_fd));
    w->blank = mmap(NULL, IST_CONTROL_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (w->blank == MAP_FAILED)
        return complain("cannot map memory", strerror(errno));
    for (uint32_t k = 0; k < w->lanes; k++) {
        c[k].features |= c[k].tag == IST_TAG_NONE ? w->offers & ~IST_FEATURE_OFFLOAD : w->offers;
        w->peer_at[k] = ist_lane_offset(c, k, role ^ 1u);
        ist_init(&w->lane[k], &c[k], (uint8_t *)w->own + ist_lane_offset(c, k, role), w->blank);
        w->lane[k].copy_crc = ist_hw_copy_crc();
    }
    int error = say(w, (struct ist_message){.type = IST_MSG_HELLO, .value = (int64_t)w->own_size}, NULL, 0, w->own_fd);
    return error == 0 ? 0 : complain("cannot reach the supervisor", strerror(-error));
}

void ist_world_control(struct ist_world *w)
{
    struct ist_message m;
    int fd[2];
    ssize_t n = hear(w, &m, fd);
    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n < (ssize_t)sizeof m || m.version != IST_CONTROL_VERSION) {
        w->stopping = 1; /* end of file, or a supervisor of another version: nobody looks after us any more */
    } else if (m.type == IST_MSG_ATTACH) {
        attach(w, &m, fd);
    } else if (m.type == IST_MSG_DETACH) {
        detach(w, IST_V_PEER_LEFT);
    } else if (m.type == IST_MSG_STATUS) {
        reply_status(w, m.value);
    } else if (m.type == IST_MSG_STALL) {
        w->stall_ns = (uint64_t)m.value * 1000u;
    } else if (m.type == IST_MSG_FAULT) {
        w->inject = (uint64_t)m.value;
    } else if (m.type == IST_MSG_STOP) {
        w->stopping = 1;
    }
    for (int i = 0; i < 2; i++)
        if (fd[i] >= 0)
            close(fd[i]);
}

void ist_world_bell(struct ist_world *w)
{
    const int rings = w->bell_fd >= 0 ? ist_bell_clear(w->bell_fd) : 0;
    if (rings > 0)
        w->rings += (uint32_t)rings;
    if (rings == -EPIPE) {
        close(w->bell_fd); /* or every poll would wake at once; the supervisor knows more */
        w->bell_fd = -1;
    }
}

void ist_world_ring(struct ist_world *w)
{
    if (w->bell_fd >= 0)
        (void)ist_bell_ring(w->bell_fd);
}

enum ist_state ist_world_tick(struct ist_world *w, uint64_t now)
{
    const enum ist_state before = ist_link_state(ist_lanes_worst(w->lane, w->lanes));
    const enum ist_state state = ist_lanes_poll(w->lane, w->lanes, now);
    if (state != before)
        ist_world_ring(w); /* the peer need not wait for its own period to see it */
    if ((uint32_t)state != w->told_state) {
        const struct ist_endpoint *e = ist_lanes_worst(w->lane, w->lanes);
        struct ist_message m = {.type = IST_MSG_STATE, .value = state, .extra = e->reason, .epoch = e->epoch};
        if (say(w, m, NULL, 0, -1) == 0)
            w->told_state = state;
    }
    return state;
}

void ist_world_close(struct ist_world *w)
{
    detach(w, IST_V_PEER_LEFT);
    munmap(w->own, w->own_size);
    close(w->own_fd);
    close(w->control_fd);
}
