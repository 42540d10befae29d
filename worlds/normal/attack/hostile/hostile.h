/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* hostile.h - attacker K: a kernel module with the driver's state, the window and the monitor's calls in its hands. */
#ifndef ISTHMUS_HOSTILE_H
#define ISTHMUS_HOSTILE_H

#include <linux/types.h>

#define DATA_MAX (256u << 10)
#define RESULT_MAX 4096u

/* How long an order goes on: at most `rounds` of them (0: any number) within `us`, `pause_us` between two. */
struct pace {
	u64 rounds, us, pause_us;
	u64 began, ended, done; /* ns of the monotonic clock; rounds */
};

struct order {
	struct pace pace;
	u64 x[7]; /* the order's own numbers */
	const u8 *data;
	size_t size;
	char *said; /* RESULT_MAX bytes: what came of it */
};

/* False once the order is over; else the next round begins now. */
bool pace_on(struct pace *p);

/* Each returns 0 or an error. The text at the top of hostile_main.c says what they do. */
int order_calls(struct order *o);
int order_sessions(struct order *o);
int order_records(struct order *o);
int order_word(struct order *o);
int order_scan(struct order *o);
int order_deaf(struct order *o);
int order_flips(struct order *o);

#endif
