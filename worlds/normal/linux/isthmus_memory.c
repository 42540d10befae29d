// SPDX-License-Identifier: MIT OR GPL-2.0
/* isthmus_memory.c - the channel's buffers in the kernel's address space, and what the processor makes of the mapping.
 *
 * The Secure world maps the same pages as Normal, write-back, inner shareable memory. Where one side's attributes differ,
 * the two see different memory now and then, and no barrier helps: better no interface than that. */
#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/of.h>
#include <linux/of_address.h>

#include "isthmus_dev.h"

#define PAR_SHAREABLE GENMASK_ULL(8, 7)
#define PAR_INNER_SHAREABLE FIELD_PREP(PAR_SHAREABLE, 3)
#define PAR_MEMORY GENMASK_ULL(63, 56)
#define PAR_WRITE_BACK GENMASK_ULL(7, 6) /* the same for the outer and the inner caches; allocation does not matter */
#define BOTH_CACHES(bits) ((bits) | (bits) >> 4)

static u64 translate(const void *at)
{
	unsigned long flags;
	u64 par;

	local_irq_save(flags); /* there is one result register */
	asm volatile("at s1e1r, %0" : : "r"(at));
	isb();
	par = read_sysreg_par();
	local_irq_restore(flags);
	return par;
}

static bool is_shared_memory(u64 par)
{
	u64 write_back = BOTH_CACHES(PAR_WRITE_BACK);

	return !(par & SYS_PAR_EL1_F) && (par & PAR_SHAREABLE) == PAR_INNER_SHAREABLE &&
	       (FIELD_GET(PAR_MEMORY, par) & write_back) == write_back;
}

static int check(struct device *d, const char *name, const u8 *at, size_t size)
{
	size_t page;

	for (page = 0; page < size; page += PAGE_SIZE) {
		u64 par = translate(at + page);

		if (!is_shared_memory(par))
			return dev_err_probe(d, -EINVAL,
					     "memory-region %s is not Normal, write-back, inner shareable: PAR_EL1 %#llx\n",
					     name, par);
	}
	return 0;
}

void *isthmus_map(struct device *d, struct isthmus *p, const char *name, int role)
{
	struct device_node *region;
	struct resource r;
	int index = of_property_match_string(d->of_node, "memory-region-names", name);
	int error;
	void *at;

	region = index < 0 ? NULL : of_parse_phandle(d->of_node, "memory-region", index);
	if (!region)
		return ERR_PTR(dev_err_probe(d, -EINVAL, "no memory-region called %s\n", name));
	error = of_address_to_resource(region, 0, &r);
	of_node_put(region);
	if (error)
		return ERR_PTR(dev_err_probe(d, error, "memory-region %s has no address\n", name));
	p->base[role] = r.start;
	p->size[role] = resource_size(&r);
	at = devm_memremap(d, r.start, resource_size(&r), MEMREMAP_WB);
	if (IS_ERR(at))
		return at;
	error = check(d, name, at, p->size[role]);
	return error ? ERR_PTR(error) : at;
}
