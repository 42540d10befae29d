/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* control.h - what the supervisor (the monitor's part on the host) and a world say to each other.
 *
 * A world process is started with one SOCK_SEQPACKET socket, its number in the environment variable ISTHMUS_CONTROL.
 * Every message is one packet: struct ist_message, for STATUS_REPLY followed by text; descriptors ride along
 * (SCM_RIGHTS). Integers are in host order: both ends are one machine. End of file on the socket means that the
 * supervisor is gone: the world exits at once.
 *
 *   world -> supervisor                          supervisor -> world
 *     HELLO  value = size, fd: own buffer          (after HELLO of both)
 *                                                  ATTACH epoch, key, fd: peer's buffer, our end of the bell
 *     ATTACHED epoch | REFUSED value = verdict or -errno
 *     STATE  value = link state, extra = reason    DETACH  the peer is gone: end the epoch, drop its mapping
 *     STATUS_REPLY  value = request's, then JSON   STATUS  value is echoed
 *                                                  STALL   value = microseconds (the tests' fault injection)
 *                                                  FAULT   value: 1 a task overruns, 2 the watchdog is not fed (likewise)
 *                                                  STOP    exit with status 0
 */
#ifndef ISTHMUS_HOST_CONTROL_H
#define ISTHMUS_HOST_CONTROL_H

#include <stdint.h>

#define IST_CONTROL_MAX 16384u /* largest message with its text */
#define IST_CONTROL_VERSION 1u

enum ist_message_type {
    IST_MSG_HELLO = 1,
    IST_MSG_ATTACHED = 2,
    IST_MSG_REFUSED = 3,
    IST_MSG_STATE = 4,
    IST_MSG_STATUS_REPLY = 5,

    IST_MSG_ATTACH = 16,
    IST_MSG_DETACH = 17,
    IST_MSG_STATUS = 18,
    IST_MSG_STALL = 19,
    IST_MSG_STOP = 20,
    IST_MSG_FAULT = 21,
};

struct ist_message {
    uint32_t type;
    uint32_t version; /* IST_CONTROL_VERSION */
    int64_t value;
    int64_t extra;
    uint64_t epoch;
    uint64_t key[2];
};
_Static_assert(sizeof(struct ist_message) == 48, "one layout for C and Python");

#endif
