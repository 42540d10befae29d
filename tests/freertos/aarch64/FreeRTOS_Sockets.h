/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_SOCKETS_H
#define DOUBLE_FREERTOS_SOCKETS_H

#include "FreeRTOS_IP.h"

typedef struct xSOCKET *Socket_t;
struct freertos_sockaddr;

#endif
