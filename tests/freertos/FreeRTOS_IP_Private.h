/* SPDX-License-Identifier: MIT */
#ifndef DOUBLE_FREERTOS_IP_PRIVATE_H
#define DOUBLE_FREERTOS_IP_PRIVATE_H

#include "FreeRTOS_Routing.h"

typedef enum { eNetworkDownEvent, eNetworkRxEvent, eNetworkTxEvent } eIPEvent_t;
typedef enum { eReleaseBuffer, eProcessBuffer } eFrameProcessingResult_t;

typedef struct {
    eIPEvent_t eEventType;
    void *pvData;
} IPStackEvent_t;

/* The IP task's events. */
extern QueueHandle_t xNetworkEventQueue;
UBaseType_t uxQueueMessagesWaiting(QueueHandle_t queue);

BaseType_t xSendEventStructToIPTask(const IPStackEvent_t *event, TickType_t wait);
eFrameProcessingResult_t eConsiderFrameForProcessing(const uint8_t *frame);

#endif
