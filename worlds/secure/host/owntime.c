/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "owntime.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE_NS 100000
#define SLICE_MAX (2u * SAMPLE_NS) /* a sample may be late by as much as the interval */

/* Written by the thread and by its own signal handler, which keeps away while `looking` is set. */
static struct {
    volatile uint64_t last;  /* processor time at the last sample */
    volatile uint64_t taken; /* sum of what was not ours */
    volatile sig_atomic_t looking;
    timer_t timer;
    int started;
} watch;

static uint64_t processor_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t owntime(void)
{
    uint64_t now, slice, own;

    watch.looking = 1;
    now = processor_time();
    slice = now - watch.last;
    if (watch.started && slice > SLICE_MAX)
        watch.taken += slice - SAMPLE_NS;
    watch.last = now;
    own = now - watch.taken;
    watch.looking = 0;
    return own;
}

static void on_sample(int number)
{
    (void)number;
    if (!watch.looking)
        (void)owntime();
}

static void arm(long ns)
{
    const struct itimerspec every = {{0, ns}, {0, ns}};

    if (watch.started)
        timer_settime(watch.timer, 0, &every, NULL);
}

void owntime_rest(void)
{
    arm(0);
}

void owntime_resume(void)
{
    (void)owntime();
    arm(SAMPLE_NS);
}

int owntime_start(void)
{
    struct sigaction action = {.sa_handler = on_sample, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM};

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGALRM, &action, NULL) != 0 || timer_create(CLOCK_MONOTONIC, &event, &watch.timer) != 0)
        return -errno;
    watch.last = processor_time();
    watch.started = 1;
    arm(SAMPLE_NS);
    return 0;
}
