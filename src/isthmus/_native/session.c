/* SPDX-License-Identifier: MIT */
/* session.c - what the native layer adds to the core's session: everybody who has to know of a change is told, once,
 * and nobody looks while the peer, its buffer or the bell are replaced. */
#include "native.h"

#include <string.h>
#include <sys/socket.h>

/* ---- state of the link ------------------------------------------------------------------------------------------- */

void ep_ring(Endpoint *e)
{
    e->rings++;
    (void)ist_bell_ring(e->bell_fd); /* a peer that is gone is noticed by reading */
}

void ep_note(Endpoint *e)
{
    const enum ist_state now = ist_link_state(&e->core->ep);
    if (now == e->seen)
        return;
    if (e->seen != IST_RESET && e->seen != IST_DEAD && (now == IST_RESET || now == IST_DEAD))
        e->ends++;
    e->seen = now;
    wait_kick(e, &e->tx);
    wait_kick(e, &e->rx);
    ep_ring(e);
}

void ep_tick(Endpoint *e)
{
    (void)ist_poll(&e->core->ep, ist_now());
    ep_note(e);
}

void ep_end(Endpoint *e, enum ist_verdict why)
{
    ist_end(&e->core->ep, why);
    ep_note(e);
}

void ep_hang_up(Endpoint *e)
{
    (void)shutdown(e->bell_fd, SHUT_RDWR);
}

void ep_raise_down(Endpoint *e)
{
    struct module_state *state = e->state;
    const struct ist_endpoint *ep = &e->core->ep;
    const enum ist_verdict why = (enum ist_verdict)ep->reason;
    PyObject *type = e->hung_up ? state->peer_dead : state->link_down;
    const char *plain = e->hung_up ? "peer is gone" : ist_link_state(ep) == IST_RESET ? "link has no session" : "the session ended";
    PyObject *text = why == IST_V_OK ? PyUnicode_FromString(plain) : PyUnicode_FromFormat("link is down: %s", ist_text_of(why));
    PyObject *value = text ? PyObject_CallFunction(type, "Os", text, why == IST_V_OK ? "" : ist_verdict_name(why)) : NULL;
    if (value && PyObject_SetAttrString(value, "endpoint", (PyObject *)e) == 0)
        PyErr_SetObject(type, value);
    Py_XDECREF(value);
    Py_XDECREF(text);
}

/* A refusal that no patience mends within this epoch. */
static int refused_for_good(const struct ist_endpoint *ep)
{
    switch (ep->reason) {
    case IST_V_PEER_VERSION:
    case IST_V_PEER_ROLE:
    case IST_V_PEER_GEOMETRY:
    case IST_V_PEER_MTU:
    case IST_V_PEER_FEATURES:
        return ist_link_state(ep) == IST_INIT;
    default:
        return 0;
    }
}

int ep_over_for_good(const Endpoint *e)
{
    const enum ist_state state = ist_link_state(&e->core->ep);
    return !e->renewable && (state == IST_RESET || state == IST_DEAD || refused_for_good(&e->core->ep));
}

int ep_tell(Endpoint *e, struct half *h)
{
    if (e->closed) {
        ep_raise_closed(e);
        return 1;
    }
    const enum ist_state state = ist_link_state(&e->core->ep);
    const int over = state == IST_RESET || state == IST_DEAD;
    if (h->told == e->ends && !(over && !e->renewable) && !refused_for_good(&e->core->ep))
        return 0;
    h->told = e->ends;
    ep_raise_down(e);
    return 1;
}

/* ---- session -------------------------------------------------------------------------------------------------------------- */

/* Calls everybody in before the session is replaced. */
static int may_replace(Endpoint *e)
{
    if (!ep_live(e))
        return 0;
    if (e->reserved) {
        PyErr_SetString(e->state->concurrent_use, "a reservation is open on this endpoint");
        return 0;
    }
    if (ep_quiesce(e) < 0)
        return 0;
    if (ep_live(e))
        return 1;
    ep_resume(e);
    return 0;
}

PyObject *ep_begin(PyObject *self, PyObject *args)
{
    Endpoint *e = (Endpoint *)self;
    PyObject *done = NULL;
    unsigned long long epoch;
    const char *key = NULL;
    Py_ssize_t key_length = 0;
    uint64_t words[2] = {0, 0};
    if (!PyArg_ParseTuple(args, "K|y#:begin", &epoch, &key, &key_length))
        return NULL;
    if (key_length != 0 && key_length != (Py_ssize_t)sizeof words) {
        PyErr_SetString(PyExc_ValueError, "a key is 16 bytes");
        return NULL;
    }
    if (key_length != 0)
        memcpy(words, key, sizeof words);
    LOCKED(self)
    if (may_replace(e)) {
        ep_note(e);
        if (e->seen == IST_READY || e->seen == IST_RUN)
            e->ends++;
        ist_begin(&e->core->ep, epoch, words, ist_now());
        ep_note(e);
        ep_ring(e);
        ep_resume(e);
        wait_settle(e);
        done = Py_NewRef(Py_None);
    }
    UNLOCKED()
    return done;
}

PyObject *ep_attach(PyObject *self, PyObject *args)
{
    Endpoint *e = (Endpoint *)self;
    PyObject *done = NULL, *peer, *old = NULL;
    int bell;
    if (!PyArg_ParseTuple(args, "O!i:attach", e->state->buffer_type, &peer, &bell))
        return NULL;
    LOCKED(self)
    if (may_replace(e)) {
        const struct ist_config *c = &e->core->ep.config;
        if (ep_buffer_fits(peer, c, c->role ^ 1u, 0)) {
            ep_end(e, IST_V_PEER_LEFT);
            if (wait_replace_bell(e, bell) == 0) {
                old = e->peer;
                e->peer = Py_NewRef(peer);
                ist_attach(&e->core->ep, ((Buffer *)peer)->map);
                done = Py_NewRef(Py_None);
            }
        }
        ep_resume(e);
    }
    UNLOCKED()
    Py_XDECREF(old);
    return done;
}

PyObject *ep_leave_session(PyObject *self, PyObject *unused)
{
    Endpoint *e = (Endpoint *)self;
    PyObject *done = NULL;
    (void)unused;
    LOCKED(self)
    if (ep_live(e)) {
        ep_end(e, IST_V_PEER_LEFT);
        wait_settle(e);
        done = Py_NewRef(Py_None);
    }
    UNLOCKED()
    return done;
}

PyObject *ep_poll(PyObject *self, PyObject *unused)
{
    Endpoint *e = (Endpoint *)self;
    PyObject *state = NULL;
    (void)unused;
    LOCKED(self)
    if (ep_live(e)) {
        ep_tick(e);
        wait_settle(e);
        state = PyLong_FromLong(ist_link_state(&e->core->ep));
    }
    UNLOCKED()
    return state;
}

PyObject *ep_wait_up(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)
{
    static const char *const keywords[] = {"timeout"};
    Endpoint *e = (Endpoint *)self;
    struct patience p = NO_HURRY;
    PyObject *timeout = NULL;
    enum outcome o = FAILED;
    if (ist_arguments("wait_up", keywords, 1, 0, args, nargs, names, &timeout) < 0 || wait_timeout(timeout, &p) < 0)
        return NULL;
    LOCKED(self)
    if (ep_enter(e, &e->rx) == 0) {
        e->rx.told = e->tx.told = e->ends; /* who waits for the link knows that it was down */
        o = wait_up(e, &p);
        if (o == GIVE_UP)
            (void)wait_gave_up(&p, "link");
        wait_settle(e);
        ep_leave(e, &e->rx);
    }
    UNLOCKED()
    return o == DONE ? Py_NewRef(Py_None) : NULL;
}

PyObject *ep_watch(PyObject *self, PyObject *argument)
{
    Endpoint *e = (Endpoint *)self;
    PyObject *done = NULL;
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    LOCKED(self)
    if (ep_live(e) && wait_watch(e, (int)fd) == 0) {
        e->renewable = 1;
        done = Py_NewRef(Py_None);
    }
    UNLOCKED()
    return done;
}
