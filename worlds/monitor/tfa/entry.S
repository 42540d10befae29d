/* SPDX-License-Identifier: MIT */
/* entry.S - the short way in, for the two calls that a doorbell is made of, and for a Secure world that uses FP; and the
 * short way out into the other world.
 *
 * The linker puts this in front of TF-A's vector for synchronous exceptions (isthmus.mk: --wrap), behind the core's
 * workarounds, which jump to that vector. It does what TF-A does on the way to a service, except for the search for the
 * service. Everything else goes to the vector itself. So do these where a core has no workaround to jump from, or where
 * TF-A is built with more in its way: then on_call() in dispatcher.c serves the calls, and the use of FP ends in TF-A's
 * panic. */
#include <arch.h>
#include <asm_macros.S>
#include <context.h>

#include "board.h"
#include "smc.h"

	.globl	__wrap_sync_exception_aarch64
	.globl	switch_worlds

#define IN_TF_AS_WAY (RAS_EXTENSION || ENABLE_PAUTH || ERRATA_SPECULATIVE_AT || ENABLE_RUNTIME_INSTRUMENTATION)

	/* Goes to C as handler(x0: the caller's context, x1.. its arguments), if the caller is of that world. */
	.macro enter_from security, handler
	mrs	x30, scr_el3
	.if \security == SCR_NS_BIT
	tbz	x30, #0, usual
	.else
	tbnz	x30, #0, usual
	.endif
	adr	x30, \handler
	b	enter_el3
	.endm

func __wrap_sync_exception_aarch64
#if IN_TF_AS_WAY
	b	__real_sync_exception_aarch64
#else
	str	x30, [sp, #CTX_GPREGS_OFFSET + CTX_GPREG_LR]
	mrs	x30, esr_el3
	lsr	x30, x30, #ESR_EC_SHIFT
	cmp	x30, #EC_AARCH64_SMC
	b.ne	no_call
	mov_imm	w30, IST_SMC_DOORBELL
	cmp	w0, w30
	b.eq	doorbell
	mov_imm	w30, IST_SMC_YIELD
	cmp	w0, w30
	b.eq	yield
usual:
	ldr	x30, [sp, #CTX_GPREGS_OFFSET + CTX_GPREG_LR]
	b	__real_sync_exception_aarch64
doorbell:
	enter_from SCR_NS_BIT, on_doorbell
yield:
	enter_from 0, on_yield
no_call:
#if !BOARD_FP_SWITCHED
	cmp	x30, #EC_FP_SIMD
	b.ne	usual
	enter_from 0, on_fp
#else
	b	usual
#endif

	/*
	 * x30: the handler. As check_and_unmask_ea in runtime_exceptions.S: what is pending of the world below is
	 * taken here; CTX_IS_IN_EL3 is any number but 0, which is where the handler's address waits. Then as
	 * smc_handler64: the caller's registers are saved, and C runs on EL3's stack.
	 */
enter_el3:
	dsb	sy
	msr	daifclr, #DAIF_ABT_BIT
	isb
	str	x30, [sp, #CTX_EL3STATE_OFFSET + CTX_IS_IN_EL3]
	dmb	sy
	bl	prepare_el3_entry
	ldr	x15, [sp, #CTX_EL3STATE_OFFSET + CTX_IS_IN_EL3]
	mrs	x16, spsr_el3
	mrs	x17, elr_el3
	stp	x16, x17, [sp, #CTX_EL3STATE_OFFSET + CTX_SPSR_EL3]
	ldr	x12, [sp, #CTX_EL3STATE_OFFSET + CTX_RUNTIME_SP]
	mov	x0, sp
	msr	spsel, #MODE_SP_EL0
	mov	sp, x12
	blr	x15
	b	el3_exit
#endif
endfunc __wrap_sync_exception_aarch64

	/*
	 * x0: struct registers to save to, x1: to load from, x2: TF-A's context of the world that comes. Does not
	 * return: EL3's stack is as empty as its context found it when EL3 was left last. As el3_exit otherwise.
	 */
func switch_worlds
	bl	switch_registers
	msr	spsel, #MODE_SP_ELX
	mov	sp, x2
#if IN_TF_AS_WAY || DYNAMIC_WORKAROUND_CVE_2018_3639
	ldr	x17, [sp, #CTX_EL3STATE_OFFSET + CTX_RUNTIME_SP]
	msr	spsel, #MODE_SP_EL0
	mov	sp, x17
	b	el3_exit
#else
	ldr	x18, [sp, #CTX_EL3STATE_OFFSET + CTX_SCR_EL3]
	ldp	x16, x17, [sp, #CTX_EL3STATE_OFFSET + CTX_SPSR_EL3]
	msr	scr_el3, x18
	msr	spsr_el3, x16
	msr	elr_el3, x17
	ldp	x19, x20, [sp, #CTX_EL3STATE_OFFSET + CTX_CPTR_EL3]
	msr	cptr_el3, x19
	tst	x19, #CPTR_EZ_BIT
	b.eq	1f
	isb
	msr	S3_6_C1_C2_0, x20 /* zcr_el3 */
1:	bl	restore_gp_pmcr_pauth_regs
	ldr	x30, [sp, #CTX_GPREGS_OFFSET + CTX_GPREG_LR]
	dsb	sy
	str	xzr, [sp, #CTX_EL3STATE_OFFSET + CTX_IS_IN_EL3]
	exception_return
#endif
endfunc switch_worlds
