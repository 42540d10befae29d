/* SPDX-License-Identifier: MIT */
/* FreeRTOS+TCP's contract, with its side played by this file: every buffer has one owner at any time, an interrupt only
 * notifies, what is refused goes back, the link's ups and downs reach the stack once each.
 *
 *     peer's endpoint == memory == struct ist_endpoint -- NetworkInterface.c -- the stack (this file) */
#include "isthmus_freertos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "FreeRTOS_IP_Private.h"
#include "NetworkBufferManagement.h"
#include "NetworkInterface.h"

#define MAC "\x02\x49\x53\x00\x00\x02"
#define QUEUE 64u
#define BUFFERS ipconfigNUM_NETWORK_BUFFER_DESCRIPTORS

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
            exit(1);                                                                 \
        }                                                                            \
    } while (0)

/* ---- the stack's side ------------------------------------------------------------------------------------------------ */

enum owner { POOL, DRIVER, STACK };

static struct {
    NetworkBufferDescriptor_t descriptor[BUFFERS];
    enum owner owner[BUFFERS];
    NetworkBufferDescriptor_t *queue[QUEUE]; /* events of the IP task */
    unsigned queued, room, events, gets;
    unsigned available;                      /* of the pool, as this test allows */
    unsigned downs, notified;
    int in_interrupt;
    TaskHandle_t notified_task;
    NetworkEndPoint_t point;
    NetworkInterface_t *added;
    size_t size;
} stack;

static unsigned index_of(const NetworkBufferDescriptor_t *b)
{
    CHECK(b >= stack.descriptor && b < stack.descriptor + BUFFERS);
    return (unsigned)(b - stack.descriptor);
}

static unsigned owned_by(enum owner who)
{
    unsigned n = 0;
    for (unsigned i = 0; i < BUFFERS; i++)
        n += stack.owner[i] == who;
    return n;
}

NetworkBufferDescriptor_t *pxGetNetworkBufferWithDescriptor(size_t bytes, TickType_t wait)
{
    CHECK(!stack.in_interrupt && wait == 0); /* the driver does not sleep for a buffer */
    stack.gets++;
    for (unsigned i = 0; i < BUFFERS && stack.available > 0; i++) {
        if (stack.owner[i] != POOL)
            continue;
        if (bytes > stack.size)
            return NULL;
        stack.available--;
        stack.owner[i] = DRIVER;
        stack.descriptor[i].xDataLength = (bytes + 7u) & ~(size_t)7u; /* rounded up, which is the driver's to mend */
        memset(stack.descriptor[i].pucEthernetBuffer, 0xa5, stack.size);
        return &stack.descriptor[i];
    }
    return NULL;
}

void vReleaseNetworkBufferAndDescriptor(NetworkBufferDescriptor_t *b)
{
    CHECK(!stack.in_interrupt);
    CHECK(stack.owner[index_of(b)] == DRIVER); /* neither twice nor the stack's */
    stack.owner[index_of(b)] = POOL;
    stack.available++;
}

BaseType_t xSendEventStructToIPTask(const IPStackEvent_t *event, TickType_t wait)
{
    NetworkBufferDescriptor_t *b = event->pvData;
    CHECK(!stack.in_interrupt && wait == 0 && event->eEventType == eNetworkRxEvent && b != NULL);
    if (stack.room == 0)
        return pdFAIL;
    stack.room--;
    stack.events++;
#if ipconfigUSE_LINKED_RX_MESSAGES
    for (; b != NULL; b = b->pxNextBuffer)
#endif
    {
        CHECK(stack.owner[index_of(b)] == DRIVER && stack.queued < QUEUE);
        CHECK(b->pxInterface == stack.added && b->pxEndPoint == &stack.point);
        stack.owner[index_of(b)] = STACK;
        stack.queue[stack.queued++] = b;
    }
    return pdPASS;
}

eFrameProcessingResult_t eConsiderFrameForProcessing(const uint8_t *frame)
{
    const unsigned type = (unsigned)frame[12] << 8 | frame[13];
    return type == 0x0800 || type == 0x0806 || type == 0x86dd ? eProcessBuffer : eReleaseBuffer;
}

NetworkEndPoint_t *FreeRTOS_MatchingEndpoint(const NetworkInterface_t *interface, const uint8_t *frame)
{
    CHECK(interface == stack.added);
    return (frame[0] & 1) || memcmp(frame, MAC, 6) == 0 ? &stack.point : NULL;
}

NetworkInterface_t *FreeRTOS_AddNetworkInterface(NetworkInterface_t *interface)
{
    CHECK(interface->pcName && interface->pfInitialise && interface->pfOutput && interface->pfGetPhyLinkStatus);
    return stack.added = interface;
}

void FreeRTOS_NetworkDown(NetworkInterface_t *interface)
{
    CHECK(!stack.in_interrupt && interface == stack.added);
    stack.downs++;
}

TaskHandle_t xTaskGetCurrentTaskHandle(void)
{
    CHECK(!stack.in_interrupt);
    return &stack;
}

void vTaskNotifyGiveFromISR(TaskHandle_t task, BaseType_t *woken)
{
    CHECK(stack.in_interrupt);
    stack.notified_task = task;
    stack.notified++;
    *woken = pdTRUE;
}

/* The IP task takes one frame from its queue; the length that it sees. */
static size_t stack_takes(const void *want)
{
    NetworkBufferDescriptor_t *b = stack.queue[0];
    const size_t length = b->xDataLength;
    CHECK(stack.queued > 0 && memcmp(b->pucEthernetBuffer, want, length) == 0);
    memmove(stack.queue, stack.queue + 1, --stack.queued * sizeof *stack.queue);
    stack.owner[index_of(b)] = DRIVER; /* released below, as the IP task would */
    vReleaseNetworkBufferAndDescriptor(b);
    return length;
}

static NetworkBufferDescriptor_t *stack_makes(const void *frame, size_t length)
{
    NetworkBufferDescriptor_t *b = pxGetNetworkBufferWithDescriptor(length, 0);
    CHECK(b != NULL);
    memcpy(b->pucEthernetBuffer, frame, length);
    b->xDataLength = length;
    return b;
}

/* ---- the peer, and both ends of the channel ---------------------------------------------------------------------------- */

static struct ist_endpoint peer, own;
static struct isthmus_freertos port;
static NetworkInterface_t interface;
static unsigned rung;
static ist_u64 now;
static void *buffers[2];

static void ring(void *of, ist_u32 lanes)
{
    CHECK(of == &rung);
    CHECK(lanes == 1);
    rung++;
}

static ist_u64 clock_now(void)
{
    return now;
}

static void poll_both(unsigned times)
{
    while (times-- > 0) {
        ist_poll(&peer, ++now);
        isthmus_link(&port, ist_poll(&own, now));
    }
}

static void link_up(void)
{
    static ist_u64 epoch;
    const ist_u64 key[2] = {1, 2};
    epoch++;
    ist_begin(&peer, epoch, key, now);
    ist_begin(&own, epoch, key, now);
    poll_both(6);
    CHECK(ist_link_state(&own) == IST_RUN && ist_link_state(&peer) == IST_RUN);
}

static unsigned accepted; /* that the port told of */

static void valid(const void *frame, ist_u32 length)
{
    CHECK(length >= 14 && ((const uint8_t *)frame)[12] >= 0x08);
    accepted++;
}

static void start(ist_u32 mtu)
{
    static const struct ist_config both = {.ring_bytes = {16384, 16384}, .frame_max = 1518};
    struct ist_config c = both;
    c.mtu = mtu;
    memset(&stack, 0, sizeof stack);
    stack.available = BUFFERS;
    stack.room = 1000;
    memcpy(stack.point.mac, MAC, 6);
    stack.size = uxNetworkInterfaceAllocateRAMToBuffers(stack.descriptor);
    CHECK(stack.size >= ipconfigNETWORK_MTU + 14);
    for (unsigned i = 0; i < BUFFERS; i++)
        CHECK(*(NetworkBufferDescriptor_t **)(void *)(stack.descriptor[i].pucEthernetBuffer - ipBUFFER_PADDING) ==
              &stack.descriptor[i]);
    for (ist_u32 role = 0; role < 2; role++) {
        free(buffers[role]);
        buffers[role] = aligned_alloc(4096, 65536);
        memset(buffers[role], 0, 65536);
    }
    CHECK(ist_init(&peer, &c, buffers[0], buffers[1]) == IST_V_OK);
    c.role = IST_SECURE;
    CHECK(ist_init(&own, &c, buffers[1], buffers[0]) == IST_V_OK);
    port = (struct isthmus_freertos){.lane = {{.ep = &own}}, .lanes = 1, .frames = 64, .bytes = 65536, .ring = ring, .of = &rung, .now = clock_now,
                                    .valid = valid};
    budget_init(&port.lane[0].budget, 0, 0, 0, c.frame_max);
    rung = 0;
    accepted = 0;
}

static void up(void)
{
    start(1500);
    CHECK(isthmus_fill_interface(&port, &interface) == pdPASS && stack.added == &interface);
    link_up();
    CHECK(stack.downs == 1); /* "try now" */
    CHECK(interface.pfInitialise(&interface) == pdPASS);
}

static const uint8_t *frame_of(const char *to, unsigned type, size_t length)
{
    static uint8_t frame[1518];
    for (size_t i = 0; i < length; i++)
        frame[i] = (uint8_t)(i * 7 + length);
    memcpy(frame, to, 6);
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
    return frame;
}

static void peer_sends(const void *frame, size_t length)
{
    CHECK(ist_send(&peer, frame, (ist_u32)length, NULL) == IST_V_OK);
    (void)ist_publish(&peer);
}

static void nothing_is_leaked(void)
{
    CHECK(owned_by(DRIVER) == 0 && owned_by(STACK) == stack.queued && port.first == NULL);
}

/* ---- what has to hold -------------------------------------------------------------------------------------------------- */

static void a_wrong_mtu_is_refused(void)
{
    start(1400);
    CHECK(isthmus_fill_interface(&port, &interface) == pdFAIL && stack.added == NULL);
}

static void initialise_follows_the_link_and_may_be_called_again(void)
{
    start(1500);
    CHECK(isthmus_fill_interface(&port, &interface) == pdPASS);
    for (int i = 0; i < 3; i++)
        CHECK(interface.pfInitialise(&interface) == pdFAIL && interface.pfGetPhyLinkStatus(&interface) == pdFALSE);
    link_up();
    CHECK(stack.downs == 1);
    for (int i = 0; i < 3; i++)
        CHECK(interface.pfInitialise(&interface) == pdPASS && interface.pfGetPhyLinkStatus(&interface) == pdTRUE);
    poll_both(10);
    CHECK(stack.downs == 1); /* told once */
    ist_end(&peer, IST_V_PEER_LEFT);
    poll_both(2);
    CHECK(stack.downs == 2 && interface.pfInitialise(&interface) == pdFAIL);
    link_up();
    CHECK(stack.downs == 3 && interface.pfInitialise(&interface) == pdPASS);
}

static void frames_come_in_whole_and_are_the_stacks(void)
{
    static const size_t lengths[] = {60, 61, 64, 590, 1513, 1514};
    up();
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        peer_sends(frame_of(MAC, 0x0800, lengths[i]), lengths[i]);
        CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY);
        nothing_is_leaked();
        CHECK(accepted == i + 1);
        CHECK(stack_takes(frame_of(MAC, 0x0800, lengths[i])) == lengths[i]);
    }
    CHECK(owned_by(POOL) == BUFFERS);
}

static void a_batch_is_one_event_where_frames_are_linked(void)
{
    up();
    for (int i = 0; i < 5; i++)
        peer_sends(frame_of(MAC, 0x0800, 100), 100);
    CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY);
    CHECK(stack.queued == 5 && stack.events == (ipconfigUSE_LINKED_RX_MESSAGES ? 1 : 5));
    nothing_is_leaked();
}

static void the_budget_ends_a_step(void)
{
    up();
    port.frames = 2;
    for (int i = 0; i < 5; i++)
        peer_sends(frame_of(MAC, 0x0800, 100), 100);
    CHECK(isthmus_step(&port, ++now) == IST_V_OK && stack.queued == 2);
    port.frames = 64;
    port.bytes = 100;
    CHECK(isthmus_step(&port, ++now) == IST_V_OK && stack.queued == 3);
    port.bytes = 65536;
    CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY && stack.queued == 5);
    nothing_is_leaked();
}

static void without_buffers_frames_are_dropped_and_counted(void)
{
    up();
    stack.available = 2;
    for (int i = 0; i < 5; i++)
        peer_sends(frame_of(MAC, 0x0800, 100), 100);
    CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY);
    CHECK(stack.queued == 2 && own.count[IST_V_NO_BUFFER] == 3 && stack.gets == 5);
    nothing_is_leaked();
    stack.available = BUFFERS - 2;
    peer_sends(frame_of(MAC, 0x0806, 60), 60);
    CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY && stack.queued == 3); /* what stands behind is not held up */
}

static void a_full_queue_gives_every_buffer_back(void)
{
    up();
    stack.room = 0;
    for (int i = 0; i < 5; i++)
        peer_sends(frame_of(MAC, 0x0800, 100), 100);
    CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY);
    CHECK(stack.queued == 0 && port.busy == 5 && owned_by(POOL) == BUFFERS && stack.available == BUFFERS);
}

static void foreign_frames_go_back(void)
{
    up();
    peer_sends(frame_of("\x02\x11\x22\x33\x44\x55", 0x0800, 100), 100);
    peer_sends(frame_of("\xff\xff\xff\xff\xff\xff", 0x0806, 60), 60);
    peer_sends(frame_of(MAC, 0x88b5, 100), 100);
    CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY);
    CHECK(stack.queued == 2 - ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES);
    CHECK(port.unknown == 1 + ipconfigETHERNET_DRIVER_FILTERS_FRAME_TYPES);
    nothing_is_leaked();
}

static void hostile_records_cost_no_buffer(void)
{
    up();
    for (ist_u32 lie = 0; lie < 4096; lie += 13) {
        peer_sends(frame_of(MAC, 0x0800, 100), 100);
        const ist_u32 at = IST_CONTROL_SIZE + (own.rx.tail & (16384 - 1));
        memcpy((uint8_t *)buffers[0] + at, &lie, sizeof lie);
        CHECK(isthmus_step(&port, ++now) == IST_V_EMPTY);
        while (stack.queued > 0) {
            stack.owner[index_of(stack.queue[0])] = DRIVER;
            vReleaseNetworkBufferAndDescriptor(stack.queue[0]);
            memmove(stack.queue, stack.queue + 1, --stack.queued * sizeof *stack.queue);
        }
        CHECK(owned_by(POOL) == BUFFERS);
    }
    const ist_u32 head = own.rx.tail + 3; /* a cursor that cannot be: the link dies by name, the stack is told */
    memcpy((uint8_t *)buffers[0] + IST_CTL_HEAD, &head, sizeof head);
    CHECK(isthmus_step(&port, ++now) == IST_V_DOWN && own.count[IST_V_HEAD_ALIGN] == 1);
    isthmus_link(&port, ist_poll(&own, ++now));
    CHECK(ist_link_state(&own) == IST_DEAD && stack.downs == 2 && interface.pfInitialise(&interface) == pdFAIL);
    CHECK(isthmus_step(&port, ++now) == IST_V_DOWN && owned_by(POOL) == BUFFERS);
}

static void sent_frames_go_back_if_and_only_if_it_says_so(void)
{
    struct ist_frame f;
    uint8_t got[1518];
    up();
    for (int release = 0; release < 2; release++) {
        NetworkBufferDescriptor_t *b = stack_makes(frame_of("\x02\x49\x53\x00\x00\x01", 0x0800, 77), 77);
        CHECK(interface.pfOutput(&interface, b, release) == pdPASS);
        CHECK(stack.owner[index_of(b)] == (release ? POOL : DRIVER));
        if (!release)
            vReleaseNetworkBufferAndDescriptor(b);
        CHECK(ist_receive(&peer, ++now, got, &f) == IST_V_OK && f.length == 77);
        CHECK(memcmp(got, frame_of("\x02\x49\x53\x00\x00\x01", 0x0800, 77), 77) == 0);
    }
    CHECK(ist_arm(&peer, 1) == 0); /* the peer sleeps: it is rung */
    const unsigned before = rung;
    CHECK(interface.pfOutput(&interface, stack_makes(frame_of(MAC, 0x0800, 60), 60), pdTRUE) == pdPASS);
    CHECK(rung == before + 1 && owned_by(POOL) == BUFFERS);
}

/* What the board's policy lets out: TABLE is compiled by Python, and admits ARP alone. */
static void what_may_not_leave_is_dropped_and_counted(void)
{
    static const ist_u64 table[] = {TABLE};
    static struct ist_filter out;
    static const uint8_t arp[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0x49, 0x53, 0, 0, 2, 10, 77, 0, 2,
                                    0, 0, 0, 0, 0, 0, 10, 77, 0, 1};
    uint8_t request[60] = {0};
    up();
    CHECK(ist_filter_load(&out, table, sizeof table / sizeof *table) == IST_V_OK);
    port.lane[0].out = &out;
    NetworkBufferDescriptor_t *b = stack_makes(frame_of("\x02\x49\x53\x00\x00\x01", 0x0800, 77), 77);
    CHECK(interface.pfOutput(&interface, b, pdTRUE) == pdFAIL);
    CHECK(own.count[IST_V_EGRESS] == 1 && own.sent == 0 && owned_by(POOL) == BUFFERS);
    memcpy(request, "\xff\xff\xff\xff\xff\xff" MAC "\x08\x06", 14);
    memcpy(request + 14, arp, sizeof arp);
    CHECK(interface.pfOutput(&interface, stack_makes(request, sizeof request), pdTRUE) == pdPASS);
    CHECK(own.count[IST_V_EGRESS] == 1 && own.sent == 1 && owned_by(POOL) == BUFFERS);
}

static void a_full_ring_drops_and_keeps_no_buffer(void)
{
    unsigned refused = 0;
    up();
    for (int i = 0; i < 40; i++)
        refused += interface.pfOutput(&interface, stack_makes(frame_of(MAC, 0x0800, 1000), 1000), pdTRUE) == pdFAIL;
    CHECK(refused > 0 && own.count[IST_V_FULL] == refused && owned_by(POOL) == BUFFERS);
    ist_end(&own, IST_V_PEER_LEFT);
    CHECK(interface.pfOutput(&interface, stack_makes(frame_of(MAC, 0x0800, 60), 60), pdTRUE) == pdFAIL);
    CHECK(owned_by(POOL) == BUFFERS);
}

static void an_interrupt_notifies_and_does_nothing_else(void)
{
    up();
    stack.in_interrupt = 1;
    CHECK(isthmus_wake(&port) == pdFALSE && stack.notified == 0); /* no task yet */
    stack.in_interrupt = 0;
    (void)isthmus_step(&port, ++now);
    stack.in_interrupt = 1;
    CHECK(isthmus_wake(&port) == pdTRUE && stack.notified == 1 && stack.notified_task == &stack);
    stack.in_interrupt = 0;
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
#define TEST(name) {#name, name}
        TEST(a_wrong_mtu_is_refused),
        TEST(initialise_follows_the_link_and_may_be_called_again),
        TEST(frames_come_in_whole_and_are_the_stacks),
        TEST(a_batch_is_one_event_where_frames_are_linked),
        TEST(the_budget_ends_a_step),
        TEST(without_buffers_frames_are_dropped_and_counted),
        TEST(a_full_queue_gives_every_buffer_back),
        TEST(foreign_frames_go_back),
        TEST(hostile_records_cost_no_buffer),
        TEST(sent_frames_go_back_if_and_only_if_it_says_so),
        TEST(what_may_not_leave_is_dropped_and_counted),
        TEST(a_full_ring_drops_and_keeps_no_buffer),
        TEST(an_interrupt_notifies_and_does_nothing_else),
    };
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        tests[i].run();
        printf("ok %s\n", tests[i].name);
    }
    free(buffers[0]);
    free(buffers[1]);
    return 0;
}
