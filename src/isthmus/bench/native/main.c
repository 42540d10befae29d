/* SPDX-License-Identifier: MIT */
/* main.c - the case runner: one case, one frame size, two pinned ends, one line of JSON.
 *
 *   isthmus-bench CASE key=value ...     keys: see `settings`
 *
 * Exit status: 0 with the result on standard output; 2 the case cannot run here, 3 it ran and went wrong, each with
 * one line on standard error. The parent sleeps while its ends run; the ends die with it, and it with its own parent. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { EXIT_MISSING = 2, EXIT_BROKEN = 3 };
#define PATIENCE_S 30u /* beyond the phases: on a busy computer two ends that spin wait long for each other's turn */

static const struct bench_case *chosen;

/* ---- what the ends call --------------------------------------------------------------------------------------- */

void fail(struct run *r, int end, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->board->report[end].error, sizeof r->board->report[end].error, format, args);
    va_end(args);
    if (r->opt.threads) { /* ends both ends at once: they are one process */
        fprintf(stderr, "isthmus-bench: %s: %s\n", chosen->name, r->board->report[end].error);
        _exit(EXIT_BROKEN);
    }
    _exit(EXIT_BROKEN);
}

void meet(struct run *r, int end)
{
    uint32_t *mine = &r->board->arrived[end], *theirs = &r->board->arrived[!end];
    const uint32_t turn = __atomic_add_fetch(mine, 1u, __ATOMIC_ACQ_REL);
    while ((int32_t)(__atomic_load_n(theirs, __ATOMIC_ACQUIRE) - turn) < 0)
        ;
}

/* Both work per thread, so that they mean the same for two processes and for two threads of one. */
static void meter_read(struct meter *m)
{
    struct timespec cpu;
    struct rusage usage;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
    getrusage(RUSAGE_THREAD, &usage);
    m->wall_ns = now_ns() - m->wall_ns;
    m->cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec - m->cpu_ns;
    m->involuntary = (uint64_t)usage.ru_nivcsw - m->involuntary;
    m->voluntary = (uint64_t)usage.ru_nvcsw - m->voluntary;
}

void meter_start(struct meter *m)
{
    memset(m, 0, sizeof *m);
    meter_read(m);
}

void meter_stop(struct meter *m) { meter_read(m); }

void *shared_memory(uint64_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

/* ---- the two ends --------------------------------------------------------------------------------------------- */

static int pin(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set);
}

static void end_run(struct run *r, int end)
{
    if (pin((unsigned)r->opt.cpu[end]) != 0)
        fail(r, end, "processor %d: %s", r->opt.cpu[end], strerror(errno));
    chosen->traffic(r, end);
}

static void die_with_parent(pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_BROKEN);
}

static void *end_thread(void *arg)
{
    end_run(arg, 1);
    return NULL;
}

static uint64_t total_ns(const struct options *o) { return o->warm_ns + o->rtt_ns + o->rewarm_ns + o->flood_ns; }

static void run_threads(struct run *r)
{
    pthread_t other;
    alarm((unsigned)(total_ns(&r->opt) / 1000000000u) + PATIENCE_S);
    if (pthread_create(&other, NULL, end_thread, r) != 0)
        fail(r, 0, "no thread");
    end_run(r, 0);
    pthread_join(other, NULL);
}

/* Waits for both ends; the first that fails, or the time limit, takes the other one along. 0 when both are well. */
static int run_processes(struct run *r)
{
    const pid_t parent = getpid();
    pid_t child[2];
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, SIGCHLD);
    sigprocmask(SIG_BLOCK, &wake, NULL);
    for (int end = 0; end < 2; end++) {
        child[end] = fork();
        if (child[end] == 0) {
            die_with_parent(parent);
            sigprocmask(SIG_UNBLOCK, &wake, NULL);
            end_run(r, end);
            _exit(0);
        }
        if (child[end] < 0) {
            snprintf(r->board->report[0].error, sizeof r->board->report[0].error, "fork: %s", strerror(errno));
            if (end == 1)
                kill(child[0], SIGKILL);
            return -1;
        }
    }
    const uint64_t limit = now_ns() + PATIENCE_S * 1000000000ull + total_ns(&r->opt);
    int alive = 2, broken = 0;
    while (alive > 0) {
        const uint64_t now = now_ns(), left = now < limit ? limit - now : 0;
        const struct timespec wait = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        if (sigtimedwait(&wake, NULL, &wait) < 0 && errno == EAGAIN) {
            snprintf(r->board->report[0].error, sizeof r->board->report[0].error, "no progress");
            broken = 1;
        }
        for (int end = 0; end < 2; end++) {
            int status;
            if (child[end] > 0 && waitpid(child[end], &status, WNOHANG) == child[end]) {
                child[end] = 0;
                alive--;
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                    broken = 1;
            }
        }
        for (int end = 0; broken && end < 2; end++) {
            if (child[end] > 0)
                kill(child[end], SIGKILL);
        }
    }
    return broken ? -1 : 0;
}

/* ---- the result ----------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double percentile_us(struct report *lead, double part)
{
    qsort(lead->sample, lead->samples, sizeof lead->sample[0], by_value);
    return lead->sample[(uint64_t)((double)(lead->samples - 1u) * part)] * lead->ns_per_tick / 1000.0;
}

static void print_meters(const char *phase, const struct meter *a, const struct meter *b)
{
    printf(", \"%s\": [", phase);
    for (int end = 0; end < 2; end++) {
        const struct meter *m = end == 0 ? a : b;
        printf("%s{\"wall_s\": %.9f, \"cpu_s\": %.9f, \"involuntary\": %llu, \"voluntary\": %llu}", end ? ", " : "",
               (double)m->wall_ns / 1e9, (double)m->cpu_ns / 1e9, (unsigned long long)m->involuntary,
               (unsigned long long)m->voluntary);
    }
    printf("]");
}

static void print_result(struct run *r)
{
    struct report *lead = &r->board->report[0], *follow = &r->board->report[1];
    printf("{\"case\": \"%s\", \"pingpong_us\": %.6f", chosen->name, r->board->pingpong_us);
    if (lead->samples) {
        const char *what = chosen->one_way ? "latency" : "rtt";
        printf(", \"%s_p50\": %.6f, \"%s_p99\": %.6f, \"%s_p999\": %.6f, \"samples\": %llu", what,
               percentile_us(lead, 0.5), what, percentile_us(lead, 0.99), what, percentile_us(lead, 0.999),
               (unsigned long long)lead->samples);
        print_meters("rtt_meter", &lead->rtt, &follow->rtt);
    }
    if (follow->frames) {
        const double seconds = (double)follow->flood.wall_ns / 1e9, frames = (double)follow->frames;
        printf(", \"frames\": %.3f, \"bits\": %.1f, \"cpu\": %.6f", frames / seconds, frames * r->opt.frame * 8.0 / seconds,
               (double)(lead->flood.cpu_ns + follow->flood.cpu_ns) / 1e9 / frames * 1e6);
        print_meters("flood_meter", &lead->flood, &follow->flood);
        if (follow->size)
            printf(", \"size\": %llu", (unsigned long long)follow->size);
    }
    printf("}\n");
}

/* ---- settings ------------------------------------------------------------------------------------------------- */

struct setting {
    const char *key;
    uint64_t value, least, most;
};

enum {
    FRAME, BATCH, RING, SLOTS, TAG, CHANNELS, BUSY, WAIT, THREADS, CPU0, CPU1, FD0, FD1, SEED, WARM, RTT, REWARM, FLOOD, SETTINGS
};

static struct setting settings[SETTINGS] = {
    [FRAME] = {"frame", 64, 60, FRAME_ROOM},
    [BATCH] = {"batch", 32, 1, 256},
    [RING] = {"ring", 262144, 4096, 1u << 30},
    [SLOTS] = {"slots", 256, 4, 1u << 20},
    [TAG] = {"tag", 0, 0, 2},
    [CHANNELS] = {"channels", 1, 1, 64},
    [BUSY] = {"busy", 1, 1, 64},
    [WAIT] = {"wait", WAIT_SPIN, WAIT_SPIN, WAIT_SLEEP},
    [THREADS] = {"threads", 0, 0, 1},
    [CPU0] = {"cpu0", 0, 0, CPU_SETSIZE - 1},
    [CPU1] = {"cpu1", 1, 0, CPU_SETSIZE - 1},
    [FD0] = {"fd0", UINT32_MAX, 0, UINT32_MAX},
    [FD1] = {"fd1", UINT32_MAX, 0, UINT32_MAX},
    [SEED] = {"seed", 1, 0, UINT64_MAX},
    [WARM] = {"warm_us", 100000, 0, 60000000},
    [RTT] = {"rtt_us", 100000, 0, 60000000},
    [REWARM] = {"rewarm_us", 30000, 0, 60000000},
    [FLOOD] = {"flood_us", 100000, 0, 60000000},
};

static int parse(int argc, char **argv, struct options *o)
{
    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        struct setting *s = settings;
        while (s < settings + SETTINGS && (!equals || strlen(s->key) != (size_t)(equals - argv[i]) ||
                                           strncmp(s->key, argv[i], (size_t)(equals - argv[i])) != 0))
            s++;
        char *rest = NULL;
        if (s < settings + SETTINGS)
            s->value = strtoull(equals + 1, &rest, 10);
        if (!rest || rest == equals + 1 || *rest || s->value < s->least || s->value > s->most) {
            fprintf(stderr, "isthmus-bench: bad setting %s\n", argv[i]);
            return -1;
        }
    }
    if ((settings[RING].value & (settings[RING].value - 1u)) != 0 ||
        (settings[SLOTS].value & (settings[SLOTS].value - 1u)) != 0) {
        fprintf(stderr, "isthmus-bench: ring and slots must be powers of two\n");
        return -1;
    }
    if (settings[BUSY].value > settings[CHANNELS].value) {
        fprintf(stderr, "isthmus-bench: more channels are busy than there are\n");
        return -1;
    }
    *o = (struct options){
        .frame = (uint32_t)settings[FRAME].value,
        .batch = (uint32_t)settings[BATCH].value,
        .ring_bytes = (uint32_t)settings[RING].value,
        .slots = (uint32_t)settings[SLOTS].value,
        .tag = (uint32_t)settings[TAG].value,
        .channels = (uint32_t)settings[CHANNELS].value,
        .busy = (uint32_t)settings[BUSY].value,
        .wait = (enum wait)settings[WAIT].value,
        .threads = (int)settings[THREADS].value,
        .cpu = {(int)settings[CPU0].value, (int)settings[CPU1].value},
        .fd = {(int)settings[FD0].value, (int)settings[FD1].value},
        .seed = settings[SEED].value,
        .warm_ns = settings[WARM].value * 1000u,
        .rtt_ns = settings[RTT].value * 1000u,
        .rewarm_ns = settings[REWARM].value * 1000u,
        .flood_ns = settings[FLOOD].value * 1000u,
    };
    return 0;
}

int main(int argc, char **argv)
{
    struct run run = {.board = NULL};
    for (size_t i = 0; argc > 1 && cases[i]; i++) {
        if (strcmp(argv[1], cases[i]->name) == 0)
            chosen = cases[i];
    }
    if (!chosen) {
        fprintf(stderr, "isthmus-bench: no such case\n");
        return EXIT_MISSING;
    }
    if (parse(argc - 2, argv + 2, &run.opt) != 0)
        return EXIT_MISSING;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *why = "no memory";
    run.board = shared_memory(sizeof *run.board);
    if (!run.board || chosen->prepare(&run, &why) != 0) {
        fprintf(stderr, "isthmus-bench: %s: %s\n", chosen->name, why);
        return EXIT_MISSING;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, run.wire) != 0) {
        fprintf(stderr, "isthmus-bench: %s: %s\n", chosen->name, strerror(errno));
        return EXIT_MISSING;
    }
    if (run.opt.threads) {
        run_threads(&run);
    } else if (run_processes(&run) != 0) {
        const char *error = run.board->report[0].error;
        fprintf(stderr, "isthmus-bench: %s: %s\n", chosen->name, *error ? error : run.board->report[1].error);
        return EXIT_BROKEN;
    }
    print_result(&run);
    return 0;
}
