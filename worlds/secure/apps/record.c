/* SPDX-License-Identifier: MIT */
#include "record.h"

static uint16_t since(uint64_t *before, uint64_t now)
{
    const uint64_t moved = now >= *before ? now - *before : now;

    *before = now;
    return moved < UINT16_MAX ? (uint16_t)moved : UINT16_MAX;
}

void record_period(struct record *r, uint32_t late, uint32_t done, uint64_t in, uint64_t out)
{
    const uint64_t n = r->periods;

    r->period[n % RECORD_PERIODS].late = late;
    r->period[n % RECORD_PERIODS].done = done;
    r->period[n % RECORD_PERIODS].in = since(&r->in_before, in);
    r->period[n % RECORD_PERIODS].out = since(&r->out_before, out);
    __atomic_store_n(&r->periods, n + 1, __ATOMIC_RELEASE);
}

void record_event(struct record *r, uint64_t at, const char *what)
{
    r->event[r->events % RECORD_EVENTS].at = at;
    r->event[r->events % RECORD_EVENTS].what = what;
    r->events++;
}

static uint64_t oldest(uint64_t wanted, uint64_t written, uint64_t room)
{
    return written - wanted > room ? written - room : wanted;
}

static void number(struct text *t, uint64_t v, int first)
{
    if (!first)
        text_char(t, ',');
    text_u64(t, v);
}

void record_write(const struct record *r, struct record_reader *reader, uint64_t now, uint32_t most, struct text *t)
{
    const uint64_t written = __atomic_load_n(&r->periods, __ATOMIC_ACQUIRE);
    const uint64_t begin = oldest(reader->periods, written, RECORD_PERIODS - most);
    const uint64_t end = written - begin < most ? written : begin + most;

    text_char(t, '{');
    text_member(t, "now_ns", now);
    text_member(t, "born_ns", r->born);
    text_member(t, "written", written);
    text_member(t, "first", begin);
    text_key(t, "periods"); /* late, done, in, out of each */
    text_char(t, '[');
    for (uint64_t n = begin; n < end; n++) {
        number(t, r->period[n % RECORD_PERIODS].late, n == begin);
        number(t, r->period[n % RECORD_PERIODS].done, 0);
        number(t, r->period[n % RECORD_PERIODS].in, 0);
        number(t, r->period[n % RECORD_PERIODS].out, 0);
    }
    text_char(t, ']');
    reader->periods = end;
    text_key(t, "events"); /* ns, what */
    text_char(t, '[');
    for (uint64_t n = oldest(reader->events, r->events, RECORD_EVENTS); n < r->events; n++) {
        text_str(t, t->at[-1] == '[' ? "[" : ",[");
        text_u64(t, r->event[n % RECORD_EVENTS].at);
        text_str(t, ",\"");
        text_str(t, r->event[n % RECORD_EVENTS].what);
        text_str(t, "\"]");
    }
    text_char(t, ']');
    reader->events = r->events;
    text_str(t, "}\n");
}

void record_end(struct record *r, enum record_task which, uint64_t at, uint64_t response)
{
    const uint64_t n = r->task[which].count;

    r->task[which].end[n % RECORD_ENDS].at = at;
    r->task[which].end[n % RECORD_ENDS].response = response < UINT32_MAX ? (uint32_t)response : UINT32_MAX;
    __atomic_store_n(&r->task[which].count, n + 1, __ATOMIC_RELEASE);
}

void record_write_ends(const struct record *r, struct record_reader *reader, uint32_t most, struct text *t)
{
    static const char *const names[RECORD_TASKS] = {"inside", "below"};
    uint64_t left = 0;

    text_char(t, '{');
    text_member(t, "born_ns", r->born);
    for (unsigned k = 0; k < RECORD_TASKS; k++) {
        const uint64_t written = __atomic_load_n(&r->task[k].count, __ATOMIC_ACQUIRE);
        const uint64_t begin = oldest(reader->ends[k], written, RECORD_ENDS - most);

        reader->ends[k] = written - begin < most ? written : begin + most;
        left += written - reader->ends[k];
        text_key(t, names[k]); /* at, response of each */
        text_char(t, '[');
        for (uint64_t n = begin; n < reader->ends[k]; n++) {
            number(t, r->task[k].end[n % RECORD_ENDS].at, n == begin);
            number(t, r->task[k].end[n % RECORD_ENDS].response, 0);
        }
        text_char(t, ']');
    }
    text_member(t, "left", left);
    text_str(t, "}\n");
}
