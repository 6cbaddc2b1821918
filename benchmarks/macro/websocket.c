#define _GNU_SOURCE
/*
 * WebSocket messages (RFC 6455), and who sends them back.
 *
 *   websocket --serve PORT                                       an echo server
 *   websocket --port PORT --seconds S --connections N --size B   N clients, one message open each
 *
 * A message is one binary frame of B bytes. A client sends the next one as soon as the last one is
 * back, whole and with the bytes that were sent. The masking key of a client is zero, which is
 * valid and costs neither side time. A connection that breaks, or does not get its 101, is a
 * failure and is not made anew.
 *
 * When all connections are up it prints "ready", and waits for a line or the end of its input: what
 * is measured begins then. Prints the report of report.h.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "report.h"
#include "serve.h"

enum { BUFFER = 1 << 17, BATCH = 64, PATIENCE_MS = 5000 };

/* The example of RFC 6455 section 1.3. */
static const char hello[] = "GET /echo HTTP/1.1\r\nHost: bench.example\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char accepted[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct peer {
    int fd;
    bool open; /* the handshake is over */
    size_t n;  /* bytes in <in> */
    uint64_t sent_at;
    char in[BUFFER];
};

/* Bytes of the frame's head at <p>, with *payload; 0: not all there yet. */
static size_t frame_head(const char *p, size_t n, bool masked, size_t *payload)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t head = 2 + (masked ? 4 : 0);
    if (n < 2)
        return 0;
    *payload = u[1] & 0x7f;
    if (*payload == 126) {
        if (n < 4)
            return 0;
        *payload = (size_t)u[2] << 8 | u[3];
        head += 2;
    }
    return n < head ? 0 : head;
}

/* A head before <size> bytes of payload: returns its length. */
static size_t put_head(char *p, size_t size, bool masked)
{
    size_t n = 2;
    p[0] = (char)0x82;
    p[1] = (char)((masked ? 0x80 : 0) | (size < 126 ? size : 126));
    if (size >= 126) {
        p[2] = (char)(size >> 8);
        p[3] = (char)size;
        n = 4;
    }
    if (masked) {
        memset(p + n, 0, 4);
        n += 4;
    }
    return n;
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EAGAIN)
            continue; /* the other side is about to read */
        if (k < 0)
            return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

/* Read what is there. False: the connection is over. */
static bool fill(struct peer *c)
{
    ssize_t k = recv(c->fd, c->in + c->n, sizeof c->in - c->n, MSG_DONTWAIT);
    if (k > 0)
        c->n += (size_t)k;
    return k > 0 || (k < 0 && errno == EAGAIN);
}

static void consume(struct peer *c, size_t n)
{
    memmove(c->in, c->in + n, c->n - n);
    c->n -= n;
}

/* True when the head of the handshake has come, and is gone from <in>. */
static bool take_hello(struct peer *c, const char *begins)
{
    char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
    if (end == NULL || memcmp(c->in, begins, strlen(begins)) != 0)
        return false;
    c->open = true;
    consume(c, (size_t)(end + 4 - c->in));
    return true;
}

/* ---- the server ---- */

static bool echo(struct peer *c)
{
    static char out[BUFFER + 16];
    size_t payload, head;
    if (!fill(c) ||
        (!c->open && take_hello(c, "GET ") && !send_all(c->fd, accepted, sizeof accepted - 1)))
        return false;
    while (c->open && (head = frame_head(c->in, c->n, true, &payload)) > 0 &&
           c->n >= head + payload) {
        unsigned char mask[4];
        memcpy(mask, c->in + head - 4, 4);
        size_t n = put_head(out, payload, false);
        for (size_t i = 0; (mask[0] | mask[1] | mask[2] | mask[3]) != 0 && i < payload; i++)
            c->in[head + i] ^= (char)mask[i % 4];
        memcpy(out + n, c->in + head, payload);
        if (!send_all(c->fd, out, n + payload))
            return false;
        consume(c, head + payload);
    }
    return true;
}

static _Noreturn void serve(uint16_t port)
{
    struct epoll_event events[EVENTS];
    int listen_fd, epoll_fd = serve_on(port, &listen_fd);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *c = events[i].data.ptr;
            if (c == NULL) {
                struct epoll_event ev = {.events = EPOLLIN};
                int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0)
                    continue;
                c = calloc(1, sizeof *c);
                c->fd = fd;
                ev.data.ptr = c;
                epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev);
            } else if (!echo(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
}

/* ---- the clients ---- */

static size_t size;
static char message[BUFFER];
static size_t message_n;

static bool say(struct peer *c)
{
    c->sent_at = clock_ns();
    return send_all(c->fd, message, message_n);
}

/* False: this connection is of no use any more. *back: a message has come back. */
static bool hear(struct peer *c, bool *back)
{
    size_t payload, head;
    *back = false;
    if (!fill(c))
        return false;
    if (!c->open)
        return c->n < 12 || take_hello(c, "HTTP/1.1 101") || memcmp(c->in, accepted, 12) == 0;
    if ((head = frame_head(c->in, c->n, false, &payload)) == 0 || c->n < head + payload)
        return true;
    if (payload != size || memcmp(c->in + head, message + message_n - size, size) != 0)
        return false;
    consume(c, head + payload);
    *back = true;
    return true;
}

static int load(uint16_t port, double seconds, int count)
{
    static struct report report;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct peer *clients = calloc((size_t)count, sizeof *clients);
    struct epoll_event events[BATCH];
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC), open = count, one = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    message_n = put_head(message, size, true) + size;
    for (size_t i = 0; i < size; i++)
        message[message_n - size + i] = (char)(i * 31);
    for (int i = 0; i < count; i++) {
        struct peer *c = &clients[i];
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(c->fd, (struct sockaddr *)&at, sizeof at) < 0)
            fatal("connect");
        send_all(c->fd, hello, sizeof hello - 1);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
    }
    for (int i = 0; i < count; i++) {
        struct pollfd wait = {.fd = clients[i].fd, .events = POLLIN};
        bool back;
        while (!clients[i].open) {
            if (poll(&wait, 1, PATIENCE_MS) != 1 || !hear(&clients[i], &back)) {
                fprintf(stderr, "websocket: no 101\n");
                return 1;
            }
        }
    }
    puts("ready");
    fflush(stdout);
    (void)getchar();
    uint64_t start = clock_ns(), end = start + (uint64_t)(seconds * 1e9);
    for (int i = 0; i < count; i++)
        say(&clients[i]);
    while (open > 0) { /* what is open at the end is waited for */
        int n = epoll_wait(epoll_fd, events, BATCH, PATIENCE_MS);
        if (n <= 0) {
            report.failed += (uint64_t)open;
            break;
        }
        for (int i = 0; i < n; i++) {
            struct peer *c = events[i].data.ptr;
            bool back, well = hear(c, &back);
            uint64_t now = clock_ns();
            if (well && back) {
                histogram_add(&report.latency, now - c->sent_at);
                report.bytes += size;
                well = now >= end || say(c);
            }
            if (!well || (back && now >= end)) {
                report.failed += !well;
                open--;
                close(c->fd);
            }
        }
    }
    report_print(&report, clock_ns() - start);
    return 0;
}

int main(int argc, char **argv)
{
    struct options given = {.seconds = 1, .connections = 64, .size = 1024};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (argc == 3 && strcmp(argv[1], "--serve") == 0)
        serve((uint16_t)atoi(argv[2]));
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!option_take(&given, argv[i], argv[i + 1]))
            return 2;
    }
    if (given.size > 60000)
        return 2;
    size = given.size;
    return load((uint16_t)given.port, given.seconds, given.connections);
}
