/* SPDX-License-Identifier: MIT */
/* network.h - the channel, lwIP and the applications: the network thread. */
#ifndef ISTHMUS_RUNTIME_NETWORK_H
#define ISTHMUS_RUNTIME_NETWORK_H

#include <stdint.h>

/* NULL, or what does not hold. The seed is the monitor's; with zeros, numbers can be guessed. */
const char *network_init(const uint64_t seed[2]);
/* Says READY, and never comes back: receives, answers, yields. */
_Noreturn void network_run(void);
/* Publishes what was sent, and rings for it. */
void network_flush(void);

#endif
