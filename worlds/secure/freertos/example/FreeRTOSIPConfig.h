/* SPDX-License-Identifier: MIT */
/* FreeRTOSIPConfig.h - an example: FreeRTOS+TCP V4 behind a channel. What is not here stays at the stack's default. */
#ifndef FREERTOS_IP_CONFIG_H
#define FREERTOS_IP_CONFIG_H

/* Both processors of this channel are little-endian, and so is what the stack takes for its own order. */
#define ipconfigBYTE_ORDER pdFREERTOS_LITTLE_ENDIAN

/* ---- the channel ------------------------------------------------------------------------------------------------------ */

/* The channel's, from the board file: another one is refused at the start, isthmus_fill_interface(). */
#ifndef ipconfigNETWORK_MTU
#define ipconfigNETWORK_MTU 1500
#endif
/* A step's frames reach the IP task as one event; it is worth a third of the throughput. Without it each frame is an
 * event, and the queue below has to hold them. */
#ifndef ipconfigUSE_LINKED_RX_MESSAGES
#define ipconfigUSE_LINKED_RX_MESSAGES 1
#endif
/* The port asks eConsiderFrameForProcessing() of each frame before the IP task sees it. 0: the stack does it itself. */
#ifndef ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES
#define ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES 1
#endif
/* The channel's tag is no checksum of TCP's, and nobody else computes one: the stack has to, both ways. The port does not
 * compile otherwise. */
#define ipconfigDRIVER_INCLUDED_RX_IP_CHECKSUM 0
#define ipconfigDRIVER_INCLUDED_TX_IP_CHECKSUM 0
/* 1 makes the stack copy a frame that it wants to keep, so that the driver may keep the one it is given. The port copies
 * into the ring and gives back at once, and honours either setting: 0 saves the copy. */
#ifndef ipconfigZERO_COPY_TX_DRIVER
#define ipconfigZERO_COPY_TX_DRIVER 0
#endif
#ifndef ipconfigZERO_COPY_RX_DRIVER
#define ipconfigZERO_COPY_RX_DRIVER 1
#endif
/* A ring has no shortest frame. */
#define ipconfigETHERNET_MINIMUM_PACKET_BYTES 0
/* EtherTypes that the stack does not know go to eApplicationProcessCustomFrameHook(): the raw sequenced frames. */
#define ipconfigPROCESS_CUSTOM_ETHERNET_FRAMES 1

/* ---- buffers ----------------------------------------------------------------------------------------------------------- */

/* All there are, both ways. With BufferAllocation_1 each takes a whole frame (buffers_1.c); with BufferAllocation_2 they
 * come from the heap, as long as the frame is. When they are used up, received frames are dropped and counted
 * (NO_BUFFER). */
#define ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS 512
/* Of events to the IP task: as many as there are buffers, and some of the sockets' own. */
#define ipconfigEVENT_QUEUE_LENGTH (ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS + 32)
/* What a UDP socket keeps unread. Without a bound a flood to one port takes every buffer there is. */
#define ipconfigUDP_MAX_RX_PACKETS 64

/* ---- the IP task --------------------------------------------------------------------------------------------------------- */

/* That of the network task, which yields to it after each step (PRIORITY_IP in apps/freertosapps.h). */
#define ipconfigIP_TASK_PRIORITY 5
#define ipconfigIP_TASK_STACK_SIZE_WORDS (configMINIMAL_STACK_SIZE * 4)

/* ---- protocols ----------------------------------------------------------------------------------------------------------- */

#define ipconfigUSE_IPv4 1
/* Carried where rules of the board admit it (docs/PORTING.md). */
#ifndef ipconfigUSE_IPv6
#define ipconfigUSE_IPv6 0
#endif
/* The addresses are the board file's: nothing is asked for, and no name is looked up. */
#define ipconfigUSE_RA 0
#define ipconfigUSE_DHCP 0
#define ipconfigUSE_DHCPv6 0
#define ipconfigUSE_DNS 0
#define ipconfigUSE_LLMNR 0
#define ipconfigUSE_NBNS 0
#define ipconfigUSE_MDNS 0
#define ipconfigREPLY_TO_INCOMING_PINGS 1
#define ipconfigSUPPORT_OUTGOING_PINGS 0
/* There is one neighbour. */
#define ipconfigARP_CACHE_ENTRIES 4

/* ---- TCP ------------------------------------------------------------------------------------------------------------------- */

#define ipconfigUSE_TCP 1
#define ipconfigUSE_TCP_WIN 1
/* Segments of all connections that are out or out of order. */
#define ipconfigTCP_WIN_SEG_COUNT 1024
/* A connection's buffers, where the application does not say (service.c does): four segments of the default hold a
 * connection back. */
#define ipconfigTCP_RX_BUFFER_LENGTH (32 << 10)
#define ipconfigTCP_TX_BUFFER_LENGTH (32 << 10)
/* Connections that are opened and then neither used nor closed are taken back: seconds. */
#define ipconfigTCP_HANG_PROTECTION 1
#define ipconfigTCP_HANG_PROTECTION_TIME 5
#define ipconfigTCP_KEEP_ALIVE 1
#define ipconfigTCP_KEEP_ALIVE_INTERVAL 20

/* Connections that we open come from here up, as the board's filter expects them; the default begins at 1024. */
#define socketAUTO_PORT_ALLOCATION_START_NUMBER ((uint16_t)49152)

/* ---- what is not used ------------------------------------------------------------------------------------------------------ */

#define ipconfigSUPPORT_SELECT_FUNCTION 0
#define ipconfigHAS_PRINTF 0
#define ipconfigHAS_DEBUG_PRINTF 0
#define ipconfigENABLE_BACKWARD_COMPATIBILITY 0
#define ipconfigIPv4_BACKWARD_COMPATIBLE 0

#endif
