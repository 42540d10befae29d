/* SPDX-License-Identifier: MIT */
/* mmu.h - the Secure world's address space: every address is its physical one, every page is what it is for.
 *
 *     code                read, execute
 *     constants           read
 *     data, stacks        read, write; an unmapped page at each end of a stack
 *     own devices         read, write, device memory
 *     Normal's buffer     read, non-secure     we are its reader
 *     Secure's buffer     read, write, non-secure
 *
 * Nothing else is mapped, and nothing is both writable and executable (WXN says so a second time). */
#ifndef ISTHMUS_RUNTIME_MMU_H
#define ISTHMUS_RUNTIME_MMU_H

/* Builds the tables and switches the MMU and the caches on. Called once, before main(), with the MMU off. */
void mmu_on(void);
/* Asks the hardware what it makes of the tables. NULL, or what does not hold. */
const char *mmu_check(void);

#endif
