/* SPDX-License-Identifier: MIT */
/* apps.h - what the Secure world serves over the link. What does not depend on the IP stack is here; how a stack serves
 * it is in that stack's folder. No libc beyond <string.h>, no platform.
 *
 *   7/udp, 7/tcp   echo
 *   80/tcp         status page: /, /status.json
 *   5001/tcp       iperf 2, both directions
 *   0x88B5         raw sequenced frames, see raw.h
 *   a port of the board file's: the critical application's task inside the network work */
#ifndef ISTHMUS_APPS_H
#define ISTHMUS_APPS_H

#include <stdint.h>

#include "isthmus.h"
#include "periodic.h"
#include "text.h"

/* Percentiles and maximum of a lateness, in microseconds. */
struct lateness {
    uint32_t p50, p99, max;
};

struct flow;

/* The account of the task above all. All times in microseconds. */
struct critical_report {
    uint64_t periods; /* that have passed */
    uint64_t missed;  /* by us: own processor time + waiting on anything of ours > deadline */
    uint64_t skipped; /* periods that the platform kept from us altogether; they are in `periods` too */
    uint32_t period_us, cost_us, deadline_us;
    uint32_t first_period_us; /* from the start of the world to the end of the first period's work */
    uint32_t cost_us_max, wait_us_max;
    struct lateness late_kernel;
    struct lateness bare_timer; /* a thread that does nothing but sleep, for comparison; all 0 if not measured */
    const struct task *tasks;   /* the accounts of all TASKS; NULL: none */
};

/* From the accounts of all TASKS: `first_ns` is first_period_us. The second fills in late_kernel's quantiles, which take
 * longer; between the two, interrupts that change the accounts may be masked and let in again. */
void report_tasks(struct critical_report *r, const struct task *tasks, uint64_t first_ns);
void report_lateness(struct critical_report *r);
/* "critical":{...}. */
void report_json(struct text *t, const struct critical_report *r);

struct netport_lane;

/* What the IP stack says of itself. */
struct stack_status {
    const char *name;
    int up;          /* the interface's link */
    uint32_t mtu;
    uint8_t address[4];
    uint32_t buffers, available, lowest; /* for received frames: all, free, fewest that ever were */
};

/* What the status page shows. The platform fills it in. */
struct status_source {
    const struct ist_endpoint *ep; /* NULL: no channel beneath (plain Ethernet device) */
    const struct budget *budget;   /* what receiving may cost; NULL: no channel beneath */
    const struct netport_lane *lane; /* likewise of each lane, the bulk lane first, where there are more */
    uint32_t lanes;
    void (*stack)(struct stack_status *s);
    void (*critical)(struct critical_report *report);
    uint64_t (*now)(void);              /* in the unit that the endpoint's clock has */
    uint64_t (*last_frame)(void);       /* when the last frame came, the same clock; 0 = never */
    uint32_t units_per_us;
    void (*more)(struct text *t); /* members of the platform's own; NULL = none */
};

/* Starts all of them. 0, or -1 where the stack has too little room for them: a mistake of its configuration. */
int apps_start(const struct status_source *source);

/* The task inside the network work, on its flow's port. 0, or -1 as above, or where its flow is not in the list. */
int networked_start(const struct task_spec *spec, const struct flow *flows);

/* The stack's own: */
int echo_start(void);
int iperf_start(void);
int http_start(void);

/* The whole of /status.json, with a newline. */
void status_write(struct text *t);

#define STATUS_PAGE_MAX 12288u /* bytes of the longest */
/* The whole answer to a request for `path`, with its header; counts it. Before: status_use(). */
void status_page(struct text *t, const char *path);
/* Answers to what is no request, and to a request for another method than GET. */
void status_refusal(struct text *t, unsigned status);
void status_use(const struct status_source *source);

/* Each writes its member of "apps". */
void echo_json(struct text *t);
void iperf_json(struct text *t);
void status_json(struct text *t);
void raw_json(struct text *t);

/* "critical":{...},"buffers":{...},"apps":{...}: the Secure world's own part of a status, as members of an object being written. */
void apps_json(struct text *t, const struct status_source *source);

#endif
