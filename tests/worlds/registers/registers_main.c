// SPDX-License-Identifier: MIT OR GPL-2.0
/* registers_main.c - Linux's side of the register test.
 *
 *     echo "SEED TIMES RESULTS x0 x1 .." > /sys/kernel/debug/isthmus_registers    calls of the monitor, with patterns
 *     echo "SEED TIMES -1 TURNS" > ...                                            loops for the secure timer to pre-empt
 *     cat /sys/kernel/debug/isthmus_registers     kept, or the first register that was not; what has no pattern bit
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <asm/neon.h>

#define NORMAL 1
#include "exchange.h"

static DEFINE_MUTEX(lock);
static struct dentry *file;
static struct exchange e;
static u64 own[EXCHANGE_SLOTS], varied[EXCHANGE_SLOTS];
static const char *wrong;
static int which;
static u64 was, is;
static long long done, last;

/* One exchange; the registers come back as they were. */
static void once(u64 seed, int results, const u64 *x)
{
	u64 before[EXCHANGE_SLOTS];
	unsigned long flags;
	int i;

	kernel_neon_begin();
	local_irq_save(flags);
	memcpy(before, e.filled, sizeof(before));
	fill(&e, seed, own);
	if (results < 0)
		e.x_in[0] = x[0];
	else
		memcpy(e.x_in, x, 7 * sizeof(*x));
	if (results < 0)
		exchange_spin(&e);
	else
		exchange_call(&e);
	wrong = changed(&e, results < 0 ? 1 : results, &which, &was, &is);
	for (i = 0; i < LISTED && done; i++)
		varied[i] |= before[i] ^ e.filled[i];
	memcpy(own, e.own, sizeof(own));
	local_irq_restore(flags);
	kernel_neon_end();
	last = e.x_out[0];
}

static ssize_t command(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	unsigned long long x[7] = {0}, seed, i;
	long long times, results;
	char text[200];

	if (n >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, n))
		return -EFAULT;
	text[n] = '\0';
	if (sscanf(text, "%lli %lli %lli %lli %lli %lli %lli %lli %lli %lli", &seed, &times, &results, &x[0], &x[1],
		   &x[2], &x[3], &x[4], &x[5], &x[6]) < 4)
		return -EINVAL;
	mutex_lock(&lock);
	wrong = NULL;
	for (i = 0, done = 0; i < times && !wrong; i++, done++)
		once(seed + i, results, x);
	mutex_unlock(&lock);
	return n;
}

static int show(struct seq_file *s, void *unused)
{
	int i;

	mutex_lock(&lock);
	if (wrong && which >= 0)
		seq_printf(s, "%s%d", wrong, which);
	else
		seq_puts(s, wrong ?: "kept");
	seq_printf(s, " was %llx is %llx, exchange %lld, last result %lld\n", was, is, done, last);
	for (i = 0; i < LISTED; i++)
		if (!varied[i])
			seq_printf(s, "%s ", names[i]);
	seq_puts(s, "\n");
	mutex_unlock(&lock);
	return 0;
}

static int open_result(struct inode *inode, struct file *f)
{
	return single_open(f, show, NULL);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = open_result,
	.read = seq_read,
	.write = command,
	.release = single_release,
};

#define READ_NOW(r, n, s) asm volatile("mrs %0, " #r : "=r"(value)); own[i++] = value;

static int __init start(void)
{
	u64 value;
	int i = 0;

	kernel_neon_begin();
	LISTED_REGISTERS(READ_NOW)
	kernel_neon_end();
	file = debugfs_create_file("isthmus_registers", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit stop(void)
{
	debugfs_remove(file);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("patterns in every register across calls and pre-emptions, for tests");
