/* SPDX-License-Identifier: MIT */
/* entry.S - the short way in, for the two calls that a doorbell is made of.
 *
 * The linker puts this in front of TF-A's vector for synchronous exceptions (isthmus.mk: --wrap), behind the core's
 * workarounds, which jump to that vector. It does what TF-A does on the way to a service, except for the search for the
 * service. Everything else goes to the vector itself, and so do these two where a core has no workaround to jump from,
 * or where TF-A is built with more in its way: on_call() in dispatcher.c serves them, too. */
#include <arch.h>
#include <asm_macros.S>
#include <context.h>

#include "smc.h"

	.globl	__wrap_sync_exception_aarch64

func __wrap_sync_exception_aarch64
#if RAS_EXTENSION || ENABLE_PAUTH || ERRATA_SPECULATIVE_AT || ENABLE_RUNTIME_INSTRUMENTATION
	b	__real_sync_exception_aarch64
#else
	str	x30, [sp, #CTX_GPREGS_OFFSET + CTX_GPREG_LR]
	mrs	x30, esr_el3
	lsr	x30, x30, #ESR_EC_SHIFT
	cmp	x30, #EC_AARCH64_SMC
	b.ne	usual
	mov_imm	w30, IST_SMC_DOORBELL
	cmp	w0, w30
	b.eq	doorbell
	mov_imm	w30, IST_SMC_YIELD
	cmp	w0, w30
	b.eq	yield
usual:
	ldr	x30, [sp, #CTX_GPREGS_OFFSET + CTX_GPREG_LR]
	b	__real_sync_exception_aarch64

	/*
	 * As check_and_unmask_ea in runtime_exceptions.S: pending aborts of the world below are taken here. Then as
	 * smc_handler64: the world's registers are saved, and C runs on EL3's stack. x0 is the world's context; x1.. are
	 * its arguments still.
	 */
	.macro enter_el3
	dsb	sy
	msr	daifclr, #DAIF_ABT_BIT
	isb
	mov	x30, #1
	str	x30, [sp, #CTX_EL3STATE_OFFSET + CTX_IS_IN_EL3]
	dmb	sy
	bl	prepare_el3_entry
	mrs	x16, spsr_el3
	mrs	x17, elr_el3
	stp	x16, x17, [sp, #CTX_EL3STATE_OFFSET + CTX_SPSR_EL3]
	ldr	x12, [sp, #CTX_EL3STATE_OFFSET + CTX_RUNTIME_SP]
	mov	x0, sp
	msr	spsel, #MODE_SP_EL0
	mov	sp, x12
	.endm

doorbell: /* of the Normal world alone */
	mrs	x30, scr_el3
	tbz	x30, #0, usual
	enter_el3
	bl	on_doorbell
	b	el3_exit

yield: /* of the Secure world alone */
	mrs	x30, scr_el3
	tbnz	x30, #0, usual
	enter_el3
	bl	on_yield
	b	el3_exit
#endif
endfunc __wrap_sync_exception_aarch64
