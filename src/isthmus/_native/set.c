/* SPDX-License-Identifier: MIT */
/* set.c - Channels: who is in it, and its life. */
#include "set.h"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define TURN_BYTES 65536u

/* ---- entering and leaving ----------------------------------------------------------------------------------------- */

void set_raise_closed(const Set *s)
{
    PyErr_SetString(s->state->closed, s->orphan ? "the channels belong to the parent of this fork" : "channels are closed");
}

static int orphaned(const Set *s)
{
    return s->shelf && !s->shelf->alive;
}

/* Gives back everything. In a child the members were given back by themselves, and the epoll is the parent's to change. */
static void give_back(Set *s)
{
    s->orphan |= orphaned(s);
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(s->present[k], c)
        {
            Endpoint *e = set_member(s, c, k)->endpoint;
            if (!s->orphan)
                set_drop(s, c, k);
            else
                Py_DECREF((PyObject *)e);
        }
    memset(s->present, 0, sizeof s->present);
    if (s->shelf)
        munmap(s->shelf, sizeof *s->shelf);
    s->shelf = NULL;
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    s->epoll_fd = -1;
}

static int usable(Set *s)
{
    if (orphaned(s)) {
        s->closed = 1;
        s->busy = 0; /* the call was the parent's */
        give_back(s);
    }
    if (!s->closed)
        return 1;
    set_raise_closed(s);
    return 0;
}

int set_enter(Set *s)
{
    if (!usable(s))
        return -1;
    if (s->busy) {
        PyErr_SetString(s->state->concurrent_use, "another call is receiving from these channels");
        return -1;
    }
    s->busy = 1;
    return 0;
}

void set_leave(Set *s)
{
    s->busy = 0;
    if (s->closed)
        give_back(s);
}

static PyObject *set_close(PyObject *self, PyObject *unused)
{
    Set *s = (Set *)self;
    (void)unused;
    LOCKED(self)
    if (orphaned(s))
        s->busy = 0;
    s->closed = 1;
    if (!s->busy) /* a call that waits finds out within a tick */
        give_back(s);
    UNLOCKED()
    Py_RETURN_NONE;
}

/* ---- members -------------------------------------------------------------------------------------------------------- */

static void measure(Set *s)
{
    s->frame_max = s->budgets = 0;
    for (uint32_t k = 0; k < LANES; k++)
        EACH_CHANNEL(s->present[k], c)
        {
            const Endpoint *e = set_member(s, c, k)->endpoint;
            s->budgets += s->shelf->lane[c * LANES + k].ep->rx.budget.interval != 0;
            if (e->frame_max > s->frame_max)
                s->frame_max = e->frame_max;
        }
}

void set_drop(Set *s, uint64_t c, uint32_t k)
{
    const uint64_t others = ~(1ull << c);
    struct member *m = set_member(s, c, k);
    Endpoint *e = m->endpoint;
    lanes_t *const words[] = {&s->present, &s->spent, &s->down, &s->heed, &s->told, &s->shelf->poll.ready};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        (*words[i])[k] &= others;
    m->endpoint = NULL;
    measure(s);
    LOCKED((PyObject *)e)
    if (e->rx.epoll_fd >= 0)
        (void)epoll_ctl(s->epoll_fd, EPOLL_CTL_DEL, e->rx.epoll_fd, NULL);
    if (!e->closed)
        wait_settle(e);
    ep_leave(e, &e->rx);
    UNLOCKED()
    Py_DECREF((PyObject *)e);
}

/* Takes the receiving half, and has its descriptor watched. 0, or -1 with an exception. */
static int take_in(Set *s, Endpoint *e, uint32_t place)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.u32 = place}};
    if (ep_enter(e, &e->rx) < 0)
        return -1;
    const int fd = wait_fileno(e, &e->rx);
    if (e->core->ep.rx.length != 0)
        PyErr_SetString(PyExc_ValueError, "a frame that did not fit its last buffer is still to be received");
    else if (fd >= 0 && epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (fd >= 0)
        return 0;
    ep_leave(e, &e->rx);
    return -1;
}

static PyObject *set_add(PyObject *self, PyObject *args)
{
    Set *s = (Set *)self;
    Endpoint *e;
    unsigned int c, k;
    int in = -1;
    if (!PyArg_ParseTuple(args, "O!II:_add", s->state->endpoint_type, &e, &c, &k))
        return NULL;
    if (c >= CHANNELS_MAX || k >= LANES) {
        PyErr_Format(PyExc_ValueError, "there are %u channels of %u lanes", CHANNELS_MAX, LANES);
        return NULL;
    }
    LOCKED(self)
    if (set_enter(s) == 0) {
        const uint32_t place = c * LANES + k;
        struct member *m = &s->member[place];
        if (m->endpoint) {
            PyErr_SetString(PyExc_ValueError, "there is an endpoint in this lane");
        } else {
            LOCKED((PyObject *)e)
            in = take_in(s, e, place);
            UNLOCKED()
        }
        if (in == 0) {
            *m = (struct member){s, (Endpoint *)Py_NewRef((PyObject *)e), k * CHANNELS_MAX + c};
            s->shelf->lane[place] = (struct netport_lane){.ep = &e->core->ep, .stack = m};
            s->present[k] |= 1ull << c;
            s->heed[k] |= 1ull << c;
            measure(s);
        }
        set_leave(s);
    }
    UNLOCKED()
    return in == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *set_remove(PyObject *self, PyObject *endpoint)
{
    Set *s = (Set *)self;
    int found = 0;
    LOCKED(self)
    if (set_enter(s) == 0) {
        for (uint32_t k = 0; k < LANES && !found; k++)
            EACH_CHANNEL(s->present[k], c)
            if (!found && (PyObject *)set_member(s, c, k)->endpoint == endpoint) {
                set_drop(s, c, k);
                found = 1;
            }
        if (!found)
            PyErr_SetString(PyExc_KeyError, "this endpoint is not among the channels");
        set_leave(s);
    }
    UNLOCKED()
    return found ? Py_NewRef(Py_None) : NULL;
}

/* (number, endpoint) of each member. Those whose endpoint was closed are told apart by it. */
static PyObject *set_members(PyObject *self, PyObject *unused)
{
    Set *s = (Set *)self;
    PyObject *list = NULL;
    (void)unused;
    LOCKED(self)
    list = PyList_New(0);
    for (uint32_t k = 0; k < LANES && list; k++)
        EACH_CHANNEL(s->present[k], c)
        {
            const struct member *m = set_member(s, c, k);
            PyObject *pair = list ? Py_BuildValue("IO", m->number, (PyObject *)m->endpoint) : NULL;
            if (list && (!pair || PyList_Append(list, pair) < 0))
                Py_CLEAR(list);
            Py_XDECREF(pair);
        }
    UNLOCKED()
    return list;
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    const Set *s = (const Set *)self;
    (void)unused;
    return PyBool_FromLong(s->closed || orphaned(s));
}

/* ---- construction ----------------------------------------------------------------------------------------------------- */

static struct shelf *make_shelf(uint32_t turn)
{
    struct shelf *shelf = mmap(NULL, sizeof *shelf, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shelf == MAP_FAILED)
        return NULL;
    if (madvise(shelf, sizeof *shelf, MADV_WIPEONFORK) < 0) {
        munmap(shelf, sizeof *shelf);
        return NULL;
    }
    shelf->alive = 1;
    shelf->poll = (struct channels){.lane = shelf->lane,
                                    .count = CHANNELS_MAX,
                                    .lanes = LANES,
                                    .turn_frames = turn,
                                    .turn_bytes = TURN_BYTES,
                                    .caller_arms = 1};
    return shelf;
}

static PyObject *set_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"turn", "spin", NULL};
    struct module_state *state = ist_state_of(type);
    unsigned int turn;
    double spin;
    if (!state || !PyArg_ParseTupleAndKeywords(args, keywords, "Id:Channels", names, &turn, &spin))
        return NULL;
    if (turn < 1 || turn > BATCH_MAX || !(spin >= 0 && spin <= 1)) {
        PyErr_Format(PyExc_ValueError, turn < 1 || turn > BATCH_MAX ? "turn is not between 1 and %d frames"
                                                                    : "spin is not between 0 and 1 second", BATCH_MAX);
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Set *s = (Set *)alloc(type, 0);
    if (!s)
        return NULL;
    s->state = state;
    s->spin_ns = (uint64_t)(spin * 1e9);
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->shelf = s->epoll_fd < 0 ? NULL : make_shelf(turn);
    if (!s->shelf) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(s);
        return NULL;
    }
    return (PyObject *)s;
}

static void set_dealloc(Set *s)
{
    PyTypeObject *type = Py_TYPE((PyObject *)s);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    give_back(s);
    release(s);
    Py_DECREF(type);
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef set_methods[] = {
    {"receive", FASTCALL(set_receive),
     "receive($self, timeout=None)\n--\n\nThe next frame and whose it is: (endpoint, bytes).\n\n"
     "Waits and raises as receive_batch() does."},
    {"receive_batch", FASTCALL(set_receive_batch),
     "receive_batch($self, limit=64, timeout=None)\n--\n\nWaits for a frame, then returns all that are there, 1 to `limit` "
     "(at most 256), each as (endpoint, bytes).\n\nHigher lanes come first, equals take turns; the next call goes on where "
     "this one ended. Waits `timeout` seconds\n(None: for ever; 0: BlockingIOError at once; else TimeoutError). Where a "
     "session ended it raises LinkDown or PeerDead,\nonce, with the endpoint as `endpoint`; the next call goes on with the "
     "others. An endpoint that no new peer can\ncome to is out of the set then."},
    {"receive_batch_into", FASTCALL(set_receive_batch_into),
     "receive_batch_into($self, buffer, lengths, numbers, /, timeout=None)\n--\n\nThe same without an object per frame: "
     "frames one behind the other in `buffer`, their lengths in `lengths`, whose\nthey are in `numbers`; returns how many.\n\n"
     "`lengths` and `numbers` are writable buffers of 32-bit integers, such as array('I'); channels[number] is the endpoint.\n"
     "Raises ValueError where `buffer` has no room for the longest frame that any member may get, and stops where\nthat much "
     "is no longer left."},
    {"close", set_close, METH_NOARGS,
     "close($self, /)\n--\n\nLets go of all endpoints, which stay open. Wakes a waiting call with ClosedError. Idempotent."},
    {"_add", set_add, METH_VARARGS, "_add($self, endpoint, channel, lane, /)\n--\n\nTakes an endpoint in."},
    {"_remove", set_remove, METH_O, "_remove($self, endpoint, /)\n--\n\nLets it go; KeyError where it is not in."},
    {"_members", set_members, METH_NOARGS, "_members($self, /)\n--\n\n(number, endpoint) of all, by number."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef set_properties[] = {
    {"closed", get_closed, NULL, "True once closed, and in a child of a fork.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot set_slots[] = {
    {Py_tp_doc, "Channels(turn, spin)\n--\n\nThe receiving halves of many endpoints."},
    {Py_tp_new, (void *)set_new},
    {Py_tp_dealloc, (void *)set_dealloc},
    {Py_tp_methods, set_methods},
    {Py_tp_getset, set_properties},
    {0, NULL},
};

PyType_Spec ist_set_spec = {
    .name = "isthmus._native.Channels",
    .basicsize = sizeof(Set),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = set_slots,
};
