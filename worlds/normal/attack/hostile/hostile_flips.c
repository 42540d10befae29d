// SPDX-License-Identifier: MIT OR GPL-2.0
/* hostile_flips.c - a core that writes into records which another one has published. */
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/netdevice.h>

#include "hostile.h"
#include "isthmus_dev.h"

static struct {
	struct isthmus *p;
	u32 offset, flip, stride;
	u64 until;
} now;

static int flip(void *unused)
{
	const u32 ring = now.p->ep.tx.ring;
	u8 *own = now.p->ep.tx.own;
	u32 to = READ_ONCE(*(u32 *)(own + IST_CTL_HEAD)), from = to;

	while (ktime_get_ns() < now.until) {
		u32 head = READ_ONCE(*(u32 *)(own + IST_CTL_HEAD)), at;

		if (head != to) {
			from = (head - to) % now.stride ? head : to;
			to = head;
		}
		for (at = from; at != to; at += now.stride) {
			u32 *word = (u32 *)(own + IST_CONTROL_SIZE + (at & (ring - 1)) + now.offset);

			WRITE_ONCE(*word, READ_ONCE(*word) ^ now.flip);
		}
		cond_resched();
	}
	dev_put(now.p->dev);
	return 0;
}

/* One at a time: the next one is refused until this one's time is over. */
int order_flips(struct order *o)
{
	struct net_device *dev;
	struct task_struct *thread;

	if (num_online_cpus() < 2 || !o->x[2])
		return -EINVAL;
	if (ktime_get_ns() < now.until)
		return -EBUSY;
	dev = dev_get_by_name(&init_net, "ist0");
	if (!dev)
		return -ENODEV;
	now.p = netdev_priv(dev);
	now.offset = o->x[0];
	now.flip = o->x[1];
	now.stride = o->x[2];
	now.until = ktime_get_ns() + o->x[3] * NSEC_PER_USEC;
	thread = kthread_create(flip, NULL, "flips");
	if (IS_ERR(thread)) {
		dev_put(dev);
		return PTR_ERR(thread);
	}
	kthread_bind(thread, cpumask_last(cpu_online_mask));
	wake_up_process(thread);
	return 0;
}
