/* SPDX-License-Identifier: MIT */
/* did.h - what the doubles have noted. */
#ifndef ISTHMUS_TESTS_DID_H
#define ISTHMUS_TESTS_DID_H

#include <setjmp.h>

#include "tfa.h"

extern char doings[4000];
extern jmp_buf elsewhere; /* where the core goes that does not return */
extern entry_point_info_t images[2], *first_image;
extern cpu_context_t contexts[2];
extern void *secure_context;
extern const void *next_context; /* with which EL3 is left */
extern const void *switched[2]; /* the registers' places that were saved to and loaded from last */
extern const plat_psci_ops_t platform_ops;

#endif
