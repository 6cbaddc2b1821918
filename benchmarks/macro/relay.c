/*
 * The bare byte relay: the floor of every benchmark.
 *
 *   relay [-b BUFFER_BYTES] LISTEN_PORT [UPSTREAM_HOST] UPSTREAM_PORT
 *
 * It does what no proxy can do less of: for each client one upstream socket, recv here, send there,
 * nothing parsed, nothing logged. One thread, one edge-triggered epoll set, every socket registered
 * once. What a proxy costs beyond this is its own doing.
 *
 *   client --recv--> buffer --send--> upstream        A direction that meets a full socket keeps
 * the client <--send-- buffer <--recv-- upstream        rest and reads no more until there is room.
 *
 * The buffer has 16 KiB unless -b says otherwise (64 KiB suits bodies better). UPSTREAM_HOST is a
 * numeric IPv4 address, 127.0.0.1 if left out. LISTEN_PORT 0 takes a free port; the port is
 * printed.
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
#include <unistd.h>

#include "serve.h"

enum { BUFFER_DEFAULT = 16384, BUFFER_MAX = 1 << 20 };

/* One socket of a pair; the direction it is the source of. */
struct end {
    int fd;
    bool readable, writable;
    bool rdhup;   /* the end is in sight: a short read does not mean drained */
    bool eof;     /* nothing more comes from here */
    bool eof_out; /* and the other side was told so */
    char *rest;   /* bytes from here that the other side had no room for, or NULL */
    size_t rest_at, rest_n;
    struct pair *pair;
};

struct pair {
    struct end end[2]; /* client, upstream */
    bool dead;
    struct pair *next_dead; /* freed when the batch is over: later events may still name it */
};

static int epoll_fd, listen_fd;
static struct sockaddr_in upstream;
static size_t buffer_bytes = BUFFER_DEFAULT;
static char *buffer;
static struct pair *dead;

static void *need(void *p)
{
    if (p == NULL)
        fatal("malloc");
    return p;
}

static void end_pair(struct pair *p)
{
    if (p->dead)
        return;
    p->dead = true;
    for (int i = 0; i < 2; i++) {
        close(p->end[i].fd);
        free(p->end[i].rest);
    }
    p->next_dead = dead;
    dead = p;
}

static void free_dead(void)
{
    while (dead != NULL) {
        struct pair *p = dead;
        dead = p->next_dead;
        free(p);
    }
}

/* Send <n> bytes that came from <from>; what does not go is kept. false: the pair is broken. */
static bool pass_on(struct end *from, struct end *to, const char *p, size_t n)
{
    ssize_t r = to->writable ? send(to->fd, p, n, MSG_NOSIGNAL) : 0;

    if (r < 0 && errno != EAGAIN)
        return false;
    size_t sent = r < 0 ? 0 : (size_t)r;
    if (sent == n)
        return true;
    to->writable = false;
    from->rest = need(malloc(n - sent));
    memcpy(from->rest, p + sent, n - sent);
    from->rest_at = 0;
    from->rest_n = n - sent;
    return true;
}

/* Send what was kept, as far as it goes. false: the pair is broken. */
static bool pass_rest(struct end *from, struct end *to)
{
    ssize_t r = send(to->fd, from->rest + from->rest_at, from->rest_n, MSG_NOSIGNAL);

    if (r < 0 && errno != EAGAIN)
        return false;
    size_t sent = r < 0 ? 0 : (size_t)r;
    from->rest_at += sent;
    from->rest_n -= sent;
    if (from->rest_n > 0) {
        to->writable = false;
        return true;
    }
    free(from->rest);
    from->rest = NULL;
    return true;
}

/* Move what can be moved from <from> to <to>. false: the pair is broken. */
static bool move(struct end *from, struct end *to)
{
    if (from->rest != NULL && to->writable && !pass_rest(from, to))
        return false;
    while (from->readable && !from->eof && from->rest == NULL) {
        ssize_t r = recv(from->fd, buffer, buffer_bytes, 0);
        if (r < 0 && errno != EAGAIN)
            return false;
        if (r < 0) {
            from->readable = false;
        } else if (r == 0) {
            from->eof = true;
        } else {
            /* A short read has drained the socket: the next byte, or the end, is a new edge. */
            from->readable = (size_t)r == buffer_bytes || from->rdhup;
            if (!pass_on(from, to, buffer, (size_t)r))
                return false;
        }
    }
    if (from->eof && from->rest == NULL && !from->eof_out) {
        from->eof_out = true;
        shutdown(to->fd, SHUT_WR);
    }
    return true;
}

static void on_event(struct end *e, uint32_t events)
{
    struct pair *p = e->pair;
    struct end *other = e == &p->end[0] ? &p->end[1] : &p->end[0];

    if (p->dead)
        return;
    if (events & EPOLLERR) {
        end_pair(p);
        return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
        e->readable = true;
    if (events & EPOLLOUT)
        e->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP))
        e->rdhup = true;
    if (!move(e, other)) {
        end_pair(p);
        return;
    }
    if (((events & EPOLLOUT) && other->rest != NULL && !move(other, e)) ||
        (e->eof_out && other->eof_out))
        end_pair(p);
}

static void watch(struct end *e)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, e->fd, &ev) < 0)
        fatal("epoll_ctl");
}

static void on_accept(void)
{
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    struct pair *p = need(calloc(1, sizeof *p));
    int one = 1, up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (up < 0)
        fatal("socket");
    setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    p->end[0] = (struct end){.fd = fd, .pair = p};
    p->end[1] = (struct end){.fd = up, .pair = p};
    if (connect(up, (struct sockaddr *)&upstream, sizeof upstream) < 0 && errno != EINPROGRESS) {
        end_pair(p);
        return;
    }
    /* Both report what they are at once: readable, writable, refused. */
    watch(&p->end[0]);
    watch(&p->end[1]);
}

static unsigned long number(const char *text, unsigned long least, unsigned long most)
{
    char *end;
    unsigned long v = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || v < least || v > most) {
        fprintf(stderr, "relay: %s is not a number from %lu to %lu\n", text, least, most);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    struct epoll_event batch[EVENTS];
    int k;

    while ((k = getopt(argc, argv, "b:")) != -1) {
        if (k != 'b')
            exit(2);
        buffer_bytes = number(optarg, 1, BUFFER_MAX);
    }
    int n_words = argc - optind;
    char **words = argv + optind;
    if (n_words != 2 && n_words != 3) {
        fputs("usage: relay [-b BUFFER_BYTES] LISTEN_PORT [UPSTREAM_HOST] UPSTREAM_PORT\n", stderr);
        exit(2);
    }
    upstream.sin_family = AF_INET;
    upstream.sin_port = htons((uint16_t)number(words[n_words - 1], 1, UINT16_MAX));
    if (inet_pton(AF_INET, n_words == 3 ? words[1] : "127.0.0.1", &upstream.sin_addr) != 1) {
        fprintf(stderr, "relay: %s is not an IPv4 address\n", words[1]);
        exit(2);
    }
    signal(SIGPIPE, SIG_IGN);
    buffer = need(malloc(buffer_bytes));
    epoll_fd = serve_on((uint16_t)number(words[0], 0, UINT16_MAX), &listen_fd);

    for (;;) {
        int n = epoll_wait(epoll_fd, batch, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            fatal("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (batch[i].data.ptr == NULL)
                on_accept();
            else
                on_event(batch[i].data.ptr, batch[i].events);
        }
        free_dead();
    }
}
