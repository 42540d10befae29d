/* SPDX-License-Identifier: MIT */
/* http.c - the status page's way out: HTTP/1.0, one request a connection. */
#include "freertosapps.h"

#include <string.h>

#define PORT 80u
#define WORKERS 4u
#define WINDOW (16u << 10)
#define REQUEST_MAX 1024u /* bytes; what does not fit is no request for us */
#define LIMIT pdMS_TO_TICKS(5000) /* for the whole request: whoever dribbles does not hold a worker */

static struct worker {
    char request[REQUEST_MAX + 1];
    char page[STATUS_PAGE_MAX];
} workers[WORKERS];

/* Reads up to the blank line. 0, or -1 where it does not come. */
static int read_request(Socket_t s, char request[REQUEST_MAX + 1])
{
    const TickType_t begun = xTaskGetTickCount();
    size_t have = 0;

    for (TickType_t passed = 0; passed < LIMIT && have < REQUEST_MAX; passed = xTaskGetTickCount() - begun) {
        const TickType_t left = LIMIT - passed;
        BaseType_t n;

        FreeRTOS_setsockopt(s, 0, FREERTOS_SO_RCVTIMEO, &left, sizeof left);
        n = FreeRTOS_recv(s, request + have, REQUEST_MAX - have, 0);
        if (n <= 0)
            return -1;
        have += (size_t)n;
        request[have] = '\0';
        if (memchr(request, '\0', have) != NULL) /* no text */
            return 0;
        if (strstr(request, "\r\n\r\n") != NULL)
            return 0;
    }
    return have == REQUEST_MAX ? 0 : -1;
}

/* Answers "GET path HTTP/1.x". */
static void answer(struct text *t, char *request)
{
    char *line_end = strstr(request, "\r\n"), *path = strchr(request, ' '), *end;

    if (line_end == NULL || path == NULL || path > line_end) {
        status_refusal(t, 400);
        return;
    }
    *line_end = '\0';
    end = strchr(++path, ' ');
    if (end == NULL || strncmp(end, " HTTP/", 6) != 0) {
        status_refusal(t, 400);
    } else if (strncmp(request, "GET ", 4) != 0) {
        status_refusal(t, 501);
    } else {
        *end = '\0';
        path[strcspn(path, "?")] = '\0';
        status_page(t, path);
    }
}

static void serve(Socket_t s, unsigned worker)
{
    struct worker *w = &workers[worker];
    struct text t = text_over(w->page, sizeof w->page);

    if (read_request(s, w->request) != 0)
        return;
    answer(&t, w->request);
    (void)service_send(s, w->page, (size_t)(t.at - w->page));
}

int http_start(void)
{
    static struct service tcp = {.name = "http", .port = PORT, .workers = WORKERS, .priority = PRIORITY_APPS,
                                 .window = WINDOW, .serve = serve};

    return service_start(&tcp);
}
