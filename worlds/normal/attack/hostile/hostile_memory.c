// SPDX-License-Identifier: MIT OR GPL-2.0
/* hostile_memory.c - the window in the hands of an attacker who has the driver's endpoint, too. */
#include <linux/arm-smccc.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/rtnetlink.h>

#include "hostile.h"
#include "isthmus_dev.h"

#define NAME "ist0"
#define LOCKED 64u /* records, at most, that a transmit lock is held for */

static void ring_doorbell(u32 lane)
{
	struct arm_smccc_res r;

	arm_smccc_smc(IST_SMC_DOORBELL, 0, 1u << lane, 0, 0, 0, 0, 0, &r);
}

/* The frame at *at of the data, which then stands behind it. */
static const u8 *next_frame(const struct order *o, size_t *at, u32 *length)
{
	const u8 *frame;

	if (*at + 2 > o->size)
		*at = 0;
	*length = o->data[*at] | o->data[*at + 1] << 8;
	frame = o->data + *at + 2;
	if (*at + 2 + *length > o->size)
		return NULL;
	*at += 2 + *length;
	return frame;
}

static void alter(u8 *record, const u64 x[])
{
	u32 *word = (u32 *)(record + x[1]);

	if (x[2] || x[3])
		WRITE_ONCE(*word, (READ_ONCE(*word) & ~(u32)x[2]) ^ (u32)x[3]);
}

/* Under the lane's transmit lock. False: the ring has no room. */
static bool put(struct isthmus *p, u32 lane, const u8 *frame, u32 length, const u64 x[])
{
	struct ist_endpoint *e = &p->lane[lane];
	u32 before = e->tx.head;
	u8 *own = e->tx.own;

	if (ist_reserve(e, length, NULL) != IST_V_OK)
		return false;
	ist_append(e, frame, length);
	ist_commit(e, length);
	alter(own + IST_CONTROL_SIZE + (before & (e->tx.ring - 1)), x);
	__netdev_tx_sent_queue(netdev_get_tx_queue(p->dev, lane), e->tx.head - before, false);
	return true;
}

/* Under the lane's transmit lock: records that nobody is told of yet. How many, at most `most` of them. */
static u32 fill(struct isthmus *p, const struct order *o, size_t *at, u32 most)
{
	u32 length, done;

	for (done = 0; done < most; done++) {
		size_t before = *at;
		const u8 *frame = next_frame(o, at, &length);

		if (!frame || !put(p, o->x[4], frame, length, o->x)) {
			*at = before;
			break;
		}
	}
	return done;
}

/* Under the lane's transmit lock: the Secure world looks, while a word of its own is what the order says. */
static void show(struct isthmus *p, const struct order *o)
{
	u32 lane = o->x[4], *word = (u32 *)(p->lane[lane].rx.peer + o->x[5]);
	u32 was = READ_ONCE(*word), lie = was + (u32)o->x[6];

	if (lie != was)
		WRITE_ONCE(*word, lie);
	asm volatile("hint #95" ::: "memory"); /* where a race is driven, it begins here */
	ist_publish(&p->lane[lane]);
	ist_disarm(&p->lane[lane]);
	ring_doorbell(lane);
	if (lie != was)
		cmpxchg(word, lie, was); /* before our own driver looks */
	napi_schedule(&p->napi);
}

/* The lock is let go in between: who means well in this Linux is not to wait for its own kernel. */
static u32 burst(struct isthmus *p, const struct order *o, size_t *at)
{
	struct netdev_queue *queue = netdev_get_tx_queue(p->dev, o->x[4]);
	u32 wanted = o->x[0] ?: U32_MAX, done = 0, most, part;

	do {
		most = min_t(u32, wanted - done, LOCKED);
		__netif_tx_lock_bh(queue);
		done += part = fill(p, o, at, most);
		if (part < most || done == wanted)
			show(p, o);
		__netif_tx_unlock_bh(queue);
		cond_resched();
	} while (part == most && done < wanted);
	return done;
}

/* How many records went out. */
int order_records(struct order *o)
{
	struct net_device *dev = dev_get_by_name(&init_net, NAME);
	u64 sent = 0;
	size_t at = 0;
	struct isthmus *p;

	if (!dev)
		return -ENODEV;
	p = netdev_priv(dev);
	while (o->x[4] < p->lanes && o->size > 2 && pace_on(&o->pace))
		sent += burst(p, o, &at);
	scnprintf(o->said, RESULT_MAX, "%llu", sent);
	dev_put(dev);
	return o->pace.began ? 0 : -EINVAL;
}

static void *map(unsigned int role, size_t *size)
{
	struct net_device *dev = dev_get_by_name(&init_net, NAME);
	struct isthmus *p;
	void *at;

	if (!dev || role > IST_SECURE)
		return NULL;
	p = netdev_priv(dev);
	*size = p->size[role];
	at = memremap(p->base[role], *size, MEMREMAP_WB);
	dev_put(dev);
	return at;
}

/* What the word was last. */
int order_word(struct order *o)
{
	size_t size;
	u8 *buffer = map(o->x[0], &size);
	u32 *word = (u32 *)(buffer + o->x[1]), was = 0;

	if (!buffer)
		return -ENODEV;
	while (o->x[1] + 4 <= size && pace_on(&o->pace)) {
		u32 lie;

		was = READ_ONCE(*word);
		lie = (was & ~(u32)o->x[2]) + (u32)o->x[3];
		WRITE_ONCE(*word, lie);
		ring_doorbell(0);
		usleep_range(o->x[4], o->x[4]);
		cmpxchg(word, lie, was);
	}
	memunmap(buffer);
	scnprintf(o->said, RESULT_MAX, "%u", was);
	return 0;
}

/* How many words; how many of them in the range, and the first of those. */
int order_scan(struct order *o)
{
	u64 seen = 0, found = 0, first = 0;
	unsigned int role;
	size_t size, i;

	for (role = IST_NORMAL; role <= IST_SECURE; role++) {
		u64 *buffer = map(role, &size);

		if (!buffer)
			return -ENODEV;
		for (i = 0; i < size / 8; i++, seen++)
			if (buffer[i] >= o->x[0] && buffer[i] < o->x[1] && !found++)
				first = buffer[i];
		memunmap(buffer);
	}
	scnprintf(o->said, RESULT_MAX, "%llu %llu %#llx", seen, found, first);
	return 0;
}

int order_deaf(struct order *o)
{
	struct net_device *dev = dev_get_by_name(&init_net, NAME);
	static bool deaf;
	struct isthmus *p;

	if (!dev)
		return -ENODEV;
	p = netdev_priv(dev);
	if (o->x[0] && !deaf) {
		napi_disable(&p->napi);
	} else if (!o->x[0] && deaf) {
		napi_enable(&p->napi);
		napi_schedule(&p->napi);
	}
	deaf = o->x[0];
	dev_put(dev);
	return 0;
}
