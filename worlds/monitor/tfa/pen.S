/* SPDX-License-Identifier: MIT */
/* pen.S - where a core is held that the board gives to neither world. The platform's own pen polls for whoever may switch
 * the core on, which nobody does: this one sleeps. Linked into BL1, in front of the platform's (isthmus.mk: --wrap). */
#include <asm_macros.S>

#include "board.h"

	.globl	__wrap_plat_secondary_cold_boot_setup

func __wrap_plat_secondary_cold_boot_setup
	bl	plat_my_core_pos
	mov_imm	x1, (BOARD_NORMAL_CORES | 1 << BOARD_SECURE_CORE)
	lsr	x1, x1, x0
	tbnz	x1, #0, 2f
1:	wfi
	b	1b
2:	b	__real_plat_secondary_cold_boot_setup
endfunc __wrap_plat_secondary_cold_boot_setup
