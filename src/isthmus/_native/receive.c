/* SPDX-License-Identifier: MIT */
/* receive.c - the receiving half. Every way in goes through next_frame: length first, then one copy. */
#include "native.h"

#include <string.h>

/* Peeks once. OK leaves a frame in hand and its length in *length. */
static enum ist_verdict look(Endpoint *e, uint32_t *length)
{
    struct ist_endpoint *ep = &e->core->ep;
    struct ist_frame frame;
    if (e->rx.told != e->ends) /* the caller hears of it before it gets frames of another session */
        return IST_V_DOWN;
    if (ep->rx.length != 0) { /* it did not fit the last caller's buffer */
        *length = ep->rx.length;
        return IST_V_OK;
    }
    const enum ist_verdict v = ist_peek(ep, ep->rx.budget.interval != 0 ? ist_now() : 0, &frame);
    if (ist_rx_bell(ep))
        ep_ring(e);
    if (v == IST_V_OK)
        *length = frame.length;
    return v;
}

/* A frame was refused and consumed; the next one may be good. */
static int refused(const Endpoint *e, enum ist_verdict v)
{
    return v != IST_V_EMPTY && v != IST_V_DOWN && v != IST_V_BUDGET && ist_link_state(&e->core->ep) == IST_RUN;
}

/* Waits for a frame. DONE leaves it in hand. */
static enum outcome next_frame(Endpoint *e, struct patience *p, uint32_t *length)
{
    for (;;) {
        if (p->refused >= REFUSALS_A_LOOK) {
            const enum outcome o = wait_past_rubbish(e, p);
            if (o != AGAIN)
                return o;
        }
        const enum ist_verdict v = look(e, length);
        if (v == IST_V_OK)
            return DONE;
        if (refused(e, v)) {
            p->refused++;
        } else {
            const enum outcome o = wait_rx(e, p, v);
            if (o != AGAIN)
                return o;
        }
    }
}

/* The next frame if it is there, for the rest of a batch. */
static int another_frame(Endpoint *e, struct patience *p, uint32_t *length)
{
    while (p->refused < REFUSALS_A_LOOK) {
        const enum ist_verdict v = look(e, length);
        if (v == IST_V_OK)
            return 1;
        if (!refused(e, v))
            return 0;
        p->refused++;
    }
    return 0;
}

/* Copies the frame in hand. 1, or 0 where the copy's tag does not match: look for the next one. */
static int take(Endpoint *e, void *to)
{
    struct ist_endpoint *ep = &e->core->ep;
    const enum ist_verdict v = ist_take(ep, to);
    if (ist_rx_bell(ep))
        ep_ring(e);
    return v == IST_V_OK;
}

/* The frame in hand as bytes. DONE; AGAIN where its tag was wrong; FAILED leaves it in hand. */
static enum outcome take_bytes(Endpoint *e, struct patience *p, uint32_t length, PyObject **frame)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)length);
    if (!bytes)
        return FAILED;
    if (take(e, PyBytes_AsString(bytes))) {
        *frame = bytes;
        return DONE;
    }
    Py_DECREF(bytes);
    p->refused++;
    return AGAIN;
}

/* The frame in hand into `room` bytes at `to`. DONE; AGAIN; TOO_BIG leaves it in hand. */
static enum outcome take_into(Endpoint *e, struct patience *p, uint32_t length, uint8_t *to, size_t room)
{
    if (length > room)
        return TOO_BIG;
    if (take(e, to))
        return DONE;
    p->refused++;
    return AGAIN;
}

static enum outcome receive_bytes(Endpoint *e, struct patience *p, PyObject **frame)
{
    uint32_t length;
    for (;;) {
        enum outcome o = next_frame(e, p, &length);
        if (o == DONE)
            o = take_bytes(e, p, length, frame);
        if (o != AGAIN)
            return o;
    }
}

static enum outcome receive_into(Endpoint *e, struct patience *p, uint8_t *to, size_t room, uint32_t *length)
{
    for (;;) {
        enum outcome o = next_frame(e, p, length);
        if (o == DONE)
            o = take_into(e, p, *length, to, room);
        if (o != AGAIN)
            return o;
    }
}

static void leave(Endpoint *e, const struct patience *p, enum outcome o, int frames)
{
    if (frames)
        e->last_ns = wait_coarse_now();
    else if (o == GIVE_UP)
        (void)wait_gave_up(p, "frame");
    wait_settle(e);
    ep_leave(e, &e->rx);
}

static void raise_too_big(uint32_t length, size_t room)
{
    PyErr_Format(PyExc_ValueError, "the next frame has %u bytes, the buffer has room for %zu", length, room);
}

PyObject *ep_receive(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *timeout = NULL, *frame = NULL;
    if ((nargs != 0 || names) && (ist_arguments("receive", keywords, 1, 0, args, nargs, names, &timeout) < 0 ||
                                  wait_timeout(timeout, &p) < 0))
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->rx) == 0) {
        const enum outcome o = receive_bytes(e, &p, &frame);
        leave(e, &p, o, o == DONE);
    }
    UNLOCKED()
    return frame;
}

PyObject *ep_receive_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[2] = {NULL, NULL};
    Py_buffer to;
    uint32_t length = 0;
    enum outcome o = FAILED;
    if (ist_arguments("receive_into", keywords, 2, 1, args, nargs, names, slots) < 0 || wait_timeout(slots[1], &p) < 0)
        return NULL;
    if (PyObject_GetBuffer(slots[0], &to, PyBUF_WRITABLE) < 0)
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->rx) == 0) {
        o = receive_into(e, &p, to.buf, (size_t)to.len, &length);
        if (o == TOO_BIG)
            raise_too_big(length, (size_t)to.len);
        leave(e, &p, o, o == DONE);
    }
    UNLOCKED()
    PyBuffer_Release(&to);
    return o == DONE ? PyLong_FromUnsignedLong(length) : NULL;
}

/* ---- batches: wait for the first frame, then take what is there ---------------------------------------------------- */

static enum outcome batch_bytes(Endpoint *e, struct patience *p, PyObject **frames, int limit, int *n)
{
    uint32_t length;
    enum outcome o = receive_bytes(e, p, &frames[0]);
    for (*n = o == DONE; *n > 0 && *n < limit && another_frame(e, p, &length); *n += o == DONE) {
        o = take_bytes(e, p, length, &frames[*n]);
        if (o == FAILED) { /* no memory for more: the frames so far are good, the next one stays in hand */
            PyErr_Clear();
            break;
        }
    }
    return *n > 0 ? DONE : o;
}

static PyObject *list_of(PyObject **frames, int n)
{
    PyObject *list = PyList_New(n);
    for (int i = 0; i < n; i++) {
        if (list)
            (void)PyList_SetItem(list, i, frames[i]); /* takes the reference; cannot fail on a fresh list */
        else
            Py_DECREF(frames[i]);
    }
    return list;
}

int ist_batch_limit(PyObject *argument, int *limit)
{
    if (!argument)
        return 0;
    const long value = PyLong_AsLong(argument);
    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value < 1 || value > BATCH_MAX) {
        PyErr_Format(PyExc_ValueError, "limit is not between 1 and %d", BATCH_MAX);
        return -1;
    }
    *limit = (int)value;
    return 0;
}

PyObject *ep_receive_batch(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"limit", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[2] = {NULL, NULL}, *frames[BATCH_MAX];
    int limit = 64, n = 0;
    if (ist_arguments("receive_batch", keywords, 2, 0, args, nargs, names, slots) < 0 || ist_batch_limit(slots[0], &limit) < 0 ||
        wait_timeout(slots[1], &p) < 0)
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->rx) == 0) {
        const enum outcome o = batch_bytes(e, &p, frames, limit, &n);
        leave(e, &p, o, n);
    }
    UNLOCKED()
    return n > 0 ? list_of(frames, n) : NULL;
}

int ist_open_lengths(PyObject *object, int flags, Py_buffer *view)
{
    if (PyObject_GetBuffer(object, view, flags | PyBUF_FORMAT | PyBUF_C_CONTIGUOUS) < 0)
        return -1;
    const char *format = view->format ? view->format : "B";
    const char last = format[0] && strchr("@=<", format[0]) ? format[1] : format[0];
    if (view->itemsize == 4 && last && strchr("IiLl", last) && view->len >= 4)
        return 0;
    PyErr_SetString(PyExc_TypeError, "lengths is not a buffer of at least one 32-bit integer, such as array('I')");
    PyBuffer_Release(view);
    return -1;
}

/* A stretch that frames are copied to, one behind the other. */
struct room {
    uint8_t *data;
    size_t left;
};

/* Frames that fit whatever their length are, copied as they are judged; none is in hand before or after. How many. What is
 * written to `length` is the caller's memory, and never read back. */
static int run_into(Endpoint *e, struct patience *p, struct room *to, uint32_t *length, int limit)
{
    struct ist_endpoint *ep = &e->core->ep;
    const uint64_t now = ep->rx.budget.interval != 0 ? ist_now() : 0;
    int n = 0;
    while (n < limit && to->left >= ep->config.frame_max && p->refused < REFUSALS_A_LOOK) {
        struct ist_frame frame;
        const enum ist_verdict v = ist_receive(ep, now, to->data, &frame);
        if (v == IST_V_OK) {
            length[n++] = frame.length;
            to->data += frame.length;
            to->left -= frame.length;
        } else if (refused(e, v)) {
            p->refused++;
        } else {
            break;
        }
    }
    if (ist_rx_bell(ep))
        ep_ring(e);
    return n;
}

static enum outcome batch_into(Endpoint *e, struct patience *p, const Py_buffer *buffer, const Py_buffer *lengths, int *n,
                               uint32_t *next)
{
    struct room to = {buffer->buf, (size_t)buffer->len};
    uint32_t *length = lengths->buf;
    const Py_ssize_t limit = lengths->len / 4 < BATCH_MAX ? lengths->len / 4 : BATCH_MAX;
    enum outcome o = receive_into(e, p, to.data, to.left, next);
    *n = 0;
    while (o == DONE) {
        length[(*n)++] = *next;
        to.data += *next;
        to.left -= *next;
        *n += run_into(e, p, &to, length + *n, (int)limit - *n);
        do
            o = *n < limit && another_frame(e, p, next) ? take_into(e, p, *next, to.data, to.left) : GIVE_UP;
        while (o == AGAIN);
    }
    return *n > 0 ? DONE : o;
}

PyObject *ep_receive_batch_into(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[3] = {NULL, NULL, NULL};
    Py_buffer to, lengths;
    uint32_t next = 0;
    int n = 0;
    if (ist_arguments("receive_batch_into", keywords, 3, 2, args, nargs, names, slots) < 0 ||
        wait_timeout(slots[2], &p) < 0)
        return NULL;
    if (PyObject_GetBuffer(slots[0], &to, PyBUF_WRITABLE) < 0)
        return NULL;
    if (ist_open_lengths(slots[1], PyBUF_WRITABLE, &lengths) < 0) {
        PyBuffer_Release(&to);
        return NULL;
    }
    LOCKED(self)
    if (ep_enter(e, &e->rx) == 0) {
        const enum outcome o = batch_into(e, &p, &to, &lengths, &n, &next);
        if (o == TOO_BIG)
            raise_too_big(next, (size_t)to.len);
        leave(e, &p, o, n);
    }
    UNLOCKED()
    PyBuffer_Release(&lengths);
    PyBuffer_Release(&to);
    return n > 0 ? PyLong_FromLong(n) : NULL;
}
