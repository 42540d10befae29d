/* SPDX-License-Identifier: MIT */
/* lwipopts.h - lwIP for a critical world: no OS beneath it, every pool fixed at compile time, every allocation O(1).
 *
 * Nothing a peer does makes anything grow. The numbers below are per role of the memory, and each is at least what
 * ISTHMUS_LWIP_CONNECTIONS connections can claim at once, so that one connection cannot starve another. A port to a
 * smaller machine overrides the first two. */
#ifndef ISTHMUS_LWIPOPTS_H
#define ISTHMUS_LWIPOPTS_H

#ifndef ISTHMUS_LWIP_CONNECTIONS
#define ISTHMUS_LWIP_CONNECTIONS 16
#endif
#ifndef ISTHMUS_LWIP_SEND_BUFFER /* bytes a connection may have in flight towards the peer */
#define ISTHMUS_LWIP_SEND_BUFFER (192 * 1024)
#endif
#ifndef ISTHMUS_LWIP_WINDOW /* and how many the peer may have in flight towards it: what comes while a task above runs */
#define ISTHMUS_LWIP_WINDOW (256 * 1024)
#endif
/* The longest frame of TCP's segments in one piece, where the channel takes it. This one and Linux's own additions to it fit
 * 16 KiB: the driver allocates a frame as a whole, and for a longer one 32 KiB would have to be found in one piece. */
#ifndef ISTHMUS_LWIP_LONG_FRAME
#define ISTHMUS_LWIP_LONG_FRAME 15900u
#endif

/* ---- system: one thread, one loop ------------------------------------------------------------------------- */

#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_TIMERS 1
#define LWIP_HOOK_FILENAME "lwiphooks.h"

/* ---- memory: pools only ----------------------------------------------------------------------------------- */

#define MEM_ALIGNMENT 16
#define MEM_LIBC_MALLOC 0
#define MEMP_MEM_MALLOC 0
#define MEM_USE_POOLS 1
#define MEMP_USE_CUSTOM_POOLS 1 /* lwippools.h */
#define MEM_USE_POOLS_TRY_BIGGER_POOL 1

#define MEMP_NUM_TCP_PCB ISTHMUS_LWIP_CONNECTIONS
#define MEMP_NUM_TCP_PCB_LISTEN 4
#define MEMP_NUM_UDP_PCB 4
#define MEMP_NUM_RAW_PCB 0
#define ISTHMUS_LWIP_SEGMENTS (ISTHMUS_LWIP_CONNECTIONS * (ISTHMUS_LWIP_SEND_BUFFER / 1460 + 2))
#define MEMP_NUM_TCP_SEG (ISTHMUS_LWIP_SEGMENTS + ISTHMUS_LWIP_CONNECTIONS * TCP_OOSEQ_MAX_PBUFS)
#define MEMP_NUM_PBUF ISTHMUS_LWIP_SEGMENTS
#define PBUF_POOL_SIZE 0 /* received frames lie in the netif's own buffers, see rxpool.h */
#define LWIP_SUPPORT_CUSTOM_PBUF 1

/* ---- protocols -------------------------------------------------------------------------------------------- */

#define LWIP_IPV4 1
#define LWIP_IPV6 0
#define LWIP_RAW 0
#define LWIP_DHCP 0
#define LWIP_DNS 0
#define LWIP_IGMP 0
#define LWIP_ARP 1
#define ARP_TABLE_SIZE 8
#define ARP_QUEUEING 0
#define ETHARP_TRUST_IP_MAC 0
#define LWIP_SINGLE_NETIF 1
#define LWIP_NETIF_LINK_CALLBACK 0
#define IP_FORWARD 0
/* Fragments are refused: reassembly holds buffers for a peer that never sends the rest. */
#define IP_REASSEMBLY 0
#define IP_FRAG 0
#define IP_OPTIONS_ALLOWED 0
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0

/* ---- TCP -------------------------------------------------------------------------------------------------- */

#define TCP_MSS 16384 /* an upper bound: the effective one follows from the netif's MTU */
#define TCP_OVERSIZE 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE (ISTHMUS_LWIP_WINDOW > (0xffff << 3) ? 4 : 3)
#define TCP_WND ISTHMUS_LWIP_WINDOW
#define TCP_SND_BUF ISTHMUS_LWIP_SEND_BUFFER
#define TCP_SND_QUEUELEN 512
#define TCP_SNDLOWAT (TCP_SND_BUF / 2)
#define TCP_SNDQUEUELOWAT (TCP_SND_QUEUELEN / 2)
#define TCP_WND_UPDATE_THRESHOLD (16 * 1024)
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 4 /* half-open connections per port, so that a SYN flood leaves room */
#define TCP_QUEUE_OOSEQ 1
#define TCP_OOSEQ_MAX_PBUFS 64 /* segments kept out of order, per connection */
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_KEEPALIVE 1
#define LWIP_TCP_TIMESTAMPS 0

/* lwIP's own check measures the window against PBUF_POOL, which is not used; isthmusif.c asserts the rest. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

/* ---- checksums: computed and verified in software, 8 bytes at a time, when a frame is sent: partial.h may leave them out */

#define LWIP_CHKSUM isthmus_chksum
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1

/* ---- httpd ------------------------------------------------------------------------------------------------ */

#define LWIP_HTTPD_CUSTOM_FILES 1
#define LWIP_HTTPD_SSI 0
#define LWIP_HTTPD_CGI 0
#define LWIP_HTTPD_SUPPORT_POST 0
#define LWIP_HTTPD_SUPPORT_V09 0
#define LWIP_HTTPD_SUPPORT_EXTSTATUS 1 /* 400 and 501 instead of a closed connection */
#define LWIP_HTTPD_MAX_REQ_LENGTH 1023
#define LWIP_HTTPD_KILL_OLD_ON_CONNECTIONS_EXCEEDED 1
#define MEMP_NUM_PARALLEL_HTTPD_CONNS 6
#define HTTPD_USE_MEM_POOL 1
#define HTTPD_TCP_PRIO TCP_PRIO_NORMAL /* above echo and iperf: the status page stays reachable */
#define HTTPD_FSDATA_FILE "fsdata_empty.h" /* every page is made by apps/status.c */
#define HTTP_IS_DATA_VOLATILE(hs) TCP_WRITE_FLAG_COPY

/* ---- statistics ------------------------------------------------------------------------------------------- */

#define LWIP_STATS 1
#define LWIP_STATS_DISPLAY 0
#define MEM_STATS 0
#define SYS_STATS 0

#endif
