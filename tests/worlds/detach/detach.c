// SPDX-License-Identifier: MIT OR GPL-2.0
/* detach.c - once, as soon as the driver has registered, its session is ended by name: before the driver tells the
 * Secure world of it, so that this world never joins it.
 *
 *     cat /sys/module/detach/parameters/ended    how often that was done */
#include <linux/arm-smccc.h>
#include <linux/kprobes.h>
#include <linux/module.h>

#include "smc.h"

static int ended;
module_param(ended, int, 0444);

static int on_begin(struct kprobe *p, struct pt_regs *regs)
{
	struct arm_smccc_res r;

	if (ended)
		return 0;
	arm_smccc_smc(IST_SMC_STATUS, 0, 0, 0, 0, 0, 0, 0, &r);
	if (r.a1 != IST_SESSION_SEALED)
		return 0;
	arm_smccc_smc(IST_SMC_DETACH, 0, r.a2, 0, 0, 0, 0, 0, &r);
	ended += r.a0 == IST_SMC_OK;
	return 0;
}

/* What the driver calls between its registration and its first doorbell. */
static struct kprobe begin = { .symbol_name = "isthmus:ist_begin", .pre_handler = on_begin };

static int __init start(void)
{
	return register_kprobe(&begin);
}

static void __exit stop(void)
{
	unregister_kprobe(&begin);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("an end of the session at the worst moment, for tests");
