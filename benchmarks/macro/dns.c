#define _GNU_SOURCE
/*
 * Questions over UDP, and who answers them.
 *
 *   dns --serve PORT                                   answer every query with one address
 *   dns --port PORT --seconds S --connections N        ask: N clients, one question open each
 *
 * A client is a socket with a port of its own. It asks the next question (another id) as soon as it
 * has the answer to the last one; after half a second without one it counts a failure and asks
 * anew. The answer must repeat the question. Prints the report of report.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "report.h"
#include "serve.h"

enum { MESSAGE = 512, PATIENCE_MS = 500, BATCH = 64 };
#define PATIENCE_NS (PATIENCE_MS * 1000000ull)

/* A query for bench.example, type A (RFC 1035 section 4.1), after its id. */
static const char query_rest[] = "\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                                 "\x05"
                                 "bench\x07"
                                 "example\x00\x00\x01\x00\x01";
static const char answer_rest[] =
    "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x01\x02\x03";
enum { QUERY = 2 + sizeof query_rest - 1, ANSWER = QUERY + sizeof answer_rest - 1 };

struct client {
    int fd;
    uint16_t id;
    uint64_t sent_at;
};

static _Noreturn void serve(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), buffer = 4 << 20;
    char message[MESSAGE];

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
        fatal("bind");
    for (;;) {
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(fd, message, sizeof message, 0, (struct sockaddr *)&from, &len);
        if (n < 12)
            continue;
        message[2] = (char)0x81; /* an answer */
        message[7] = 1;          /* with one record */
        memcpy(message + n, answer_rest, sizeof answer_rest - 1);
        sendto(fd, message, (size_t)n + sizeof answer_rest - 1, 0, (struct sockaddr *)&from, len);
    }
}

static void ask(struct client *c, uint64_t now)
{
    char message[QUERY];
    c->id++;
    c->sent_at = now;
    memcpy(message, &c->id, 2);
    memcpy(message + 2, query_rest, sizeof query_rest - 1);
    (void)!send(c->fd, message, sizeof message, 0);
}

/* True: the answer to what was asked last. */
static bool take(struct client *c)
{
    char message[MESSAGE];
    ssize_t n;
    while ((n = recv(c->fd, message, sizeof message, MSG_DONTWAIT)) >= 0) {
        if (n == ANSWER && memcmp(message, &c->id, 2) == 0 && (message[2] & 0x80) != 0 &&
            memcmp(message + 12, query_rest + 10, QUERY - 12) == 0)
            return true;
    }
    return false;
}

static int open_client(uint16_t port, int epoll_fd, struct client *c)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) < 0)
        fatal("connect");
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

static int load(uint16_t port, double seconds, int count)
{
    static struct report report;
    struct client *clients = calloc((size_t)count, sizeof *clients);
    struct epoll_event events[BATCH];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), open = count;
    uint64_t start, end;

    for (int i = 0; i < count; i++) {
        if (open_client(port, epoll_fd, &clients[i]) < 0)
            fatal("epoll_ctl");
    }
    start = clock_ns();
    end = start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++)
        ask(&clients[i], start);
    while (open > 0) { /* what is open at the end is waited for */
        int n = epoll_wait(epoll_fd, events, BATCH, PATIENCE_MS);
        uint64_t now = clock_ns();
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if (!take(c))
                continue;
            histogram_add(&report.latency, now - c->sent_at);
            c->sent_at = UINT64_MAX;
            if (now < end)
                ask(c, now);
            else
                open--;
        }
        if (n > 0 && report.latency.n % 4096 > (unsigned)n)
            continue;
        for (int i = 0; i < count; i++) { /* now and then: who has waited too long? */
            struct client *c = &clients[i];
            if (c->sent_at == UINT64_MAX || now < c->sent_at + PATIENCE_NS)
                continue;
            report.failed++;
            c->sent_at = UINT64_MAX;
            if (now < end)
                ask(c, now);
            else
                open--;
        }
    }
    report_print(&report, clock_ns() - start);
    return 0;
}

int main(int argc, char **argv)
{
    struct options given = {.seconds = 1, .connections = 64};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        serve((uint16_t)atoi(argv[2]));
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!option_take(&given, argv[i], argv[i + 1]))
            return 2;
    }
    return load((uint16_t)given.port, given.seconds, given.connections);
}
