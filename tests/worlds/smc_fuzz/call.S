/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* call.S - one call to the monitor with x0..x30 from memory, and back to it.
 *
 *     void call(u64 x[31]);    interrupts off: x18 may be the kernel's */
#include <linux/linkage.h>

#define FRAME 128
#define BASE 104 /* in the frame: the array, and x30 as it came back */
#define LINK 112

SYM_FUNC_START(call)
	stp x29, x30, [sp, #-FRAME]!
	stp x19, x20, [sp, #16]
	stp x21, x22, [sp, #32]
	stp x23, x24, [sp, #48]
	stp x25, x26, [sp, #64]
	stp x27, x28, [sp, #80]
	stp x18, x0, [sp, #(BASE - 8)]
	mov x30, x0
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
	ldr x\n, [x30, #(8 * \n)]
	.endr
	ldr x30, [x30, #(8 * 30)]
	smc #0
	str x30, [sp, #LINK]
	ldr x30, [sp, #BASE]
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
	str x\n, [x30, #(8 * \n)]
	.endr
	ldr x0, [sp, #LINK]
	str x0, [x30, #(8 * 30)]
	ldr x18, [sp, #(BASE - 8)]
	ldp x27, x28, [sp, #80]
	ldp x25, x26, [sp, #64]
	ldp x23, x24, [sp, #48]
	ldp x21, x22, [sp, #32]
	ldp x19, x20, [sp, #16]
	ldp x29, x30, [sp], #FRAME
	ret
SYM_FUNC_END(call)
