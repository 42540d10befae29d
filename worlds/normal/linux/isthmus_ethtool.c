// SPDX-License-Identifier: MIT OR GPL-2.0
/* isthmus_ethtool.c - every verdict by its name, and what the driver itself counts: of the bulk lane, then of each other
 * lane with its number in front. */
#include <linux/ethtool.h>

#include "isthmus_dev.h"

static const char own[][ETH_GSTRING_LEN] = {
	"sent",	     "sent_bytes", "received_bytes", "lost",	      "in_flight", "epoch",    "link_state",
	"doorbells", "latched",	   "interrupts",     "queue_stopped", "registrations", "refused", "links_lost",
};

#define OF_A_LANE 5 /* of `own`, they are a lane's; the rest are the driver's */

static int count(struct net_device *dev, int set)
{
	const struct isthmus *p = netdev_priv(dev);

	if (set != ETH_SS_STATS)
		return -EOPNOTSUPP;
	return ARRAY_SIZE(own) + IST_VERDICT_COUNT + (p->lanes - 1) * (OF_A_LANE + IST_VERDICT_COUNT);
}

static void names(struct net_device *dev, u32 set, u8 *data)
{
	const struct isthmus *p = netdev_priv(dev);
	u32 k, v;

	if (set != ETH_SS_STATS)
		return;
	memcpy(data, own, sizeof(own));
	data += sizeof(own);
	for (v = 0; v < IST_VERDICT_COUNT; v++)
		ethtool_sprintf(&data, "verdict_%s", ist_verdict_name(v));
	for (k = 1; k < p->lanes; k++) {
		for (v = 0; v < OF_A_LANE; v++)
			ethtool_sprintf(&data, "lane%u_%s", k, own[v]);
		for (v = 0; v < IST_VERDICT_COUNT; v++)
			ethtool_sprintf(&data, "lane%u_verdict_%s", k, ist_verdict_name(v));
	}
}

static u64 *lane_values(const struct ist_endpoint *e, u64 *data)
{
	*data++ = e->sent;
	*data++ = e->tx.bytes;
	*data++ = e->rx.bytes;
	*data++ = e->rx.lost;
	*data++ = e->tx.head - e->tx.tail;
	return data;
}

static u64 *verdict_values(const struct ist_endpoint *e, u64 *data)
{
	u32 v;

	for (v = 0; v < IST_VERDICT_COUNT; v++)
		*data++ = e->count[v];
	return data;
}

static void values(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	struct isthmus *p = netdev_priv(dev);
	u32 k;

	data = lane_values(&p->ep, data);
	*data++ = p->epoch;
	*data++ = ist_link_state(ist_lanes_worst(p->lane, p->lanes));
	*data++ = p->doorbells;
	*data++ = p->latched;
	*data++ = p->interrupts;
	*data++ = p->stops;
	*data++ = p->registrations;
	*data++ = p->refused;
	*data++ = p->links_lost;
	data = verdict_values(&p->ep, data);
	for (k = 1; k < p->lanes; k++)
		data = verdict_values(&p->lane[k], lane_values(&p->lane[k], data));
}

static void info(struct net_device *dev, struct ethtool_drvinfo *i)
{
	strscpy(i->driver, "isthmus", sizeof(i->driver));
	strscpy(i->version, "0.1.0", sizeof(i->version));
	strscpy(i->bus_info, dev_name(dev->dev.parent), sizeof(i->bus_info));
}

/* The control words of our own buffer, as the Secure world sees them. */
static int registers_length(struct net_device *dev)
{
	return IST_CONTROL_SIZE;
}

static void registers(struct net_device *dev, struct ethtool_regs *r, void *data)
{
	struct isthmus *p = netdev_priv(dev);

	r->version = IST_VERSION;
	memcpy(data, p->ep.tx.own, IST_CONTROL_SIZE);
}

const struct ethtool_ops isthmus_ethtool_ops = {
	.get_drvinfo = info,
	.get_link = ethtool_op_get_link,
	.get_sset_count = count,
	.get_strings = names,
	.get_ethtool_stats = values,
	.get_regs_len = registers_length,
	.get_regs = registers,
	.get_ts_info = ethtool_op_get_ts_info,
};
