// SPDX-License-Identifier: MIT OR GPL-2.0
/* isthmus_ethtool.c - every verdict by its name, and what the driver itself counts. */
#include <linux/ethtool.h>

#include "isthmus_dev.h"

static const char own[][ETH_GSTRING_LEN] = {
	"sent",	     "sent_bytes", "received_bytes", "lost",	      "in_flight", "epoch",    "link_state",
	"doorbells", "latched",	   "interrupts",     "queue_stopped", "registrations", "refused", "links_lost",
};

static int count(struct net_device *dev, int set)
{
	return set == ETH_SS_STATS ? ARRAY_SIZE(own) + IST_VERDICT_COUNT : -EOPNOTSUPP;
}

static void names(struct net_device *dev, u32 set, u8 *data)
{
	u32 v;

	if (set != ETH_SS_STATS)
		return;
	memcpy(data, own, sizeof(own));
	data += sizeof(own);
	for (v = 0; v < IST_VERDICT_COUNT; v++)
		ethtool_sprintf(&data, "verdict_%s", ist_verdict_name(v));
}

static void values(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	struct isthmus *p = netdev_priv(dev);
	const struct ist_endpoint *e = &p->ep;
	u32 v;

	*data++ = e->sent;
	*data++ = e->tx.bytes;
	*data++ = e->rx.bytes;
	*data++ = e->rx.lost;
	*data++ = e->tx.head - e->tx.tail;
	*data++ = p->epoch;
	*data++ = ist_link_state(e);
	*data++ = p->doorbells;
	*data++ = p->latched;
	*data++ = p->interrupts;
	*data++ = p->stops;
	*data++ = p->registrations;
	*data++ = p->refused;
	*data++ = p->links_lost;
	for (v = 0; v < IST_VERDICT_COUNT; v++)
		*data++ = e->count[v];
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
