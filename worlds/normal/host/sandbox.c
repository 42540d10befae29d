/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* sandbox.c - a compromised pump keeps the descriptors it was given, and can do nothing else with the kernel. */
#include "sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH

static const unsigned allowed[] = {
    /* frames, doorbell, control socket, one line on standard error */
    __NR_readv, __NR_writev, __NR_write, __NR_recvmsg, __NR_sendmsg, __NR_recvfrom, __NR_sendto, __NR_ppoll,
    /* attaching a peer's buffer: its seals and size (fcntl, fstat), its mapping, our barrier */
    __NR_fcntl, __NR_fstat, __NR_newfstatat, __NR_munmap, __NR_close, __NR_membarrier,
    /* between two looks for work */
    __NR_sched_yield,
    /* what the C library does by itself */
    __NR_clock_gettime, __NR_brk, __NR_restart_syscall, __NR_rt_sigreturn, __NR_exit_group,
};
#define ALLOWED (sizeof allowed / sizeof allowed[0])

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LOW_HALF 0u
#else
#define LOW_HALF 4u
#endif

int ist_sandbox(void)
{
    struct sock_filter program[ALLOWED + 9];
    unsigned short n = 0;
    /* Another architecture's numbers (and x86's x32, which keeps bit 30 set) match nothing below. */
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < ALLOWED; i++) /* a match jumps to the end: over the rest of the list and the four below */
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i],
                                                    (unsigned char)(ALLOWED - 1 - i + 4), 0);
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 0, 2);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                offsetof(struct seccomp_data, args[2]) + LOW_HALF);
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog filter = {.len = n, .filter = program};
    const struct rlimit no_core = {0, 0}; /* the world's root may end us with a signal that leaves one, key and all */
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}

#else

int ist_sandbox(void)
{
    return -1; /* an architecture without its number here must not run unconfined unseen */
}

#endif
