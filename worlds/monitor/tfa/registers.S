/* SPDX-License-Identifier: MIT */
/* registers.S - the registers of one world saved, those of the other loaded. */
#include <asm_macros.S>

#include "board.h"
#include "registers.h"

	.globl	switch_registers

#define SAVE(a, b)	mrs x3, a; mrs x4, b; stp x3, x4, [x0], #16;
#define LOAD(a, b)	ldp x3, x4, [x1], #16; msr a, x3; msr b, x4;
#define SAVE_FP(a, b)	stp a, b, [x0], #32;
#define LOAD_FP(a, b)	ldp a, b, [x1], #32;

	/*
	 * x0: struct registers to save to, x1: to load from. Clobbers x3, x4. What
	 * is loaded takes effect with the ERET.
	 */
func switch_registers
	SWITCHED_REGISTERS(SAVE)
	SWITCHED_REGISTERS(LOAD)
#if BOARD_FP_SWITCHED
	FP_CONTROLS(SAVE)
	FP_CONTROLS(LOAD)
	FP_REGISTERS(SAVE_FP)
	FP_REGISTERS(LOAD_FP)
#endif
	ret
endfunc switch_registers
