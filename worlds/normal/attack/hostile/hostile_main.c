// SPDX-License-Identifier: MIT OR GPL-2.0
/* hostile_main.c - takes orders for attacks. What they work on is written to one file, the order to another:
 *
 *     /sys/kernel/debug/isthmus_hostile/data     see the orders; each write from the file's beginning replaces it
 *     /sys/kernel/debug/isthmus_hostile/order    NAME ROUNDS US PAUSE-US [NUMBER ...]; reading says what came of it
 *
 *     calls                            data: calls of 8 registers each, x0 to x7, made in turn
 *     records BURST OFFSET MASK VALUE LANE WORD LIE  data: frames, each behind its 16-bit length, put into the Normal
 *                                      world's ring of that lane as records; so many in a round, or 0: as many as fit. In
 *                                      each the word at OFFSET of the record becomes (word & ~MASK) ^ VALUE before it is
 *                                      published. While the Secure world looks, its own control word at WORD is LIE more
 *     word ROLE OFFSET MASK VALUE HOLD-US   the word at OFFSET of a world's buffer becomes (word & ~MASK) + VALUE, with
 *                                      a doorbell, and after HOLD-US what it was
 *     sessions BASE SIZE BASE SIZE     ends the session that there is and registers again, as fast as the monitor lets it
 *     flips OFFSET FLIP STRIDE US      for US from now, on the last core, the word at OFFSET in each of the records that were
 *                                      published last, STRIDE bytes apart, becomes word ^ FLIP, again and again
 *     deaf ON                          the driver takes nothing from the Secure world's ring, until it is told 0
 *     scan LOW HIGH                    counts the 64-bit words in the window that lie in LOW..HIGH
 *
 * An answer begins with "BEGAN ENDED ROUNDS", in nanoseconds of the monotonic clock. */
#include "hostile.h"

#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

static DEFINE_MUTEX(lock);
static struct dentry *folder;
static u8 *data;
static size_t size;
static char said[RESULT_MAX];

static const struct {
	const char *name;
	int (*go)(struct order *o);
} orders[] = {
	{ "calls", order_calls },
	{ "records", order_records },
	{ "word", order_word },
	{ "scan", order_scan },
	{ "sessions", order_sessions },
	{ "deaf", order_deaf },
	{ "flips", order_flips },
};

bool pace_on(struct pace *p)
{
	if (!p->began)
		p->began = ktime_get_ns();
	else if (p->pause_us)
		usleep_range(p->pause_us, p->pause_us);
	else
		cond_resched();
	p->ended = ktime_get_ns();
	if ((p->rounds && p->done >= p->rounds) || p->ended - p->began >= p->us * NSEC_PER_USEC)
		return false;
	p->done++;
	return true;
}

static int obey(const char *text)
{
	static char result[RESULT_MAX];
	struct order o = { .data = data, .size = size, .said = result };
	char name[16];
	int i, error = -EINVAL;

	if (sscanf(text, "%15s %llu %llu %llu %lli %lli %lli %lli %lli %lli %lli", name, &o.pace.rounds, &o.pace.us,
		   &o.pace.pause_us, &o.x[0], &o.x[1], &o.x[2], &o.x[3], &o.x[4], &o.x[5], &o.x[6]) < 4)
		return -EINVAL;
	result[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(orders); i++)
		if (!strcmp(orders[i].name, name))
			error = orders[i].go(&o);
	scnprintf(said, sizeof(said), "%llu %llu %llu %s\n", o.pace.began, o.pace.ended, o.pace.done, result);
	return error;
}

static ssize_t on_order(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	char text[256];
	int error;

	if (n >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, n))
		return -EFAULT;
	text[n] = '\0';
	mutex_lock(&lock);
	error = obey(text);
	mutex_unlock(&lock);
	return error ? error : n;
}

static ssize_t on_result(struct file *f, char __user *to, size_t n, loff_t *at)
{
	return simple_read_from_buffer(to, n, at, said, strlen(said));
}

static ssize_t on_data(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	ssize_t done;

	mutex_lock(&lock);
	done = simple_write_to_buffer(data, DATA_MAX, at, from, n);
	if (done > 0)
		size = *at;
	mutex_unlock(&lock);
	return done;
}

static const struct file_operations order_operations = { .owner = THIS_MODULE, .read = on_result, .write = on_order };
static const struct file_operations data_operations = { .owner = THIS_MODULE, .write = on_data };

static int __init start(void)
{
	data = vzalloc(DATA_MAX);
	if (!data)
		return -ENOMEM;
	folder = debugfs_create_dir("isthmus_hostile", NULL);
	debugfs_create_file("order", 0600, folder, NULL, &order_operations);
	debugfs_create_file("data", 0600, folder, NULL, &data_operations);
	return 0;
}

static void __exit stop(void)
{
	debugfs_remove(folder);
	vfree(data);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Isthmus: a compromised Linux kernel, for the attack campaign");
