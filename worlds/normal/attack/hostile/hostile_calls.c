// SPDX-License-Identifier: MIT OR GPL-2.0
/* hostile_calls.c - any calls to the monitor, as often as asked for. */
#include <linux/arm-smccc.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "hostile.h"
#include "smc.h"

#define REGISTERS 8
#define CALLS_MAX 64

struct made {
	u64 count, changed, ok; /* how often; how often the result was another than the time before, and how often 0 */
	unsigned long x0;
};

/* Per call: how often it was made, its last x0 as a signed number, how often that changed, and how often it was 0. */
int order_calls(struct order *o)
{
	static struct made made[CALLS_MAX];
	size_t calls = min_t(size_t, o->size / (REGISTERS * 8), CALLS_MAX), i;
	int at = 0;

	if (!calls)
		return -EINVAL;
	memset(made, 0, sizeof(made));
	while (pace_on(&o->pace)) {
		for (i = 0; i < calls; i++) {
			const u64 *x = (const u64 *)o->data + i * REGISTERS;
			struct arm_smccc_res r;

			arm_smccc_smc(x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7], &r);
			made[i].changed += made[i].count++ && r.a0 != made[i].x0;
			made[i].x0 = r.a0;
			made[i].ok += !r.a0;
		}
	}
	for (i = 0; i < calls; i++)
		at += scnprintf(o->said + at, RESULT_MAX - at, "%llu %ld %llu %llu ", made[i].count, (long)made[i].x0,
				made[i].changed, made[i].ok);
	return 0;
}

/* Ends whatever session there is, and registers again as soon as the monitor lets it. How many sessions began. */
int order_sessions(struct order *o)
{
	u64 begun = 0;

	while (pace_on(&o->pace)) {
		struct arm_smccc_res r;

		arm_smccc_smc(IST_SMC_STATUS, 0, 0, 0, 0, 0, 0, 0, &r);
		if (r.a1 == IST_SESSION_SEALED)
			arm_smccc_smc(IST_SMC_DETACH, 0, r.a2, 0, 0, 0, 0, 0, &r);
		arm_smccc_smc(IST_SMC_REGISTER, 0, o->x[0], o->x[1], o->x[2], o->x[3], 0, 0, &r);
		begun += !r.a0;
	}
	scnprintf(o->said, RESULT_MAX, "%llu", begun);
	return 0;
}
