/* SPDX-License-Identifier: MIT */
/* status.c - the status page, served by lwIP's httpd: /, for people, and /status.json.
 *
 * A page is written in full when it is opened, into one of as many buffers as httpd has connections. */
#include <string.h>

#include "apps.h"
#include "budget.h"
#include "lwip/apps/fs.h"
#include "lwip/apps/httpd.h"
#include "lwip/ip4_addr.h"
#include "platform.h"

#define PAGE_BYTES 12288u

static struct page {
    char text[PAGE_BYTES];
    int used;
} pages[MEMP_NUM_PARALLEL_HTTPD_CONNS];

static const struct status_source *source;
static uint64_t requests;

static const char *const state_names[IST_STATES] = {"RESET", "INIT", "READY", "RUN", "DEAD"};

/* ---- JSON --------------------------------------------------------------------------------------------------- */

static void lateness_json(struct text *t, const char *name, const struct lateness *l)
{
    text_open(t, name);
    text_member(t, "p50", l->p50);
    text_member(t, "p99", l->p99);
    text_member(t, "max", l->max);
    text_close(t);
}

static void report_json(struct text *t, const struct critical_report *r)
{
    text_open(t, "critical");
    text_member(t, "periods", r->periods);
    text_member(t, "missed", r->missed);
    text_member(t, "skipped", r->skipped);
    text_member(t, "period_us", r->period_us);
    text_member(t, "cost_us", r->cost_us);
    text_member(t, "deadline_us", r->deadline_us);
    text_member(t, "first_period_us", r->first_period_us);
    text_member(t, "cost_us_max", r->cost_us_max);
    text_member(t, "wait_us_max", r->wait_us_max);
    lateness_json(t, "late_kernel_us", &r->late_kernel);
    lateness_json(t, "bare_timer_us", &r->bare_timer);
    if (r->tasks != NULL)
        tasks_json(t, r->tasks);
    text_close(t);
}

/* The ledger of receive work: the most in a window of one period, beside what no window may hold. */
static void budget_json(struct text *t, const struct budget *b)
{
    text_open(t, "work");
    text_member(t, "period_us", b->period / 1000u);
    text_member(t, "frames_max", b->frames_most);
    text_member(t, "frames_bound", b->frames_bound);
    text_member(t, "bytes_max", b->bytes_most);
    text_member(t, "bytes_bound", b->bytes_bound);
    text_member(t, "over", b->over);
    text_member(t, "exhausted", b->exhausted);
    text_close(t);
}

void apps_json(struct text *t, const struct status_source *s)
{
    struct critical_report r;

    s->critical(&r);
    report_json(t, &r);
    critical_json(t);
    text_open(t, "buffers");
    text_member(t, "count", s->pool->count);
    text_member(t, "available", s->pool->available);
    text_member(t, "lowest", s->pool->lowest);
    text_close(t);
    if (s->budget != NULL)
        budget_json(t, s->budget);
    text_open(t, "apps");
    echo_json(t);
    status_json(t);
    iperf_json(t);
    raw_json(t);
    text_close(t);
}

void status_json(struct text *t)
{
    text_open(t, "http");
    text_member(t, "requests", requests);
    text_close(t);
}

static const char *link_state(void)
{
    if (source->ep != NULL)
        return state_names[ist_link_state(source->ep)];
    return netif_is_link_up(source->netif) ? "RUN" : "RESET";
}

static void age_value(struct text *t, const char *unknown)
{
    uint64_t last = source->last_frame();

    if (last == 0)
        text_str(t, unknown);
    else
        text_u64(t, (source->now() - last) / source->units_per_us);
}

void status_write(struct text *t)
{
    const struct ist_endpoint *ep = source->ep;

    text_char(t, '{');
    text_member_str(t, "state", link_state());
    if (ep != NULL) {
        text_member_str(t, "reason", ist_verdict_name(ep->reason));
        text_member(t, "epoch", ep->epoch);
        text_member(t, "agreed", ep->agreed);
        text_open(t, "counters");
        for (uint32_t v = 0; v < IST_VERDICT_COUNT; v++)
            text_member(t, ist_verdict_name(v), ep->count[v]);
        text_close(t);
        text_member(t, "sent", ep->sent);
        text_member(t, "sent_bytes", ep->tx.bytes);
        text_member(t, "received_bytes", ep->rx.bytes);
        text_member(t, "lost", ep->rx.lost);
    }
    text_key(t, "age_us");
    age_value(t, "null");
    if (source->more != NULL)
        source->more(t);
    apps_json(t, source);
    text_str(t, "}\n");
}

/* ---- HTML --------------------------------------------------------------------------------------------------- */

static const char html_head[] =
    "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>"
    "<meta name=viewport content='width=device-width'><title>Isthmus: Secure world</title><style>"
    ":root{color-scheme:light dark;--line:#8884;--soft:#8882}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:0 0 .5rem}p{margin:.2rem 0 1.5rem;opacity:.7}"
    "main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr))}"
    "section{border:1px solid var(--line);border-radius:.6rem;padding:1rem}"
    "table{border-collapse:collapse;width:100%}td{padding:.15rem 0;border-top:1px solid var(--soft)}"
    "td+td{text-align:right;font-variant-numeric:tabular-nums}"
    "b{padding:.1rem .6rem;border-radius:1rem;color:#fff;background:#b3261e}b.up{background:#1a7f37}"
    "</style><h1>Secure world</h1><p>lwIP behind an Isthmus channel. The same as data: "
    "<a href=/status.json>/status.json</a></p><main>";

static void section(struct text *t, const char *title)
{
    text_str(t, "<section><h2>");
    text_str(t, title);
    text_str(t, "</h2><table>");
}

static void section_end(struct text *t)
{
    text_str(t, "</table></section>");
}

static void row_name(struct text *t, const char *name)
{
    text_str(t, "<tr><td>");
    text_str(t, name);
    text_str(t, "<td>");
}

static void row(struct text *t, const char *name, uint64_t v)
{
    row_name(t, name);
    text_u64(t, v);
}

static void row_of_three(struct text *t, const char *name, const struct lateness *l)
{
    row_name(t, name);
    text_u64(t, l->p50);
    text_str(t, " / ");
    text_u64(t, l->p99);
    text_str(t, " / ");
    text_u64(t, l->max);
}

static void row_of_task(struct text *t, const struct task *task)
{
    row_name(t, task->spec.name);
    text_u64(t, task->missed);
    text_str(t, ", ");
    text_u64(t, task->overruns);
    text_str(t, ", ");
    text_u64(t, task->response_max / 1000u);
    text_str(t, " / ");
    text_u64(t, task->spec.deadline / 1000u);
}

static void write_html(struct text *t)
{
    const struct ist_endpoint *ep = source->ep;
    struct critical_report r;
    char ip[IP4ADDR_STRLEN_MAX];

    source->critical(&r);
    text_str(t, html_head);

    section(t, "Link");
    row_name(t, "state");
    text_str(t, netif_is_link_up(source->netif) ? "<b class=up>" : "<b>");
    text_str(t, link_state());
    text_str(t, "</b>");
    row_name(t, "address");
    text_str(t, ip4addr_ntoa_r(netif_ip4_addr(source->netif), ip, sizeof ip) != NULL ? ip : "-");
    row(t, "MTU", source->netif->mtu);
    row_name(t, "last frame, us ago");
    age_value(t, "-");
    row(t, "receive buffers", source->pool->count);
    row(t, "fewest that were free", source->pool->lowest);
    if (ep != NULL) {
        row(t, "epoch", ep->epoch);
        row(t, "frames sent", ep->sent);
        row(t, "frames received", ep->count[IST_V_OK]);
        row(t, "frames lost", ep->rx.lost);
    }
    section_end(t);

    section(t, "Critical task");
    row_name(t, "deadlines missed by us");
    text_str(t, r.missed == 0 ? "<b class=up>" : "<b>");
    text_u64(t, r.missed);
    text_str(t, "</b>");
    row(t, "periods", r.periods);
    row(t, "period, us", r.period_us);
    row(t, "cost, us", r.cost_us);
    row(t, "largest cost, us", r.cost_us_max);
    row(t, "deadline, us", r.deadline_us);
    row(t, "largest wait on the link, us", r.wait_us_max);
    row_of_three(t, "kernel lateness p50/p99/max, us", &r.late_kernel);
    if (r.bare_timer.max != 0)
        row_of_three(t, "bare timer p50/p99/max, us", &r.bare_timer);
    section_end(t);

    if (r.tasks != NULL) {
        section(t, "Tasks: missed, overruns, worst response / deadline, us");
        for (unsigned i = 0; i < TASKS; i++)
            if (r.tasks[i].spec.name != NULL)
                row_of_task(t, &r.tasks[i]);
        section_end(t);
    }

    if (ep != NULL) {
        section(t, "Verdicts");
        for (uint32_t v = 0; v < IST_VERDICT_COUNT; v++)
            if (ep->count[v] != 0)
                row(t, ist_verdict_name(v), ep->count[v]);
        section_end(t);
    }
    text_str(t, "</main></html>\n");
}

/* ---- httpd's file system ------------------------------------------------------------------------------------- */

static void begin(struct text *t, const char *status, const char *type)
{
    text_str(t, "HTTP/1.0 ");
    text_str(t, status);
    text_str(t, "\r\nServer: isthmus\r\nCache-Control: no-store\r\nContent-Type: ");
    text_str(t, type);
    text_str(t, "\r\n\r\n");
}

int fs_open_custom(struct fs_file *file, const char *name)
{
    struct page *page = NULL;
    struct text t;

    for (unsigned i = 0; i < MEMP_NUM_PARALLEL_HTTPD_CONNS && page == NULL; i++)
        if (!pages[i].used)
            page = &pages[i];
    if (page == NULL)
        return 0;
    t = text_over(page->text, sizeof page->text);
    if (strcmp(name, "/index.html") == 0) {
        begin(&t, "200 OK", "text/html; charset=utf-8");
        write_html(&t);
    } else if (strcmp(name, "/status.json") == 0) {
        begin(&t, "200 OK", "application/json");
        status_write(&t);
    } else if (strcmp(name, "/404.html") == 0) {
        begin(&t, "404 Not Found", "text/plain");
        text_str(&t, "No such page. There are / and /status.json.\n");
    } else if (strcmp(name, "/400.html") == 0) {
        begin(&t, "400 Bad Request", "text/plain");
        text_str(&t, "That was not an HTTP request.\n");
    } else if (strcmp(name, "/501.html") == 0) {
        begin(&t, "501 Not Implemented", "text/plain");
        text_str(&t, "Only GET is served here.\n");
    } else {
        return 0;
    }
    LWIP_ASSERT("page buffer too small", !t.cut);
    requests++;
    page->used = 1;
    *file = (struct fs_file){
        .data = page->text,
        .len = (int)(t.at - page->text),
        .index = (int)(t.at - page->text),
        .pextension = page,
        .flags = FS_FILE_FLAGS_HEADER_INCLUDED,
    };
    return 1;
}

void fs_close_custom(struct fs_file *file)
{
    struct page *page = file->pextension;

    page->used = 0;
}

int status_start(const struct status_source *s)
{
    source = s;
    httpd_init();
    return 0;
}
