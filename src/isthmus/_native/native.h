/* SPDX-License-Identifier: MIT */
/* native.h - what the extension's files say to each other.
 *
 * Locking. Every method runs under the interpreter's lock or, in a free-threaded build, in a critical section on the
 * endpoint, which has the same shape: it is given up where a call waits, and nowhere else. So each stretch between two
 * waits excludes all others. A call that waits without the lock ("outside") reads the endpoint through ist_spin
 * and ist_spin_tail alone; whatever replaces what these read first calls everybody in (see ep_quiesce).
 *
 * Fork. The endpoint's private state lies on a page that the kernel wipes in a child: `alive` is 0 there, whichever
 * way the process was forked. */
#ifndef ISTHMUS_NATIVE_H
#define ISTHMUS_NATIVE_H

#define PY_SSIZE_T_CLEAN
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <Python.h>

#include <stdint.h>

#include "link.h"

#ifdef Py_GIL_DISABLED
#define LOCKED(self) Py_BEGIN_CRITICAL_SECTION(self);
#define UNLOCKED() Py_END_CRITICAL_SECTION();
#else
#define LOCKED(self) {
#define UNLOCKED() }
#endif

#define FOREVER UINT64_MAX
#define TICK_NS 10000000u     /* a call that waits looks around this often, whatever its peer omits */
#define HELD_SPIN_NS 3000u    /* how long a spin may keep the interpreter's lock */
#define SLICE_NS 20000u       /* how long a wait without a descriptor lets others run */
#define BATCH_MAX 256         /* frames in one batch call */
#define REFUSALS_A_LOOK 64    /* bad frames after which a call looks at the clock and at signals */

struct module_state {
    PyTypeObject *buffer_type, *endpoint_type, *reservation_type, *set_type;
    PyObject *link_down, *peer_dead, *closed, *concurrent_use, *config_error;
    PyObject *renew; /* the interned name "_renew" */
    int fence;       /* ist_fence_register() succeeded */
};

/* ---- module.c ------------------------------------------------------------------------------------------------------ */

int ist_is_our_module(PyObject *module);
/* What a verdict means, for people. */
const char *ist_text_of(enum ist_verdict v);
/* Reads the attributes of a configuration object (isthmus.Channel) for one role and checks them.
 * 0, or -1 with ConfigError. */
int ist_config_read(struct module_state *state, PyObject *object, unsigned role, struct ist_config *c);

/* ---- buffer.c: a stretch of memory that one world owns -------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    void *map;
    size_t size;
    int fd;       /* -1 where there is none, or not kept */
    int writable; /* ours; a peer's is mapped read-only */
    pid_t owner;
} Buffer;

extern PyType_Spec ist_buffer_spec;

/* ---- endpoint.c ------------------------------------------------------------------------------------------------- */

/* On a page of its own (MADV_WIPEONFORK). */
struct core {
    uint32_t alive;
    struct ist_endpoint ep;
};

/* One direction of an endpoint, from the caller's side. */
struct half {
    int busy;      /* a call, or a reservation, of this half is under way */
    int outside;   /* ... and it waits without the lock */
    int wake_fd;   /* eventfd: something that the bell does not say, or said to the other half */
    int raised;    /* wake_fd is readable */
    int epoll_fd;  /* bell and wake_fd for select(); -1 until someone asks */
    uint64_t told; /* ends of sessions that the caller knows of */
    uint64_t glanced_ns; /* coarse clock at the last look at the bell by a call that does not wait */
};

typedef struct {
    PyObject_HEAD
    struct core *core; /* NULL once everything is given back */
    struct module_state *state;
    PyObject *own, *peer; /* Buffer */
    int bell_fd;
    int hung_up; /* the bell is at end of file: nobody is there */
    int closed;
    int orphan;    /* closed because this process is a child of the owner */
    int paused;    /* somebody replaces what waiting calls look at */
    int renewing;  /* _renew runs */
    int renewable; /* a subclass can bring a new peer: ask `_renew` */
    int watch_fd;  /* becomes readable when there may be a new peer; -1 */
    int reserved;  /* a reservation points into our ring: the session must not be replaced */
    enum ist_state seen; /* link state as last noted */
    uint32_t frame_max, role; /* outlive the core */
    uint64_t ends; /* sessions that have ended */
    uint64_t renewed_ns; /* when _renew was last asked */
    uint64_t spin_ns;
    uint64_t last_ns; /* coarse clock at the last accepted frame; 0 = none */
    uint64_t rings, sleeps;
    struct half tx, rx;
} Endpoint;

extern PyType_Spec ist_endpoint_spec;

/* The state of the module that the native base of `type` belongs to. NULL with SystemError. */
struct module_state *ist_state_of(PyTypeObject *type);
/* Enters a call of one half. 0, or -1 with ClosedError or ConcurrentUseError. */
int ep_enter(Endpoint *e, struct half *h);
/* Leaves it; the last one out of a closed endpoint gives everything back. */
void ep_leave(Endpoint *e, struct half *h);
void ep_raise_closed(Endpoint *e);
/* True where the endpoint may be used; else ClosedError is set. */
int ep_live(Endpoint *e);
/* True where a buffer holds what `role` owns under this configuration; else ValueError is set. */
int ep_buffer_fits(PyObject *buffer, const struct ist_config *c, uint32_t role, int writable);
/* Closes what a child inherited from its parent, without a word to the peer. */
void ep_abandon(Endpoint *e);
/* One step of handshake and heartbeat; rings the peer when our state moved. */
void ep_tick(Endpoint *e);
void ep_ring(Endpoint *e);
/* Notes a change of the link state: counts the ends of sessions, kicks both halves, rings the peer. */
void ep_note(Endpoint *e);
/* Leaves the session. */
void ep_end(Endpoint *e, enum ist_verdict why);
/* Shuts the bell down, so that the peer sees an end of file whoever else holds a copy of the descriptor. */
void ep_hang_up(Endpoint *e);
/* Raises what this half has to be told: ClosedError, LinkDown, PeerDead. 1 raised, 0 nothing to tell. */
int ep_tell(Endpoint *e, struct half *h);
/* Down, and no new peer can come to it. */
int ep_over_for_good(const Endpoint *e);
/* Raises LinkDown, or PeerDead where nobody is there. */
void ep_raise_down(Endpoint *e);

/* Methods; the docstrings are in endpoint.c. */
PyObject *ep_begin(PyObject *self, PyObject *args);
PyObject *ep_attach(PyObject *self, PyObject *args);
PyObject *ep_leave_session(PyObject *self, PyObject *unused);
PyObject *ep_poll(PyObject *self, PyObject *unused);
PyObject *ep_watch(PyObject *self, PyObject *fd);
PyObject *ep_wait_up(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names);

/* ---- wait.c ------------------------------------------------------------------------------------------------------- */

enum outcome {
    DONE,
    AGAIN,   /* look again */
    GIVE_UP, /* the time is up; no exception is set */
    FAILED,  /* an exception is set */
    TOO_BIG  /* the frame in hand does not fit */
};

struct patience {
    uint64_t deadline; /* FOREVER, or ns of ist_now(); 0 = do not wait */
    uint64_t spin_end; /* when to stop spinning and sleep; 0 = not spun yet */
    int looked;        /* looked around at least once */
    uint32_t refused;  /* bad frames since the last look at anything else */
};

/* Reads a timeout in seconds (None = for ever, 0 = do not wait). 0, or -1 with an exception. */
int wait_timeout(PyObject *timeout, struct patience *p);
/* Waits for frames (BUDGET: until the budget may have been replenished). AGAIN, GIVE_UP or FAILED. */
enum outcome wait_rx(Endpoint *e, struct patience *p, enum ist_verdict seen);
/* The same for room to send `length` bytes. */
enum outcome wait_tx(Endpoint *e, struct patience *p, uint32_t length);
/* What a receiver that has found no frame does before it sleeps, for who waits for many: its bell, its session, its peer.
 * AGAIN, or FAILED with what it has to be told. Signals are the caller's. */
enum outcome wait_attend(Endpoint *e);
/* Nanoseconds of patience left; and for how long to spin before the next look around, 0 when the spin is over. */
uint64_t wait_remaining(const struct patience *p);
uint64_t wait_spin_left(uint64_t spin_ns, struct patience *p, uint64_t left);
/* Lets others run without touching any endpoint. */
void wait_step_aside(uint64_t ns);
/* Until the link is in RUN. DONE, GIVE_UP or FAILED. */
enum outcome wait_up(Endpoint *e, struct patience *p);
/* Lets others and signals have their turn between bad frames. */
enum outcome wait_past_rubbish(Endpoint *e, struct patience *p);
/* Sets BlockingIOError or TimeoutError. */
PyObject *wait_gave_up(const struct patience *p, const char *what);
/* Makes `half` look, wherever it waits; makes its epoll descriptor readable. */
void wait_kick(Endpoint *e, struct half *h);
/* Readiness of the receiving descriptor as it must be when no receive runs. */
void wait_settle(Endpoint *e);
/* The descriptor for select(). -1 with an exception. */
int wait_fileno(Endpoint *e, struct half *h);
/* Empties the bell; what it said to the other half is passed on. */
int wait_clear_bell(Endpoint *e, struct half *mine); /* true: it had something to say */
/* Another bell under the same descriptor number; takes `bell` over. 0, or -1 with an exception. */
int wait_replace_bell(Endpoint *e, int bell);
/* Where a new peer will knock (-1: nowhere). Watched while there is no peer. 0, or -1 with an exception. */
int wait_watch(Endpoint *e, int fd);
/* Calls every waiting call in, so that buffers, bell and session may be replaced. 0, or -1 with an exception;
 * ep_resume() must follow a success. */
int ep_quiesce(Endpoint *e);
void ep_resume(Endpoint *e);
uint64_t wait_coarse_now(void);

/* ---- send.c, receive.c, reservation.c -------------------------------------------------------------------------- */

#define METHOD(name) PyObject *name(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *names)

/* Spent once per call; see wait_timeout. */
#define NO_HURRY {.deadline = FOREVER}

METHOD(ep_send);
METHOD(ep_send_batch);
METHOD(ep_send_batch_from);
METHOD(ep_reserve);
METHOD(ep_receive);
METHOD(ep_receive_into);
METHOD(ep_receive_batch);
METHOD(ep_receive_batch_into);

/* The `limit` of a batch, 1 to BATCH_MAX; untouched where there is none. 0, or -1 with an exception. */
int ist_batch_limit(PyObject *argument, int *limit);
/* The lengths of a batch whose frames lie in one buffer; `flags` is PyBUF_WRITABLE to write them. 0, or -1 with an
 * exception. */
int ist_open_lengths(PyObject *object, int flags, Py_buffer *view);
/* Commits one frame, waiting as told, without publishing it. */
enum outcome send_frame(Endpoint *e, const void *frame, Py_ssize_t length, struct patience *p);
void send_publish(Endpoint *e);
/* ValueError for a frame that could never be sent. 0, or -1. */
int send_check_length(Endpoint *e, Py_ssize_t length);

typedef struct {
    PyObject_HEAD
    Endpoint *endpoint; /* its lock is ours */
    PyObject *own;      /* the Buffer that holds the room: outlives the endpoint */
    PyObject *view;     /* weak reference to the memoryview handed out; NULL before */
    uint8_t *place;     /* in our own buffer, or staging */
    uint8_t *staging;   /* private, where a tag is carried */
    uint32_t room;      /* bytes reserved */
    uint32_t length;    /* bytes to send */
    Py_ssize_t exports;
    enum { OPEN, CANCELLED, OVER } stage; /* CANCELLED: over as soon as no view is left */
} Reservation;

extern PyType_Spec ist_reservation_spec;

/* ---- arguments --------------------------------------------------------------------------------------------------- */

/* Distributes positional and keyword arguments over `n` slots named in `names`, the first `required` of which must be
 * there; absent ones are NULL. 0, or -1 with TypeError. */
int ist_arguments(const char *function, const char *const *keywords, int n, int required, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *names, PyObject **slots);

#endif
