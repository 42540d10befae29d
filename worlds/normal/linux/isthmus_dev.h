/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* isthmus_dev.h - one channel as a Linux network device.
 *
 * Who runs what: the receive half and the session belong to NAPI; the sending half to the transmit lock. The session
 * touches both halves, so NAPI takes the transmit lock for it. Process context only starts and stops NAPI. */
#ifndef ISTHMUS_DEV_H
#define ISTHMUS_DEV_H

#include <linux/netdevice.h>
#include <linux/timer.h>

#include "isthmus.h"
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
	u8 *bounce;	     /* one frame, where a tag is computed over it */
	u32 unreclaimed;     /* cursor up to which the queue limits know of completion */

	/* written under the transmit lock */
	u64 doorbells, latched, stops;
	/* written by NAPI */
	u64 interrupts, registrations, refused, links_lost;

	struct ist_endpoint ep;
};

/* The region of reserved-memory called `name`, mapped and checked page by page; base and size go to *p. An ERR_PTR
 * where there is none or it cannot be shared with the Secure world; the log then says why. */
void *isthmus_map(struct device *d, struct isthmus *p, const char *name, int role);

extern const struct ethtool_ops isthmus_ethtool_ops;

#endif
