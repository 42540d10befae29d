/* SPDX-License-Identifier: MIT */
/* packet.c - the peer `af_packet`: raw packet sockets on the two ends of a veth pair. */
#include "ethernet.h"

#define CASE case_packet
#define CASE_NAME "af_packet"
#include "traffic.h"
