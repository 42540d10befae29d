/* SPDX-License-Identifier: MIT */
/* tables.h - the board file's tasks and flows, as the supervisor writes them into the environment. */
#ifndef ISTHMUS_TABLES_H
#define ISTHMUS_TABLES_H

#include "flow.h"
#include "periodic.h"

/* "place name flow cost deadline period;..." in microseconds, 0 < C <= D <= T <= 60 s, flow "-" for none; the task above is
 * there. `text` stays: names point into it, and it is cut up. 0, or -1. */
int tables_tasks(struct task tasks[TASKS], char *text);
/* "name protocol port;...", may be empty. Likewise. */
int tables_flows(struct flow flows[FLOWS_MAX + 1], char *text);
/* The flow that releases the task inside is in the list. */
int tables_agree(const struct task tasks[TASKS], const struct flow *flows);

#endif
