/* SPDX-License-Identifier: MIT */
/* lock.S - the ticket lock of lock.h. x0: the lock. Clobbers x1..x3. */
#include <asm_macros.S>

	.globl	lock_take
	.globl	lock_give

func lock_take
1:	ldaxr	w1, [x0]
	add	w2, w1, #(1 << 16)
	stxr	w3, w2, [x0]
	cbnz	w3, 1b
	lsr	w2, w1, #16
	cmp	w2, w1, uxth
	b.eq	3f
	/* The store that gives the lock is the event, once the load has seen what it changes. */
	sevl
2:	wfe
	ldaxrh	w1, [x0]
	cmp	w2, w1
	b.ne	2b
3:	ret
endfunc lock_take

	/* Its holder alone writes the lower half, whose overflow stays in it. */
func lock_give
	ldrh	w1, [x0]
	add	w1, w1, #1
	stlrh	w1, [x0]
	ret
endfunc lock_give
