/* SPDX-License-Identifier: MIT */
/* flow.h - frames that belong together, by the board file's list: protocol, and the port that they go to.
 *
 * Works on the private copy of a frame. Reads headers alone and trusts none of their lengths. */
#ifndef ISTHMUS_FLOW_H
#define ISTHMUS_FLOW_H

#include <stdint.h>

enum flow_protocol { FLOW_NONE, FLOW_ARP, FLOW_ICMP, FLOW_UDP, FLOW_TCP };

struct flow {
    const char *name; /* NULL ends a list */
    uint32_t protocol, port;
};

#define FLOWS_MAX 16u

/* Place in the list, or FLOWS_MAX for none. A fragment belongs to no flow: only the first would show its port. */
uint32_t flow_of(const struct flow *flows, const uint8_t *frame, uint32_t length);

#endif
