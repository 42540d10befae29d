// SPDX-License-Identifier: MIT OR GPL-2.0
/* storm.c - attacker K at the interrupt controller. Each order lasts so many microseconds of the core that writes it:
 *
 *     echo "mask 5000" > /sys/kernel/debug/isthmus_storm
 *
 *     mask    Linux's priority mask lets nothing pass
 *     hold    an interrupt is acknowledged and not ended
 *     sgi     software-generated interrupts at the Secure world's core: Linux's own, and what the instructions for the
 *             secure groups make of the Secure world's kick
 *     spi     a shared interrupt that Linux handles, of the highest priority that it can give, at the Secure world's
 *             core; 1-of-N where it can
 *     calm    nothing; what the others are compared with
 *
 *     cat /sys/kernel/debug/isthmus_storm    Linux's own timer interrupts that came during the last order; rounds
 *
 * Linux's interrupts are on meanwhile, so that what is silenced is silenced by the controller. */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <asm/sysreg.h>

static uint version, kick, spi, target; /* target: position of the Secure world's core, its affinity as well */
static ulong gicd, private; /* GICv3: the first core's frame of private interrupts; GICv2: the cores' interface */
module_param(version, uint, 0);
module_param(kick, uint, 0);
module_param(spi, uint, 0);
module_param(target, uint, 0);
module_param(gicd, ulong, 0);
module_param(private, ulong, 0);

#define OWN_SGI 7
#define ISENABLER 0x100
#define ISPENDR 0x200
#define IPRIORITYR 0x400
#define ITARGETSR 0x800
#define SGIR 0xf00
#define IROUTER 0x6000
#define ONE_OF_N (1ull << 31)
#define GICR_STRIDE 0x20000
#define CORES_MAX 8
#define GICC_PMR 0x04
#define GICC_IAR 0x0c
#define GICC_EOIR 0x10
#define TICK_US 200

static void __iomem *d, *p;
static struct dentry *file;
static struct hrtimer timer;
static u32 ticks;
static u64 rounds, came;

static enum hrtimer_restart on_tick(struct hrtimer *t)
{
	ticks++;
	hrtimer_forward_now(t, ns_to_ktime(TICK_US * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static u32 set_mask(u32 mask)
{
	u32 old;

	if (version == 2) {
		old = readl(p + GICC_PMR);
		writel(mask, p + GICC_PMR);
	} else {
		old = read_sysreg_s(SYS_ICC_PMR_EL1);
		write_sysreg_s(mask, SYS_ICC_PMR_EL1);
		isb();
	}
	return old;
}

static void raise(u32 id, u32 core)
{
	if (version == 2) {
		writel(1u << (16 + core) | id, d + SGIR);
		writel(1u << (16 + core) | 1u << 15 | kick, d + SGIR);
	} else {
		write_sysreg_s((u64)id << 24 | 1u << core, SYS_ICC_SGI1R_EL1);
		write_sysreg_s((u64)kick << 24 | 1u << core, SYS_ICC_ASGI1R_EL1);
		write_sysreg_s((u64)kick << 24 | 1u << core, SYS_ICC_SGI0R_EL1);
		isb();
	}
}

/* To itself, and only acknowledged. */
static u32 acknowledge(void)
{
	unsigned long flags;
	u32 id;

	local_irq_save(flags);
	raise(OWN_SGI, read_cpuid_mpidr() & 0xf);
	udelay(2);
	id = version == 2 ? readl(p + GICC_IAR) : (u32)read_sysreg_s(SYS_ICC_IAR1_EL1);
	dsb(sy);
	local_irq_restore(flags);
	return id;
}

static void end(u32 id)
{
	if (version == 2)
		writel(id, p + GICC_EOIR);
	else
		write_sysreg_s(id, SYS_ICC_EOIR1_EL1);
	isb();
}

static void prepare(void *unused)
{
	void __iomem *own = version == 2 ? d : p + GICR_STRIDE * (read_cpuid_mpidr() & 0xf);

	writeb(0, own + IPRIORITYR + OWN_SGI);
	writel(1u << OWN_SGI, own + ISENABLER);
	writeb(0, d + IPRIORITYR + spi);
}

static u64 route(void)
{
	return version == 2 ? readb(d + ITARGETSR + spi) : readq(d + IROUTER + 8 * spi);
}

static void set_route(u64 to)
{
	if (version == 2)
		writeb(to, d + ITARGETSR + spi);
	else
		writeq(to, d + IROUTER + 8 * spi);
}

static void go(const char *what, unsigned int us)
{
	u64 until = ktime_get_ns() + us * 1000ull, usual = route(), there = version == 2 ? 1u << target : target;
	u32 before = ticks, kept = 0;

	if (!strcmp(what, "mask"))
		kept = set_mask(0);
	if (!strcmp(what, "hold"))
		kept = acknowledge();
	for (rounds = 0; ktime_get_ns() < until; rounds++) {
		if (!strcmp(what, "sgi"))
			raise(OWN_SGI, target);
		if (!strcmp(what, "spi")) {
			writel(1u << spi % 32, d + ISPENDR + spi / 32 * 4);
			set_route(version == 3 && rounds % 2 ? ONE_OF_N : there);
		}
		cpu_relax();
	}
	came = ticks - before;
	set_route(usual);
	if (!strcmp(what, "mask"))
		set_mask(kept);
	if (!strcmp(what, "hold"))
		end(kept);
}

static ssize_t order(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	char text[32], what[8];
	unsigned int us;

	if (n >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, n))
		return -EFAULT;
	text[n] = '\0';
	if (sscanf(text, "%7s %u", what, &us) != 2 || us > 100000)
		return -EINVAL;
	preempt_disable();
	hrtimer_start(&timer, ns_to_ktime(TICK_US * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
	go(what, us);
	preempt_enable();
	hrtimer_cancel(&timer);
	return n;
}

static ssize_t result(struct file *f, char __user *to, size_t n, loff_t *at)
{
	char text[48];

	return simple_read_from_buffer(to, n, at, text, scnprintf(text, sizeof(text), "%llu %llu\n", came, rounds));
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.read = result,
	.write = order,
};

static int __init start(void)
{
	d = ioremap(gicd, 0x10000);
	p = ioremap(private, version == 2 ? 0x10000 : GICR_STRIDE * CORES_MAX);
	if (!d || !p)
		return -ENOMEM;
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer.function = on_tick;
	on_each_cpu(prepare, NULL, 1);
	file = debugfs_create_file("isthmus_storm", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit stop(void)
{
	debugfs_remove(file);
	iounmap(p);
	iounmap(d);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("an attack on the interrupt controller, for tests");
