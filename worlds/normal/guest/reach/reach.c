// SPDX-License-Identifier: MIT OR GPL-2.0
/* reach.c - attacker K's hand on a device register: what no program of Linux's may map, its kernel reads and writes here.
 *
 *     echo "ADDRESS BYTES [VALUE]" > /sys/kernel/debug/isthmus_reach    1 or 4 bytes; with a value, writes it first
 *     cat /sys/kernel/debug/isthmus_reach                               what was read there, in hex
 *
 * For registers that answer everybody, and each as it sees fit: elsewhere an access would be the end of Linux. */
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/uaccess.h>

static DEFINE_MUTEX(lock);
static u32 last;
static struct dentry *file;

static int reach(phys_addr_t at, unsigned int bytes, const u32 *value)
{
	void __iomem *page = ioremap(at & PAGE_MASK, PAGE_SIZE), *place = page + (at & ~PAGE_MASK);

	if (!page)
		return -ENOMEM;
	mutex_lock(&lock);
	if (value && bytes == 4)
		writel(*value, place);
	else if (value)
		writeb(*value, place);
	last = bytes == 4 ? readl(place) : readb(place);
	mutex_unlock(&lock);
	iounmap(page);
	return 0;
}

static ssize_t order(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	unsigned long long address;
	unsigned int bytes;
	char text[80];
	int found, bad;
	u32 value;

	if (n >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, n))
		return -EFAULT;
	text[n] = '\0';
	found = sscanf(text, "%lli %u %i", &address, &bytes, &value);
	if (found < 2 || (bytes != 1 && bytes != 4) || address % bytes)
		return -EINVAL;
	bad = reach(address, bytes, found == 3 ? &value : NULL);
	return bad ? bad : n;
}

static ssize_t answer(struct file *f, char __user *to, size_t n, loff_t *at)
{
	char text[16];
	int length;

	mutex_lock(&lock);
	length = scnprintf(text, sizeof(text), "%x\n", last);
	mutex_unlock(&lock);
	return simple_read_from_buffer(to, n, at, text, length);
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.read = answer,
	.write = order,
};

static int __init start(void)
{
	file = debugfs_create_file("isthmus_reach", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit stop(void)
{
	debugfs_remove(file);
}

module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("Isthmus: any access to a device register, for tests and check");
