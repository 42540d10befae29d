// SPDX-License-Identifier: MIT OR GPL-2.0
/* isthmus_lanes.c - lanes beside the bulk lane: from the device tree, and which frame goes by which. */
#include <linux/of.h>
#include <linux/skbuff.h>
#include <linux/slab.h>

#include "isthmus_dev.h"

DEFINE_STATIC_KEY_FALSE(isthmus_has_lanes);

/* The rules by which the Secure world will judge what comes by this lane, less their rates (core/filter.h). */
static struct ist_filter *read_choice(struct device *d, const struct device_node *np)
{
	int words = of_property_count_u64_elems(np, "isthmus,choice");
	struct ist_filter *f = devm_kzalloc(d, sizeof(*f), GFP_KERNEL);
	u64 *table;

	if (words <= 0)
		return NULL;
	table = devm_kcalloc(d, words, sizeof(*table), GFP_KERNEL); /* the filter refers to it */
	if (!f || !table || of_property_read_u64_array(np, "isthmus,choice", table, words) ||
	    ist_filter_load(f, (const ist_u64 *)table, words) != IST_V_OK)
		return NULL;
	return f;
}

int isthmus_read_lanes(struct device *d, struct isthmus *p, struct ist_config c[IST_LANES_MAX])
{
	struct device_node *np;
	u32 number, ring;
	int lanes = 1;

	for_each_child_of_node(d->of_node, np) {
		if (!of_node_name_eq(np, "lane"))
			continue;
		if (lanes == IST_LANES_MAX || of_property_read_u32(np, "reg", &number) || number != lanes ||
		    of_property_read_u32(np, "isthmus,ring-bytes", &ring))
			goto refuse;
		p->choice[lanes] = read_choice(d, np);
		c[lanes] = ist_lane_config(&c[0], lanes, ring, 0, 0);
		if (!p->choice[lanes] || ist_config_check(&c[lanes]) != IST_V_OK)
			goto refuse;
		lanes++;
	}
	if (lanes > 1)
		static_branch_enable(&isthmus_has_lanes);
	return lanes;
refuse:
	of_node_put(np);
	return dev_err_probe(d, -EINVAL, "the node's lane %d cannot be\n", lanes);
}

/* The highest lane whose rules admit the frame. Only asked where there is more than one queue. */
u16 isthmus_select_queue(struct net_device *dev, struct sk_buff *skb, struct net_device *sb_dev)
{
	static const struct ist_meta none;
	struct isthmus *p = netdev_priv(dev);
	u8 head[IST_FILTER_HEAD] = { 0 };
	u32 k;

	if (skb_copy_bits(skb, 0, head, min_t(u32, skb->len, sizeof(head))))
		return 0;
	for (k = p->lanes - 1; k > 0; k--)
		if (ist_filter_judge(p->choice[k], head, max_t(u32, skb->len, IST_FRAME_MIN), &none, 0) == IST_V_OK)
			break;
	return k;
}

void isthmus_lock_others(struct isthmus *p)
{
	u32 k;

	for (k = 1; k < p->lanes; k++) {
		struct netdev_queue *queue = netdev_get_tx_queue(p->dev, k);

		spin_lock_nested(&queue->_xmit_lock, k);
		WRITE_ONCE(queue->xmit_lock_owner, smp_processor_id());
	}
}

void isthmus_unlock_others(struct isthmus *p)
{
	u32 k = p->lanes;

	while (--k > 0)
		__netif_tx_unlock(netdev_get_tx_queue(p->dev, k));
}

enum ist_state isthmus_state(const struct isthmus *p)
{
	return ist_link_state(ist_lanes_worst(p->lane, p->lanes));
}

enum ist_verdict isthmus_look(struct isthmus *p, u64 now, struct ist_frame *f, struct ist_endpoint **from)
{
	enum ist_verdict v;
	u32 k = p->lanes;

	do {
		*from = &p->lane[--k];
		v = ist_peek(*from, now, f);
	} while (k > 0 && (v == IST_V_EMPTY || v == IST_V_DOWN || v == IST_V_BUDGET));
	return v;
}
