/* SPDX-License-Identifier: MIT */
/* endpoint.c - Endpoint: its life, its session, and what it says about itself. */
#include "native.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- entering and leaving --------------------------------------------------------------------------------------------- */

static void shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Gives back everything; nobody is inside any more. The memory itself lives as long as views of it do. */
static void give_back(Endpoint *e)
{
    shut(&e->bell_fd);
    shut(&e->tx.wake_fd);
    shut(&e->rx.wake_fd);
    shut(&e->tx.epoll_fd);
    shut(&e->rx.epoll_fd);
    if (e->core)
        munmap(e->core, sizeof *e->core);
    e->core = NULL;
    PyObject *own = e->own, *peer = e->peer;
    e->own = e->peer = NULL;
    Py_XDECREF(own);
    Py_XDECREF(peer);
}

void ep_abandon(Endpoint *e)
{
    e->closed = 1;
    e->tx.busy = e->rx.busy = 0; /* the calls were the parent's */
    give_back(e);
}

/* Not closed by us, but wiped: this is a child. */
static int orphaned(const Endpoint *e)
{
    return e->core && !e->core->alive && !e->closed;
}

void ep_raise_closed(Endpoint *e)
{
    PyErr_SetString(e->state->closed, e->orphan ? "the endpoint belongs to the parent of this fork" : "endpoint is closed");
}

/* True where the endpoint may be used; else ClosedError is set. */
int ep_live(Endpoint *e)
{
    if (e->core && e->core->alive)
        return 1;
    if (orphaned(e)) {
        e->orphan = 1;
        ep_abandon(e);
    }
    ep_raise_closed(e);
    return 0;
}

int ep_enter(Endpoint *e, struct half *h)
{
    if (!ep_live(e))
        return -1;
    if (h->busy) {
        PyErr_SetString(e->state->concurrent_use, h == &e->tx ? "another call is sending on this endpoint"
                                                              : "another call is receiving on this endpoint");
        return -1;
    }
    h->busy = 1;
    return 0;
}

void ep_leave(Endpoint *e, struct half *h)
{
    h->busy = 0;
    if (e->closed && !e->tx.busy && !e->rx.busy)
        give_back(e);
}

static void close_endpoint(Endpoint *e)
{
    if (e->closed || !e->core)
        return;
    if (orphaned(e)) {
        e->orphan = 1;
        ep_abandon(e);
        return;
    }
    ep_hang_up(e); /* not RESET: what we have sent may still be read */
    e->core->alive = 0;
    e->closed = 1;
    wait_kick(e, &e->tx);
    wait_kick(e, &e->rx);
    if (!e->tx.busy && !e->rx.busy)
        give_back(e);
}

/* ---- construction --------------------------------------------------------------------------------------------------- */

/* The state of the module that the native base of `type` belongs to: a subclass written in Python has none. */
struct module_state *ist_state_of(PyTypeObject *type)
{
    for (; type; type = (PyTypeObject *)PyType_GetSlot(type, Py_tp_base)) {
        PyObject *module = PyType_GetModule(type);
        if (module && ist_is_our_module(module))
            return PyModule_GetState(module);
        PyErr_Clear();
    }
    PyErr_SetString(PyExc_SystemError, "isthmus._native lost its module");
    return NULL;
}

static struct core *make_core(void)
{
    struct core *core = mmap(NULL, sizeof *core, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (core == MAP_FAILED || madvise(core, sizeof *core, MADV_WIPEONFORK) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        if (core != MAP_FAILED)
            munmap(core, sizeof *core);
        return NULL;
    }
    return core;
}

int ep_buffer_fits(PyObject *buffer, const struct ist_config *c, uint32_t role, int writable)
{
    const Buffer *b = (const Buffer *)buffer;
    if (b->size >= ist_buffer_size(c, role) && (b->writable || !writable))
        return 1;
    PyErr_SetString(PyExc_ValueError, writable ? "own buffer is too small or not ours to write"
                                               : "peer's buffer is smaller than its geometry");
    return 0;
}

static PyObject *endpoint_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"config", "role", "own", "peer", "bell", "spin", NULL};
    struct module_state *state = ist_state_of(type);
    PyObject *config_object, *own, *peer;
    struct ist_config config;
    unsigned int role;
    int bell;
    double spin = 50e-6;
    if (!state)
        return NULL;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "OIO!O!i|d:Endpoint", names, &config_object, &role,
                                     state->buffer_type, &own, state->buffer_type, &peer, &bell, &spin))
        return NULL;
    if (!(spin >= 0 && spin <= 1)) {
        PyErr_SetString(PyExc_ValueError, "spin is not between 0 and 1 second");
        return NULL;
    }
    if (ist_config_read(state, config_object, role, &config) < 0 || !ep_buffer_fits(own, &config, role, 1) ||
        !ep_buffer_fits(peer, &config, role ^ 1u, 0))
        return NULL;

    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Endpoint *e = (Endpoint *)alloc(type, 0);
    if (!e)
        return NULL;
    e->state = state;
    e->bell_fd = e->watch_fd = -1;
    e->tx.epoll_fd = e->rx.epoll_fd = -1;
    e->tx.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->rx.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->spin_ns = (uint64_t)(spin * 1e9);
    e->frame_max = config.frame_max;
    e->role = role;
    if (e->tx.wake_fd < 0 || e->rx.wake_fd < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(e);
        return NULL;
    }
    e->core = make_core();
    if (!e->core) {
        Py_DECREF(e);
        return NULL;
    }
    e->own = Py_NewRef(own);
    e->peer = Py_NewRef(peer);
    (void)ist_init(&e->core->ep, &config, ((Buffer *)own)->map, ((Buffer *)peer)->map);
    e->core->ep.copy_crc = ist_hw_copy_crc();
    e->core->alive = 1;
    e->bell_fd = bell; /* ours from here on */
    return (PyObject *)e;
}

static void endpoint_dealloc(Endpoint *e)
{
    PyTypeObject *type = Py_TYPE((PyObject *)e);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    close_endpoint(e);
    give_back(e); /* what a construction that failed had opened */
    release(e);
    Py_DECREF(type);
}

static PyObject *endpoint_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    LOCKED(self)
    close_endpoint((Endpoint *)self);
    UNLOCKED()
    Py_RETURN_NONE;
}

/* ---- what it says about itself -------------------------------------------------------------------------------------------- */

static PyObject *fileno_of(PyObject *self, struct half *h)
{
    Endpoint *e = (Endpoint *)self;
    int fd = -1;
    LOCKED(self)
    if (ep_live(e))
        fd = wait_fileno(e, h);
    UNLOCKED()
    return fd < 0 ? NULL : PyLong_FromLong(fd);
}

static PyObject *endpoint_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    return fileno_of(self, &((Endpoint *)self)->rx);
}

static PyObject *endpoint_room_fileno(PyObject *self, PyObject *unused)
{
    (void)unused;
    return fileno_of(self, &((Endpoint *)self)->tx);
}

static PyObject *endpoint_counters(PyObject *self, PyObject *unused)
{
    Endpoint *e = (Endpoint *)self;
    PyObject *result = NULL;
    (void)unused;
    LOCKED(self)
    if (ep_live(e)) {
        const struct ist_endpoint *ep = &e->core->ep;
        PyObject *verdicts = PyTuple_New(IST_VERDICT_COUNT);
        for (Py_ssize_t i = 0; verdicts && i < IST_VERDICT_COUNT; i++) {
            PyObject *count = PyLong_FromUnsignedLongLong(ep->count[i]);
            if (!count || PyTuple_SetItem(verdicts, i, count) < 0)
                Py_CLEAR(verdicts);
        }
        if (verdicts)
            result = Py_BuildValue("KKKKKKKKN", (unsigned long long)ep->sent, (unsigned long long)ep->tx.bytes,
                                   (unsigned long long)ep->count[IST_V_OK], (unsigned long long)ep->rx.bytes,
                                   (unsigned long long)ep->rx.lost, (unsigned long long)e->ends,
                                   (unsigned long long)e->rings, (unsigned long long)e->sleeps, verdicts);
    }
    UNLOCKED()
    return result;
}

/* An expression over `ep`, or `without` where the endpoint is closed. */
#define OF_CORE(type, result, expression, without)                                                                     \
    type result;                                                                                                       \
    LOCKED(self)                                                                                                       \
    struct core *core = ((Endpoint *)self)->core;                                                                      \
    const struct ist_endpoint *ep = core && core->alive ? &core->ep : NULL;                                            \
    result = ep ? (expression) : (without);                                                                            \
    UNLOCKED()

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    OF_CORE(int, open, 1, 0)
    return PyBool_FromLong(!open);
}

static PyObject *get_link_state(PyObject *self, void *unused)
{
    (void)unused;
    OF_CORE(enum ist_state, state, ist_link_state(ep), IST_RESET)
    return PyLong_FromLong(state);
}

static PyObject *get_reason(PyObject *self, void *unused)
{
    (void)unused;
    OF_CORE(uint32_t, why, ep->reason, IST_V_OK)
    return PyUnicode_FromString(why == IST_V_OK ? "" : ist_verdict_name(why));
}

static PyObject *get_epoch(PyObject *self, void *unused)
{
    (void)unused;
    OF_CORE(uint64_t, epoch, ep->epoch, 0)
    return PyLong_FromUnsignedLongLong(epoch);
}

static PyObject *get_features(PyObject *self, void *unused)
{
    (void)unused;
    OF_CORE(uint32_t, agreed, ep->agreed, 0)
    return PyLong_FromUnsignedLong(agreed);
}

static PyObject *get_age(PyObject *self, void *unused)
{
    const Endpoint *e = (const Endpoint *)self;
    (void)unused;
    if (e->last_ns == 0)
        Py_RETURN_NONE;
    return PyFloat_FromDouble((double)(wait_coarse_now() - e->last_ns) / 1e9);
}

static PyObject *get_spin(PyObject *self, void *unused)
{
    (void)unused;
    return PyFloat_FromDouble((double)((Endpoint *)self)->spin_ns / 1e9);
}

static PyObject *get_hung_up(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((Endpoint *)self)->hung_up);
}

static PyObject *get_frame_max(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((Endpoint *)self)->frame_max);
}

static PyObject *get_role(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((Endpoint *)self)->role);
}

#define FASTCALL(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef endpoint_methods[] = {
    {"send", FASTCALL(ep_send),
     "send($self, frame, /, timeout=None)\n--\n\nSends one frame: any contiguous buffer of 1 to `frame_max` bytes.\n\n"
     "A frame shorter than 60 bytes reaches the peer padded with zeros to 60. Waits `timeout` seconds for room and\n"
     "for the link (None: for ever; 0: BlockingIOError at once; else TimeoutError). Raises ValueError for a length that\n"
     "could never be sent, LinkDown or PeerDead where the session ended, ConcurrentUseError beside another sender."},
    {"send_batch", FASTCALL(ep_send_batch),
     "send_batch($self, frames, /, timeout=None)\n--\n\nSends frames in order and tells the peer once per stretch; "
     "returns how many were sent.\n\nWaits as send() does. Where the time is up after some of them, returns their "
     "number instead of raising."},
    {"send_batch_from", FASTCALL(ep_send_batch_from),
     "send_batch_from($self, buffer, lengths, /, timeout=None)\n--\n\nThe same for frames that lie one behind the other in "
     "a buffer, without an object per frame.\n\n`lengths` is a buffer of 32-bit integers, one per frame, such as "
     "array('I'). Raises ValueError where a length is more\nthan what is left of the buffer; the frames before it are "
     "sent."},
    {"reserve", FASTCALL(ep_reserve),
     "reserve($self, length, /, timeout=None)\n--\n\nRoom for one frame of `length` bytes, to be written in place: a "
     "Reservation.\n\n`with endpoint.reserve(n) as view:` gives a writable memoryview and sends the frame at the end, "
     "or cancels it\nafter an exception. The endpoint's sending half is taken until then."},
    {"receive", FASTCALL(ep_receive),
     "receive($self, timeout=None)\n--\n\nThe next frame, as bytes.\n\nWaits `timeout` seconds (None: for ever; 0: "
     "BlockingIOError at once; else TimeoutError). Frames that the guard\nrefuses are counted and skipped. Raises "
     "LinkDown where a session ended, PeerDead where nobody is there and nothing is left to read."},
    {"receive_into", FASTCALL(ep_receive_into),
     "receive_into($self, buffer, /, timeout=None)\n--\n\nThe next frame into a writable buffer; returns its length in "
     "bytes.\n\nA frame that does not fit raises ValueError and stays next."},
    {"receive_batch", FASTCALL(ep_receive_batch),
     "receive_batch($self, limit=64, timeout=None)\n--\n\nWaits for a frame, then returns all that are there: 1 to "
     "`limit` (at most 256) bytes objects."},
    {"receive_batch_into", FASTCALL(ep_receive_batch_into),
     "receive_batch_into($self, buffer, lengths, /, timeout=None)\n--\n\nThe frames that are there, one behind the "
     "other in `buffer`, their lengths in `lengths`; returns their number.\n\n`lengths` is a writable buffer of 32-bit "
     "integers, such as array('I'). Creates no object per frame. Stops before\na frame that does not fit; where that "
     "is the first one, raises ValueError. While there is room for the longest\nframe, none is asked for its length "
     "before it is copied, which is faster."},
    {"fileno", endpoint_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nA descriptor for select() and its kin: readable while receive(timeout=0) would not block."},
    {"room_fileno", endpoint_room_fileno, METH_NOARGS,
     "room_fileno($self, /)\n--\n\nA descriptor that becomes readable when there may be room again, after a "
     "send(timeout=0) found none."},
    {"begin", ep_begin, METH_VARARGS,
     "begin($self, epoch, key=b'', /)\n--\n\nEnters an epoch (64 bit) with the tag's key (16 bytes); both ends need the "
     "same two."},
    {"end", ep_leave_session, METH_NOARGS, "end($self, /)\n--\n\nLeaves the session: the peer sees it, frames stop."},
    {"attach", ep_attach, METH_VARARGS,
     "attach($self, peer, bell, /)\n--\n\nAnother peer: its buffer, and our end of the bell (taken over). Ends the "
     "session."},
    {"poll", ep_poll, METH_NOARGS,
     "poll($self, /)\n--\n\nOne step of handshake and heartbeat; returns the link state. Every waiting call does it by "
     "itself."},
    {"wait_up", FASTCALL(ep_wait_up),
     "wait_up($self, timeout=None)\n--\n\nWaits until the link is in RUN, as receive() would, which it excludes "
     "meanwhile."},
    {"close", endpoint_close, METH_NOARGS,
     "close($self, /)\n--\n\nEnds the session and gives everything back. Wakes waiting calls with ClosedError. "
     "Idempotent."},
    {"_watch", ep_watch, METH_O,
     "_watch($self, fd, /)\n--\n\nThis endpoint can find a new peer: waiting calls ask _renew(), and wake when fd is "
     "readable (-1: none)."},
    {"_counters", endpoint_counters, METH_NOARGS, "_counters($self, /)\n--\n\nRaw counters, for Statistics."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef endpoint_properties[] = {
    {"closed", get_closed, NULL, "True once closed, and in a child of a fork.", NULL},
    {"link_state", get_link_state, NULL, "Link state as a number.", NULL},
    {"reason", get_reason, NULL, "Name of the verdict that ended the session or keeps the link down; '' for none.", NULL},
    {"epoch", get_epoch, NULL, "The current epoch, 64 bit.", NULL},
    {"features", get_features, NULL, "Features that both ends offer, as bits.", NULL},
    {"age", get_age, NULL, "Seconds since the last valid frame (to a few milliseconds); None before the first.", NULL},
    {"spin", get_spin, NULL, "Seconds that a call spins before it sleeps.", NULL},
    {"hung_up", get_hung_up, NULL, "True once the peer's end of the bell was seen closed.", NULL},
    {"frame_max", get_frame_max, NULL, "Largest frame in bytes.", NULL},
    {"role", get_role, NULL, "0 Normal, 1 Secure.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot endpoint_slots[] = {
    {Py_tp_doc, "Endpoint(config, role, own, peer, bell, spin=5e-05)\n--\n\nOne world's end of a channel."},
    {Py_tp_new, (void *)endpoint_new},
    {Py_tp_dealloc, (void *)endpoint_dealloc},
    {Py_tp_methods, endpoint_methods},
    {Py_tp_getset, endpoint_properties},
    {0, NULL},
};

PyType_Spec ist_endpoint_spec = {
    .name = "isthmus._native.Endpoint",
    .basicsize = sizeof(Endpoint),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = endpoint_slots,
};
