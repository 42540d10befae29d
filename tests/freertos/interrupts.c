/* SPDX-License-Identifier: MIT */
/* Signals as the interrupts of the POSIX port: they come to the thread that runs, only while it lets them, and once for
 * what came together. The kernel's side is this file: one thread that runs, others that block every signal. */
#define _GNU_SOURCE
#include "interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

#define PERIOD 2000000u

static pthread_t running;
static volatile unsigned bells, ticks, yields, astray, open_inside;
static uint64_t first;
static int bell[2];

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* What holds in every handler; it spoils errno as a system call would. */
static void inside(void)
{
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    open_inside += !sigismember(&blocked, SIGIO) || !sigismember(&blocked, SIGRTMIN) || !sigismember(&blocked, SIGALRM);
    astray += !pthread_equal(pthread_self(), running);
    errno = EBADF;
}

static BaseType_t on_bell(void)
{
    inside();
    bells++;
    return pdTRUE;
}

static BaseType_t on_timer(void)
{
    inside();
    CHECK(now() >= first);
    ticks++;
    return pdFALSE;
}

void double_yield(BaseType_t woken)
{
    yields += woken == pdTRUE;
}

static void mask(int how)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(how, &all, NULL);
}

static void ring(void)
{
    CHECK(send(bell[1], "", 1, 0) == 1);
}

static void *other(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

static void *ring_later(void *unused)
{
    (void)unused;
    usleep(20000);
    ring();
    return NULL;
}

/* As a task does it: in a thread that is not the process's first. */
static void *task(void *unused)
{
    pthread_t helper;

    (void)unused;
    running = pthread_self();
    CHECK(interrupt_on_input(on_bell) == 0);
    ring();
    CHECK(interrupt_watch(bell[0], 1) == 0);
    mask(SIG_UNBLOCK);
    CHECK(bells == 0); /* what came before makes no edge */

    errno = 0;
    ring();
    CHECK(bells == 1 && yields == 1 && errno == 0);
    mask(SIG_BLOCK); /* a critical section */
    ring();
    ring();
    CHECK(bells == 1);
    mask(SIG_UNBLOCK);
    CHECK(bells == 2); /* both at once */

    mask(SIG_BLOCK);
    CHECK(pthread_create(&helper, NULL, ring_later, NULL) == 0);
    interrupt_wait();
    CHECK(bells == 3);
    pthread_join(helper, NULL);
    ring(); /* between the look and the sleep */
    interrupt_wait();
    CHECK(bells == 4);
    mask(SIG_UNBLOCK);

    CHECK(interrupt_watch(bell[0], 0) == 0);
    ring();
    CHECK(bells == 4);
    CHECK(interrupt_watch(bell[0], 1) == 0 && bells == 4);
    ring();
    CHECK(bells == 5);

    first = now() + PERIOD;
    CHECK(interrupt_timer(on_timer, first, PERIOD) == 0);
    while (ticks < 5)
        CHECK(now() < first + 10000u * (uint64_t)PERIOD);
    CHECK(now() >= first + 4 * PERIOD && yields == bells);
    CHECK(astray == 0 && open_inside == 0);
    exit(0);
}

int main(void)
{
    pthread_t thread;

    mask(SIG_BLOCK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, bell) == 0);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&thread, NULL, other, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, task, NULL) == 0);
    pthread_join(thread, NULL);
    return 1;
}
