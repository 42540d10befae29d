// SPDX-License-Identifier: MIT OR GPL-2.0
/* stop.c - ways for a Linux to die, from inside its kernel.
 *
 *     echo WAY > /sys/kernel/debug/isthmus_stop
 *
 *     panic     with whatever /proc/sys/kernel/panic says
 *     hang      this core, with interrupts masked
 *     hang-all  every core
 *     mess      leaves what a kernel can on every core: interrupts active and never ended, all enabled, pending, of the
 *               highest priority and routed elsewhere, all masked by priority; timers, counters, breakpoints and FP registers
 *               set. Then asks PSCI for a reset, from whichever core this is */
#include <asm/sysreg.h>
#include <linux/arm-smccc.h>
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

static uint version;         /* of the interrupt controller */
static ulong gicd, private;  /* GICv3: the first core's frames; GICv2: the cores' interface */
module_param(version, uint, 0);
module_param(gicd, ulong, 0);
module_param(private, ulong, 0);

#define GIC_SIZE 0x10000
#define FIRST_SPI 32
#define LAST_SPI 288
#define GICR_STRIDE 0x20000
#define GICR_SGI 0x10000
#define ISENABLER 0x100
#define ISPENDR 0x200
#define ISACTIVER 0x300
#define IPRIORITYR 0x400
#define ITARGETSR 0x800
#define ICFGR 0xc00
#define IROUTER 0x6000
#define GICC_PMR 0x04
#define GICC_BPR 0x08
#define GICC_IAR 0x0c
#define PSCI_SYSTEM_RESET 0x84000009
#define PATTERN 0x0123456789abcdefull

static void __iomem *d, *p;
static struct dentry *file;

static void hang(void *unused)
{
	local_irq_disable();
	for (;;)
		barrier(); /* not cpu_relax(): a machine that counts instructions would get nowhere */
}

/* Of 32 interrupts: registers of one bit for each, and of one byte. */
static void mess_interrupts(void __iomem *words, void __iomem *bytes)
{
	int i;

	for (i = 0; i < 8; i++)
		writel(0, bytes + IPRIORITYR + 4 * i);
	writel(~0u, words + ISENABLER);
	writel(~0u, words + ISPENDR);
	isb();
}

#define SET(name) write_sysreg(PATTERN, name)

/* Nothing here takes effect before the reset: breakpoints stay off, EL0 is not entered again. */
static void mess_registers(void)
{
	SET(cntp_cval_el0);
	write_sysreg(1, cntp_ctl_el0);
	write_sysreg(0, cntv_cval_el0);
	write_sysreg(1, cntv_ctl_el0);
	SET(cntkctl_el1);
	write_sysreg(0xffff, mdscr_el1);
	SET(dbgbvr0_el1);
	SET(dbgbvr5_el1);
	write_sysreg(0x1e0, dbgbcr0_el1);
	write_sysreg(0x1e0, dbgbcr5_el1);
	SET(dbgwvr0_el1);
	SET(dbgwvr3_el1);
	write_sysreg(0x1ff8, dbgwcr0_el1);
	write_sysreg(0x1ff8, dbgwcr3_el1);
	write_sysreg(0x7f, pmcr_el0);
	SET(pmccntr_el0);
	SET(pmccfiltr_el0);
	SET(pmevcntr0_el0);
	SET(pmevcntr5_el0);
	SET(pmevtyper0_el0);
	SET(pmevtyper5_el0);
	SET(pmcntenset_el0);
	SET(pmintenset_el1);
	SET(pmovsset_el0);
	SET(pmselr_el0);
	SET(pmuserenr_el0);
	SET(tpidr_el0);
	SET(tpidrro_el0);
	SET(csselr_el1);
	asm volatile(".arch_extension simd\n\tdup v0.2d, %0\n\tdup v31.2d, %0\n\tmsr fpcr, %1\n\tmsr fpsr, %1"
		     : : "r"(PATTERN), "r"(0x08000000ul));
}

static void mess_core(void *unused)
{
	void __iomem *own = version == 2 ? d : p + (read_cpuid_mpidr() & 0xf) * GICR_STRIDE + GICR_SGI;
	int i;

	mess_registers();
	if (version == 2)
		writel(0xf0, p + GICC_PMR);
	else
		write_sysreg_s(0xf0, SYS_ICC_PMR_EL1);
	mess_interrupts(own, own);
	for (i = 0; i < 4; i++) /* acknowledged, and never ended */
		if (version == 2)
			(void)readl(p + GICC_IAR);
		else
			(void)read_sysreg_s(SYS_ICC_IAR1_EL1);
	writel(~0u, own + ISACTIVER);
	writel(~0u, own + ICFGR + 4);
	if (version == 2) {
		writel(7, p + GICC_BPR);
		writel(0, p + GICC_PMR);
	} else {
		write_sysreg_s(7, SYS_ICC_BPR1_EL1);
		write_sysreg_s(0, SYS_ICC_PMR_EL1);
	}
}

/* The other cores hear nothing any more once they have. */
static void mess(void)
{
	struct arm_smccc_res r;
	int i;

	preempt_disable();
	smp_call_function(mess_core, NULL, 1);
	local_irq_disable();
	for (i = FIRST_SPI; i < LAST_SPI; i += 32)
		mess_interrupts(d + i / 8, d + i);
	for (i = FIRST_SPI; i < LAST_SPI; i++) {
		if (version == 2)
			writeb(0xff, d + ITARGETSR + i);
		else
			writeq(1, d + IROUTER + 8 * i);
	}
	for (i = FIRST_SPI / 4; i < LAST_SPI / 4; i += 4)
		writel(~0u, d + ICFGR + i);
	mess_core(NULL);
	for (i = FIRST_SPI / 8; i < LAST_SPI / 8; i += 4)
		writel(~0u, d + ISACTIVER + i);
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
	d = ioremap(gicd, GIC_SIZE);
	p = ioremap(private, version == 2 ? GIC_SIZE : GICR_STRIDE * num_possible_cpus() * 2);
	if (!d || !p)
		return -ENOMEM;
	file = debugfs_create_file("isthmus_stop", 0600, NULL, NULL, &operations);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit end(void)
{
	debugfs_remove(file);
	iounmap(p);
	iounmap(d);
}

module_init(begin);
module_exit(end);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("ways for a Linux to die, for tests");
