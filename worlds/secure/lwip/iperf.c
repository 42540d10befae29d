/* SPDX-License-Identifier: MIT */
/* iperf.c - lwIP's own lwiperf (iperf 2, port 5001), taken in as source so that three of its mistakes stay out of the
 * critical world; the file itself is not changed:
 *
 *   - its error callback closes the connection, but lwIP has freed the pcb by then: a peer that falls silent, or a pcb
 *     that lwIP takes back for a more important connection, would put it into its pool twice. Here every tcp_err() of
 *     lwiperf's registers a callback that only forgets the session.
 *   - it asks with every write that the segment be pushed, which keeps the peer from joining segments on receipt.
 *   - it sends TCP_MSS bytes from an array of 1600. Here its TCP_MSS is that of a 1500-byte MTU; tcp_write() fills
 *     longer segments from several of those.
 *
 * Its connections have the lowest priority: lwIP takes them back for the status page. */
#include "apps.h"
#include "isthmusif.h"
#include "lwip/apps/lwiperf.h"
#include "lwip/tcp.h"

static void on_error(void *arg, err_t err);

static struct tcp_pcb *new_pcb(u8_t type)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(type);

    if (pcb != NULL)
        tcp_setprio(pcb, TCP_PRIO_MIN);
    return pcb;
}

static err_t write(struct tcp_pcb *pcb, const void *data, u16_t n, u8_t flags)
{
    if (!(flags & TCP_WRITE_FLAG_COPY))
        isthmusif_long_segments(pcb);
    return (tcp_write)(pcb, data, n, (u8_t)(flags | TCP_WRITE_FLAG_MORE));
}

#define tcp_new_ip_type(type) new_pcb(type)
#define tcp_err(pcb, callback) (tcp_err)((pcb), (callback) != NULL ? on_error : NULL)
#define tcp_write(pcb, data, n, flags) write((pcb), (data), (n), (flags))
#undef TCP_MSS
#define TCP_MSS 1460
#define LWIPERF_CHECK_RX_DATA 0

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#include "lwiperf.c"
#pragma GCC diagnostic pop
#undef tcp_err
#undef tcp_write

static struct {
    uint64_t sessions, aborted;
    uint64_t kbit_s; /* of the last session that ended */
} count;

static void on_error(void *arg, err_t err)
{
    lwiperf_state_tcp_t *session = arg;

    (void)err;
    if (session == NULL)
        return;
    count.aborted++;
    lwiperf_list_remove(&session->base);
    LWIPERF_FREE(lwiperf_state_tcp_t, session);
}

static void on_report(void *arg, enum lwiperf_report_type type, const ip_addr_t *local, u16_t local_port,
                      const ip_addr_t *remote, u16_t remote_port, u32_t bytes, u32_t ms, u32_t kbit_s)
{
    (void)arg, (void)local, (void)local_port, (void)remote, (void)remote_port, (void)bytes, (void)ms;
    if (type != LWIPERF_TCP_DONE_SERVER && type != LWIPERF_TCP_DONE_CLIENT)
        count.aborted++;
    count.sessions++;
    count.kbit_s = kbit_s;
}

int iperf_start(void)
{
    return lwiperf_start_tcp_server_default(on_report, NULL) != NULL ? 0 : -1;
}

void iperf_json(struct text *t)
{
    text_open(t, "iperf");
    text_member(t, "sessions", count.sessions);
    text_member(t, "aborted", count.aborted);
    text_member(t, "last_kbit_s", count.kbit_s);
    text_close(t);
}
