/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "packetfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

int packetfd_open(int fd, uint32_t *header)
{
    struct ifreq request = {0};
    int size = 0, flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    *header = 0;
    if (ioctl(fd, TUNGETIFF, &request) == 0 && (request.ifr_flags & IFF_VNET_HDR)) {
        if (ioctl(fd, TUNGETVNETHDRSZ, &size) < 0 || size < 0 || (unsigned)size > PACKET_HEADER_MAX)
            return -EINVAL;
        *header = (uint32_t)size;
    }
    return 0;
}
