/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* peer.c - one end of a channel for ctypes, offload fields included; Python's own endpoint takes none. The other end is a
 * program of a host machine, which the test supervises (offload_peer.py). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sys/mman.h>
#include <unistd.h>

#include "link.h"

static struct ist_endpoint ep;
static struct ist_config config;
static void *own;
static const void *mapped;
static int own_fd = -1;

/* Both buffers' sizes follow from the configuration. The descriptor of our own; negative: it cannot be. */
int peer_open(uint32_t role, uint32_t ring_normal, uint32_t ring_secure, uint32_t frame_max, uint32_t mtu, uint32_t tag,
              uint32_t features)
{
    config = (struct ist_config){
        .ring_bytes = {ring_normal, ring_secure}, .frame_max = frame_max, .mtu = mtu, .tag = tag, .role = role,
        .features = features,
    };
    if (ist_config_check(&config) != IST_V_OK)
        return -1;
    own_fd = ist_memfd_make("peer", ist_memfd_size(&config, role), &own);
    return own_fd;
}

int peer_attach(int fd, uint64_t epoch, uint64_t low, uint64_t high)
{
    const uint64_t key[2] = {low, high};
    const char *why;
    const int error = ist_memfd_map(fd, ist_memfd_size(&config, config.role ^ 1u), &mapped, &why);
    if (error != 0)
        return error;
    if (ist_init(&ep, &config, own, mapped) != IST_V_OK)
        return -1;
    ist_begin(&ep, epoch, key, ist_now());
    return 0;
}

uint32_t peer_poll(void)
{
    return ist_poll(&ep, ist_now());
}

uint32_t peer_agreed(void)
{
    return ep.agreed;
}

/* `spoilt` is added to the frame's last byte where it lies in the ring, before the other end may see it. */
uint32_t peer_send(const uint8_t *frame, uint32_t length, const struct ist_meta *meta, uint32_t spoilt)
{
    const uint32_t at = IST_CONTROL_SIZE + ep.tx.head % config.ring_bytes[config.role];
    const enum ist_verdict v = ist_send(&ep, frame, length, meta);
    if (v == IST_V_OK)
        ((uint8_t *)own)[at + IST_REC_PAYLOAD + length - 1] += (uint8_t)spoilt;
    (void)ist_publish(&ep);
    return v;
}

uint32_t peer_receive(uint8_t *frame, struct ist_frame *f)
{
    return ist_receive(&ep, ist_now(), frame, f);
}

void peer_close(void)
{
    munmap(own, ist_memfd_size(&config, config.role));
    if (mapped)
        munmap((void *)(uintptr_t)mapped, ist_memfd_size(&config, config.role ^ 1u));
    close(own_fd);
    own_fd = -1;
    mapped = NULL;
}
