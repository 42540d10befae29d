// SPDX-License-Identifier: MIT OR GPL-2.0
/* delay.c - how late timer interrupts are on the core that asks.
 *
 *     echo US > /sys/kernel/debug/isthmus_delay    so many microseconds of a core that does nothing but wait for them
 *     cat /sys/kernel/debug/isthmus_delay          how many came meanwhile; the latest of them, in ns after it was due
 *
 * Linux itself adds to it what it takes from the exception to the handler; interrupts are never masked meanwhile. */
#include <linux/debugfs.h>
#include <linux/hrtimer.h>
#include <linux/module.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#define PERIOD_US 97 /* so that they are due at any moment of the Secure world's periods */
#define LONGEST_US 500000

static struct hrtimer timer;
static struct dentry *file;
static u64 ticks;
static s64 latest;

static enum hrtimer_restart on_timer(struct hrtimer *t)
{
	s64 late = ktime_to_ns(ktime_sub(ktime_get(), hrtimer_get_expires(t)));

	ticks++;
	if (late > latest)
		latest = late;
	hrtimer_forward_now(t, ns_to_ktime(PERIOD_US * NSEC_PER_USEC));
	return HRTIMER_RESTART;
}

static ssize_t order(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	unsigned int us;
	u64 begun;
	int error = kstrtouint_from_user(from, n, 0, &us);

	if (error || us > LONGEST_US)
		return error ?: -EINVAL;
	preempt_disable();
	ticks = latest = 0;
	begun = ktime_get_ns();
	hrtimer_start(&timer, ns_to_ktime(PERIOD_US * NSEC_PER_USEC), HRTIMER_MODE_REL_PINNED_HARD);
	while (ktime_get_ns() - begun < us * 1000ull)
		cpu_relax();
	preempt_enable();
	hrtimer_cancel(&timer);
	return n;
}

static ssize_t result(struct file *f, char __user *to, size_t n, loff_t *at)
{
	char text[48];

	return simple_read_from_buffer(to, n, at, text, scnprintf(text, sizeof(text), "%llu %lld\n", ticks, latest));
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.read = result,
	.write = order,
};

static int __init start(void)
{
	hrtimer_init(&timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_PINNED_HARD);
	timer.function = on_timer;
	file = debugfs_create_file("isthmus_delay", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit stop(void)
{
	debugfs_remove(file);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("the delay of Linux's timer interrupts, for tests");
