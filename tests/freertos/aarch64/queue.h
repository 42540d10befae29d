/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_QUEUE_H
#define DOUBLE_QUEUE_H

#include "FreeRTOS.h"

#endif
