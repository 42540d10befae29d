/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "setup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "baretimer.h"
#include "busypoll.h"
#include "platform.h"
#include "tables.h"
#include "watchdog.h"

#define TABLE_MAX 5000 /* words: more than 64 rules can make */
static struct allowed {
    struct ist_filter filter;
    uint64_t table[TABLE_MAX];
    uint32_t words; /* of the table; 0: there is none */
} received[IST_LANES_MAX], sent[IST_LANES_MAX];

_Noreturn void setup_refuse(const char *what, const char *detail)
{
    fprintf(stderr, "isthmus-secure: %s%s%s\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    exit(2);
}

uint32_t setup_random(void)
{
    static uint32_t pool[64];
    static size_t used = sizeof pool / sizeof pool[0];

    if (used == sizeof pool / sizeof pool[0]) {
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool)
            setup_refuse("no random numbers", strerror(errno));
        used = 0;
    }
    return pool[used++];
}

/* ---- environment ------------------------------------------------------------------------------------------------ */

static const char *wanted(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        setup_refuse("not set; this program is started by `isthmus run`", name);
    return value;
}

static void read_address(uint8_t ip[4], const char *name)
{
    if (inet_pton(AF_INET, wanted(name), ip) != 1)
        setup_refuse("not an IPv4 address", name);
}

static void read_mac(uint8_t mac[6])
{
    unsigned v[6];
    char more;

    if (sscanf(wanted("ISTHMUS_MAC"), "%2x:%2x:%2x:%2x:%2x:%2x%c", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &more) != 6)
        setup_refuse("not an Ethernet address", "ISTHMUS_MAC");
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
}

static uint32_t number(const char *text, const char *name, char **end)
{
    unsigned long v;

    errno = 0;
    v = strtoul(text, end, 10);
    if (*end == text || errno != 0 || v > UINT32_MAX)
        setup_refuse("not a number", name);
    return (uint32_t)v;
}

static char *copy_of(const char *name)
{
    char *copy = strdup(wanted(name));

    if (copy == NULL)
        setup_refuse("no memory", NULL);
    return copy;
}

static void read_tables(struct setup *s, struct task tasks[TASKS])
{
    if (tables_tasks(tasks, copy_of("ISTHMUS_TASKS")) != 0)
        setup_refuse("not \"place name flow cost deadline period;...\" with cost <= deadline <= period", "ISTHMUS_TASKS");
    if (tables_flows(s->flows, copy_of("ISTHMUS_FLOWS")) != 0)
        setup_refuse("not \"name protocol port;...\"", "ISTHMUS_FLOWS");
    if (!tables_agree(tasks, s->flows))
        setup_refuse("lacks the flow of the task inside", "ISTHMUS_FLOWS");
}

static void read_budget(struct setup *s)
{
    char *end;

    s->step_frames = number(wanted("ISTHMUS_RX_BUDGET"), "ISTHMUS_RX_BUDGET", &end);
    s->step_bytes = number(end, "ISTHMUS_RX_BUDGET", &end);
    s->budget_period = number(end, "ISTHMUS_RX_BUDGET", &end) * 1000ull;
    for (uint32_t k = 0; k < IST_LANES_MAX && (k == 0 || *end != '\0'); k++) {
        s->budget_frames[k] = number(end, "ISTHMUS_RX_BUDGET", &end);
        s->budget_bytes[k] = number(end, "ISTHMUS_RX_BUDGET", &end);
    }
    if (*end != '\0' || s->step_frames == 0 || s->step_bytes == 0)
        setup_refuse("not \"frames bytes period frames bytes\", the first two above 0", "ISTHMUS_RX_BUDGET");
}

/* The lanes' allow-lists in the variable. */
static void read_filters(struct allowed *a, uint32_t lanes, const char *name)
{
    const char *at = wanted(name);

    for (uint32_t k = 0; k < lanes; k++, at += *at == ';') {
        uint32_t *n = &a[k].words;

        for (at += strspn(at, " "); *at != '\0' && *at != ';'; at += strspn(at, " ")) {
            char *end;
            errno = 0;
            const uint64_t word = strtoull(at, &end, 16);
            if (end == at || errno != 0 || *n == TABLE_MAX)
                setup_refuse("not a filter's table", name);
            a[k].table[(*n)++] = word;
            at = end;
        }
        if (*n > 0 && ist_filter_load(&a[k].filter, a[k].table, *n) != IST_V_OK)
            setup_refuse("not a filter's table", name);
    }
    if (*at != '\0')
        setup_refuse("more tables than lanes", name);
}

/* The MTU of ISTHMUS_CONFIG, where there is no channel that reads it. */
static uint32_t plain_mtu(void)
{
    const char *config = getenv("ISTHMUS_CONFIG"), *at = config != NULL ? strstr(config, "mtu=") : NULL;
    char *end;

    return at != NULL ? number(at + 4, "ISTHMUS_CONFIG", &end) : 1500u;
}

/* ---- start --------------------------------------------------------------------------------------------------------- */

/* The Normal world's processes may run under the same user: they must not be able to look into this one. */
static void harden(void)
{
    const struct rlimit no_core = {0, 0};

    if (prctl(PR_SET_DUMPABLE, 0ul, 0ul, 0ul, 0ul) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) != 0)
        setup_refuse("cannot close this process to others", strerror(errno));
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* the default adds 50 us to every sleep */
    signal(SIGPIPE, SIG_IGN);
    if (getenv("ISTHMUS_CONTROL") != NULL)
        signal(SIGINT, SIG_IGN); /* Ctrl-C is the supervisor's to handle; its end of file ends us */
}

void setup_read(struct setup *s, struct task tasks[TASKS])
{
    const char *spin = getenv("ISTHMUS_SPIN_US"), *bare = getenv("ISTHMUS_BARE_TIMER");
    const char *packet = getenv("ISTHMUS_PACKET");
    char *end;

    harden();
    read_tables(s, tasks);
    read_budget(s);
    read_address(s->ip, "ISTHMUS_IP");
    read_address(s->netmask, "ISTHMUS_NETMASK");
    read_address(s->peer, "ISTHMUS_PEER_IP");
    read_mac(s->mac);
    s->spin = spin != NULL ? (uint64_t)number(spin, "ISTHMUS_SPIN_US", &end) * 1000u : BUSYPOLL_MAX_NS;
    s->watchdog = (uint64_t)number(wanted("ISTHMUS_WATCHDOG_US"), "ISTHMUS_WATCHDOG_US", &end) * 1000u;
    s->bare_timer = bare != NULL && strcmp(bare, "1") == 0;
    s->packet_fd = packet != NULL ? (int)number(packet, "ISTHMUS_PACKET", &end) : -1;
    s->mtu = plain_mtu();
}

uint32_t setup_lanes(const struct setup *s, struct ist_world *w, struct netport_lane lane[IST_LANES_MAX])
{
    if (ist_world_open(w) != 0)
        exit(2);
    read_filters(received, w->lanes, "ISTHMUS_FILTER");
    read_filters(sent, w->lanes, "ISTHMUS_FILTER_OUT");
    for (uint32_t k = 0; k < w->lanes; k++) {
        if (received[k].words == 0)
            setup_refuse("without a table nothing is judged", "ISTHMUS_FILTER");
        w->lane[k].filter = &received[k].filter;
        lane[k] = (struct netport_lane){.ep = &w->lane[k], .out = sent[k].words > 0 ? &sent[k].filter : NULL};
        budget_init(&lane[k].budget, s->budget_period, s->budget_frames[k], s->budget_bytes[k], w->ep.config.frame_max);
    }
    return w->lanes;
}

void setup_plain(struct ist_world *w)
{
    const char *control = getenv("ISTHMUS_CONTROL");
    char *end;

    w->control_fd = control != NULL ? (int)number(control, "ISTHMUS_CONTROL", &end) : -1;
}

/* The signal's own effect follows: this comes back to the instruction that faulted. */
static void on_fault(int number)
{
    (void)number;
    critical_safe(SAFE_FAULT);
}

void setup_guards(const struct setup *s, const struct critical *c)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    const struct sigaction action = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};

    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigaction(faults[i], &action, NULL);
    if (s->bare_timer && baretimer_start(c->tasks[TASK_ABOVE].spec.period) != 0)
        setup_refuse("cannot start the bare timer", NULL);
    if (s->watchdog != 0 && watchdog_start(s->watchdog) != 0)
        setup_refuse("cannot start the watchdog", NULL);
}
