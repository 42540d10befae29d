// SPDX-License-Identifier: MIT OR GPL-2.0
/* isthmus_main.c - the Normal world's end of the channel as an Ethernet interface.
 *
 *   start_xmit -> reserve -> copy (and checksum) into our own buffer -> commit ... publish -> doorbell (SMC)
 *   interrupt  -> NAPI: peek (validated length) -> skb -> take (one copy) -> GRO ... arm, look again -> sleep
 *
 * Nothing that the Secure world writes is trusted: it reaches this file as values that the core has checked, and a
 * frame is parsed only in the skb it was copied to. A violation ends the session with a named reason; after a while
 * that grows a new one is asked for. */
#include <linux/arm-smccc.h>
#include <linux/etherdevice.h>
#include <linux/interrupt.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_net.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/tcp.h>

#include "isthmus_dev.h"

#define TICK_MS 5
#define RETRY_FIRST_NS (2 * NSEC_PER_MSEC)
#define RETRY_MAX_NS NSEC_PER_SEC

/* ---- the monitor ------------------------------------------------------------------------------------------- */

static long smc(struct arm_smccc_res *r, u32 call, u64 a, u64 b, u64 c, u64 d, u64 e)
{
	arm_smccc_smc(call, a, b, c, d, e, 0, 0, r);
	return (long)r->a0;
}

/* `lanes`: a bit for each that has something new. */
static void doorbell(struct isthmus *p, u32 lanes)
{
	struct arm_smccc_res r;

	p->doorbells++;
	if (smc(&r, IST_SMC_DOORBELL, p->channel, lanes, 0, 0, 0) == IST_SMC_LATCHED)
		p->latched++;
}

static const char *refusal(long result)
{
	switch (result) {
	case IST_SMC_INVALID:
		return "the buffers are not those of the monitor's table";
	case IST_SMC_DENIED:
		return "the Secure world is not there";
	case IST_SMC_BUSY:
		return "the session before is still ending";
	case IST_SMC_ALREADY:
		return "the monitor holds a session already";
	case IST_SMC_NO_ENTROPY:
		return "the platform has no entropy for an epoch";
	default:
		return "the monitor does not know the call";
	}
}

/* ---- the session, in NAPI under the transmit locks ----------------------------------------------------------- */

static __always_inline enum ist_state state_of(const struct isthmus *p)
{
	return static_branch_unlikely(&isthmus_has_lanes) ? isthmus_state(p) : ist_link_state(&p->ep);
}

static void leave_session(struct isthmus *p, enum ist_verdict why)
{
	struct arm_smccc_res r;

	ist_lanes_end(p->lane, p->lanes, why);
	if (p->epoch)
		smc(&r, IST_SMC_DETACH, p->channel, p->epoch, 0, 0, 0);
	p->epoch = 0;
}

static void enter_session(struct isthmus *p, u64 now)
{
	struct arm_smccc_res r;
	ist_u64 key[2];
	u32 k;
	long result = smc(&r, IST_SMC_REGISTER, p->channel, p->base[IST_NORMAL], p->size[IST_NORMAL],
			  p->base[IST_SECURE], p->size[IST_SECURE]);

	if (result == IST_SMC_ALREADY) {
		/* An earlier driver died without a word. Its session can only be ended by name. */
		if (smc(&r, IST_SMC_STATUS, p->channel, 0, 0, 0, 0) == IST_SMC_OK)
			smc(&r, IST_SMC_DETACH, p->channel, r.a2, 0, 0, 0);
	}
	if (result != IST_SMC_OK) {
		p->refused++;
		net_info_ratelimited("%s: registration refused: %s\n", netdev_name(p->dev), refusal(result));
		p->retry_ns = min_t(u64, p->retry_ns * 2, RETRY_MAX_NS);
		p->retry_after = now + p->retry_ns;
		return;
	}
	p->registrations++;
	p->epoch = r.a1;
	p->retry_after = now + 2 * RETRY_MAX_NS; /* for the Secure world to come */
	key[0] = r.a2;
	key[1] = r.a3;
	ist_lanes_begin(p->lane, p->lanes, p->epoch, key, now);
	for (k = 0; k < p->lanes; k++) {
		p->unreclaimed[k] = p->lane[k].tx.tail;
		netdev_tx_reset_queue(netdev_get_tx_queue(p->dev, k));
	}
	doorbell(p, IST_LANE_BULK); /* the Secure world need not wait for its own period to see us */
}

static void link_up(struct isthmus *p)
{
	p->retry_ns = RETRY_FIRST_NS;
	netif_tx_wake_all_queues(p->dev);
	netif_carrier_on(p->dev);
}

static void link_down(struct isthmus *p)
{
	netif_carrier_off(p->dev);
	netif_tx_stop_all_queues(p->dev);
	p->links_lost++;
}

static void tick(struct isthmus *p, u64 now)
{
	enum ist_state before = state_of(p), state;
	u32 why;

	p->next_tick = now + TICK_MS * NSEC_PER_MSEC;
	state = ist_lanes_poll(p->lane, p->lanes, now);
	if (state == IST_RUN && !netif_carrier_ok(p->dev))
		link_up(p);
	else if (state != IST_RUN && netif_carrier_ok(p->dev))
		link_down(p);
	if (state == IST_RESET || state == IST_DEAD || (state == IST_INIT && now >= p->retry_after)) {
		if (p->epoch) { /* over; or not joined: the Secure world refuses us, or was told of an end before */
			why = ist_lanes_worst(p->lane, p->lanes)->reason ?: IST_V_PEER_SILENT;
			net_info_ratelimited("%s: link down: %s\n", netdev_name(p->dev), ist_verdict_name(why));
			leave_session(p, IST_V_PEER_SILENT);
			p->retry_after = now + p->retry_ns;
		} else if (now >= p->retry_after) {
			enter_session(p, now);
		}
	} else if (state != before) {
		doorbell(p, IST_LANE_BULK);
	}
}

/* ---- transmit, under the queue's transmit lock ------------------------------------------------------------------ */

/* Room for the largest frame? Looks at the peer's cursor only when what we know of it says no. */
static bool has_room(struct ist_endpoint *e)
{
	u32 largest = IST_ROUND(IST_REC_PAYLOAD + e->config.frame_max) + IST_TRAILER;

	return e->tx.ring - (e->tx.head - e->tx.tail) >= largest || ist_room(e) >= e->config.frame_max;
}

/* Tells the byte queue limits what the peer has consumed; counted in bytes of records, as was what we sent. */
static __always_inline void reclaim(struct isthmus *p, u32 k)
{
	u32 tail, bytes;

	ist_room(&p->lane[k]);
	tail = p->lane[k].tx.tail;
	bytes = tail - p->unreclaimed[k];
	p->unreclaimed[k] = tail;
	if (bytes)
		netdev_tx_completed_queue(netdev_get_tx_queue(p->dev, k), 1, bytes);
}

static void stop_before_full(struct isthmus *p, struct ist_endpoint *e, struct netdev_queue *queue)
{
	if (has_room(e))
		return;
	netif_tx_stop_queue(queue);
	p->stops++;
	if (ist_arm_tx(e, e->config.frame_max))
		netif_tx_wake_queue(queue);
}

/* One copy: the checksum, where the stack left it to us, is computed while the bytes go into our own buffer. */
static enum ist_verdict put(struct isthmus *p, struct ist_endpoint *e, struct sk_buff *skb)
{
	enum ist_verdict v = ist_reserve(e, skb->len, NULL);
	void *place;

	if (v != IST_V_OK)
		return v;
	place = ist_place(e);
	skb_copy_and_csum_dev(skb, place ?: p->bounce[e - p->lane]);
	if (!place)
		ist_append(e, p->bounce[e - p->lane], skb->len);
	return ist_commit(e, skb->len);
}

/* The Secure world runs before the call returns, so its answer is there by then: NAPI looks at once, and asks for an
 * interrupt only when it finds nothing more. */
static void cross(struct isthmus *p, u32 k)
{
	isthmus_disarm(p);
	doorbell(p, 1u << k);
	napi_schedule(&p->napi); /* in any case: it asks again */
}

static __always_inline netdev_tx_t send_by(struct isthmus *p, u32 k, struct sk_buff *skb)
{
	struct net_device *dev = p->dev;
	struct ist_endpoint *e = &p->lane[k];
	struct netdev_queue *queue = netdev_get_tx_queue(dev, k);
	u32 before = e->tx.head;
	bool more = netdev_xmit_more(), kick = true;

	if (put(p, e, skb) == IST_V_OK) {
		kick = __netdev_tx_sent_queue(queue, e->tx.head - before, more);
		dev_sw_netstats_tx_add(dev, 1, skb->len);
		skb_tx_timestamp(skb);
	} else {
		dev->stats.tx_dropped++; /* why is in the verdict counters */
		kick = !more;
	}
	dev_consume_skb_any(skb);
	stop_before_full(p, e, queue);
	if ((kick || netif_tx_queue_stopped(queue)) && ist_publish(e))
		cross(p, k); /* NAPI reclaims */
	else
		reclaim(p, k);
	return NETDEV_TX_OK;
}

static netdev_tx_t isthmus_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct isthmus *p = netdev_priv(dev);

	return static_branch_unlikely(&isthmus_has_lanes) ? send_by(p, skb_get_queue_mapping(skb), skb) : send_by(p, 0, skb);
}

static netdev_features_t isthmus_features_check(struct sk_buff *skb, struct net_device *dev, netdev_features_t features)
{
	struct isthmus *p = netdev_priv(dev);

	if (skb_is_gso(skb) && skb->len > p->ep.config.frame_max)
		features &= ~NETIF_F_GSO_MASK;
	return features;
}

/* ---- receive: NAPI ------------------------------------------------------------------------------------------------ */

/* Only TCP's segments are joined: everything else goes up without the detour. */
static bool joinable(const struct sk_buff *skb)
{
	switch (skb->protocol) {
	case htons(ETH_P_IP):
		return skb_headlen(skb) >= sizeof(struct iphdr) && ((struct iphdr *)skb->data)->protocol == IPPROTO_TCP;
	case htons(ETH_P_IPV6):
		return skb_headlen(skb) >= sizeof(struct ipv6hdr) && ((struct ipv6hdr *)skb->data)->nexthdr == IPPROTO_TCP;
	default:
		return false;
	}
}

/* A frame beyond the MTU is so many segments of TCP in one piece: says so, or whoever forwards it could not cut it and
 * TCP would take it for the path's segment size. Parsed in the private copy; what is nothing of the kind stays as it is. */
static void mark_segments(struct sk_buff *skb, u32 mtu)
{
	const struct iphdr *ip = (struct iphdr *)skb->data;
	const struct tcphdr *tcp;
	u32 headers;

	if (skb->protocol != htons(ETH_P_IP) || skb_headlen(skb) < sizeof(*ip) || ip->ihl < 5 || ip->protocol != IPPROTO_TCP)
		return;
	headers = ip->ihl * 4;
	if (skb_headlen(skb) < headers + sizeof(*tcp))
		return;
	tcp = (const struct tcphdr *)(skb->data + headers);
	headers += tcp->doff * 4;
	if (tcp->doff < 5 || headers >= mtu || skb->len <= headers)
		return;
	skb_shinfo(skb)->gso_type = SKB_GSO_TCPV4 | SKB_GSO_DODGY; /* the peer's word: checked again before it is cut */
	skb_shinfo(skb)->gso_size = mtu - headers;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(skb->len - headers, mtu - headers);
}

static void deliver(struct isthmus *p, struct sk_buff *skb)
{
	dev_sw_netstats_rx_add(p->dev, skb->len);
	skb->protocol = eth_type_trans(skb, p->dev);
	if (!joinable(skb)) {
		netif_receive_skb(skb);
		return;
	}
	if (unlikely(skb->len > p->dev->mtu))
		mark_segments(skb, p->dev->mtu);
	napi_gro_receive(&p->napi, skb);
}

/* The next frame of the highest lane that has one; *from: that lane, or the last one looked at. */
static __always_inline enum ist_verdict look(struct isthmus *p, u64 now, struct ist_frame *f, struct ist_endpoint **from)
{
	if (static_branch_unlikely(&isthmus_has_lanes))
		return isthmus_look(p, now, f, from);
	*from = &p->ep;
	return ist_peek(&p->ep, now, f);
}

static int receive(struct isthmus *p, int budget, u64 now)
{
	struct ist_endpoint *e;
	struct ist_frame f;
	int done;

	for (done = 0; done < budget; done++) {
		enum ist_verdict v = look(p, now, &f, &e);
		struct sk_buff *skb;

		if (v == IST_V_EMPTY || v == IST_V_DOWN || v == IST_V_BUDGET)
			break;
		if (v != IST_V_OK)
			continue; /* refused, counted, consumed */
		skb = napi_alloc_skb(&p->napi, f.length);
		if (!skb) {
			ist_drop(e, IST_V_NO_BUFFER);
			p->dev->stats.rx_dropped++;
		} else if (ist_take(e, skb_put(skb, f.length)) == IST_V_OK) {
			deliver(p, skb);
		} else {
			dev_kfree_skb_any(skb);
			p->dev->stats.rx_errors++;
		}
	}
	return done;
}

/* Completion of what was sent by a lane, its queue that waited for room, and whether its peer is to be rung. */
static __always_inline u32 look_after(struct isthmus *p, u32 k)
{
	struct ist_endpoint *e = &p->lane[k];
	struct netdev_queue *queue = netdev_get_tx_queue(p->dev, k);

	if (ist_link_state(e) == IST_RUN) {
		reclaim(p, k);
		if (netif_tx_queue_stopped(queue) && netif_carrier_ok(p->dev) && has_room(e))
			netif_tx_wake_queue(queue);
	}
	return ist_rx_bell(e) ? 1u << k : 0;
}

/* What needs both halves: the session's tick, and each lane. */
static void under_lock(struct isthmus *p, u64 now)
{
	u32 k, ring;

	isthmus_lock(p);
	if (now >= p->next_tick || state_of(p) != IST_RUN)
		tick(p, now);
	ring = look_after(p, 0);
	for (k = 1; static_branch_unlikely(&isthmus_has_lanes) && k < p->lanes; k++)
		ring |= look_after(p, k);
	if (ring)
		doorbell(p, ring);
	isthmus_unlock(p);
}

static int isthmus_napi(struct napi_struct *napi, int budget)
{
	struct isthmus *p = container_of(napi, struct isthmus, napi);
	u64 now = ktime_get_ns();
	int done = receive(p, budget, now);

	under_lock(p, now);
	if (done == budget)
		return budget;
	/* Before NAPI is complete: from then on the receive halves may be another core's. */
	if (state_of(p) == IST_RUN && isthmus_arm(p)) {
		isthmus_disarm(p);
		return budget; /* to be polled again */
	}
	napi_complete_done(napi, done);
	return done;
}

static irqreturn_t isthmus_irq(int irq, void *data)
{
	struct isthmus *p = data;

	p->interrupts++;
	napi_schedule_irqoff(&p->napi);
	return IRQ_HANDLED;
}

static void isthmus_timer(struct timer_list *t)
{
	struct isthmus *p = from_timer(p, t, timer);

	napi_schedule(&p->napi);
	mod_timer(&p->timer, jiffies + msecs_to_jiffies(TICK_MS));
}

/* ---- up and down ------------------------------------------------------------------------------------------------------ */

static int isthmus_open(struct net_device *dev)
{
	struct isthmus *p = netdev_priv(dev);
	int error;

	netif_carrier_off(dev);
	netif_tx_stop_all_queues(dev);
	p->next_tick = p->retry_after = 0;
	p->retry_ns = RETRY_FIRST_NS;
	napi_enable(&p->napi);
	error = request_irq(p->irq, isthmus_irq, 0, dev->name, p);
	if (error) {
		napi_disable(&p->napi);
		return error;
	}
	mod_timer(&p->timer, jiffies);
	return 0;
}

static int isthmus_stop(struct net_device *dev)
{
	struct isthmus *p = netdev_priv(dev);

	/* Nobody schedules NAPI any more, then nobody runs it; the transmit queue is already quiet. */
	free_irq(p->irq, p);
	del_timer_sync(&p->timer);
	napi_disable(&p->napi);
	netif_carrier_off(dev);
	local_bh_disable();
	isthmus_lock(p);
	leave_session(p, IST_V_PEER_LEFT);
	isthmus_unlock(p);
	local_bh_enable();
	return 0;
}

static const struct net_device_ops isthmus_netdev_ops = {
	.ndo_open = isthmus_open,
	.ndo_stop = isthmus_stop,
	.ndo_start_xmit = isthmus_xmit,
	.ndo_select_queue = isthmus_select_queue,
	.ndo_features_check = isthmus_features_check,
	.ndo_get_stats64 = dev_get_tstats64,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

/* ---- the device tree ---------------------------------------------------------------------------------------------------- */

static int read_config(struct device *d, struct isthmus *p, struct ist_config *c)
{
	struct device_node *np = d->of_node;
	u32 rings[2], silence_ms = 1000;
	u64 sequence = 0;

	memset(c, 0, sizeof(*c));
	c->role = IST_NORMAL;
	if (of_property_read_u32(np, "isthmus,channel", &p->channel) ||
	    of_property_read_u32_array(np, "isthmus,ring-bytes", rings, 2) ||
	    of_property_read_u32(np, "isthmus,frame-max", &c->frame_max) ||
	    of_property_read_u32(np, "isthmus,mtu", &c->mtu))
		return dev_err_probe(d, -EINVAL, "the node lacks a required property\n");
	c->ring_bytes[IST_NORMAL] = rings[0];
	c->ring_bytes[IST_SECURE] = rings[1];
	of_property_read_u32(np, "isthmus,tag", &c->tag);
	of_property_read_u32(np, "isthmus,features", &c->features);
	of_property_read_u32(np, "isthmus,silence-ms", &silence_ms);
	of_property_read_u32(np, "isthmus,first-cursor", &c->first_cursor);
	of_property_read_u64(np, "isthmus,first-sequence", &sequence);
	c->first_sequence = sequence;
	c->silence = (u64)silence_ms * NSEC_PER_MSEC;
	return 0;
}

static int check_monitor(struct device *d)
{
	struct arm_smccc_res r;

	if (smc(&r, IST_SMC_UID, 0, 0, 0, 0, 0) != (u32)IST_SMC_UID_0 || (u32)r.a1 != (u32)IST_SMC_UID_1 ||
	    (u32)r.a2 != (u32)IST_SMC_UID_2 || (u32)r.a3 != (u32)IST_SMC_UID_3)
		return dev_err_probe(d, -ENODEV, "no Isthmus monitor at EL3\n");
	smc(&r, IST_SMC_REVISION, 0, 0, 0, 0, 0);
	if (r.a0 != IST_SMC_MAJOR)
		return dev_err_probe(d, -ENODEV, "the monitor speaks version %lu, this driver %d\n", r.a0, IST_SMC_MAJOR);
	return 0;
}

static void describe(struct net_device *dev, const struct ist_config *c)
{
	dev->netdev_ops = &isthmus_netdev_ops;
	dev->ethtool_ops = &isthmus_ethtool_ops;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = c->mtu;
	dev->mtu = c->mtu;
	/* A checksum or a segment that is left to us is completed while the frame is copied: nothing leaves unfinished. */
	dev->hw_features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_ALL_TSO;
	dev->features = dev->hw_features | NETIF_F_HIGHDMA;
	dev->vlan_features = dev->hw_features;
	netif_set_tso_max_size(dev, min_t(u32, c->frame_max, GSO_LEGACY_MAX_SIZE));
}

static int isthmus_probe(struct platform_device *pdev)
{
	struct device *d = &pdev->dev;
	struct ist_config c[IST_LANES_MAX];
	struct net_device *dev;
	struct isthmus *p;
	enum ist_verdict v;
	void *own;
	void *peer;
	int error;
	u32 k;

	error = check_monitor(d);
	if (error)
		return error;
	dev = devm_alloc_etherdev_mqs(d, sizeof(*p), IST_LANES_MAX, 1);
	if (!dev)
		return -ENOMEM;
	SET_NETDEV_DEV(dev, d);
	p = netdev_priv(dev);
	p->dev = dev;
	platform_set_drvdata(pdev, dev);
	error = read_config(d, p, &c[0]);
	if (error)
		return error;
	v = ist_config_check(&c[0]);
	if (v != IST_V_OK)
		return dev_err_probe(d, -EINVAL, "the node's geometry cannot be: %s\n", ist_verdict_name(v));
	error = isthmus_read_lanes(d, p, c);
	if (error < 0)
		return error;
	p->lanes = error;
	error = netif_set_real_num_tx_queues(dev, p->lanes);
	if (error)
		return error;
	own = isthmus_map(d, p, "normal", IST_NORMAL);
	if (IS_ERR(own))
		return PTR_ERR(own);
	peer = isthmus_map(d, p, "secure", IST_SECURE);
	if (IS_ERR(peer))
		return PTR_ERR(peer);
	if (p->size[IST_NORMAL] < ist_lanes_size(c, p->lanes, IST_NORMAL) ||
	    p->size[IST_SECURE] < ist_lanes_size(c, p->lanes, IST_SECURE))
		return dev_err_probe(d, -EINVAL, "a memory-region is smaller than its rings and one frame of each\n");
	p->irq = platform_get_irq(pdev, 0);
	if (p->irq < 0)
		return p->irq;
	for (k = 0; k < p->lanes; k++) {
		p->bounce[k] = devm_kmalloc(d, c[0].frame_max, GFP_KERNEL);
		if (!p->bounce[k])
			return -ENOMEM;
	}
	dev->tstats = devm_netdev_alloc_pcpu_stats(d, struct pcpu_sw_netstats);
	if (!dev->tstats)
		return -ENOMEM;
	ist_lanes_init(p->lane, c, p->lanes, own, peer);
	describe(dev, &c[0]);
	if (of_get_ethdev_address(d->of_node, dev))
		return dev_err_probe(d, -EINVAL, "the node has no local-mac-address\n");
	netif_napi_add(dev, &p->napi, isthmus_napi);
	timer_setup(&p->timer, isthmus_timer, 0);
	strscpy(dev->name, "ist%d", sizeof(dev->name));
	return register_netdev(dev);
}

static int isthmus_remove(struct platform_device *pdev)
{
	struct net_device *dev = platform_get_drvdata(pdev);
	struct isthmus *p = netdev_priv(dev);

	unregister_netdev(dev);
	netif_napi_del(&p->napi);
	return 0;
}

static const struct of_device_id isthmus_match[] = {
	{ .compatible = "isthmus,channel" },
	{},
};
MODULE_DEVICE_TABLE(of, isthmus_match);

static struct platform_driver isthmus_driver = {
	.probe = isthmus_probe,
	.remove = isthmus_remove,
	.driver = {
		.name = "isthmus",
		.of_match_table = isthmus_match,
	},
};
module_platform_driver(isthmus_driver);

MODULE_DESCRIPTION("Network channel to the Secure world");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("0.1.0");
