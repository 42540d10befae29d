/* SPDX-License-Identifier: MIT */
/* send.c - the sending half: one frame a call, a batch a call, a batch without an object per frame. (Writing in place: reservation.c) */
#include "native.h"

/* The bytes of one frame: a bytes object is looked into directly, everything else through the buffer protocol. */
struct source {
    const void *data;
    Py_ssize_t length;
    Py_buffer view;
    int held;
};

static int source_open(struct source *s, PyObject *object)
{
    s->held = 0;
    if (PyBytes_Check(object)) {
        char *data;
        if (PyBytes_AsStringAndSize(object, &data, &s->length) < 0)
            return -1;
        s->data = data;
        return 0;
    }
    if (PyObject_GetBuffer(object, &s->view, PyBUF_SIMPLE) < 0)
        return -1;
    s->held = 1;
    s->data = s->view.buf;
    s->length = s->view.len;
    return 0;
}

static void source_close(struct source *s)
{
    if (s->held)
        PyBuffer_Release(&s->view);
}

int send_check_length(Endpoint *e, Py_ssize_t length)
{
    if (length == 0) {
        PyErr_SetString(PyExc_ValueError, "a frame has at least one byte");
        return -1;
    }
    if (length < 0 || (size_t)length > e->frame_max) {
        e->core->ep.count[IST_V_TOO_LONG]++;
        PyErr_Format(PyExc_ValueError, "frame of %zd bytes is longer than the frame limit of %u", length, e->frame_max);
        return -1;
    }
    return 0;
}

void send_publish(Endpoint *e)
{
    if (ist_publish(&e->core->ep))
        ep_ring(e);
}

enum outcome send_frame(Endpoint *e, const void *frame, Py_ssize_t length, struct patience *p)
{
    struct ist_endpoint *ep = &e->core->ep;
    if (send_check_length(e, length) < 0)
        return FAILED;
    for (;;) {
        const int gone = e->hung_up; /* what is sent now, nobody will read */
        const enum ist_verdict v = gone ? IST_V_DOWN : ist_send(ep, frame, (uint32_t)length, NULL);
        if (v == IST_V_OK)
            return DONE;
        send_publish(e); /* what was committed before must not wait for the rest */
        const enum outcome o = wait_tx(e, p, (uint32_t)length);
        if (o != AGAIN)
            return o;
        if (!gone && ep->count[v] != 0)
            ep->count[v]--; /* waited for, not dropped */
    }
}

PyObject *ep_send(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    struct source s;
    enum outcome o = FAILED;
    PyObject *slots[2] = {NULL, NULL};
    if (nargs == 1 && !names)
        slots[0] = args[0];
    else if (ist_arguments("send", keywords, 2, 1, args, nargs, names, slots) < 0)
        return NULL;
    if (slots[1] && wait_timeout(slots[1], &p) < 0)
        return NULL;
    if (source_open(&s, slots[0]) < 0)
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->tx) == 0) {
        o = send_frame(e, s.data, s.length, &p);
        if (o == DONE)
            send_publish(e);
        else if (o == GIVE_UP)
            (void)wait_gave_up(&p, "room to send");
        ep_leave(e, &e->tx);
    }
    UNLOCKED()
    source_close(&s);
    return o == DONE ? Py_NewRef(Py_None) : NULL;
}

/* Sends frames[0..n) until one is not sent; *sent says how many were. Publishes. */
static enum outcome send_all(Endpoint *e, PyObject *frames, Py_ssize_t n, struct patience *p, Py_ssize_t *sent)
{
    enum outcome o = DONE;
    for (*sent = 0; *sent < n; ++*sent) {
        struct source s;
        if (source_open(&s, PyTuple_GetItem(frames, *sent)) < 0) {
            o = FAILED;
            break;
        }
        o = send_frame(e, s.data, s.length, p);
        source_close(&s);
        if (o != DONE)
            break;
    }
    send_publish(e);
    return o;
}

PyObject *ep_send_batch(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[2] = {NULL, NULL};
    Py_ssize_t sent = 0;
    enum outcome o = FAILED;
    if (ist_arguments("send_batch", keywords, 2, 1, args, nargs, names, slots) < 0)
        return NULL;
    if (wait_timeout(slots[1], &p) < 0)
        return NULL;
    PyObject *frames = PySequence_Tuple(slots[0]); /* ours: no other thread shortens it meanwhile */
    if (!frames)
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->tx) == 0) {
        o = send_all(e, frames, PyTuple_Size(frames), &p, &sent);
        if (o == GIVE_UP && sent == 0)
            (void)wait_gave_up(&p, "room to send");
        ep_leave(e, &e->tx);
    }
    UNLOCKED()
    Py_DECREF(frames);
    return o == DONE || (o == GIVE_UP && sent > 0) ? PyLong_FromSsize_t(sent) : NULL;
}

/* Sends the frames that lie one behind the other in `from`. Each length is loaded once: another thread may write it
 * while we wait. */
static enum outcome send_run(Endpoint *e, const Py_buffer *from, const Py_buffer *lengths, struct patience *p,
                             Py_ssize_t *sent)
{
    const uint8_t *data = from->buf;
    const volatile uint32_t *length = lengths->buf;
    size_t left = (size_t)from->len;
    enum outcome o = DONE;
    for (*sent = 0; *sent < lengths->len / 4; ++*sent) {
        const uint32_t n = length[*sent];
        if (n > left) {
            PyErr_Format(PyExc_ValueError, "frame of %u bytes where the buffer has %zu left", n, left);
            o = FAILED;
            break;
        }
        o = send_frame(e, data, (Py_ssize_t)n, p);
        if (o != DONE)
            break;
        data += n;
        left -= n;
    }
    send_publish(e);
    return o;
}

PyObject *ep_send_batch_from(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[3] = {NULL, NULL, NULL};
    Py_buffer from, lengths;
    Py_ssize_t sent = 0;
    enum outcome o = FAILED;
    if (ist_arguments("send_batch_from", keywords, 3, 2, args, nargs, names, slots) < 0 || wait_timeout(slots[2], &p) < 0)
        return NULL;
    if (PyObject_GetBuffer(slots[0], &from, PyBUF_SIMPLE) < 0)
        return NULL;
    if (ist_open_lengths(slots[1], PyBUF_SIMPLE, &lengths) < 0) {
        PyBuffer_Release(&from);
        return NULL;
    }
    LOCKED(self)
    if (ep_enter(e, &e->tx) == 0) {
        o = send_run(e, &from, &lengths, &p, &sent);
        if (o == GIVE_UP && sent == 0)
            (void)wait_gave_up(&p, "room to send");
        ep_leave(e, &e->tx);
    }
    UNLOCKED()
    PyBuffer_Release(&lengths);
    PyBuffer_Release(&from);
    return o == DONE || (o == GIVE_UP && sent > 0) ? PyLong_FromSsize_t(sent) : NULL;
}
