/* SPDX-License-Identifier: MIT */
/* network.h - the channel, lwIP and the applications: what the Secure world does when the control task does not run. */
#ifndef ISTHMUS_RUNTIME_NETWORK_H
#define ISTHMUS_RUNTIME_NETWORK_H

#include <stdint.h>

/* NULL, or what does not hold. The seed is the monitor's; with zeros, numbers can be guessed. */
const char *network_init(const uint64_t seed[2]);
/* Says READY, and never comes back: receives, answers, yields. */
_Noreturn void network_run(void);
/* Accepted and sent since the channel began, or began anew. Callable from an interrupt. */
void network_frames(uint64_t *in, uint64_t *out);

/* On the Secure world's console, which Linux cannot reach, one byte asks for:
 *     s   the status, as /status.json has it, on a line
 *     r   channel and stack to begin anew; the control task goes on
 *     l   Linux to be restarted
 *     o   the machine to be switched off
 *     t   the control task's latest periods and what happened beside them (record.h), on a line, on from the last
 *         time; there are more where it ends before "written" */

#endif
