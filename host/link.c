/* SPDX-License-Identifier: MIT OR GPL-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "link.h"
#include "shared.h"

#include "crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

_Static_assert(IST_SEALS == (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | 0x0010), "seals as the kernel numbers them");

size_t ist_memfd_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (bytes + page - 1) & ~(page - 1);
}

size_t ist_memfd_size(const struct ist_config *c, uint32_t role)
{
    return ist_memfd_pages(ist_buffer_size(c, role));
}

int ist_memfd_make(const char *name, size_t size, void **map)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    *map = MAP_FAILED;
    if (ftruncate(fd, (off_t)size) == 0)
        *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    /* Our writable mapping stays; from here on nobody, ourselves included, can make another. */
    if (*map == MAP_FAILED || fcntl(fd, F_ADD_SEALS, IST_SEALS) != 0) {
        int error = errno;
        if (*map != MAP_FAILED)
            munmap(*map, size);
        close(fd);
        return -error;
    }
    return fd;
}

int ist_memfd_map(int fd, size_t size, const void **map, const char **why)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0) {
        *why = "peer's buffer is not a memfd";
        return -EINVAL;
    }
    if ((seals & IST_SEALS) != IST_SEALS) {
        *why = "peer's buffer is not sealed against writing, shrinking and growing";
        return -EPERM;
    }
    if (fstat(fd, &st) != 0 || st.st_size < 0 || (size_t)st.st_size != size) {
        *why = "peer's buffer does not have the size that the geometry asks for";
        return -EMSGSIZE;
    }
    void *m = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (m == MAP_FAILED) {
        *why = "peer's buffer cannot be mapped";
        return -errno;
    }
    *map = m;
    return 0;
}

int ist_bell_pair(int fd[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0 ? 0 : -errno;
}

int ist_bell_ring(int fd)
{
    ssize_t n;
    do
        n = send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 && errno != EAGAIN ? -EPIPE : 0;
}

int ist_bell_clear(int fd)
{
    char sink[256];
    int rang = 0;
    for (int i = 0; i < 4; i++) {
        ssize_t n = recv(fd, sink, sizeof sink, MSG_DONTWAIT);
        if (n == 0)
            return -EPIPE;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? rang : -EPIPE;
        rang += (int)n;
        if ((size_t)n < sizeof sink)
            break;
    }
    return rang;
}

static int membarrier(int command)
{
    return (int)syscall(__NR_membarrier, command, 0, 0);
}

int ist_fence_register(void)
{
    return membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 ? 0 : -errno;
}

void ist_fence_peers(void)
{
    membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

uint64_t ist_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void ist_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

int ist_spin(const struct ist_endpoint *e, uint64_t ns)
{
    const uint64_t start = ist_now();
    do {
        for (int i = 0; i < 32; i++) { /* about a microsecond between looks at the clock */
            if (ist_pending(e))
                return 1;
            ist_relax();
        }
    } while (ist_now() - start < ns);
    return 0;
}

int ist_spin_tail(const struct ist_endpoint *e, uint32_t from, uint64_t ns)
{
    const uint64_t start = ist_now();
    do {
        for (int i = 0; i < 32; i++) {
            if (ist_load(e->tx.peer, IST_CTL_TAIL) != from || ist_link_state(e) != IST_RUN)
                return 1;
            ist_relax();
        }
    } while (ist_now() - start < ns);
    return 0;
}

int ist_arm_for_sleep(struct ist_endpoint *e)
{
    if ((e->agreed & IST_FEATURE_SLEEPER_FENCE) == 0)
        return ist_arm(e, 1);
    if (ist_arm(e, 0))
        return 1;
    ist_fence_peers();
    return ist_pending(e);
}

int ist_arm_tx_for_sleep(struct ist_endpoint *e, uint32_t length)
{
    if (ist_arm_tx(e, length))
        return 1;
    if ((e->agreed & IST_FEATURE_SLEEPER_FENCE) == 0)
        return 0;
    ist_fence_peers();
    return ist_room(e) >= length || ist_link_state(e) != IST_RUN;
}

ist_copy_crc_fn ist_hw_copy_crc(void)
{
    return crc_way(0);
}
