/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000u

enum line { INPUT, TIMER, LINES };

static interrupt_fn handlers[LINES];

static int number_of(enum line line)
{
    return line == INPUT ? SIGIO : SIGRTMIN;
}

/* All signals are blocked in here, and a switch to another task takes place in the middle: what it returns to is this
 * task, when it is its turn again. */
static void handle(int number)
{
    const int before = errno;

    portYIELD_FROM_ISR(handlers[number == SIGIO ? INPUT : TIMER]());
    errno = before;
}

static int connect(enum line line, interrupt_fn handler)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};

    sigfillset(&action.sa_mask);
    handlers[line] = handler;
    return sigaction(number_of(line), &action, NULL) == 0 ? 0 : -errno;
}

int interrupt_on_input(interrupt_fn handler)
{
    return connect(INPUT, handler);
}

int interrupt_watch(int fd, int on)
{
    const int flags = fcntl(fd, F_GETFL);

    /* In this order: a TAP chooses an owner itself. */
    if (flags < 0 || fcntl(fd, F_SETFL, on ? flags | O_ASYNC : flags & ~O_ASYNC) != 0 || fcntl(fd, F_SETOWN, getpid()) != 0)
        return -errno;
    return 0;
}

int interrupt_timer(interrupt_fn handler, uint64_t first, uint64_t period)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = number_of(TIMER)};
    const struct itimerspec when = {
        .it_value = {(time_t)(first / SECOND), (long)(first % SECOND)},
        .it_interval = {(time_t)(period / SECOND), (long)(period % SECOND)},
    };
    timer_t timer;
    const int error = connect(TIMER, handler);

    if (error != 0)
        return error;
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 || timer_settime(timer, TIMER_ABSTIME, &when, NULL) != 0)
        return -errno;
    return 0;
}

void interrupt_wait(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigsuspend(&none);
}
