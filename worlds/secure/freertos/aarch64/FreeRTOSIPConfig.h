/* SPDX-License-Identifier: MIT */
/* FreeRTOSIPConfig.h - FreeRTOS+TCP on a channel, for a critical world. Whatever is not said here is FreeRTOS+TCP's own
 * default. */
#ifndef FREERTOS_IP_CONFIG_H
#define FREERTOS_IP_CONFIG_H

#include "FreeRTOSConfig.h"
#include "board.h"

/* ---- what the channel asks for -------------------------------------------------------------------------------------------- */

#define ipconfigNETWORK_MTU BOARD_MTU             /* the channel's; isthmus_fill_interface() refuses another */
#define ipconfigDRIVER_INCLUDED_RX_IP_CHECKSUM 0  /* the channel computes no checksums */
#define ipconfigDRIVER_INCLUDED_TX_IP_CHECKSUM 0
#define ipconfigUSE_LINKED_RX_MESSAGES 1          /* a batch of frames is one message to the IP task */
#define ipconfigZERO_COPY_TX_DRIVER 1             /* output() has given the frame away when it returns */
#define ipconfigZERO_COPY_RX_DRIVER 1             /* frames are copied by the guard, into a buffer of the stack's */
#define ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES 1
#define ipconfigPROCESS_CUSTOM_ETHERNET_FRAMES 1  /* the raw sequenced frames */
#define ipconfigSUPPORT_NETWORK_DOWN_EVENT 1
#define ipconfigNETWORK_DOWN_RETRY_PERIOD_MS 100u

/* ---- protocols: what is not needed is not there to be attacked ---------------------------------------------------------- */

#define ipconfigUSE_IPv4 1
#define ipconfigUSE_IPv6 0
#define ipconfigUSE_RA 0
#define ipconfigUSE_DHCP 0
#define ipconfigUSE_DNS 0
#define ipconfigUSE_LLMNR 0
#define ipconfigUSE_NBNS 0
#define ipconfigUSE_MDNS 0
#define ipconfigUSE_NETWORK_EVENT_HOOK 0
#define ipconfigREPLY_TO_INCOMING_PINGS 1
#define ipconfigSUPPORT_OUTGOING_PINGS 0
#define ipconfigIP_PASS_PACKETS_WITH_IP_OPTIONS 0
#define ipconfigARP_CACHE_ENTRIES 8
#define ipconfigALLOW_SOCKET_SEND_WITHOUT_BIND 0
#define ipconfigSUPPORT_SELECT_FUNCTION 1

/* ---- memory: a fixed number of everything --------------------------------------------------------------------------------- */

#define ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS 512
#define ipconfigEVENT_QUEUE_LENGTH (ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS + 5)
#define ipconfigTCP_MSS (ipconfigNETWORK_MTU - 40)
#define ipconfigTCP_TX_BUFFER_LENGTH (64 * 1024)
#define ipconfigTCP_RX_BUFFER_LENGTH (192 * 1024)
#define ipconfigUSE_TCP 1
#define ipconfigUSE_TCP_WIN 1
#define ipconfigTCP_WIN_SEG_COUNT 512
#define ipconfigTCP_KEEP_ALIVE 1
#define ipconfigTCP_KEEP_ALIVE_INTERVAL 20
#define ipconfigTCP_HANG_PROTECTION 1
#define ipconfigTCP_HANG_PROTECTION_TIME 30
#define ipconfigUDP_MAX_RX_PACKETS 64

/* ---- tasks and times ---------------------------------------------------------------------------------------------------------- */

#define ipconfigIP_TASK_PRIORITY 5 /* freertosapps.h */
#define ipconfigIP_TASK_STACK_SIZE_WORDS 2048
#define ipconfigBYTE_ORDER pdFREERTOS_LITTLE_ENDIAN
#define ipconfigHAS_PRINTF 0
#define ipconfigHAS_DEBUG_PRINTF 0
#define ipconfigSOCK_DEFAULT_RECEIVE_BLOCK_TIME portMAX_DELAY
#define ipconfigSOCK_DEFAULT_SEND_BLOCK_TIME portMAX_DELAY

#endif
