/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* filter.c - the walk: Ethernet, VLAN, ARP, IPv4 or IPv6, TCP, UDP or ICMP; each field leaves fewer rules possible.
 *
 * Every offset is below `length`, which is checked before it is used, and every loop ends with the header that it is in.
 * Of IPv6 a transport header has to follow the fixed one: extension headers, all refused, need no walk. */
#include "filter.h"

enum { ETHERNET = 14, TAG = 4, ARP_BODY = 28, IPV4 = 20, IPV6 = 40, TCP = 20, UDP = 8, ICMP = 8, NEIGHBOUR = 24 };
enum { TYPE_IPV4 = 0x0800, TYPE_ARP = 0x0806, TYPE_VLAN = 0x8100, TYPE_SERVICE_VLAN = 0x88a8, TYPE_IPV6 = 0x86dd };
enum { ON_ICMP = 1, ON_TCP = 6, ON_UDP = 17, ON_ICMPV6 = 58 };
enum { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 }; /* extension headers */
enum { SOLICITATION = 135, ADVERTISEMENT = 136 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, FLAGS = 63 };

/* What a frame says of itself behind Ethernet. */
struct parsed {
    ist_u64 source, target, source_net, target_net;
    ist_u32 protocol, from, port;
    ist_u32 transport; /* where its transport header begins */
    ist_u32 header;    /* how long that is */
    ist_u32 rest;      /* and what it is the beginning of */
    ist_u32 gso;       /* how its segments may be cut */
};

static ist_u32 be16(const ist_u8 *p)
{
    return (ist_u32)p[0] << 8 | p[1];
}

/* Of these two compilers make one load, which takes less room than a call. */
static inline __attribute__((always_inline)) ist_u32 be32(const ist_u8 *p)
{
    return (ist_u32)p[0] << 24 | (ist_u32)p[1] << 16 | (ist_u32)p[2] << 8 | p[3];
}

static inline __attribute__((always_inline)) ist_u64 be64(const ist_u8 *p)
{
    return (ist_u64)be32(p) << 32 | be32(p + 4);
}

static ist_u64 be48(const ist_u8 *p)
{
    return (ist_u64)be16(p) << 32 | be32(p + 2);
}

/* The rules that a value leaves possible. Each turn halves what is left: log2 of the spans, whatever the value. */
static inline ist_u64 rules_of(const struct ist_filter *f, enum ist_filter_field field, ist_u64 value)
{
    const struct ist_filter_span *s = f->span[field];
    for (ist_u32 half = f->half[field]; half != 0; half /= 2)
        s = s[half].first <= value ? s + half : s;
    return s->rules;
}

/* A segment has SYN, RST or ACK, and none of SYN, RST and FIN together. */
static int flags_legal(ist_u32 flags)
{
    switch (flags & (SYN | RST | FIN)) {
    case 0:
    case FIN: return (flags & ACK) != 0;
    case SYN:
    case RST: return 1;
    default: return 0;
    }
}

/* Options from `at` to `end`, each as long as it says. */
static int options_hold(const ist_u8 *frame, ist_u32 at, ist_u32 end)
{
    while (at < end && frame[at] != 0) {
        if (frame[at] == 1) {
            at++;
        } else {
            if (end - at < 2 || frame[at + 1] < 2 || frame[at + 1] > end - at)
                return 0;
            at += frame[at + 1];
        }
    }
    return 1;
}

/* Neighbour discovery. Only who has an address advertises it. */
static enum ist_verdict parse_neighbour(const struct parsed *p, const ist_u8 *t, ist_u32 n)
{
    if (p->port != SOLICITATION && p->port != ADVERTISEMENT)
        return IST_V_OK;
    if (n < NEIGHBOUR)
        return IST_V_HEADER;
    if (p->port == ADVERTISEMENT && (be64(t + 8) != p->source_net || be64(t + 16) != p->source))
        return IST_V_SOURCE;
    return IST_V_OK;
}

/* What lies behind IP's header. */
static enum ist_verdict parse_transport(struct parsed *p, const ist_u8 *frame)
{
    const ist_u32 n = p->rest;
    const ist_u8 *t = frame + p->transport;
    switch (p->protocol) {
    case ON_TCP:
        if (n < TCP)
            return IST_V_HEADER;
        p->header = (ist_u32)(t[12] >> 4) * 4;
        if (p->header < TCP || p->header > n || !flags_legal(t[13]) ||
            (p->header > TCP && !options_hold(frame, p->transport + TCP, p->transport + p->header)))
            return IST_V_HEADER;
        break;
    case ON_UDP:
        if (n < UDP || be16(t + 4) != n)
            return IST_V_HEADER;
        break;
    case ON_ICMP:
    case ON_ICMPV6:
        if (n < ICMP)
            return IST_V_HEADER;
        p->port = t[0];
        return p->protocol == ON_ICMP ? IST_V_OK : parse_neighbour(p, t, n);
    default:
        return IST_V_OK;
    }
    p->from = be16(t);
    p->port = be16(t + 2);
    return IST_V_OK;
}

static enum ist_verdict parse_ipv4(struct parsed *p, const ist_u8 *frame, ist_u32 at, ist_u32 length)
{
    const ist_u8 *ip = frame + at;
    const ist_u32 room = length - at;
    if (room < IPV4)
        return IST_V_HEADER;
    const ist_u32 header = (ist_u32)(ip[0] & 15) * 4, total = be16(ip + 2), fragment = be16(ip + 6);
    if (ip[0] >> 4 != 4 || header < IPV4 || header > total || total > room || fragment >> 15 != 0)
        return IST_V_HEADER;
    if (total < room && length > IST_FRAME_MIN) /* only the shortest frames have padding */
        return IST_V_HEADER;
    if (header != IPV4)
        return IST_V_IP_OPTIONS;
    if ((fragment & 0x3fff) != 0)
        return IST_V_FRAGMENT;
    p->protocol = ip[9];
    p->source = be32(ip + 12);
    p->target = be32(ip + 16);
    p->transport = at + IPV4;
    p->gso = IST_FLAG_GSO_TCP4;
    p->rest = total - IPV4;
    return IST_V_OK;
}

static enum ist_verdict parse_ipv6(struct parsed *p, const ist_u8 *frame, ist_u32 at, ist_u32 length)
{
    const ist_u8 *ip = frame + at;
    const ist_u32 room = length - at;
    if (room < IPV6 || ip[0] >> 4 != 6 || be16(ip + 4) != room - IPV6) /* none is so short that it is padded */
        return IST_V_HEADER;
    p->protocol = ip[6];
    if (p->protocol == FRAGMENT)
        return IST_V_FRAGMENT;
    if (p->protocol == HOP_BY_HOP || p->protocol == ROUTING || p->protocol == DESTINATION)
        return IST_V_IP_OPTIONS;
    p->source_net = be64(ip + 8);
    p->source = be64(ip + 16);
    p->target_net = be64(ip + 24);
    p->target = be64(ip + 32);
    p->transport = at + IPV6;
    p->gso = IST_FLAG_GSO_TCP6;
    p->rest = room - IPV6;
    return IST_V_OK;
}

/* Ethernet and IPv4 addresses, a request or a reply, and the sender that the frame has. */
static enum ist_verdict parse_arp(struct parsed *p, const ist_u8 *frame, ist_u32 at, ist_u32 length, ist_u64 sender)
{
    const ist_u8 *arp = frame + at;
    if (length - at < ARP_BODY || be32(arp) != 0x00010800 || be16(arp + 4) != 0x0604 || be16(arp + 6) - 1 > 1)
        return IST_V_HEADER;
    if (be48(arp + 8) != sender)
        return IST_V_SOURCE;
    p->source = be32(arp + 14);
    p->target = be32(arp + 24);
    return IST_V_OK;
}

/* What the sender left for us to do must be possible with the headers that are there. */
static enum ist_verdict judge_offload(const struct parsed *p, const struct ist_meta *m, ist_u32 length)
{
    const ist_u32 at = p->protocol == ON_TCP ? 16 : p->protocol == ON_UDP ? 6 : 0;
    if ((m->flags & IST_FLAG_CSUM_PARTIAL) != 0 && (at == 0 || m->csum_start != p->transport || m->csum_offset != at))
        return IST_V_OFFLOAD;
    const ist_u32 gso = m->flags & (IST_FLAG_GSO_TCP4 | IST_FLAG_GSO_TCP6);
    if (gso != 0 && (p->protocol != ON_TCP || gso != p->gso || m->segment >= length - p->transport - p->header))
        return IST_V_OFFLOAD;
    return IST_V_OK;
}

static enum ist_verdict take_rate(struct ist_limit *l, ist_u64 now, enum ist_verdict over)
{
    return l->interval == 0 || ist_limit_take(l, now, l->interval) ? IST_V_OK : over;
}

enum ist_verdict ist_filter_judge(struct ist_filter *f, const ist_u8 *frame, ist_u32 length, const struct ist_meta *meta,
                                  ist_u64 now)
{
    struct parsed p;
    enum ist_verdict v = IST_V_OK;
    ist_u32 at = ETHERNET, vlan = 0;
    p.source = p.target = p.source_net = p.target_net = 0;
    p.protocol = p.from = p.port = p.transport = p.header = p.gso = p.rest = 0;
    if (length < ETHERNET + TAG)
        return IST_V_HEADER;
    if (be48(frame + 6) != f->peer)
        return IST_V_SOURCE;
    if ((frame[0] & 1) != 0)
        v = take_rate(&f->broadcast, now, IST_V_BROADCAST); /* before anything is known of it: all of them cost */
    if (v != IST_V_OK)
        return v;

    ist_u32 type = be16(frame + 12);
    if (type == TYPE_VLAN) {
        const ist_u32 tci = be16(frame + 14);
        vlan = 1u << 16 | (tci & 0xfff) << 4 | tci >> 12;
        type = be16(frame + 16);
        at += TAG;
    }
    ist_u64 rules = rules_of(f, IST_FILTER_VLAN, vlan);
    if (rules == 0 || type == TYPE_SERVICE_VLAN || type == TYPE_VLAN) /* one tag is taken off, none behind it */
        return IST_V_VLAN;
    rules &= rules_of(f, IST_FILTER_TYPE, type) & rules_of(f, IST_FILTER_GROUP, be48(frame));
    if (rules == 0)
        return IST_V_FILTER;

    if (type == TYPE_IPV4 || type == TYPE_ARP || type == TYPE_IPV6) {
        v = type == TYPE_IPV4  ? parse_ipv4(&p, frame, at, length)
            : type == TYPE_ARP ? parse_arp(&p, frame, at, length, f->peer)
                               : parse_ipv6(&p, frame, at, length);
        if (v == IST_V_OK)
            v = parse_transport(&p, frame); /* of ARP, there is none */
        if (v != IST_V_OK)
            return v;
        ist_u64 nets = ~(ist_u64)0;
        if (type == TYPE_IPV6) {
            rules &= rules_of(f, IST_FILTER_SOURCE_NET, p.source_net);
            nets = rules_of(f, IST_FILTER_TARGET_NET, p.target_net);
        }
        rules &= rules_of(f, IST_FILTER_SOURCE, p.source);
        if (rules == 0)
            return IST_V_SOURCE;
        rules &= nets & rules_of(f, IST_FILTER_TARGET, p.target) & rules_of(f, IST_FILTER_PROTOCOL, p.protocol) &
                 rules_of(f, IST_FILTER_PORT, p.port) & rules_of(f, IST_FILTER_FROM, p.from);
        if (rules == 0)
            return IST_V_FILTER;
    }
    const int rule = __builtin_ctzll(rules);
    if ((f->lane >> rule & 1) == 0)
        return IST_V_LANE;
    if (meta->flags != 0)
        v = judge_offload(&p, meta, length);
    return v == IST_V_OK ? take_rate(&f->rate[rule], now, IST_V_RATE) : v;
}

static void load_limit(struct ist_limit *l, const ist_u64 words[2])
{
    l->interval = words[0];
    l->tolerance = words[1];
    l->due = 0;
}

enum ist_verdict ist_filter_load(struct ist_filter *f, const ist_u64 *table, ist_u32 words)
{
    if (words < IST_FILTER_RATES || table[IST_FILTER_COUNT] > IST_FILTER_RULES)
        return IST_V_BAD_FILTER;
    const ist_u32 count = (ist_u32)table[IST_FILTER_COUNT];
    if (words < IST_FILTER_RATES + 2 * count)
        return IST_V_BAD_FILTER;
    const ist_u64 known = count == 0 ? 0 : ~(ist_u64)0 >> (IST_FILTER_RULES - count);
    for (ist_u32 i = 0; i < IST_FILTER_FIELDS; i++) {
        const ist_u64 begin = table[IST_FILTER_SPAN + i] >> 32, n = table[IST_FILTER_SPAN + i] & 0xffffffffu;
        if (n < 1 || n > IST_FILTER_SPANS || (n & (n - 1)) != 0 || begin > words || 2 * n > words - begin)
            return IST_V_BAD_FILTER;
        const struct ist_filter_span *s = (const struct ist_filter_span *)(const void *)(table + begin);
        for (ist_u32 k = 0; k < n; k++)
            if ((k == 0 ? s[0].first != 0 : s[k].first < s[k - 1].first) || (s[k].rules & ~known) != 0)
                return IST_V_BAD_FILTER;
        f->span[i] = s;
        f->half[i] = (ist_u32)n / 2;
    }
    f->peer = table[IST_FILTER_PEER];
    f->lane = table[IST_FILTER_LANE];
    load_limit(&f->broadcast, table + IST_FILTER_BROADCAST);
    for (ist_u32 i = 0; i < count; i++)
        load_limit(&f->rate[i], table + IST_FILTER_RATES + 2 * i);
    return IST_V_OK;
}
