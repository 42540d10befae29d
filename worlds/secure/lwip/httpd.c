/* SPDX-License-Identifier: MIT */
/* httpd.c - the status page's way out: the file system of lwIP's httpd. A page is written when it is opened, into one of
 * as many buffers as httpd has connections. */
#include <string.h>

#include "apps.h"
#include "lwip/apps/fs.h"
#include "lwip/apps/httpd.h"

static struct page {
    char text[STATUS_PAGE_MAX];
    int used;
} pages[MEMP_NUM_PARALLEL_HTTPD_CONNS];

/* By the names that httpd asks for, its own error pages among them. httpd says "/index.html" for "/". */
static int write_page(struct text *t, const char *name)
{
    static const struct {
        const char *name;
        unsigned status;
    } refusals[] = {{"/404.html", 404}, {"/400.html", 400}, {"/501.html", 501}};

    if (strcmp(name, "/index.html") == 0 || strcmp(name, "/status.json") == 0) {
        status_page(t, name);
        return 1;
    }
    for (unsigned i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (strcmp(name, refusals[i].name) == 0) {
            status_refusal(t, refusals[i].status);
            return 1;
        }
    return 0; /* httpd goes on to /404.html */
}

int fs_open_custom(struct fs_file *file, const char *name)
{
    struct page *page = NULL;
    struct text t;

    for (unsigned i = 0; i < MEMP_NUM_PARALLEL_HTTPD_CONNS && page == NULL; i++)
        if (!pages[i].used)
            page = &pages[i];
    if (page == NULL)
        return 0;
    t = text_over(page->text, sizeof page->text);
    if (!write_page(&t, name))
        return 0;
    LWIP_ASSERT("page buffer too small", !t.cut);
    page->used = 1;
    *file = (struct fs_file){
        .data = page->text,
        .len = (int)(t.at - page->text),
        .index = (int)(t.at - page->text),
        .pextension = page,
        .flags = FS_FILE_FLAGS_HEADER_INCLUDED,
    };
    return 1;
}

void fs_close_custom(struct fs_file *file)
{
    struct page *page = file->pextension;

    page->used = 0;
}

int http_start(void)
{
    httpd_init();
    return 0;
}
