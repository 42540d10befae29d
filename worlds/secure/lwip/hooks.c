/* SPDX-License-Identifier: MIT */
#include "isthmus.h"
#include "lwip/ip4_addr.h"
#include "lwip/opt.h"
#include "lwip/sys.h"

u32_t isthmus_tcp_isn(const struct ip4_addr *local, u16_t local_port, const struct ip4_addr *remote, u16_t remote_port)
{
    static ist_u64 key[2]; /* drawn at the first connection of this incarnation */
    const u32_t flow[3] = {local->addr, remote->addr, (u32_t)local_port << 16 | remote_port};
    struct ist_tagger t;
    ist_u64 tag[2];

    while (key[0] == 0)
        for (unsigned i = 0; i < 2; i++)
            key[i] = (ist_u64)LWIP_RAND() << 32 | LWIP_RAND();
    ist_tag_start(&t, IST_TAG_SIPHASH, key);
    ist_tag_feed(&t, flow, sizeof flow);
    ist_tag_finish(&t, tag);
    return (u32_t)tag[0] + sys_now() * 250u; /* a step every 4 us, as RFC 6528 has it */
}
