/* SPDX-License-Identifier: MIT */
/* lock.S - drawing a ticket of lock.h, and waiting for its turn. x0: the lock. Clobbers x1..x3. */
#include <asm_macros.S>

	.globl	lock_take

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
