/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* isthmus_dev.h - one channel as a Linux network device: a transmit queue for each lane.
 *
 * Who runs what: the receive halves and the session belong to NAPI; a lane's sending half to its queue's transmit lock. The
 * session touches both halves, so NAPI takes the transmit locks for it. Process context only starts and stops NAPI. */
#ifndef ISTHMUS_DEV_H
#define ISTHMUS_DEV_H

#include <linux/jump_label.h>
#include <linux/netdevice.h>
#include <linux/timer.h>

#include "filter.h"
#include "isthmus.h"
#include "lane.h"
#include "smc.h"

struct isthmus {
	struct net_device *dev;
	struct napi_struct napi;
	struct timer_list timer; /* a look once per TICK, bell or not */
	u32 channel;
	int irq;
	phys_addr_t base[2]; /* by role; the monitor compares all four */
	size_t size[2];
	u64 epoch;	     /* sealed at the monitor; 0 = none */
	u64 next_tick;	     /* ns */
	u64 retry_ns, retry_after;
	u8 *bounce[IST_LANES_MAX]; /* one frame of each lane, where a tag is computed over it */
	u32 unreclaimed[IST_LANES_MAX]; /* cursor up to which the queue limits know of completion */

	/* written under a transmit lock; with lanes a count may be lost where two cores send at once */
	u64 doorbells, latched, stops;
	/* written by NAPI */
	u64 interrupts, registrations, refused, links_lost;

	u32 lanes;
	struct ist_filter *choice[IST_LANES_MAX]; /* what goes by which lane; the bulk lane has none */
	union {
		struct ist_endpoint ep; /* the bulk lane's */
		struct ist_endpoint lane[IST_LANES_MAX];
	};
};

/* Is there a channel with lanes beside the bulk lane? Where there is none, nobody pays for the question. */
DECLARE_STATIC_KEY_FALSE(isthmus_has_lanes);

/* Asks for an interrupt in every lane. True: a frame came between the last look and the request, no bell will come. */
static inline bool isthmus_arm(struct isthmus *p)
{
	u32 k;

	if (ist_arm(&p->ep, 1))
		return true;
	for (k = 1; static_branch_unlikely(&isthmus_has_lanes) && k < p->lanes; k++)
		if (ist_arm(&p->lane[k], 1))
			return true;
	return false;
}

static inline void isthmus_disarm(struct isthmus *p)
{
	u32 k;

	ist_disarm(&p->ep);
	for (k = 1; static_branch_unlikely(&isthmus_has_lanes) && k < p->lanes; k++)
		ist_disarm(&p->lane[k]);
}

/* isthmus_lanes.c: the lanes of the node, of which c[0] is filled in. How many there are, or a negative error, logged. */
int isthmus_read_lanes(struct device *d, struct isthmus *p, struct ist_config c[IST_LANES_MAX]);
/* The transmit locks behind the bulk lane's, in their order: netif_tx_lock() would reschedule every queue behind it. */
void isthmus_lock_others(struct isthmus *p);
void isthmus_unlock_others(struct isthmus *p);

/* All of them. Softirqs are off. */
static inline void isthmus_lock(struct isthmus *p)
{
	__netif_tx_lock(netdev_get_tx_queue(p->dev, 0), smp_processor_id());
	if (static_branch_unlikely(&isthmus_has_lanes))
		isthmus_lock_others(p);
}

static inline void isthmus_unlock(struct isthmus *p)
{
	if (static_branch_unlikely(&isthmus_has_lanes))
		isthmus_unlock_others(p);
	__netif_tx_unlock(netdev_get_tx_queue(p->dev, 0));
}

/* The channel's state, where it has lanes. */
enum ist_state isthmus_state(const struct isthmus *p);
/* The next frame of the highest lane that has one; *from: that lane, or the last one looked at. */
enum ist_verdict isthmus_look(struct isthmus *p, u64 now, struct ist_frame *f, struct ist_endpoint **from);

u16 isthmus_select_queue(struct net_device *dev, struct sk_buff *skb, struct net_device *sb_dev);

/* The region of reserved-memory called `name`, mapped and checked page by page; base and size go to *p. An ERR_PTR
 * where there is none or it cannot be shared with the Secure world; the log then says why. */
void *isthmus_map(struct device *d, struct isthmus *p, const char *name, int role);

extern const struct ethtool_ops isthmus_ethtool_ops;

#endif
