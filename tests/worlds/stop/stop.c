// SPDX-License-Identifier: MIT OR GPL-2.0
/* stop.c - ways for a Linux to die, from inside its kernel.
 *
 *     echo WAY > /sys/kernel/debug/isthmus_stop
 *
 *     panic     with whatever /proc/sys/kernel/panic says
 *     hang      this core, with interrupts masked
 *     hang-all  every core
 *     mess      leaves interrupts active and never ended, masks all by priority, sets timers and traps; then asks PSCI
 *               for a reset, from whichever core this is */
#include <asm/arch_gicv3.h>
#include <asm/arch_timer.h>
#include <linux/arm-smccc.h>
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#define GICD 0x08000000
#define GICR_SGI 0x080b0000
#define GIC_SIZE 0x10000
#define ISENABLER 0x100
#define ISPENDR 0x200
#define ISACTIVER 0x300
#define IPRIORITYR 0x400
#define SPI_WORDS 8
#define PSCI_SYSTEM_RESET 0x84000009

static struct dentry *file;

static void hang(void *unused)
{
	local_irq_disable();
	for (;;)
		barrier(); /* not cpu_relax(): a machine that counts instructions would get nowhere */
}

static void mess(void)
{
	void __iomem *gicd = ioremap(GICD, GIC_SIZE), *sgi = ioremap(GICR_SGI, GIC_SIZE);
	struct arm_smccc_res r;
	int i;

	if (!gicd || !sgi)
		return;
	local_irq_disable();
	gic_write_pmr(0xf0);
	for (i = 0; i <= SPI_WORDS; i++) {
		void __iomem *words = i ? gicd + 4 * i : sgi;

		writel(0, words + IPRIORITYR);
		writel(~0u, words + ISENABLER);
		writel(~0u, words + ISPENDR);
	}
	isb();
	for (i = 0; i < 4; i++)
		(void)read_sysreg_s(SYS_ICC_IAR1_EL1); /* acknowledged, and never ended */
	for (i = 0; i <= SPI_WORDS; i++)
		writel(~0u, (i ? gicd + 4 * i : sgi) + ISACTIVER);
	gic_write_pmr(0);
	write_sysreg(0, cntp_cval_el0);
	write_sysreg(1, cntp_ctl_el0);
	write_sysreg(0, cntv_cval_el0);
	write_sysreg(1, cntv_ctl_el0);
	write_sysreg(0xffff, mdscr_el1);
	arm_smccc_smc(PSCI_SYSTEM_RESET, 0, 0, 0, 0, 0, 0, 0, &r);
}

static ssize_t stop(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	char way[16] = "";

	if (n >= sizeof(way) || copy_from_user(way, from, n))
		return -EINVAL;
	if (!strcmp(way, "panic\n"))
		panic("by order");
	else if (!strcmp(way, "hang\n"))
		hang(NULL);
	else if (!strcmp(way, "hang-all\n"))
		on_each_cpu(hang, NULL, 0);
	else if (!strcmp(way, "mess\n"))
		mess();
	else
		return -EINVAL;
	return n;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = stop,
};

static int __init begin(void)
{
	file = debugfs_create_file("isthmus_stop", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit end(void)
{
	debugfs_remove(file);
}

module_init(begin);
module_exit(end);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("ways for a Linux to die, for tests");
