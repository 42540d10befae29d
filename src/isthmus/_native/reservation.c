/* SPDX-License-Identifier: MIT */
/* reservation.c - Reservation: one frame written in place.
 *
 * Without a tag the view lies in our own buffer, where the record will be. A tag covers bytes as they are copied, never
 * as they are read back, so with one the view is a private staging area. Either way the view ends with the commit: as
 * long as anybody holds another view of it, the record could still be written to, and the sending half stays taken. */
#include "native.h"

#include <string.h>

/* The frame is sent or dropped, and no view is left: the sending half is free again. */
static void finish(Reservation *r)
{
    PyMem_Free(r->staging);
    r->staging = r->place = NULL;
    r->stage = OVER;
    r->endpoint->reserved = 0;
    ep_leave(r->endpoint, &r->endpoint->tx);
}

/* Drops the frame: at once, or when the last view goes. */
static void cancel(Reservation *r)
{
    struct core *core = r->endpoint->core;
    if (r->stage == OVER)
        return;
    r->stage = CANCELLED;
    if (r->exports > 0)
        return;
    if (!r->staging && core && core->alive)
        ist_cancel(&core->ep);
    finish(r);
}

/* The view handed out, if somebody still has it: None or a new reference. Only a weak one is kept, since the view
 * refers to its reservation. */
static PyObject *living_view(Reservation *r)
{
    return r->view ? PyObject_CallNoArgs(r->view) : Py_NewRef(Py_None);
}

/* Ends the view handed out. 0, or -1 with BufferError where others look through it still. */
static int end_view(Reservation *r)
{
    PyObject *view = living_view(r);
    if (!view)
        return -1;
    PyObject *done = view == Py_None ? Py_NewRef(Py_None) : PyObject_CallMethod(view, "release", NULL);
    Py_DECREF(view);
    if (!done)
        return -1;
    Py_DECREF(done);
    if (r->exports == 0)
        return 0;
    PyErr_SetString(PyExc_BufferError, "a view of the reservation is still held; the frame is not sent");
    return -1;
}

static int raise_over(void)
{
    PyErr_SetString(PyExc_ValueError, "the reservation was sent or cancelled before");
    return -1;
}

static int commit(Reservation *r)
{
    Endpoint *e = r->endpoint;
    if (r->stage != OPEN)
        return raise_over();
    if (end_view(r) < 0) {
        PyObject *type, *value, *trace;
        PyErr_Fetch(&type, &value, &trace);
        cancel(r);
        PyErr_Restore(type, value, trace);
        return -1;
    }
    if (!ep_live(e)) {
        finish(r);
        return -1;
    }
    struct ist_endpoint *ep = &e->core->ep;
    enum ist_verdict v = IST_V_DOWN;
    if (!r->staging) /* what is not sent must not wait there for a shorter frame's reader */
        memset(r->place + r->length, 0, r->room - r->length);
    if (ist_link_state(ep) == IST_RUN)
        v = r->staging ? ist_send(ep, r->staging, r->length, NULL) : ist_commit(ep, r->length);
    if (v == IST_V_OK) {
        send_publish(e);
    } else {
        ist_cancel(ep);
        ep_note(e);
        e->tx.told = e->ends;
        ep_raise_down(e);
    }
    finish(r);
    return v == IST_V_OK ? 0 : -1;
}

static int drop(Reservation *r)
{
    if (r->stage == OPEN && end_view(r) < 0)
        PyErr_Clear(); /* the half is freed when the last view goes */
    cancel(r);
    return 0;
}

/* ---- methods: all of them in the endpoint's lock --------------------------------------------------------------------- */

static PyObject *locked(PyObject *self, int (*action)(Reservation *))
{
    Reservation *r = (Reservation *)self;
    int failed;
    LOCKED((PyObject *)r->endpoint)
    failed = action(r);
    UNLOCKED()
    return failed ? NULL : Py_NewRef(Py_None);
}

static PyObject *view_of(PyObject *self)
{
    Reservation *r = (Reservation *)self;
    PyObject *view = NULL;
    LOCKED((PyObject *)r->endpoint)
    if (r->stage != OPEN)
        raise_over();
    else
        view = living_view(r);
    if (view == Py_None) {
        Py_DECREF(view);
        view = PyMemoryView_FromObject(self);
        Py_CLEAR(r->view);
        if (view)
            r->view = PyWeakref_NewRef(view, NULL);
        if (view && !r->view)
            Py_CLEAR(view);
    }
    UNLOCKED()
    return view;
}

static PyObject *reservation_commit(PyObject *self, PyObject *unused)
{
    (void)unused;
    return locked(self, commit);
}

static PyObject *reservation_cancel(PyObject *self, PyObject *unused)
{
    (void)unused;
    return locked(self, drop);
}

static PyObject *reservation_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return view_of(self);
}

static PyObject *reservation_exit(PyObject *self, PyObject *args)
{
    PyObject *type, *value, *trace;
    if (!PyArg_ParseTuple(args, "OOO:__exit__", &type, &value, &trace))
        return NULL;
    if (type != Py_None || ((Reservation *)self)->stage != OPEN)
        return locked(self, drop);
    return locked(self, commit);
}

static PyObject *get_view(PyObject *self, void *unused)
{
    (void)unused;
    return view_of(self);
}

static PyObject *get_length(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(((Reservation *)self)->length);
}

static int set_length(PyObject *self, PyObject *value, void *unused)
{
    Reservation *r = (Reservation *)self;
    (void)unused;
    if (!value) {
        PyErr_SetString(PyExc_AttributeError, "length cannot be deleted");
        return -1;
    }
    const long length = PyLong_AsLong(value);
    if (length == -1 && PyErr_Occurred())
        return -1;
    if (length < 1 || (unsigned long)length > r->room) {
        PyErr_Format(PyExc_ValueError, "length is not between 1 and the %u bytes reserved", r->room);
        return -1;
    }
    r->length = (uint32_t)length;
    return 0;
}

static int reservation_export(Reservation *r, Py_buffer *view, int flags)
{
    int failed = -1;
    view->obj = NULL;
    LOCKED((PyObject *)r->endpoint)
    if (r->stage != OPEN)
        PyErr_SetString(PyExc_BufferError, "the reservation was sent or cancelled before");
    else
        failed = PyBuffer_FillInfo(view, (PyObject *)r, r->place, (Py_ssize_t)r->room, 0, flags);
    r->exports += !failed;
    UNLOCKED()
    return failed;
}

static void reservation_unexport(Reservation *r, Py_buffer *view)
{
    (void)view;
    LOCKED((PyObject *)r->endpoint)
    if (--r->exports == 0 && r->stage == CANCELLED)
        cancel(r);
    UNLOCKED()
}

static void reservation_dealloc(Reservation *r)
{
    PyTypeObject *type = Py_TYPE((PyObject *)r);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    Py_CLEAR(r->view);
    if (r->endpoint) {
        LOCKED((PyObject *)r->endpoint)
        cancel(r);
        UNLOCKED()
        Py_DECREF(r->endpoint);
    }
    Py_CLEAR(r->own);
    release(r);
    Py_DECREF(type);
}

/* ---- making one --------------------------------------------------------------------------------------------------------- */

/* Takes room for `length` bytes, waiting as told. */
static enum outcome take_room(Reservation *r, Endpoint *e, uint32_t length, struct patience *p)
{
    struct ist_endpoint *ep = &e->core->ep;
    for (;;) {
        const int gone = e->hung_up;
        const enum ist_verdict v = gone ? IST_V_DOWN : ist_reserve(ep, length, NULL);
        if (v == IST_V_OK)
            break;
        const enum outcome o = wait_tx(e, p, length);
        if (o != AGAIN)
            return o;
        if (!gone && ep->count[v] != 0)
            ep->count[v]--; /* waited for, not dropped */
    }
    r->place = ist_place(ep);
    if (r->place)
        return DONE;
    ist_cancel(ep); /* one sender: the room stays until the copy is made */
    r->staging = r->place = PyMem_Calloc(1, length);
    if (r->staging)
        return DONE;
    PyErr_NoMemory();
    return FAILED;
}

PyObject *ep_reserve(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"", "timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *slots[2] = {NULL, NULL};
    enum outcome o = FAILED;
    if (ist_arguments("reserve", keywords, 2, 1, args, nargs, names, slots) < 0 || wait_timeout(slots[1], &p) < 0)
        return NULL;
    const Py_ssize_t length = PyLong_AsSsize_t(slots[0]);
    if (length == -1 && PyErr_Occurred())
        return NULL;
    PyTypeObject *type = e->state->reservation_type;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Reservation *r = (Reservation *)alloc(type, 0);
    if (!r)
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->tx) == 0) {
        if (send_check_length(e, length) == 0)
            o = take_room(r, e, (uint32_t)length, &p);
        if (o == DONE) {
            r->endpoint = (Endpoint *)Py_NewRef(self);
            r->own = Py_XNewRef(e->own);
            r->room = r->length = (uint32_t)length;
            r->stage = OPEN;
            e->reserved = 1;
        } else {
            if (o == GIVE_UP)
                (void)wait_gave_up(&p, "room to send");
            ep_leave(e, &e->tx);
        }
    }
    UNLOCKED()
    if (o == DONE)
        return (PyObject *)r;
    Py_DECREF(r);
    return NULL;
}

static PyMethodDef reservation_methods[] = {
    {"commit", reservation_commit, METH_NOARGS, "commit($self, /)\n--\n\nSends the frame and ends the view."},
    {"cancel", reservation_cancel, METH_NOARGS, "cancel($self, /)\n--\n\nDrops the frame and ends the view. Idempotent."},
    {"__enter__", reservation_enter, METH_NOARGS, "__enter__($self, /)\n--\n\n"},
    {"__exit__", reservation_exit, METH_VARARGS, "__exit__($self, type, value, traceback, /)\n--\n\n"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef reservation_properties[] = {
    {"view", get_view, NULL, "The writable memoryview, as the with statement gives it.", NULL},
    {"length", get_length, set_length, "Bytes to send: what was reserved, or less.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot reservation_slots[] = {
    {Py_tp_doc, "Room for one frame, to be written in place. A context manager: commits, or cancels after an exception."},
    {Py_tp_dealloc, (void *)reservation_dealloc},
    {Py_tp_methods, reservation_methods},
    {Py_tp_getset, reservation_properties},
    {Py_bf_getbuffer, (void *)reservation_export},
    {Py_bf_releasebuffer, (void *)reservation_unexport},
    {0, NULL},
};

PyType_Spec ist_reservation_spec = {
    .name = "isthmus._native.Reservation",
    .basicsize = sizeof(Reservation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = reservation_slots,
};
