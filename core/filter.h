/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* filter.h - the allow-list: is this frame one that the board's policy admits? Whatever no rule names is refused.
 *
 * Judges private bytes only: a frame that was copied, or one that is about to be sent. The policy is a table of 64-bit
 * words that Python compiles from the board file (src/isthmus/filter/): for each field of a frame the intervals of its
 * values, and for each interval a mask of the rules that it leaves possible. A frame's rule is the lowest bit that all
 * fields leave over. So the work does not grow with the rules: at most IST_FILTER_COMPARES compares, and one step for
 * each byte of TCP options. */
#ifndef ISTHMUS_FILTER_H
#define ISTHMUS_FILTER_H

#include "isthmus.h"

#define IST_FILTER_RULES 64u  /* one bit each */
#define IST_FILTER_SPANS 256u /* intervals of a field's values at most */
#define IST_FILTER_HEAD 138u  /* bytes that are looked at: Ethernet, a VLAN tag, the longest IPv4 and TCP headers */
#define IST_FILTER_COMPARES (IST_FILTER_FIELDS * 8u) /* log2 of the spans for each field */

/* The fields, in the order of the table. */
enum ist_filter_field {
    IST_FILTER_GROUP,      /* destination address, 48 bits */
    IST_FILTER_VLAN,       /* tagged << 16 | id << 4 | priority << 1 | drop eligible; untagged: 0 */
    IST_FILTER_TYPE,       /* EtherType, behind a VLAN tag */
    IST_FILTER_SOURCE_NET, /* IPv6 source: its network, 64 bits */
    IST_FILTER_SOURCE,     /* and its interface identifier, 64 bits; IPv4 source, ARP sender */
    IST_FILTER_TARGET_NET, /* IPv6 destination, likewise */
    IST_FILTER_TARGET,     /* IPv4 destination, ARP target */
    IST_FILTER_PROTOCOL,
    IST_FILTER_FROM, /* source port */
    IST_FILTER_PORT, /* destination port, ICMP or ICMPv6 type */
    IST_FILTER_FIELDS
};

/* The table: these words, then two for each rule (GCRA interval and tolerance, 0 = no rate), then the spans of all
 * fields: first value, mask of rules. */
enum ist_filter_word {
    IST_FILTER_COUNT,     /* rules */
    IST_FILTER_PEER,      /* address that frames come from */
    IST_FILTER_LANE,      /* mask of the rules whose frames come by this lane */
    IST_FILTER_BROADCAST, /* GCRA interval and tolerance of frames to any group */
    IST_FILTER_SPAN = IST_FILTER_BROADCAST + 2, /* for each field: where its spans begin << 32 | how many */
    IST_FILTER_RATES = IST_FILTER_SPAN + IST_FILTER_FIELDS,
};

/* A span: from `first` up to the next one's. A field has a power of two of them; what is left over begins at ~0. */
struct ist_filter_span {
    ist_u64 first, rules;
};

struct ist_filter {
    const struct ist_filter_span *span[IST_FILTER_FIELDS];
    ist_u32 half[IST_FILTER_FIELDS]; /* of how many there are, a power of two */
    ist_u64 peer, lane;
    struct ist_limit broadcast;
    struct ist_limit rate[IST_FILTER_RULES];
};

/* Takes a table of `words`, which has to live as long as the filter. OK, or BAD_FILTER: nothing but a well-formed table
 * makes a filter, so the walk stays in bounds whatever made the table. */
enum ist_verdict ist_filter_load(struct ist_filter *f, const ist_u64 *table, ist_u32 words);
/* Judges a frame of `length` bytes, of which the first IST_FILTER_HEAD (all, if there are fewer) lie at `frame`.
 * OK, or FILTER, LANE, HEADER, FRAGMENT, IP_OPTIONS, VLAN, SOURCE, OFFLOAD, BROADCAST or RATE. */
enum ist_verdict ist_filter_judge(struct ist_filter *f, const ist_u8 *frame, ist_u32 length, const struct ist_meta *meta,
                                  ist_u64 now);

#endif
