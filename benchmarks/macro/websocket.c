/*
 * WebSocket echo, both ends of it: for what one message costs the proxy between them.
 *
 *   websocket origin PORT                                  echoes every message
 *   websocket load [-c CONNECTIONS] [-b BYTES] [-s SECONDS] PORT
 *
 * load opens the connections, waits until all of them are upgraded, and then sends one binary
 * message of BYTES bytes on each, the next one when its echo is there (closed loop, one thread, one
 * epoll set, masked as RFC 6455 wants). Each echo is checked for its length. It prints one JSON
 * object: messages, seconds, errors. Messages on the way at the end are waited for, so that the
 * work of a proxy divides exactly by the messages printed here.
 *
 * The handshake's key is not answered (Sec-WebSocket-Accept is a constant): no proxy looks at it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "serve.h"

enum { BUFFER = 1 << 18, MOST_BYTES = 65535, MOST_CONNECTIONS = 10000 };

struct conn {
    int fd;
    bool upgraded, sent;
    size_t n;  /* bytes in buf */
    size_t at; /* of the echo that have come */
    char *buf;
};

static const char ask[] = "GET /echo HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n"
                          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                             "Upgrade: websocket\r\n"
                             "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static int epoll_fd;

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static struct sockaddr_in local(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static void watch(int fd, void *ptr)
{
    int one = 1;
    struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = ptr}};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        fatal("epoll_ctl");
}

/* Messages are small beside the sockets' buffers: a send that cannot take one is an error. */
static bool send_all(int fd, const void *p, size_t n)
{
    return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* Write the head of an unfragmented binary frame; returns its bytes. */
static size_t frame_head(unsigned char *p, size_t n, bool masked)
{
    unsigned bit = masked ? 0x80 : 0;
    p[0] = 0x82;
    if (n < 126) {
        p[1] = (unsigned char)(bit | n);
        return 2;
    }
    p[1] = (unsigned char)(bit | 126);
    p[2] = (unsigned char)(n >> 8);
    p[3] = (unsigned char)n;
    return 4;
}

/* ---- origin ---- */

static void drop(struct conn *c)
{
    close(c->fd);
    free(c->buf);
    free(c);
}

/* One whole masked frame at the front of what has come: echo it. Bytes it took; 0: more must come;
 * -1: it cannot be. */
static long echo_one(struct conn *c, size_t at)
{
    unsigned char *p = (unsigned char *)c->buf + at;
    size_t have = c->n - at, head = 2, n;
    if (have < 2)
        return 0;
    n = p[1] & 0x7f;
    if (n == 126) {
        head = 4;
        if (have < 4)
            return 0;
        n = (size_t)p[2] << 8 | p[3];
    }
    if (n > MOST_BYTES || (p[1] & 0x80) == 0)
        return -1;
    if (have < head + 4 + n)
        return 0;
    const unsigned char *mask = p + head;
    unsigned char *body = p + head + 4;
    for (size_t i = 0; i < n; i++)
        body[i] ^= mask[i & 3];
    unsigned char *out = body - head; /* over the mask */
    frame_head(out, n, false);
    return send_all(c->fd, out, head + n) ? (long)(head + 4 + n) : -1;
}

static bool serve_one(struct conn *c)
{
    ssize_t k = recv(c->fd, c->buf + c->n, BUFFER - c->n, MSG_DONTWAIT);
    size_t at = 0;
    if (k <= 0)
        return k < 0 && errno == EAGAIN;
    c->n += (size_t)k;
    if (!c->upgraded) {
        char *end = memmem(c->buf, c->n, "\r\n\r\n", 4);
        if (end == NULL)
            return c->n < BUFFER;
        at = (size_t)(end + 4 - c->buf);
        c->upgraded = true;
        if (!send_all(c->fd, answer, sizeof answer - 1))
            return false;
    }
    long took;
    while ((took = echo_one(c, at)) > 0)
        at += (size_t)took;
    memmove(c->buf, c->buf + at, c->n - at);
    c->n -= at;
    return took == 0;
}

static void origin(int port)
{
    int listener;
    epoll_fd = serve_on((uint16_t)port, &listener);
    for (;;) {
        struct epoll_event ev[256];
        int n = epoll_wait(epoll_fd, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c != NULL) {
                if (!serve_one(c))
                    drop(c);
                continue;
            }
            c = calloc(1, sizeof *c);
            if (c == NULL || (c->buf = malloc(BUFFER)) == NULL)
                fatal("malloc");
            c->fd = accept(listener, NULL, NULL);
            if (c->fd < 0)
                fatal("accept");
            watch(c->fd, c);
        }
    }
}

/* ---- load ---- */

static struct conn *conns;
static unsigned n_conn = 64, n_upgraded, n_out;
static size_t bytes = 1024, echo_bytes;
static unsigned char frame[MOST_BYTES + 8];
static size_t frame_bytes;
static uint64_t messages, errors;

static void build_frame(void)
{
    static const unsigned char mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t head = frame_head(frame, bytes, true);
    memcpy(frame + head, mask, 4);
    for (size_t i = 0; i < bytes; i++)
        frame[head + 4 + i] = (unsigned char)('a' + i % 26) ^ mask[i & 3];
    frame_bytes = head + 4 + bytes;
    echo_bytes = head + bytes;
}

static void lose(struct conn *c)
{
    errors++;
    n_out -= c->sent;
    close(c->fd);
    c->fd = -1;
}

static void say(struct conn *c)
{
    c->at = 0;
    c->sent = true;
    n_out++;
    if (!send_all(c->fd, frame, frame_bytes))
        lose(c);
}

static void hear(struct conn *c, bool go_on)
{
    static char buf[BUFFER];
    ssize_t k = recv(c->fd, buf, sizeof buf, MSG_DONTWAIT);
    if (k <= 0) {
        if (k == 0 || errno != EAGAIN)
            lose(c);
        return;
    }
    if (!c->upgraded) { /* the answer comes at once, or this is no measurement */
        if (k < 16 || memcmp(buf, "HTTP/1.1 101", 12) != 0 ||
            memcmp(buf + k - 4, "\r\n\r\n", 4) != 0)
            lose(c);
        else
            n_upgraded++, c->upgraded = true;
        return;
    }
    c->at += (size_t)k;
    if (c->at < echo_bytes)
        return;
    if (c->at > echo_bytes) {
        lose(c);
        return;
    }
    c->sent = false;
    n_out--;
    messages++;
    if (go_on)
        say(c);
}

/* Handle events until <until>, or until nothing is out. */
static void run(double until, bool go_on, bool upgrade)
{
    while (now() < until && (upgrade ? n_upgraded + errors < n_conn : go_on || n_out > 0)) {
        struct epoll_event ev[256];
        int n = epoll_wait(epoll_fd, ev, 256, 100);
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c->fd >= 0)
                hear(c, go_on);
        }
    }
}

static int load(int port, double seconds)
{
    struct sockaddr_in at = local(port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(n_conn, sizeof *conns);
    if (conns == NULL)
        fatal("calloc");
    build_frame();
    for (unsigned i = 0; i < n_conn; i++) {
        conns[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(conns[i].fd, (struct sockaddr *)&at, sizeof at) < 0 ||
            !send_all(conns[i].fd, ask, sizeof ask - 1))
            fatal("connect");
        watch(conns[i].fd, &conns[i]);
    }
    run(now() + 30, false, true);
    if (n_upgraded < n_conn) {
        fprintf(stderr, "%u of %u were upgraded\n", n_upgraded, n_conn);
        return 1;
    }
    double start = now();
    for (unsigned i = 0; i < n_conn; i++)
        say(&conns[i]);
    run(start + seconds, true, false);
    run(now() + 30, false, false);
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"errors\": %llu}\n",
           (unsigned long long)messages, now() - start, (unsigned long long)errors);
    return errors > 0;
}

int main(int argc, char **argv)
{
    double seconds = 5;
    int option;
    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "origin") == 0)
        origin(argc > 2 ? atoi(argv[2]) : 0);
    if (argc < 3 || strcmp(argv[1], "load") != 0) {
        fprintf(stderr, "usage: websocket origin PORT\n"
                        "       websocket load [-c CONNECTIONS] [-b BYTES] [-s SECONDS] PORT\n");
        return 2;
    }
    argc--;
    argv++;
    while ((option = getopt(argc, argv, "c:b:s:")) != -1) {
        if (option == 'c')
            n_conn = (unsigned)atoi(optarg);
        else if (option == 'b')
            bytes = (size_t)atoi(optarg);
        else if (option == 's')
            seconds = atof(optarg);
        else
            return 2;
    }
    if (optind >= argc || n_conn < 1 || n_conn > MOST_CONNECTIONS || bytes > MOST_BYTES)
        return 2;
    return load(atoi(argv[optind]), seconds);
}
