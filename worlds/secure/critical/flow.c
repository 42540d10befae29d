/* SPDX-License-Identifier: MIT */
#include "flow.h"

#define ETHERNET 14u
#define IP_MIN 20u
#define TYPE_IP4 0x0800u
#define TYPE_ARP 0x0806u

static uint32_t be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static struct flow key_of_ip4(const uint8_t *ip, uint32_t length)
{
    const uint32_t header = (ip[0] & 15u) * 4u;
    struct flow key = {0};

    if (ip[0] >> 4 != 4 || header < IP_MIN || length < header + 4u || (be16(ip + 6) & 0x3fffu) != 0)
        return key;
    switch (ip[9]) {
    case 1:
        key.protocol = FLOW_ICMP;
        break;
    case 6:
    case 17:
        key.protocol = ip[9] == 6 ? FLOW_TCP : FLOW_UDP;
        key.port = be16(ip + header + 2);
        break;
    default:
        break;
    }
    return key;
}

static struct flow key_of(const uint8_t *frame, uint32_t length)
{
    if (length < ETHERNET + IP_MIN)
        return (struct flow){0};
    switch (be16(frame + 12)) {
    case TYPE_ARP:
        return (struct flow){.protocol = FLOW_ARP};
    case TYPE_IP4:
        return key_of_ip4(frame + ETHERNET, length - ETHERNET);
    default:
        return (struct flow){0};
    }
}

uint32_t flow_of(const struct flow *flows, const uint8_t *frame, uint32_t length)
{
    const struct flow key = key_of(frame, length);

    if (key.protocol != FLOW_NONE)
        for (uint32_t i = 0; i < FLOWS_MAX && flows[i].name != 0; i++)
            if (flows[i].protocol == key.protocol && flows[i].port == key.port)
                return i;
    return FLOWS_MAX;
}
