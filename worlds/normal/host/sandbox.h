/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* sandbox.h - what a frame pump may still ask of the kernel once it runs. */
#ifndef ISTHMUS_NORMAL_SANDBOX_H
#define ISTHMUS_NORMAL_SANDBOX_H

/* Installs the allow-list for this process, for good. Everything else fails with EPERM: no open, no exec, no fork, no
 * ptrace, no process_vm_*, no pidfd_getfd, no fchmod, no ftruncate, no executable mapping. No core file either, which would
 * hold the key of the tag. 0, or -1. */
int ist_sandbox(void);

#endif
