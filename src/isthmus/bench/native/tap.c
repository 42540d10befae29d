/* SPDX-License-Identifier: MIT */
/* tap.c - the peer `tap`: two TAP devices on one bridge. */
#include "ethernet.h"

#define CASE case_tap
#define CASE_NAME "tap"
#include "traffic.h"
