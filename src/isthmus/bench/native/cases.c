/* SPDX-License-Identifier: MIT */
/* cases.c - what needs nothing beyond the C library and the kernel. */
#include "bench.h"

extern const struct bench_case case_cacheline, case_packed, case_slots, case_slotseq, case_isthmus;
extern const struct bench_case case_seqpacket, case_datagram, case_packet, case_tap, case_pipe;
extern const struct bench_case case_latency_idle, case_latency_loaded, case_latency_timer, case_scale;

const struct bench_case *const cases[] = {
    &case_cacheline, &case_packed,   &case_slots,  &case_slotseq, &case_isthmus, &case_seqpacket,
    &case_datagram,  &case_packet,   &case_tap,    &case_pipe,    &case_latency_idle,
    &case_latency_loaded, &case_latency_timer, &case_scale, 0,
};
