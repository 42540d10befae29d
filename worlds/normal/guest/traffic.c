/* SPDX-License-Identifier: MIT */
/* traffic.c - traffic of a known size between two marks, for the instruction counter.
 *
 *     traffic ping ADDRESS COUNT MARK            MARK before, MARK + 1 after COUNT echoes of 56 bytes, one at a time
 *     traffic send ADDRESS PORT BYTES MARK       to an iperf 2 server: WARM bytes, then BYTES between the marks
 *     traffic receive ADDRESS PORT BYTES MARK    from it: asks for a test in return
 *     traffic frames ADDRESS MARK                MARK before and MARK + 1 after a few periods with one frame or none: see below
 *     traffic sink PORT                          an iperf 2 server as far as `send` needs one; one connection
 *
 *     traffic seed                               Linux's random numbers are ready; the emulated machine has no source
 *
 * Needs net.ipv4.ping_group_range for ping. Exit status 1 with one line if anything is not as it should be. */
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <linux/random.h>
#include <netinet/ip_icmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mark.h"

enum { BACK = 5002, WARM = 2 << 20, CHUNK = 128 << 10, ECHO_BYTES = 56, ECHO_WARM = 50 };

struct settings { /* iperf 2's, in network order */
    uint32_t flags, threads, port, length, window, amount;
};

static char chunk[CHUNK];

static void mark(int number)
{
#define CASE(n) case n: MARK(n); break;
    switch (number) {
        CASE(11) CASE(12) CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18) CASE(19) CASE(20)
        CASE(25) CASE(26) CASE(29) CASE(30)
    default:
        errx(1, "no mark %d", number);
    }
}

static struct sockaddr_in at(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, address, &a.sin_addr) != 1)
        errx(1, "%s is no address", address);
    return a;
}

static int connected(const char *address, int port)
{
    struct sockaddr_in a = at(address, port);
    int s = socket(AF_INET, SOCK_STREAM, 0);

    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) != 0)
        err(1, "%s port %d", address, port);
    return s;
}

static int listening(int port)
{
    struct sockaddr_in a = at("0.0.0.0", port);
    int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(s, (struct sockaddr *)&a, sizeof a) != 0 || listen(s, 1) != 0)
        err(1, "port %d", port);
    return s;
}

static void put(int s, long bytes)
{
    while (bytes > 0) {
        ssize_t n = write(s, chunk, bytes < CHUNK ? (size_t)bytes : CHUNK);
        if (n <= 0)
            err(1, "write");
        bytes -= n;
    }
}

static void get(int s, long bytes)
{
    while (bytes > 0) {
        ssize_t n = read(s, chunk, bytes < CHUNK ? (size_t)bytes : CHUNK);
        if (n <= 0)
            err(1, "read: %ld bytes are missing", bytes);
        bytes -= n;
    }
}

static void until_end(int s)
{
    ssize_t n;

    while ((n = read(s, chunk, CHUNK)) > 0)
        ;
    if (n < 0)
        err(1, "read");
}

static void echoes(int s, int count)
{
    struct {
        struct icmphdr head;
        char data[ECHO_BYTES];
    } out = {.head = {.type = ICMP_ECHO}}, in;

    for (int i = 0; i < count; i++) {
        out.head.un.echo.sequence = htons((uint16_t)i);
        if (send(s, &out, sizeof out, 0) != sizeof out)
            err(1, "send");
        if (recv(s, &in, sizeof in, 0) != sizeof in || in.head.type != ICMP_ECHOREPLY ||
            in.head.un.echo.sequence != out.head.un.echo.sequence)
            errx(1, "not the echo that was asked for");
    }
}

static void ping(const char *address, int count, int number)
{
    struct sockaddr_in a = at(address, 0);
    int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);

    if (s < 0 || connect(s, (struct sockaddr *)&a, sizeof a) != 0)
        err(1, "%s", address);
    echoes(s, ECHO_WARM);
    mark(number);
    echoes(s, count);
    mark(number + 1);
}

/* FRAMES of each kind in turn: none; the shortest and the longest that are echoed; one that the policy refuses; one that
 * asks for the status page. The Secure world has some periods to do what it does because of it. */
static void frames(const char *address, int number)
{
    enum { FRAMES = 20, PERIODS_US = 4000, ECHO = 7, NOBODY = 9, STATUS = 80 };
    static const char get[] = "GET / HTTP/1.0\r\n\r\n";
    static const struct {
        int port;
        size_t bytes;
    } kinds[] = {{0, 0}, {ECHO, 18}, {ECHO, 1472}, {NOBODY, 18}, {STATUS, sizeof get - 1}};

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct sockaddr_in a = at(address, kinds[k].port ? kinds[k].port : ECHO);
        const int status = kinds[k].port == STATUS;

        memcpy(chunk, get, sizeof get);
        for (int i = 0; i < FRAMES; i++) {
            int s = status ? connected(address, STATUS) : socket(AF_INET, SOCK_DGRAM, 0);

            if (s < 0 || (!status && connect(s, (struct sockaddr *)&a, sizeof a) != 0))
                err(1, "%s", address);
            usleep(PERIODS_US);
            mark(number);
            if (kinds[k].bytes != 0 && send(s, chunk, kinds[k].bytes, 0) < 0)
                err(1, "send");
            usleep(PERIODS_US);
            mark(number + 1);
            if (kinds[k].port == ECHO && recv(s, chunk, CHUNK, MSG_DONTWAIT) != (ssize_t)kinds[k].bytes)
                err(1, "no echo");
            if (status) {
                if (recv(s, chunk + sizeof get, CHUNK - sizeof get, MSG_DONTWAIT) < 100)
                    err(1, "no status page");
                until_end(s);
                memcpy(chunk, get, sizeof get);
            }
            close(s);
        }
    }
}

static void send_to(const char *address, int port, long bytes, int number)
{
    struct settings plain = {0};
    int s = connected(address, port);

    if (write(s, &plain, sizeof plain) != sizeof plain)
        err(1, "write");
    usleep(10000);
    put(s, WARM);
    usleep(10000); /* all of it is there */
    mark(number);
    put(s, bytes);
    if (shutdown(s, SHUT_WR) != 0)
        err(1, "shutdown");
    until_end(s); /* the peer closes when it has read everything */
    mark(number + 1);
}

static void receive_from(const char *address, int port, long bytes, int number)
{
    const struct settings back = {
        .flags = htonl(0x80000001), .port = htonl(BACK), .amount = htonl((uint32_t)-10000) /* 100 s: we close */
    };
    int own = listening(BACK), s = connected(address, port), data;

    if (write(s, &back, sizeof back) != sizeof back)
        err(1, "write");
    data = accept(own, NULL, NULL);
    if (data < 0)
        err(1, "accept");
    get(data, WARM);
    mark(number);
    get(data, bytes);
    mark(number + 1);
}

static void sink(int port)
{
    int s = accept(listening(port), NULL, NULL);

    if (s < 0)
        err(1, "accept");
    until_end(s);
}

/* Where they are not, each one costs an extraction of its own. These are no secret, and nothing here needs one. */
static void seed(void)
{
    struct {
        struct rand_pool_info head;
        char bytes[64];
    } pool = {.head = {.entropy_count = 512, .buf_size = 64}};
    int s = open("/dev/random", O_WRONLY);

    if (s < 0 || ioctl(s, RNDADDENTROPY, &pool) != 0)
        err(1, "/dev/random");
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "ping") == 0)
        ping(argv[2], atoi(argv[3]), atoi(argv[4]));
    else if (argc == 6 && strcmp(argv[1], "send") == 0)
        send_to(argv[2], atoi(argv[3]), atol(argv[4]), atoi(argv[5]));
    else if (argc == 6 && strcmp(argv[1], "receive") == 0)
        receive_from(argv[2], atoi(argv[3]), atol(argv[4]), atoi(argv[5]));
    else if (argc == 4 && strcmp(argv[1], "frames") == 0)
        frames(argv[2], atoi(argv[3]));
    else if (argc == 2 && strcmp(argv[1], "seed") == 0)
        seed();
    else if (argc == 3 && strcmp(argv[1], "sink") == 0)
        sink(atoi(argv[2]));
    else
        errx(1, "see the head of traffic.c");
    return 0;
}
