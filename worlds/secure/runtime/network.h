/* SPDX-License-Identifier: MIT */
/* network.h - the channel, lwIP and the applications: what the Secure world does when the control task does not run. */
#ifndef ISTHMUS_RUNTIME_NETWORK_H
#define ISTHMUS_RUNTIME_NETWORK_H

#include <stdint.h>

/* NULL, or what does not hold. The seed is the monitor's; with zeros, numbers can be guessed. */
const char *network_init(const uint64_t seed[2]);
/* Says READY, and never comes back: receives, answers, yields. */
_Noreturn void network_run(void);

/* On the Secure world's console, which Linux cannot reach, one byte asks for:
 *     s   the status, as /status.json has it, on a line
 *     r   channel and stack to begin anew; the control task goes on */

#endif
