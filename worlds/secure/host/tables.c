/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define US 1000u
#define PERIOD_MAX 60000000u

/* The next word of a row; NULL where there is none. */
static char *word(char **row)
{
    return strtok_r(NULL, " ", row);
}

static int number(const char *text, uint64_t max, uint64_t *v)
{
    char *end;

    if (text == NULL)
        return -1;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return end == text || *end != '\0' || errno != 0 || *text == '-' || *v > max ? -1 : 0;
}

static int place_of(const char *text, const char *const names[], int count)
{
    for (int i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    return -1;
}

static int read_task(struct task tasks[TASKS], char *row)
{
    static const char *const places[TASKS] = {"above", "inside", "below"};
    char *rest, *first = strtok_r(row, " ", &rest);
    const int place = first != NULL ? place_of(first, places, TASKS) : -1;
    struct task_spec *s = &tasks[place < 0 ? 0 : place].spec;

    if (place < 0 || s->name != NULL)
        return -1;
    s->name = word(&rest);
    s->flow = word(&rest);
    if (s->name == NULL || s->flow == NULL || number(word(&rest), PERIOD_MAX, &s->cost) != 0 ||
        number(word(&rest), PERIOD_MAX, &s->deadline) != 0 || number(word(&rest), PERIOD_MAX, &s->period) != 0 ||
        word(&rest) != NULL || s->cost == 0 || s->cost > s->deadline || s->deadline > s->period)
        return -1;
    s->cost *= US;
    s->deadline *= US;
    s->period *= US;
    return 0;
}

int tables_tasks(struct task tasks[TASKS], char *text)
{
    char *rows;

    for (char *row = strtok_r(text, ";", &rows); row != NULL; row = strtok_r(NULL, ";", &rows))
        if (read_task(tasks, row) != 0)
            return -1;
    return tasks[TASK_ABOVE].spec.name != NULL ? 0 : -1;
}

static int read_flow(struct flow *f, char *row)
{
    static const char *const protocols[] = {"arp", "icmp", "udp", "tcp"};
    char *rest;
    const char *protocol;
    uint64_t port;
    int found;

    f->name = strtok_r(row, " ", &rest);
    protocol = word(&rest);
    if (f->name == NULL || protocol == NULL || number(word(&rest), 65535, &port) != 0 || word(&rest) != NULL)
        return -1;
    found = place_of(protocol, protocols, 4);
    f->protocol = (uint32_t)(FLOW_ARP + found);
    f->port = (uint32_t)port;
    return found < 0 ? -1 : 0;
}

int tables_flows(struct flow flows[FLOWS_MAX + 1], char *text)
{
    char *rows;
    unsigned n = 0;

    for (char *row = strtok_r(text, ";", &rows); row != NULL; row = strtok_r(NULL, ";", &rows))
        if (n == FLOWS_MAX || read_flow(&flows[n++], row) != 0)
            return -1;
    return 0;
}

int tables_agree(const struct task tasks[TASKS], const struct flow *flows)
{
    const struct task_spec *s = &tasks[TASK_INSIDE].spec;

    while (s->name != NULL && flows->name != NULL && strcmp(flows->name, s->flow) != 0)
        flows++;
    return s->name == NULL || flows->name != NULL;
}
