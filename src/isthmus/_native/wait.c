/* SPDX-License-Identifier: MIT */
/* wait.c - how a call waits, and how it is made to stop waiting.
 *
 * A wait spins for a bounded time (the first few microseconds with the interpreter's lock held), then arms the
 * doorbell and sleeps on the bell and on an eventfd of its half, at most TICK_NS at a time. The bell has two readers,
 * the two halves: whoever empties it kicks the other one through that half's eventfd. The same two descriptors, in an
 * epoll, are what select() gets; wait_settle keeps it readable exactly while a receive would have something to do. */
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

uint64_t wait_coarse_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int wait_timeout(PyObject *timeout, struct patience *p)
{
    if (timeout == NULL || timeout == Py_None) {
        p->deadline = FOREVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (!(seconds >= 0)) {
        PyErr_SetString(PyExc_ValueError, "timeout is negative or not a number");
        return -1;
    }
    if (seconds == 0)
        p->deadline = 0;
    else if (seconds > 1e9)
        p->deadline = FOREVER;
    else
        p->deadline = ist_now() + (uint64_t)(seconds * 1e9) + 1;
    return 0;
}

PyObject *wait_gave_up(const struct patience *p, const char *what)
{
    if (p->deadline != 0)
        return PyErr_Format(PyExc_TimeoutError, "no %s in time", what);
    PyObject *value = Py_BuildValue("iN", EAGAIN, PyUnicode_FromFormat("no %s now", what));
    if (value) {
        PyErr_SetObject(PyExc_BlockingIOError, value);
        Py_DECREF(value);
    }
    return NULL;
}

/* ---- eventfd of a half ------------------------------------------------------------------------------------------- */

static void raise_half(struct half *h)
{
    const uint64_t one = 1;
    if (!h->raised && write(h->wake_fd, &one, sizeof one) == (ssize_t)sizeof one)
        h->raised = 1;
}

static void lower_half(struct half *h)
{
    uint64_t value;
    if (h->raised && (read(h->wake_fd, &value, sizeof value) == (ssize_t)sizeof value || errno == EAGAIN))
        h->raised = 0;
}

void wait_kick(Endpoint *e, struct half *h)
{
    (void)e;
    if (h->outside || h->epoll_fd >= 0)
        raise_half(h);
}

/* ---- the bell ------------------------------------------------------------------------------------------------------ */

/* Both epolls, where there are any, stop or start to watch fd. 0, or -1 with errno. */
static int watch_all(const Endpoint *e, int operation, int fd)
{
    const int epolls[2] = {e->tx.epoll_fd, e->rx.epoll_fd};
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    for (int i = 0; i < 2; i++)
        if (fd >= 0 && epolls[i] >= 0 && epoll_ctl(epolls[i], operation, fd, &event) < 0)
            return -1;
    return 0;
}

static int os_error(void)
{
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

/* The bell is at end of file: readable for ever, so nobody sleeps on it any more. From now on a knock counts. */
static void note_hang_up(Endpoint *e)
{
    if (e->hung_up)
        return;
    e->hung_up = 1;
    (void)watch_all(e, EPOLL_CTL_DEL, e->bell_fd);
    (void)watch_all(e, EPOLL_CTL_ADD, e->watch_fd);
    wait_kick(e, &e->tx);
    wait_kick(e, &e->rx);
}

int wait_clear_bell(Endpoint *e, struct half *mine)
{
    if (e->hung_up)
        return 0;
    const int rung = ist_bell_clear(e->bell_fd);
    if (rung == -EPIPE)
        note_hang_up(e);
    else if (rung != 0)
        wait_kick(e, mine == &e->tx ? &e->rx : &e->tx);
    return rung != 0;
}

int wait_replace_bell(Endpoint *e, int bell)
{
    /* By hand, since a copy of the old socket elsewhere would keep its registration alive. */
    if (!e->hung_up)
        (void)watch_all(e, EPOLL_CTL_DEL, e->bell_fd);
    if (dup3(bell, e->bell_fd, O_CLOEXEC) < 0)
        return os_error();
    close(bell);
    if (e->hung_up)
        (void)watch_all(e, EPOLL_CTL_DEL, e->watch_fd);
    e->hung_up = 0;
    return watch_all(e, EPOLL_CTL_ADD, e->bell_fd) < 0 ? os_error() : 0;
}

int wait_watch(Endpoint *e, int fd)
{
    if (e->hung_up)
        (void)watch_all(e, EPOLL_CTL_DEL, e->watch_fd); /* gone by itself where it was closed */
    e->watch_fd = fd;
    return e->hung_up && watch_all(e, EPOLL_CTL_ADD, fd) < 0 ? os_error() : 0;
}

int wait_fileno(Endpoint *e, struct half *h)
{
    if (h->epoll_fd >= 0)
        return h->epoll_fd;
    const int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return os_error();
    const int sources[2] = {h->wake_fd, e->hung_up ? e->watch_fd : e->bell_fd};
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data = {.fd = sources[i]}};
        if (sources[i] >= 0 && epoll_ctl(fd, EPOLL_CTL_ADD, sources[i], &event) < 0) {
            (void)os_error();
            close(fd);
            return -1;
        }
    }
    h->epoll_fd = fd;
    wait_settle(e);
    return fd;
}

static int receive_would_act(const Endpoint *e)
{
    const struct ist_endpoint *ep = &e->core->ep;
    const enum ist_state state = ist_link_state(ep);
    if (e->closed || e->rx.told != e->ends)
        return 1;
    if (state == IST_RUN)
        return e->hung_up || ist_pending(ep);
    return !e->renewable && (e->hung_up || state == IST_RESET || state == IST_DEAD);
}

void wait_settle(Endpoint *e)
{
    if (e->rx.epoll_fd < 0 || e->closed)
        return;
    if (!receive_would_act(e)) {
        /* Emptied first, looked at last: what comes in between leaves a ring or a pending frame. */
        lower_half(&e->rx);
        (void)wait_clear_bell(e, &e->rx);
        ep_tick(e);
        if (ist_link_state(&e->core->ep) == IST_RUN)
            (void)ist_arm_for_sleep(&e->core->ep);
        if (ist_rx_bell(&e->core->ep))
            ep_ring(e);
    }
    if (receive_would_act(e))
        raise_half(&e->rx);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

uint64_t wait_remaining(const struct patience *p)
{
    if (p->deadline == FOREVER)
        return FOREVER;
    uint64_t now = ist_now();
    return p->deadline > now ? p->deadline - now : 0;
}

/* Sleeps until the bell, a kick, a new peer at the door, or `ns`; at most one tick. */
static void doze(Endpoint *e, struct half *h, uint64_t ns, int with_bell)
{
    struct pollfd fds[3] = {
        {.fd = h->wake_fd, .events = POLLIN},
        {.fd = with_bell && !e->hung_up ? e->bell_fd : -1, .events = POLLIN},
        {.fd = e->hung_up && e->renewable && !e->reserved && !e->renewing ? e->watch_fd : -1, .events = POLLIN},
    };
    if (ns > TICK_NS)
        ns = TICK_NS;
    const struct timespec limit = {.tv_sec = 0, .tv_nsec = (long)ns};
    h->outside = 1;
    Py_BEGIN_ALLOW_THREADS
    (void)ppoll(fds, 3, &limit, NULL); /* a signal is as good as a tick: the caller looks around */
    Py_END_ALLOW_THREADS
    h->outside = 0;
    e->sleeps++;
    lower_half(h);
    if (fds[1].revents != 0 && !e->closed)
        (void)wait_clear_bell(e, h);
}

/* Lets others run without touching the endpoint. */
void wait_step_aside(uint64_t ns)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = (long)ns};
    Py_BEGIN_ALLOW_THREADS
    nanosleep(&pause, NULL);
    Py_END_ALLOW_THREADS
}

/* Asks the subclass for a new peer; it attaches and begins by itself when there is one. */
static int renew(Endpoint *e)
{
    const uint64_t now = ist_now();
    if (e->renewing || now - e->renewed_ns < TICK_NS / 2)
        return 0;
    if (!e->hung_up) { /* this session is over for us: say so, and the peer will come again */
        ep_hang_up(e);
        note_hang_up(e);
    }
    e->renewing = 1;
    PyObject *done = PyObject_CallMethodObjArgs((PyObject *)e, e->state->renew, NULL);
    e->renewing = 0;
    e->renewed_ns = now;
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* What every wait begins with: signals, close(), the session, a dead peer, the time. AGAIN: go on waiting. */
static enum outcome look_around(Endpoint *e, struct half *h, struct patience *p, int drained)
{
    if (p->looked && PyErr_CheckSignals() < 0)
        return FAILED;
    p->looked = 1;
    if (!e->closed) {
        ep_tick(e);
        if (e->hung_up && drained)
            ep_end(e, IST_V_PEER_LEFT);
    }
    if (ep_tell(e, h))
        return FAILED;
    const enum ist_state state = ist_link_state(&e->core->ep);
    if (e->renewable && (state == IST_RESET || state == IST_DEAD) && !e->reserved) {
        if (renew(e) < 0)
            return FAILED;
        if (ep_tell(e, h)) /* closed meanwhile */
            return FAILED;
    }
    return AGAIN;
}

enum outcome wait_attend(Endpoint *e)
{
    struct patience once = NO_HURRY;
    const struct ist_endpoint *ep = &e->core->ep;
    lower_half(&e->rx);
    (void)wait_clear_bell(e, &e->rx);
    return look_around(e, &e->rx, &once, ist_link_state(ep) != IST_RUN || !ist_pending(ep));
}

/* Calls that never wait must learn of a hang-up too, but the look costs a system call: once per tick of the coarse
 * clock. True: the bell had something to say. */
static int glance_at_bell(Endpoint *e, struct half *h)
{
    const uint64_t now = wait_coarse_now();
    if (now == h->glanced_ns || e->hung_up)
        return 0;
    h->glanced_ns = now;
    return wait_clear_bell(e, h);
}

/* For how long to spin before the next look around; 0 when the spin is over. */
uint64_t wait_spin_left(uint64_t spin_ns, struct patience *p, uint64_t left)
{
    const uint64_t now = ist_now();
    if (p->spin_end == 0)
        p->spin_end = now + spin_ns;
    if (now >= p->spin_end)
        return 0;
    const uint64_t spin = p->spin_end - now < left ? p->spin_end - now : left;
    return spin < TICK_NS ? spin : TICK_NS;
}

/* Spins with the lock for a moment, if `held`, then without it. */
static void spin_for_frame(Endpoint *e, uint64_t ns, int held)
{
    const struct ist_endpoint *ep = &e->core->ep;
    const uint64_t inside = !held ? 0 : ns < HELD_SPIN_NS ? ns : HELD_SPIN_NS;
    if (ist_spin(ep, inside) || ns <= inside)
        return;
    e->rx.outside = 1;
    Py_BEGIN_ALLOW_THREADS
    (void)ist_spin(ep, ns - inside);
    Py_END_ALLOW_THREADS
    e->rx.outside = 0;
}

static void spin_for_room(Endpoint *e, uint64_t ns, int held)
{
    const struct ist_endpoint *ep = &e->core->ep;
    const uint32_t tail = ep->tx.tail; /* ours; another thread's send may move it meanwhile */
    const uint64_t inside = !held ? 0 : ns < HELD_SPIN_NS ? ns : HELD_SPIN_NS;
    if (ist_spin_tail(ep, tail, inside) || ns <= inside)
        return;
    e->tx.outside = 1;
    Py_BEGIN_ALLOW_THREADS
    (void)ist_spin_tail(ep, tail, ns - inside);
    Py_END_ALLOW_THREADS
    e->tx.outside = 0;
}

static enum outcome wait_for_budget(Endpoint *e, uint64_t left)
{
    const struct ist_limit *budget = &e->core->ep.rx.budget;
    const uint64_t ahead = budget->due - budget->tolerance - ist_now();
    const uint64_t until = ahead >> 63 ? 0 : ahead;
    doze(e, &e->rx, until < left ? until : left, 0);
    return AGAIN;
}

enum outcome wait_rx(Endpoint *e, struct patience *p, enum ist_verdict seen)
{
    struct ist_endpoint *ep = &e->core->ep;
    const int first = !p->looked;
    if (look_around(e, &e->rx, p, seen != IST_V_BUDGET) == FAILED)
        return FAILED;
    const int up = ist_link_state(ep) == IST_RUN;
    if (seen == IST_V_DOWN && up)
        return AGAIN;
    if (p->deadline == 0)
        return glance_at_bell(e, &e->rx) ? AGAIN : GIVE_UP;
    const uint64_t left = wait_remaining(p);
    if (left == 0)
        return GIVE_UP;
    if (e->paused) {
        wait_step_aside(SLICE_NS);
        return AGAIN;
    }
    if (seen == IST_V_BUDGET)
        return wait_for_budget(e, left);
    const uint64_t spin = up ? wait_spin_left(e->spin_ns, p, left) : 0;
    if (spin != 0) {
        spin_for_frame(e, spin, first);
        return AGAIN; /* things may have changed while the lock was away */
    }
    if (up) {
        const int pending = ist_arm_for_sleep(ep);
        if (ist_rx_bell(ep))
            ep_ring(e);
        if (pending)
            return AGAIN;
    }
    doze(e, &e->rx, left, 1);
    if (up && !e->closed)
        ist_disarm(ep);
    return AGAIN;
}

enum outcome wait_up(Endpoint *e, struct patience *p)
{
    while (ist_link_state(&e->core->ep) != IST_RUN || e->closed) {
        const enum outcome o = wait_rx(e, p, IST_V_DOWN);
        if (o != AGAIN)
            return o;
    }
    return DONE;
}

enum outcome wait_past_rubbish(Endpoint *e, struct patience *p)
{
    p->refused = 0;
    if (PyErr_CheckSignals() < 0)
        return FAILED;
    wait_step_aside(0);
    if (e->closed) {
        ep_raise_closed(e);
        return FAILED;
    }
    return p->deadline != 0 && wait_remaining(p) > 0 ? AGAIN : GIVE_UP;
}

enum outcome wait_tx(Endpoint *e, struct patience *p, uint32_t length)
{
    struct ist_endpoint *ep = &e->core->ep;
    const int first = !p->looked;
    if (first && ist_link_state(ep) == IST_RUN)
        e->tx.told = e->ends; /* a sender hears of an end that it met, not of one that is over */
    if (look_around(e, &e->tx, p, !ist_pending(ep)) == FAILED)
        return FAILED;
    const int up = ist_link_state(ep) == IST_RUN;
    if (e->hung_up && (up || !e->renewable)) { /* what it sent may still be read, so the session stands */
        ep_raise_down(e);
        return FAILED;
    }
    if (up && ist_room(ep) >= length)
        return AGAIN;
    if (p->deadline == 0) {
        if (glance_at_bell(e, &e->tx))
            return AGAIN;
        if (e->tx.epoll_fd >= 0) { /* someone will select(): lowered first, armed last */
            lower_half(&e->tx);
            (void)wait_clear_bell(e, &e->tx);
            if (up && ist_arm_tx_for_sleep(ep, length))
                raise_half(&e->tx);
        }
        return GIVE_UP;
    }
    const uint64_t left = wait_remaining(p);
    if (left == 0)
        return GIVE_UP;
    if (e->paused) {
        wait_step_aside(SLICE_NS);
        return AGAIN;
    }
    const uint64_t spin = up ? wait_spin_left(e->spin_ns, p, left) : 0;
    if (spin != 0) {
        spin_for_room(e, spin, first);
        return AGAIN;
    }
    if (up && ist_arm_tx_for_sleep(ep, length))
        return AGAIN;
    doze(e, &e->tx, left, 1);
    return AGAIN;
}

/* ---- exclusion ------------------------------------------------------------------------------------------------------- */

int ep_quiesce(Endpoint *e)
{
    e->paused++;
    while (e->tx.outside || e->rx.outside) {
        wait_kick(e, &e->tx);
        wait_kick(e, &e->rx);
        wait_step_aside(SLICE_NS);
        if (PyErr_CheckSignals() < 0) {
            e->paused--;
            return -1;
        }
    }
    return 0;
}

void ep_resume(Endpoint *e)
{
    e->paused--;
}
