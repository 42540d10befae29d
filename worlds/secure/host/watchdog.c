/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "platform.h"

#define LOOKS 8u /* in the limit */
#define STATUS_UNFED 3

static uint64_t look_ns;

static void *run(void *unused)
{
    const struct timespec t = {.tv_sec = (time_t)(look_ns / 1000000000u), .tv_nsec = (long)(look_ns % 1000000000u)};
    uint64_t fed = critical_fed();

    (void)unused;
    for (unsigned looks = 0; looks <= LOOKS;) {
        const uint64_t before = fed;

        nanosleep(&t, NULL);
        fed = critical_fed();
        looks = fed == before ? looks + 1 : 0;
    }
    critical_safe(SAFE_WATCHDOG);
    fprintf(stderr, "isthmus-secure: stopped: the watchdog was not fed\n");
    _exit(STATUS_UNFED);
}

int watchdog_start(uint64_t limit_ns)
{
    sigset_t all, before;
    pthread_t thread;
    int error;

    look_ns = limit_ns / LOOKS;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}
