/* SPDX-License-Identifier: MIT */
/* isthmus-secure: the Secure world as a process of a Linux host. Started by the supervisor, with in its environment
 *
 *   ISTHMUS_CONTROL, ISTHMUS_CONFIG   see host/world.h
 *   ISTHMUS_IP, ISTHMUS_NETMASK       this world's address; ISTHMUS_PEER_IP is its gateway
 *   ISTHMUS_MAC                       aa:bb:cc:dd:ee:ff
 *   ISTHMUS_TASKS, ISTHMUS_FLOWS      the board file's tables, see tables.h
 *   ISTHMUS_WATCHDOG_US               longest time without food from the task above; 0 = none
 *   ISTHMUS_RX_BUDGET                 "frames bytes" of one receive step, then "period frames bytes" over time, in us
 *   ISTHMUS_FILTER                    the allow-list of received frames: 64-bit words in hexadecimal (core/filter.h)
 *   ISTHMUS_FILTER_OUT                likewise of sent frames; empty: all may leave
 *   ISTHMUS_SPIN_US                   longest spin before sleeping; default 50
 *   ISTHMUS_BARE_TIMER=1              measure a bare timer beside the task
 *
 * With ISTHMUS_PACKET=descriptor instead of a channel it runs the same stack and applications on a TAP or an AF_PACKET
 * socket, for comparison; ISTHMUS_CONTROL may then be any socket whose end of file ends it, or be missing.
 *
 * Exit status: 0 on STOP or when the supervisor or the device is gone, 2 after one line on standard error, 3 likewise
 * when the watchdog was not fed. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "baretimer.h"
#include "loop.h"
#include "lwip/init.h"
#include "lwipapps.h"
#include "netif/ethernet.h"
#include "platform.h"
#include "tables.h"
#include "watchdog.h"

#define RX_MEMORY (8u << 20) /* of receive buffers: five thousand frames of a 1500-byte MTU, or a hundred of 64 KiB */

static struct loop loop;
static struct status_source source;
static const struct rxpool *pool; /* of received frames */
static struct flow flows[FLOWS_MAX + 1];
static uint8_t rx_memory[RX_MEMORY];

#define TABLE_MAX 5000 /* words: more than 64 rules can make */
static struct allowed {
    struct ist_filter filter;
    uint64_t table[TABLE_MAX];
} received, sent;

static _Noreturn void die(const char *what, const char *detail)
{
    fprintf(stderr, "isthmus-secure: %s%s%s\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    exit(2);
}

/* ---- what lwIP asks of the platform ----------------------------------------------------------------------------- */

_Noreturn void isthmus_lwip_assert(const char *what, const char *file, int line)
{
    fprintf(stderr, "isthmus-secure: lwIP %s:%d: %s\n", file, line, what);
    abort(); /* its signal asks for the safe state */
}

uint32_t isthmus_lwip_random(void)
{
    static uint32_t pool[64];
    static size_t used = sizeof pool / sizeof pool[0];

    if (used == sizeof pool / sizeof pool[0]) {
        if (getrandom(pool, sizeof pool, 0) != (ssize_t)sizeof pool)
            die("no random numbers", strerror(errno));
        used = 0;
    }
    return pool[used++];
}

u32_t sys_now(void)
{
    return (u32_t)(ist_now() / 1000000u);
}

/* ---- what the status shows ---------------------------------------------------------------------------------------- */

static void report_critical(struct critical_report *r)
{
    critical_fill(&loop.critical, r);
    baretimer_fill(&r->bare_timer);
}

static void report_stack(struct stack_status *s)
{
    lwip_status(&loop.netif, pool, s);
}

static uint64_t last_frame(void)
{
    return loop.last_frame;
}

/* The Secure world's members of a STATUS reply; host/world.c has written the common ones. */
static size_t world_status(void *ctx, char *text, size_t room)
{
    struct text t = text_over(text, room);

    (void)ctx;
    text_str(&t, ",\"age_us\":");
    if (loop.last_frame == 0)
        text_str(&t, "null");
    else
        text_u64(&t, (ist_now() - loop.last_frame) / 1000u);
    apps_json(&t, &source);
    return t.cut ? 0 : (size_t)(t.at - text);
}

/* ---- environment ------------------------------------------------------------------------------------------------ */

static const char *wanted(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL)
        die("not set; this program is started by `isthmus run`", name);
    return value;
}

static ip4_addr_t address(const char *name)
{
    const char *text = wanted(name);
    ip4_addr_t a;

    /* Only the plain dotted form: lwIP, as inet_aton, also reads "10.77" and octal. */
    if (!ip4addr_aton(text, &a) || strcmp(ip4addr_ntoa(&a), text) != 0)
        die("not an IPv4 address", name);
    return a;
}

static void read_mac(uint8_t mac[6])
{
    unsigned v[6];
    char more;

    if (sscanf(wanted("ISTHMUS_MAC"), "%2x:%2x:%2x:%2x:%2x:%2x%c", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &more) != 6)
        die("not an Ethernet address", "ISTHMUS_MAC");
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)v[i];
}

static uint32_t number(const char *text, const char *name, char **end)
{
    unsigned long v;

    errno = 0;
    v = strtoul(text, end, 10);
    if (*end == text || errno != 0 || v > UINT32_MAX)
        die("not a number", name);
    return (uint32_t)v;
}

static char *copy_of(const char *name)
{
    char *copy = strdup(wanted(name));

    if (copy == NULL)
        die("no memory", NULL);
    return copy;
}

static void read_environment(struct loop *l)
{
    const char *spin = getenv("ISTHMUS_SPIN_US");
    char *end;

    if (tables_tasks(l->critical.tasks, copy_of("ISTHMUS_TASKS")) != 0)
        die("not \"place name flow cost deadline period;...\" with cost <= deadline <= period", "ISTHMUS_TASKS");
    if (tables_flows(flows, copy_of("ISTHMUS_FLOWS")) != 0)
        die("not \"name protocol port;...\"", "ISTHMUS_FLOWS");
    if (!tables_agree(l->critical.tasks, flows))
        die("lacks the flow of the task inside", "ISTHMUS_FLOWS");
    l->step_frames = number(wanted("ISTHMUS_RX_BUDGET"), "ISTHMUS_RX_BUDGET", &end);
    l->step_bytes = number(end, "ISTHMUS_RX_BUDGET", &end);
    l->budget_period = number(end, "ISTHMUS_RX_BUDGET", &end) * 1000ull;
    l->budget_frames = number(end, "ISTHMUS_RX_BUDGET", &end);
    l->budget_bytes = number(end, "ISTHMUS_RX_BUDGET", &end);
    if (*end != '\0' || l->step_frames == 0 || l->step_bytes == 0)
        die("not \"frames bytes period frames bytes\", the first two above 0", "ISTHMUS_RX_BUDGET");
    l->spin = l->spin_max = (uint64_t)number(spin != NULL ? spin : "50", "ISTHMUS_SPIN_US", &end) * 1000u;
}

/* The allow-list in the variable; NULL if that is empty. */
static struct ist_filter *read_filter(struct allowed *a, const char *name)
{
    uint32_t n = 0;

    for (const char *at = wanted(name); *at != '\0'; at += strspn(at, " ")) {
        char *end;
        errno = 0;
        const uint64_t word = strtoull(at, &end, 16);
        if (end == at || errno != 0 || n == TABLE_MAX)
            die("not a filter's table", name);
        a->table[n++] = word;
        at = end;
    }
    if (n > 0 && ist_filter_load(&a->filter, a->table, n) != IST_V_OK)
        die("not a filter's table", name);
    return n > 0 ? &a->filter : NULL;
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
        die("cannot close this process to others", strerror(errno));
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul); /* the default adds 50 us to every sleep */
    signal(SIGPIPE, SIG_IGN);
    if (getenv("ISTHMUS_CONTROL") != NULL)
        signal(SIGINT, SIG_IGN); /* Ctrl-C is the supervisor's to handle; its end of file ends us */
}

/* The signal's own effect follows: this comes back to the instruction that faulted. */
static void on_fault(int number)
{
    (void)number;
    critical_safe(SAFE_FAULT);
}

static void watch_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    const struct sigaction action = {.sa_handler = on_fault, .sa_flags = (int)SA_RESETHAND};

    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigaction(faults[i], &action, NULL);
}

static netif_init_fn open_channel(struct loop *l)
{
    struct isthmusif *i = &l->lower.channel;

    l->world.status = world_status;
    if (ist_world_open(&l->world) != 0)
        exit(2);
    if (l->world.ep.config.mtu > ISTHMUSIF_MTU_MAX)
        die("MTU above what lwIP can carry (65500)", NULL);
    l->on_channel = 1;
    i->ep = &l->world.ep;
    l->world.ep.filter = read_filter(&received, "ISTHMUS_FILTER");
    if (l->world.ep.filter == NULL)
        die("without a table nothing is judged", "ISTHMUS_FILTER");
    i->out = read_filter(&sent, "ISTHMUS_FILTER_OUT");
    i->now = ist_now;
    budget_init(&i->budget, l->budget_period, l->budget_frames, l->budget_bytes, l->world.ep.config.frame_max);
    i->mtu = (u16_t)l->world.ep.config.mtu;
    i->valid = critical_frame;
    read_mac(i->mac);
    rxpool_init(&i->pool, rx_memory, sizeof rx_memory,
                l->world.ep.config.frame_max < 0xffffu ? l->world.ep.config.frame_max : 0xffffu);
    source.ep = &l->world.ep;
    source.budget = &i->budget;
    pool = &i->pool;
    return isthmusif_init;
}

static netif_init_fn open_packet(struct loop *l, const char *descriptor)
{
    const char *control = getenv("ISTHMUS_CONTROL");
    struct packetif *i = &l->lower.packet;
    uint32_t mtu = plain_mtu();
    char *end;
    int error;

    if (mtu < 576 || mtu > ISTHMUSIF_MTU_MAX)
        die("MTU outside 576..65500", "ISTHMUS_CONFIG");
    l->world.control_fd = control != NULL ? (int)number(control, "ISTHMUS_CONTROL", &end) : -1;
    error = packetif_open(i, (int)number(descriptor, "ISTHMUS_PACKET", &end));
    if (error != 0)
        die("cannot use the descriptor in ISTHMUS_PACKET", strerror(-error));
    i->mtu = (u16_t)mtu;
    read_mac(i->mac);
    rxpool_init(&i->pool, rx_memory, sizeof rx_memory, mtu + SIZEOF_ETH_HDR + 4u);
    pool = &i->pool;
    return packetif_init;
}

/* One segment acknowledged may send many: each frame that goes out is a piece of work of its own. */
static netif_linkoutput_fn lower_output;

static err_t output(struct netif *netif, struct pbuf *p)
{
    err_t e = lower_output(netif, p);

    critical_piece(&loop.critical);
    return e;
}

int main(void)
{
    const uint64_t born = ist_now();
    const char *packet = getenv("ISTHMUS_PACKET"), *bare = getenv("ISTHMUS_BARE_TIMER");
    ip4_addr_t ip, netmask, peer;
    netif_init_fn lower;
    uint32_t watchdog_us;
    char *end;

    harden();
    read_environment(&loop);
    ip = address("ISTHMUS_IP");
    netmask = address("ISTHMUS_NETMASK");
    peer = address("ISTHMUS_PEER_IP");
    lower = packet != NULL ? open_packet(&loop, packet) : open_channel(&loop);

    source.stack = report_stack;
    source.critical = report_critical;
    source.now = ist_now;
    source.last_frame = last_frame;
    source.units_per_us = 1000;
    lwip_init();
    if (netif_add(&loop.netif, &ip, &netmask, &peer, &loop.lower, lower, ethernet_input) == NULL)
        die("lwIP refused the interface", NULL);
    lower_output = loop.netif.linkoutput;
    loop.netif.linkoutput = output;
    netif_set_default(&loop.netif);
    netif_set_up(&loop.netif);
    if (apps_start(&source) != 0 || networked_start(&loop.critical.tasks[TASK_INSIDE].spec, flows) != 0)
        die("lwIP's pools are too small for the applications", NULL);
    (void)mlockall(MCL_CURRENT); /* no page fault in the critical task, where the limits allow it */

    critical_init(loop.critical.tasks, flows, source.ep);
    watch_faults();
    if (!loop.on_channel)
        critical_follow(IST_RUN);
    if (bare != NULL && strcmp(bare, "1") == 0 &&
        baretimer_start(loop.critical.tasks[TASK_ABOVE].spec.period) != 0)
        die("cannot start the bare timer", NULL);
    watchdog_us = number(wanted("ISTHMUS_WATCHDOG_US"), "ISTHMUS_WATCHDOG_US", &end);
    if (watchdog_us != 0 && watchdog_start((uint64_t)watchdog_us * 1000u) != 0)
        die("cannot start the watchdog", NULL);
    if (critical_start(&loop.critical, born) != 0)
        die("cannot start the task below", NULL);
    loop_run(&loop);
    if (loop.on_channel)
        ist_world_close(&loop.world);
    return 0;
}
