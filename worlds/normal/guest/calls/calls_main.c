// SPDX-License-Identifier: MIT OR GPL-2.0
/* calls_main.c - every call to the firmware that Linux can make and go on after, each between two marks, while this
 * module is loaded: how long does each keep the Secure world's interrupts away? Without the driver: the session is ours.
 *
 *     27 one call 28        of every function id of the owners' ranges, with arguments that are refused and that are not
 *
 * Linux's interrupts are off, so that a mark follows the call. REPEATS times: the secure timer comes into some. */
#include <linux/arm-smccc.h>
#include <linux/delay.h>
#include <linux/module.h>

#include "mark.h"
#include "smc.h"

#define REPEATS 2

static ulong claim[4];
module_param_array(claim, ulong, NULL, 0);

static u64 call(u64 id, u64 x1, u64 x2, u64 x3, u64 x4, u64 x5)
{
	struct arm_smccc_res r;
	unsigned long flags;

	local_irq_save(flags);
	MARK(27);
	arm_smccc_smc(id, x1, x2, x3, x4, x5, 0, 0, &r);
	MARK(28);
	local_irq_restore(flags);
	return id == IST_SMC_REGISTER || id == IST_SMC_STATUS ? (id == IST_SMC_STATUS ? r.a2 : r.a1) : r.a0;
}

/* SYSTEM_OFF, SYSTEM_RESET and RESET2 do not come back. */
static bool ends_linux(u64 id)
{
	u64 number = id & 0xbfffffff;

	return number == 0x84000008 || number == 0x84000009 || number == 0x84000012;
}

static void each(u64 id)
{
	static const u64 values[][3] = {
		{ 0, 0, 0 }, { 1, 0x40200000, 0 }, { -1ull, -1ull, -1ull },
	};
	int i, k;

	for (i = 0; i < ARRAY_SIZE(values); i++)
		for (k = 0; k < REPEATS && !ends_linux(id); k++)
			call(id, values[i][0], values[i][1], values[i][2], 0, 0);
}

static void range(u64 base, int n)
{
	int i;

	for (i = 0; i < n; i++)
		each(base + i);
}

static void session(void)
{
	u64 epoch;
	int i;

	for (i = 0; i < REPEATS; i++) {
		epoch = call(IST_SMC_REGISTER, 0, claim[0], claim[1], claim[2], claim[3]);
		call(IST_SMC_REGISTER, 0, claim[0], claim[1], claim[2], claim[3]);
		call(IST_SMC_DOORBELL, 0, IST_LANE_BULK, 0, 0, 0);
		call(IST_SMC_DOORBELL, 0, IST_LANE_BULK, 0, 0, 0);
		call(IST_SMC_STATUS, 0, 0, 0, 0, 0);
		call(IST_SMC_DETACH, 0, epoch + 1, 0, 0, 0);
		call(IST_SMC_DETACH, 0, epoch, 0, 0, 0);
		msleep(20); /* the Secure world confirms */
	}
}

static int __init calls(void)
{
	int owner;

	session();
	for (owner = 0; owner < 8; owner++) { /* Arm, processor, platform, OEM, standard, two hypervisors, trusted OS */
		range(0x80000000 + ((u64)owner << 24), 0x24);
		range(0xc0000000 + ((u64)owner << 24), 0x24);
	}
	range(0x84000050, 4); /* random numbers */
	range(0x80007ffe, 4); /* workarounds */
	range(0xc2000010, 4); /* performance counters */
	range(0xb200ff00, 4); /* a trusted OS's general queries, and nobody's */
	range(0xbf00ff00, 4);
	range(0x32000000, 4); /* yielding */
	return 0;
}

static void __exit done(void)
{
}

module_init(calls);
module_exit(done);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("How long each call keeps secure interrupts away, for isthmus bench");
