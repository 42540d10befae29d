/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "baretimer.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "apps.h"
#include "histogram.h"
#include "link.h"

static struct {
    pthread_mutex_t lock; /* held for one addition, or one reading */
    struct histogram late;
    uint64_t period;
} timer = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void *run(void *unused)
{
    uint64_t next = ist_now();

    (void)unused;
    prctl(PR_SET_TIMERSLACK, 1ul, 0ul, 0ul, 0ul);
    for (;;) {
        const struct timespec at = {.tv_sec = (time_t)(next / 1000000000u), .tv_nsec = (long)(next % 1000000000u)};
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
            continue;
        const uint64_t now = ist_now();
        pthread_mutex_lock(&timer.lock);
        for (; next <= now; next += timer.period) /* as the task above counts: each period that was missed is one */
            histogram_add(&timer.late, now - next);
        pthread_mutex_unlock(&timer.lock);
    }
    return NULL;
}

int baretimer_start(uint64_t period_ns)
{
    sigset_t all, before;
    pthread_t thread;
    int error;

    timer.period = period_ns;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&thread, NULL, run, NULL); /* inherits policy and priority */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

void baretimer_fill(struct lateness *l)
{
    pthread_mutex_lock(&timer.lock);
    l->p50 = (uint32_t)(histogram_quantile(&timer.late, 500) / 1000u);
    l->p99 = (uint32_t)(histogram_quantile(&timer.late, 990) / 1000u);
    l->max = (uint32_t)(timer.late.max / 1000u);
    pthread_mutex_unlock(&timer.lock);
}
