// SPDX-License-Identifier: MIT OR GPL-2.0
/* costs_main.c - what single operations cost, between two marks each, while this module is loaded. The driver must have
 * a session. Interrupts are off, so that only the operation is between the marks; the secure timer pre-empts all the
 * same, and whoever reads the marks takes the median.
 *
 *     1 doorbell 2          a world crossing and back, or, over the rate, the monitor's answer alone
 *     3 frame sent 4        reserve, copy in, commit, publish; 64 bytes      7, 8: 1500 bytes
 *    21 published 22     a frame that is ready, to a peer that polls
 *     5 frame received 6    peek, copy out, release                          9, 10 */
#include <linux/arm-smccc.h>
#include <linux/module.h>
#include <linux/vmalloc.h>

#include "isthmus.h"
#include "mark.h"
#include "smc.h"

#define DOORBELLS 400
#define FRAMES 100
#define RING 65536

static void doorbells(void)
{
	struct arm_smccc_res r;
	unsigned long flags;
	int i;

	for (i = 0; i < DOORBELLS; i++) {
		local_irq_save(flags);
		MARK(1);
		arm_smccc_smc(IST_SMC_DOORBELL, 0, IST_LANE_BULK, 0, 0, 0, 0, 0, &r);
		MARK(2);
		local_irq_restore(flags);
	}
}

static int frames(struct ist_endpoint *from, struct ist_endpoint *to, void *frame)
{
	static const u32 lengths[] = { 64, 1500 };
	struct ist_frame f;
	unsigned long flags;
	int bad = 0, i, size;

	for (size = 0; size < 2; size++) {
		for (i = 0; i < FRAMES; i++) {
			u32 n = lengths[size];

			local_irq_save(flags);
			if (size == 0)
				MARK(3);
			else
				MARK(7);
			bad |= ist_reserve(from, n, NULL) || ist_append(from, frame, n) || ist_commit(from, n);
			ist_publish(from);
			if (size == 0)
				MARK(4);
			else
				MARK(8);
			if (size == 0)
				MARK(5);
			else
				MARK(9);
			bad |= ist_peek(to, 0, &f) || ist_take(to, frame);
			ist_rx_bell(to);
			if (size == 0)
				MARK(6);
			else
				MARK(10);
			local_irq_restore(flags);
		}
	}
	return bad ? -EIO : 0;
}

static int publications(struct ist_endpoint *from, struct ist_endpoint *to, void *frame)
{
	struct ist_frame f;
	unsigned long flags;
	int bad = 0, i;

	for (i = 0; i < FRAMES; i++) {
		bad |= ist_send(from, frame, 64, NULL);
		local_irq_save(flags);
		MARK(21);
		ist_publish(from);
		MARK(22);
		local_irq_restore(flags);
		bad |= ist_peek(to, 0, &f) || ist_take(to, frame);
	}
	return bad ? -EIO : 0;
}

static int __init costs(void)
{
	struct ist_config c = {
		.ring_bytes = { RING, RING }, .frame_max = 1536, .mtu = 1500, .role = IST_NORMAL,
	};
	static const ist_u64 key[2] = { 1, 2 };
	u32 bytes = ist_buffer_size(&c, IST_NORMAL);
	struct ist_endpoint *ends = vzalloc(2 * sizeof(*ends));
	void *normal = vzalloc(bytes), *secure = vzalloc(bytes), *frame = vzalloc(2048);
	int error = -ENOMEM, i;

	if (!ends || !normal || !secure || !frame)
		goto out;
	ist_init(&ends[0], &c, normal, secure);
	c.role = IST_SECURE;
	ist_init(&ends[1], &c, secure, normal);
	for (i = 0; i < 2; i++)
		ist_begin(&ends[i], 1, key, 0);
	for (i = 0; i < 8; i++)
		ist_poll(&ends[i % 2], 0);
	error = -EIO;
	if (ist_link_state(&ends[0]) == IST_RUN && ist_link_state(&ends[1]) == IST_RUN)
		error = frames(&ends[0], &ends[1], frame) ?: publications(&ends[0], &ends[1], frame);
	doorbells();
out:
	vfree(frame);
	vfree(secure);
	vfree(normal);
	vfree(ends);
	return error;
}

static void __exit done(void)
{
}

module_init(costs);
module_exit(done);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("What an operation of the channel costs, for isthmus bench");
