/* SPDX-License-Identifier: MIT */
/* serve.c - a call on Channels: what it sees to, one poll, and how it waits.
 *
 *     attend   sessions, doorbells and new peers of the members that need it; of all of them once a tick
 *     poll     a look at the lanes at rest, then turns (channels.h) until the batch is full or no lane is ready
 *     rest     spins, then arms every lane, with one fence, and sleeps on all doorbells at once
 *
 * A member whose session ended is told of in an exception, before any frame of the call is taken: so none is lost. */
#include "set.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64

/* ---- what a stack would be: the caller's batch ------------------------------------------------------------------ */

static void *allocate_object(void *stack, ist_u32 length, void **room)
{
    PyObject *frame = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    (void)stack;
    if (frame)
        *room = PyBytes_AsString(frame);
    else
        PyErr_Clear(); /* the frame is dropped and counted: NO_BUFFER */
    return frame;
}

static void discard_object(void *stack, void *frame)
{
    (void)stack;
    Py_DECREF((PyObject *)frame);
}

static void deliver_object(void *stack, void *frame, const struct ist_meta *meta)
{
    const struct member *m = stack;
    struct sink *to = m->set->sink;
    (void)meta; /* Python's end offers no offload: there is nothing in it */
    to->from[to->n] = m;
    to->frames[to->n++] = frame;
}

/* There is room: a turn takes no more frames than there is room for the longest of. */
static void *allocate_room(void *stack, ist_u32 length, void **room)
{
    struct sink *to = ((const struct member *)stack)->set->sink;
    to->length = length;
    *room = to->data;
    return stack;
}

static void discard_room(void *stack, void *unused)
{
    (void)stack, (void)unused;
}

static void deliver_room(void *stack, void *unused, const struct ist_meta *meta)
{
    const struct member *m = stack;
    struct sink *to = m->set->sink;
    (void)unused, (void)meta;
    to->data += to->length;
    to->left -= to->length;
    to->lengths[to->n] = to->length;
    to->numbers[to->n++] = m->number;
}

static const struct netport_hooks objects = {allocate_object, discard_object, deliver_object};
static const struct netport_hooks in_place = {allocate_room, discard_room, deliver_room};

/* ---- attending ---------------------------------------------------------------------------------------------------- */

/* Who cannot have another peer is out; the exception keeps the endpoint. Known already: nothing is raised. */
static int report(Set *s, uint64_t c, uint32_t k)
{
    const uint64_t bit = 1ull << c;
    const Endpoint *e = set_member(s, c, k)->endpoint;
    if (e->closed && PyErr_ExceptionMatches(s->state->closed)) {
        PyErr_Clear();
        set_drop(s, c, k);
        return 0;
    }
    if (!PyErr_ExceptionMatches(s->state->link_down))
        return -1;
    if (s->told[k] & bit) {
        PyErr_Clear();
        return 0;
    }
    s->told[k] |= bit;
    if (ep_over_for_good(e))
        set_drop(s, c, k);
    return -1;
}

/* 0, or -1 with an exception. */
static int attend_one(Set *s, uint64_t c, uint32_t k)
{
    const uint64_t bit = 1ull << c;
    Endpoint *e = set_member(s, c, k)->endpoint;
    enum outcome o = AGAIN;
    int up = 0;
    s->heed[k] &= ~bit;
    if (e->closed) {
        set_drop(s, c, k);
        return 0;
    }
    LOCKED((PyObject *)e)
    o = wait_attend(e);
    up = !e->closed && ist_link_state(&e->core->ep) == IST_RUN;
    UNLOCKED()
    if (up)
        s->down[k] &= ~bit;
    if (o == FAILED)
        return report(s, c, k);
    if (up)
        s->told[k] &= ~bit;
    return 0;
}

/* Those that need it; all of them once a tick. */
static int attend(Set *s)
{
    const uint64_t now = wait_coarse_now();
    if (now - s->attended_ns >= TICK_NS) {
        s->attended_ns = now;
        memcpy(s->heed, s->present, sizeof s->heed);
    }
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(s->heed[k], c)
        if (attend_one(s, c, k) < 0)
            return -1;
    return 0;
}

/* Lanes whose budget has come back are ready. Returns in how many ns the next one's will have. */
static uint64_t replenish(Set *s)
{
    uint64_t soonest = FOREVER;
    if (s->budgets == 0)
        return soonest;
    const uint64_t now = ist_now();
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(s->spent[k], c)
        {
            const struct ist_limit *budget = &s->shelf->lane[c * LANES + k].ep->rx.budget;
            const uint64_t ahead = budget->due - budget->tolerance - now;
            if (ahead == 0 || ahead >> 63) {
                s->spent[k] &= ~(1ull << c);
                channels_rung(&s->shelf->poll, k, 1ull << c);
            } else if (ahead < soonest) {
                soonest = ahead;
            }
        }
    return soonest;
}

/* ---- one poll ------------------------------------------------------------------------------------------------------- */

static uint64_t at_rest(const Set *s, uint32_t k)
{
    return s->present[k] & ~(s->shelf->poll.ready[k] | s->spent[k] | s->down[k]);
}

/* What a lane's ring says is heard without its doorbell: one load for each lane at rest. */
static void hear(Set *s)
{
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(at_rest(s, k), c)
        if (ist_pending(s->shelf->lane[c * LANES + k].ep))
            channels_rung(&s->shelf->poll, k, 1ull << c);
}

static int anything_pending(const Set *s)
{
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(at_rest(s, k), c)
        if (ist_pending(s->shelf->lane[c * LANES + k].ep))
            return 1;
    return 0;
}

/* What a turn left behind, for its endpoint. */
static void settle_turn(Set *s, Endpoint *e, uint32_t c, uint32_t k, int frames)
{
    const uint64_t bit = 1ull << c;
    struct channels *poll = &s->shelf->poll;
    const enum ist_verdict last = s->shelf->lane[c * LANES + k].last;
    if (poll->ring[k] & bit) {
        poll->ring[k] &= ~bit;
        ep_ring(e);
    }
    if (last == IST_V_BUDGET)
        s->spent[k] |= bit;
    if (last == IST_V_DOWN) {
        s->down[k] |= bit;
        s->heed[k] |= bit;
    }
    if (frames) {
        e->last_ns = wait_coarse_now();
        s->told[k] &= ~bit;
    }
}

/* Until there are `limit` frames, no lane is ready, or as many turns and refused frames as a batch may hold. How many. */
static inline __attribute__((__always_inline__)) uint32_t serve(Set *s, const struct netport_hooks *hooks, int limit)
{
    struct channels *poll = &s->shelf->poll;
    struct sink *to = s->sink;
    const uint64_t now = s->budgets != 0 ? ist_now() : 0;
    uint32_t work = 0, one, c, k, bytes = UINT32_MAX;
    hear(s);
    while (to->n < limit && work < BATCH_MAX && channels_whose(poll, &c, &k)) {
        Endpoint *e = set_member(s, c, k)->endpoint;
        uint32_t frames = (uint32_t)(limit - to->n);
        const int before = to->n;
        if (e->closed || e->rx.told != e->ends) { /* heard of before there are frames of another session */
            poll->ready[k] &= ~(1ull << c);
            s->heed[k] |= 1ull << c;
            continue;
        }
        if (hooks == &in_place && to->left / s->frame_max < frames)
            frames = (uint32_t)(to->left / s->frame_max);
        if (frames == 0)
            break;
        LOCKED((PyObject *)e)
        (void)channels_turn(poll, hooks, now, frames, &bytes, &one);
        settle_turn(s, e, c, k, to->n - before);
        UNLOCKED()
        work += one != 0 ? one : 1u;
    }
    return work;
}

/* ---- waiting ------------------------------------------------------------------------------------------------------------ */

/* Says of every member whether it is looked at without the lock. False where one is being replaced: not now. */
static int go_outside(Set *s, int outside)
{
    int free = 1;
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(s->present[k], c)
        {
            Endpoint *e = set_member(s, c, k)->endpoint;
            free &= !e->paused;
            e->rx.outside = outside;
        }
    return free;
}

static int spin_for(const Set *s, uint64_t ns)
{
    const uint64_t end = ist_now() + ns;
    do {
        if (anything_pending(s))
            return 1;
        ist_relax();
    } while (ist_now() < end);
    return 0;
}

/* With the lock for a moment, if `held`, then without it. */
static void spin(Set *s, uint64_t ns, int held)
{
    const uint64_t inside = !held ? 0 : ns < HELD_SPIN_NS ? ns : HELD_SPIN_NS;
    if (spin_for(s, inside) || ns <= inside)
        return;
    if (go_outside(s, 1)) {
        Py_BEGIN_ALLOW_THREADS
        (void)spin_for(s, ns - inside);
        Py_END_ALLOW_THREADS
    } else {
        wait_step_aside(SLICE_NS);
    }
    (void)go_outside(s, 0);
}

/* Every lane at rest asks for its doorbell; where peers leave the fence to who sleeps, one serves them all. True: there is
 * something already. */
static int arm(Set *s)
{
    int theirs = 0, pending = 0;
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(at_rest(s, k), c)
        {
            Endpoint *e = set_member(s, c, k)->endpoint;
            struct ist_endpoint *ep = &e->core->ep;
            const int ours = (ep->agreed & IST_FEATURE_SLEEPER_FENCE) == 0;
            theirs |= !ours;
            LOCKED((PyObject *)e)
            pending |= ist_arm(ep, ours);
            if (ist_rx_bell(ep))
                ep_ring(e);
            UNLOCKED()
        }
    if (pending)
        return 1;
    if (theirs)
        ist_fence_peers();
    return theirs && anything_pending(s);
}

/* Sleeps until any doorbell, a kick, a new peer, or `ns`; at most one tick. */
static void doze(Set *s, uint64_t ns)
{
    struct pollfd fd = {.fd = s->epoll_fd, .events = POLLIN};
    struct epoll_event events[EVENTS];
    if (ns > TICK_NS)
        ns = TICK_NS;
    const struct timespec limit = {.tv_sec = 0, .tv_nsec = (long)ns};
    Py_BEGIN_ALLOW_THREADS
    (void)ppoll(&fd, 1, &limit, NULL); /* a signal is as good as a tick: the caller looks around */
    Py_END_ALLOW_THREADS
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(s->present[k], c)
        set_member(s, c, k)->endpoint->sleeps++;
    const int n = fd.revents != 0 ? epoll_wait(s->epoll_fd, events, EVENTS, 0) : 0;
    for (int i = 0; i < n; i++)
        s->heed[events[i].data.u32 % LANES] |= 1ull << events[i].data.u32 / LANES;
}

/* Bad frames only: others and signals have their turn between them. */
static enum outcome go_on(struct patience *p, uint32_t limit)
{
    if (p->deadline == 0)
        return p->refused < limit ? AGAIN : GIVE_UP;
    wait_step_aside(0);
    return wait_remaining(p) > 0 ? AGAIN : GIVE_UP;
}

/* No frame was there. */
static enum outcome rest(Set *s, struct patience *p)
{
    struct channels *poll = &s->shelf->poll;
    const int first = !p->looked;
    if (!first && PyErr_CheckSignals() < 0)
        return FAILED;
    p->looked = 1;
    if (channels_ready(poll))
        return go_on(p, CHANNELS_MAX * poll->turn_frames);
    if (p->deadline == 0)
        return GIVE_UP;
    const uint64_t left = wait_remaining(p);
    if (left == 0)
        return GIVE_UP;
    const uint64_t slice = wait_spin_left(s->spin_ns, p, left);
    if (slice != 0) {
        spin(s, slice, first);
        return AGAIN;
    }
    if (arm(s))
        return AGAIN;
    const uint64_t budget = replenish(s);
    if (!channels_ready(poll))
        doze(s, left < budget ? left : budget);
    return AGAIN;
}

static int anybody(const Set *s)
{
    for (uint32_t k = 0; k < LANES; k++)
        if (s->present[k] != 0)
            return 1;
    PyErr_SetString(PyExc_ValueError, "there is no endpoint to receive from");
    return 0;
}

/* Fills s->sink: DONE with at least one frame, GIVE_UP or FAILED. */
static inline __attribute__((__always_inline__)) enum outcome receive(Set *s, const struct netport_hooks *hooks, int limit,
                                                                      struct patience *p)
{
    for (;;) {
        if (s->closed) {
            set_raise_closed(s);
            return FAILED;
        }
        if (attend(s) < 0 || !anybody(s))
            return FAILED;
        (void)replenish(s);
        p->refused += serve(s, hooks, limit);
        if (s->sink->n > 0)
            return DONE;
        const enum outcome o = rest(s, p);
        if (o != AGAIN)
            return o;
    }
}

/* ---- the calls ---------------------------------------------------------------------------------------------------------- */

static void leave(Set *s, const struct patience *p, enum outcome o)
{
    s->sink = NULL;
    if (o == GIVE_UP)
        (void)wait_gave_up(p, "frame");
    set_leave(s);
}

/* (endpoint, bytes); takes the frame over. NULL without memory. */
static PyObject *pair_of(const struct sink *from, int i)
{
    PyObject *pair = PyTuple_New(2);
    if (pair) {
        (void)PyTuple_SetItem(pair, 0, Py_NewRef((PyObject *)from->from[i]->endpoint));
        (void)PyTuple_SetItem(pair, 1, from->frames[i]);
    } else {
        Py_DECREF(from->frames[i]);
    }
    return pair;
}

static PyObject *list_of(const struct sink *from)
{
    PyObject *list = PyList_New(from->n);
    for (int i = 0; i < from->n; i++) {
        PyObject *pair = pair_of(from, i);
        if (list && pair) {
            (void)PyList_SetItem(list, i, pair);
        } else {
            Py_CLEAR(list);
            Py_XDECREF(pair);
        }
    }
    return list;
}

PyObject *set_receive(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"timeout"};
    Set *s = (Set *)self;
    struct patience p = NO_HURRY;
    PyObject *timeout = NULL, *pair = NULL;
    struct sink to;
    to.n = 0;
    if (ist_arguments("receive", keywords, 1, 0, args, nargs, names, &timeout) < 0 || wait_timeout(timeout, &p) < 0)
        return NULL;
    LOCKED(self)
    if (set_enter(s) == 0) {
        s->sink = &to;
        const enum outcome o = receive(s, &objects, 1, &p);
        if (o == DONE)
            pair = pair_of(&to, 0);
        leave(s, &p, o);
    }
    UNLOCKED()
    return pair;
}

PyObject *set_receive_batch(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"limit", "timeout"};
    Set *s = (Set *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[2] = {NULL, NULL}, *list = NULL;
    struct sink to;
    int limit = 64;
    to.n = 0;
    if (ist_arguments("receive_batch", keywords, 2, 0, args, nargs, names, slots) < 0 ||
        ist_batch_limit(slots[0], &limit) < 0 || wait_timeout(slots[1], &p) < 0)
        return NULL;
    LOCKED(self)
    if (set_enter(s) == 0) {
        s->sink = &to;
        const enum outcome o = receive(s, &objects, limit, &p);
        if (o == DONE)
            list = list_of(&to);
        leave(s, &p, o);
    }
    UNLOCKED()
    return list;
}

static int smaller(Py_ssize_t a, Py_ssize_t b)
{
    const Py_ssize_t least = a < b ? a : b;
    return least < BATCH_MAX ? (int)least : BATCH_MAX;
}

static int roomy(const Set *s, size_t room)
{
    if (room >= s->frame_max)
        return 1;
    PyErr_Format(PyExc_ValueError, "a frame may have %u bytes, the buffer has room for %zu", s->frame_max, room);
    return 0;
}

PyObject *set_receive_batch_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "", "", "timeout"};
    Set *s = (Set *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[4] = {NULL, NULL, NULL, NULL};
    Py_buffer buffer = {0}, lengths = {0}, numbers = {0};
    struct sink to;
    to.n = 0;
    if (ist_arguments("receive_batch_into", keywords, 4, 3, args, nargs, names, slots) < 0 ||
        wait_timeout(slots[3], &p) < 0 || PyObject_GetBuffer(slots[0], &buffer, PyBUF_WRITABLE) < 0)
        return NULL;
    if (ist_open_lengths(slots[1], PyBUF_WRITABLE, &lengths) == 0 && ist_open_lengths(slots[2], PyBUF_WRITABLE, &numbers) == 0) {
        LOCKED(self)
        if (set_enter(s) == 0) {
            enum outcome o = FAILED;
            to.data = buffer.buf;
            to.left = (size_t)buffer.len;
            to.lengths = lengths.buf;
            to.numbers = numbers.buf;
            s->sink = &to;
            if (roomy(s, to.left))
                o = receive(s, &in_place, smaller(lengths.len / 4, numbers.len / 4), &p);
            leave(s, &p, o);
        }
        UNLOCKED()
    }
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&lengths);
    PyBuffer_Release(&buffer);
    return to.n > 0 ? PyLong_FromLong(to.n) : NULL;
}
