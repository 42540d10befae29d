/* SPDX-License-Identifier: MIT */
/* session.h - who may use the channel now: the board's table, one registration at a time, sealed for its epoch.
 *
 * Plain state and checks on values. The caller holds the lock. */
#ifndef ISTHMUS_MONITOR_SESSION_H
#define ISTHMUS_MONITOR_SESSION_H

#include <stdint.h>

struct session {
    uint32_t state; /* IST_SESSION_* */
    uint64_t epoch; /* 0 = none */
    uint64_t key[2];
};

/* What the Normal world says its buffers are. */
struct claim {
    uint64_t channel, own_base, own_size, peer_base, peer_size;
};

/* Each returns an IST_SMC_* result; other than OK leaves the session as it was. */
long session_register(struct session *s, const struct claim *c);
long session_detach(struct session *s, uint64_t channel, uint64_t epoch);
long session_quiesced(struct session *s, uint64_t channel, uint64_t epoch);

/* Ends the session, if there is one, whatever its epoch: the Secure world has stopped, or Linux is gone. */
void session_end(struct session *s);

#endif
