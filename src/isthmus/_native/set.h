/* SPDX-License-Identifier: MIT */
/* set.h - Channels: the receiving halves of many endpoints, served by one poll (worlds/secure/port/channels.h).
 *
 *     set.c     who is in it, and its life
 *     serve.c   what a call does: a poll, sessions and doorbells, waiting
 *
 * A member's receiving half is taken for as long as it is in the set, as by a receive() that never returns: so its memory
 * stays, and a second receiver is refused. Whose turn it is and what a turn may take is the poll's to say; this adds what a
 * process has to.
 *
 *     place    channel * LANES + lane: where a member stands in the poll
 *     number   lane * CHANNELS_MAX + channel: what Python calls it, so that bulk lanes have their channel's number */
#ifndef ISTHMUS_NATIVE_SET_H
#define ISTHMUS_NATIVE_SET_H

#include "native.h"

#include <string.h>

#include "channels.h"

#define LANES IST_LANES_MAX
#define PLACES (CHANNELS_MAX * LANES)

/* On pages that the kernel wipes in a child. */
struct shelf {
    uint32_t alive;
    struct channels poll;
    struct netport_lane lane[PLACES];
};

struct set;

struct member {
    struct set *set;
    Endpoint *endpoint; /* NULL: nobody */
    uint32_t number;
};

/* What a call receives into. */
struct sink {
    int n;
    uint32_t length;  /* of the frame in hand */
    uint8_t *data;    /* without objects: where the next frame goes, ... */
    size_t left;      /* ... how much room there is, ... */
    uint32_t *lengths, *numbers; /* ... and the caller's notes: written, never read back */
    PyObject *frames[BATCH_MAX]; /* with objects */
    const struct member *from[BATCH_MAX];
};

/* Words with a bit for each channel, by lane. */
typedef uint64_t lanes_t[LANES];

typedef struct set {
    PyObject_HEAD
    struct module_state *state;
    struct shelf *shelf; /* NULL once everything is given back */
    struct member member[PLACES];
    lanes_t present; /* there is such a member */
    lanes_t spent;   /* it waits for its budget */
    lanes_t down;    /* its last turn found no link */
    lanes_t heed;    /* to be attended to before its next turn */
    lanes_t told;    /* the caller knows that it is down; it has not been up since */
    struct sink *sink;
    int epoll_fd;    /* members' descriptors, each readable while a receive would act */
    int busy, closed, orphan;
    uint32_t budgets; /* members that have one */
    uint32_t frame_max; /* the longest of any member */
    uint64_t spin_ns, attended_ns;
} Set;

extern PyType_Spec ist_set_spec;

/* Goes over the channels of a word, `c` each one's number. */
#define EACH_CHANNEL(word, c)                                                                                          \
    for (uint64_t c##_rest = (word), c; c##_rest != 0 && ((c = (uint64_t)__builtin_ctzll(c##_rest)), 1);              \
         c##_rest &= c##_rest - 1)

static inline struct member *set_member(Set *s, uint64_t channel, uint32_t lane)
{
    return &s->member[channel * LANES + lane];
}

/* Takes a member out; its endpoint may be received from as before. */
void set_drop(Set *s, uint64_t channel, uint32_t lane);
/* Enters a call. 0, or -1 with ClosedError or ConcurrentUseError. */
int set_enter(Set *s);
/* Leaves it; out of a closed set everything is given back. */
void set_leave(Set *s);
void set_raise_closed(const Set *s);

METHOD(set_receive);
METHOD(set_receive_batch);
METHOD(set_receive_batch_into);

#endif
