/* SPDX-License-Identifier: MIT */
/* tap_echo.c - what answers a ping with nothing between: a process that reads the TAP, turns echo requests (and the ARP that
 * finds it) round where they lie, and writes them back. No stack, no channel, no check of what it need not know.
 *
 *     ISTHMUS_PACKET   descriptor of the device          ISTHMUS_MAC      our Ethernet address
 *     ISTHMUS_CONTROL  its end of file ends us
 *
 * It looks on for as long as a world on the host does before it sleeps, so that what is compared is not who sleeps first. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "busypoll.h"
#include "packetfd.h"

#define FRAME_ROOM (PACKET_HEADER_MAX + 65536u)

enum { ETHER = 14, ARP = 28, IP = 20, ICMP = 8 };
enum { ARP_REQUEST = 1, ARP_REPLY = 2, ECHO_REQUEST = 8, ECHO_REPLY = 0, PROTOCOL_ICMP = 1 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void swap(uint8_t *a, uint8_t *b, size_t n)
{
    uint8_t kept[6];
    memcpy(kept, a, n);
    memcpy(a, b, n);
    memcpy(b, kept, n);
}

static int turn_arp(uint8_t *arp, const uint8_t mac[6])
{
    if (arp[6] != 0 || arp[7] != ARP_REQUEST || memcmp(arp + 14, arp + 24, 4) == 0)
        return 0;
    arp[7] = ARP_REPLY;
    swap(arp + 8, arp + 18, 6);
    swap(arp + 14, arp + 24, 4);
    memcpy(arp + 8, mac, 6);
    return 1;
}

static int turn_echo(uint8_t *ip, size_t n)
{
    uint8_t *icmp = ip + IP;
    uint32_t sum;
    if (ip[0] != 0x45 || ip[9] != PROTOCOL_ICMP || n < IP + ICMP || icmp[0] != ECHO_REQUEST)
        return 0;
    swap(ip + 12, ip + 16, 4);
    icmp[0] = ECHO_REPLY; /* the sum grows by what the type lost */
    sum = (uint32_t)(icmp[2] << 8 | icmp[3]) + (ECHO_REQUEST << 8);
    sum = (sum & 0xffffu) + (sum >> 16);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
    return 1;
}

/* Turns a frame round. 0: it is not for us. */
static int turn(uint8_t *frame, size_t n, const uint8_t mac[6])
{
    const uint8_t *type = frame + 12;
    int ours = 0;
    if (n >= ETHER + ARP && type[0] == 0x08 && type[1] == 0x06)
        ours = turn_arp(frame + ETHER, mac);
    else if (n >= ETHER + IP && type[0] == 0x08 && type[1] == 0x00)
        ours = turn_echo(frame + ETHER, n - ETHER);
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, mac, 6);
    return ours;
}

int main(void)
{
    static uint8_t frame[FRAME_ROOM];
    const char *packet = getenv("ISTHMUS_PACKET"), *control = getenv("ISTHMUS_CONTROL"), *address = getenv("ISTHMUS_MAC");
    unsigned v[6];
    uint8_t mac[6];
    uint32_t header;
    if (!packet || !control || !address || packetfd_open(atoi(packet), &header) != 0 ||
        sscanf(address, "%x:%x:%x:%x:%x:%x", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]) != 6) {
        fprintf(stderr, "tap_echo: started by the bench alone\n");
        return 2;
    }
    for (int i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
    struct pollfd fd[2] = {{.fd = atoi(packet), .events = POLLIN}, {.fd = atoi(control), .events = 0}};
    for (struct busypoll busy = {.max = BUSYPOLL_MAX_NS};;) {
        const uint64_t now = now_ns();
        const ssize_t n = read(fd[0].fd, frame, sizeof frame);
        busypoll_looked(&busy, now, n > (ssize_t)header);
        if (n > (ssize_t)header) {
            memset(frame, 0, header); /* nothing is left to be filled in */
            if (turn(frame + header, (size_t)n - header, mac) && write(fd[0].fd, frame, (size_t)n) < 0 && errno != EAGAIN)
                return 1;
        } else if (n >= 0 || (errno != EAGAIN && errno != EINTR)) {
            return n >= 0 ? 0 : 1;
        } else if (now < busypoll_until(&busy)) {
            sched_yield();
        } else if (poll(fd, 2, -1) > 0 && (fd[1].revents & (POLLHUP | POLLERR)) != 0) {
            return 0;
        }
    }
}
