/* SPDX-License-Identifier: MIT */
/* begin.h - what comes first at Secure EL1, whoever schedules there. */
#ifndef ISTHMUS_RUNTIME_BEGIN_H
#define ISTHMUS_RUNTIME_BEGIN_H

/* The first thing of main(): console, clock, and what the hardware says of the address space. Comes back if it holds. */
void begin(void);
/* `failure`: NULL, or what does not hold, and then all ends here. */
void must(const char *part, const char *failure);

#endif
