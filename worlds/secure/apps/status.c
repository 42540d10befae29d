/* SPDX-License-Identifier: MIT */
/* status.c - the status page: /, for people, and /status.json. A page is written in full when it is asked for. */
#include <string.h>

#include "apps.h"
#include "netport.h"
#include "platform.h"

static const struct status_source *source;
static uint64_t requests;

static const char *const lane_names[IST_LANES_MAX] = {"0", "1", "2", "3"};
static const char *const state_names[IST_STATES] = {"RESET", "INIT", "READY", "RUN", "DEAD"};

/* ---- JSON --------------------------------------------------------------------------------------------------- */

/* The ledger of receive work: the most in a window of one period, beside what no window may hold. */
static void budget_json(struct text *t, const char *name, const struct budget *b)
{
    text_open(t, name);
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
    struct stack_status stack;

    s->critical(&r);
    report_json(t, &r);
    critical_json(t);
    s->stack(&stack);
    text_open(t, "buffers");
    text_member(t, "count", stack.buffers);
    text_member(t, "available", stack.available);
    text_member(t, "lowest", stack.lowest);
    text_close(t);
    if (s->budget != NULL)
        budget_json(t, "work", s->budget);
    if (s->lanes > 1) { /* by the lane's number */
        text_open(t, "lane_work");
        for (uint32_t k = 1; k < s->lanes; k++)
            budget_json(t, lane_names[k], &s->lane[k].budget);
        text_close(t);
    }
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
    struct stack_status stack;

    if (source->ep != NULL)
        return state_names[ist_link_state(source->ep)];
    source->stack(&stack);
    return stack.up ? "RUN" : "RESET";
}

static void age_value(struct text *t, const char *unknown)
{
    uint64_t last = source->last_frame();

    if (last == 0)
        text_str(t, unknown);
    else
        text_u64(t, (source->now() - last) / source->units_per_us);
}

static void endpoint_json(struct text *t, const struct ist_endpoint *ep)
{
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

void status_write(struct text *t)
{
    const struct ist_endpoint *ep = source->ep;

    text_char(t, '{');
    text_member_str(t, "state", link_state());
    if (ep != NULL)
        endpoint_json(t, ep);
    if (source->lanes > 1) { /* by the lane's number: what the members above say of the bulk lane */
        text_open(t, "lanes");
        for (uint32_t k = 1; k < source->lanes; k++) {
            text_open(t, lane_names[k]);
            text_member_str(t, "state", state_names[ist_link_state(source->lane[k].ep)]);
            endpoint_json(t, source->lane[k].ep);
            text_close(t);
        }
        text_close(t);
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
    "</style><h1>Secure world</h1><p>";
static const char html_links[] =
    " behind an Isthmus channel. The same as data: "
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

static void address(struct text *t, const uint8_t ip[4])
{
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            text_char(t, '.');
        text_u64(t, ip[i]);
    }
}

static void write_html(struct text *t)
{
    const struct ist_endpoint *ep = source->ep;
    struct critical_report r;
    struct stack_status stack;

    source->critical(&r);
    source->stack(&stack);
    text_str(t, html_head);
    text_str(t, stack.name);
    text_str(t, html_links);

    section(t, "Link");
    row_name(t, "state");
    text_str(t, stack.up ? "<b class=up>" : "<b>");
    text_str(t, link_state());
    text_str(t, "</b>");
    row_name(t, "address");
    address(t, stack.address);
    row(t, "MTU", stack.mtu);
    row_name(t, "last frame, us ago");
    age_value(t, "-");
    row(t, "receive buffers", stack.buffers);
    row(t, "fewest that were free", stack.lowest);
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

/* ---- the pages ------------------------------------------------------------------------------------------------- */

static void begin(struct text *t, const char *status, const char *type)
{
    text_str(t, "HTTP/1.0 ");
    text_str(t, status);
    text_str(t, "\r\nServer: isthmus\r\nCache-Control: no-store\r\nContent-Type: ");
    text_str(t, type);
    text_str(t, "\r\n\r\n");
}

void status_refusal(struct text *t, unsigned status)
{
    requests++;
    begin(t, status == 404 ? "404 Not Found" : status == 400 ? "400 Bad Request" : "501 Not Implemented", "text/plain");
    text_str(t, status == 404   ? "No such page. There are / and /status.json.\n"
                : status == 400 ? "That was not an HTTP request.\n"
                                : "Only GET is served here.\n");
}

void status_page(struct text *t, const char *path)
{
    if (strcmp(path, "/") == 0 || strcmp(path, "/index.html") == 0) {
        begin(t, "200 OK", "text/html; charset=utf-8");
        write_html(t);
    } else if (strcmp(path, "/status.json") == 0) {
        begin(t, "200 OK", "application/json");
        status_write(t);
    } else {
        status_refusal(t, 404);
        return;
    }
    requests++;
}

void status_use(const struct status_source *s)
{
    source = s;
}
