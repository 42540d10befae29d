/* SPDX-License-Identifier: MIT */
/* sandbox_probe.c - asks for what a compromised frame pump would want, from behind the pump's own filter. Prints one line
 * per call that was not refused with EPERM; exits with their number. Arguments: a descriptor to work on. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox.h"

static int allowed;

static void refused(const char *name, long number, long a, long b, long c, long d)
{
    errno = 0;
    if (syscall(number, a, b, c, d, 0L, 0L) != -1 || errno != EPERM) {
        dprintf(1, "%s: not refused (errno %d)\n", name, errno);
        allowed++;
    }
}

int main(int argc, char **argv)
{
    const long fd = argc > 1 ? atol(argv[1]) : 0;
    const long self = getpid();
    static char byte;
    const long at = (long)(size_t)&byte;
    if (ist_sandbox() != 0)
        return 99;
#define REFUSED(name, a, b, c, d) refused(#name, __NR_##name, (long)(a), (long)(b), (long)(c), (long)(d))
    REFUSED(openat, AT_FDCWD, "/proc/self/mem", O_RDWR, 0);
    REFUSED(execve, "/bin/true", 0, 0, 0);
    REFUSED(clone, SIGCHLD, 0, 0, 0);
    REFUSED(ptrace, PTRACE_ATTACH, self, 0, 0);
    REFUSED(process_vm_readv, self, 0, 0, 0);
    REFUSED(process_vm_writev, self, 0, 0, 0);
    REFUSED(pidfd_open, self, 0, 0, 0);
    REFUSED(pidfd_getfd, fd, 0, 0, 0);
    REFUSED(fchmod, fd, 0666, 0, 0);
    REFUSED(ftruncate, fd, 0, 0, 0);
    REFUSED(fallocate, fd, 0, 0, 1);
    REFUSED(mprotect, at & -4096, 4096, PROT_READ | PROT_EXEC, 0);
    REFUSED(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
    REFUSED(memfd_create, "x", 0, 0, 0);
    REFUSED(socket, AF_INET, SOCK_STREAM, 0, 0);
    REFUSED(ioctl, fd, 0, 0, 0);
    REFUSED(kill, 1, SIGKILL, 0, 0);
    REFUSED(setns, fd, 0, 0, 0);
    REFUSED(unshare, CLONE_NEWUSER, 0, 0, 0);
    REFUSED(mount, 0, 0, 0, 0);
    REFUSED(prctl, 4 /* PR_SET_DUMPABLE */, 1, 0, 0);
    REFUSED(io_uring_setup, 1, 0, 0, 0);
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
        dprintf(1, "an ordinary mapping is refused\n");
        allowed++;
    }
    return allowed;
}
