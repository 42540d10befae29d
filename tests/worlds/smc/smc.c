// SPDX-License-Identifier: MIT OR GPL-2.0
/* smc.c - attacker K's hand: any call to the monitor, from Linux's kernel.
 *
 *     echo "0xc7000003 0 1" > /sys/kernel/debug/isthmus_smc    function, then up to six arguments
 *     cat /sys/kernel/debug/isthmus_smc                         x0..x3 of the last call, in hex
 */
#include <linux/arm-smccc.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(lock);
static struct arm_smccc_res last;
static struct dentry *file;

static ssize_t call(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	unsigned long long x[7] = {0};
	char text[160];

	if (n >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, n))
		return -EFAULT;
	text[n] = '\0';
	if (sscanf(text, "%lli %lli %lli %lli %lli %lli %lli", &x[0], &x[1], &x[2], &x[3], &x[4], &x[5], &x[6]) < 1)
		return -EINVAL;
	mutex_lock(&lock);
	arm_smccc_smc(x[0], x[1], x[2], x[3], x[4], x[5], x[6], 0, &last);
	mutex_unlock(&lock);
	return n;
}

static int show(struct seq_file *s, void *unused)
{
	mutex_lock(&lock);
	seq_printf(s, "%lx %lx %lx %lx\n", last.a0, last.a1, last.a2, last.a3);
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
	.write = call,
	.release = single_release,
};

static int __init start(void)
{
	file = debugfs_create_file("isthmus_smc", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit stop(void)
{
	debugfs_remove(file);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("any call to the monitor, for tests");
