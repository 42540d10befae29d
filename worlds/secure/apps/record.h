/* SPDX-License-Identifier: MIT */
/* record.h - the control task's latest periods one by one, the ends of the other tasks', and what happened beside them,
 * for whoever draws them later.
 *
 * One writer of periods, and one of each other task's ends, which may interrupt the reader; the platform keeps writer and
 * reader from running at once elsewhere. What is not read in time is overwritten, oldest first, and a reader sees by the
 * number that it is gone. */
#ifndef ISTHMUS_RECORD_H
#define ISTHMUS_RECORD_H

#include <stdint.h>

#include "text.h"

#define RECORD_PERIODS 16384u /* powers of two */
#define RECORD_EVENTS 64u
#define RECORD_ENDS 4096u /* of each task but the control task */
#define RECORD_TASKS 2u
#define RECORD_NAME_MAX 32u
#define RECORD_LINE_MAX(most) ((most) * 36u + RECORD_EVENTS * (RECORD_NAME_MAX + 28u) + 256u) /* bytes */
#define RECORD_ENDS_LINE_MAX(most) (RECORD_TASKS * (most) * 32u + 128u)
#define RECORD_NONE UINT32_MAX /* of a period that was skipped: the task did not begin */

struct record {
    uint64_t periods, events; /* written since the start */
    uint64_t born;            /* ns: the first release */
    uint64_t in_before, out_before;
    struct {
        uint32_t late, done; /* ns after the release: the task began, the task was done */
        uint16_t in, out;    /* frames accepted and sent since the period before */
    } period[RECORD_PERIODS];
    struct {
        uint64_t at; /* ns */
        const char *what;
    } event[RECORD_EVENTS];
    struct {
        uint64_t count; /* written since the start */
        struct {
            uint64_t at;       /* ns */
            uint32_t response; /* ns, from release to end */
        } end[RECORD_ENDS];
    } task[RECORD_TASKS];
};

/* Where reading goes on; zeros begin at the oldest. */
struct record_reader {
    uint64_t periods, events, ends[RECORD_TASKS];
};

/* Once per period, in order. `in`, `out`: frames counted in all; a count that is smaller than before began anew. */
void record_period(struct record *r, uint32_t late, uint32_t done, uint64_t in, uint64_t out);
/* `what`: static, at most RECORD_NAME_MAX bytes, with nothing that JSON has to escape. */
void record_event(struct record *r, uint64_t at, const char *what);
/* What was not read yet, at most `most` periods, as one JSON object and a newline. `now` in ns. */
void record_write(const struct record *r, struct record_reader *reader, uint64_t now, uint32_t most, struct text *t);

/* A period of another task is done: inside the network work, or below it. */
enum record_task { RECORD_INSIDE, RECORD_BELOW };
void record_end(struct record *r, enum record_task which, uint64_t at, uint64_t response);
/* The ends that were not read yet, at most `most` of each task, as one JSON object and a newline. */
void record_write_ends(const struct record *r, struct record_reader *reader, uint32_t most, struct text *t);

#endif
