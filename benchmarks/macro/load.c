/*
 * An HTTP/1.1 load generator that costs little CPU and tells the truth about latency.
 *
 * One thread, one epoll set, N connections, one request outstanding on each. Three ways to work:
 *   closed loop   (default)   every connection sends its next request as soon as it has an answer;
 *   open loop     (--rate R)  request k is due at start + k/R on connection k mod N, whatever the
 *                             answers do. All connections are up before the start. "latency"
 *                             counts from when the request was due, so a stall is charged to every
 *                             request it delayed (no coordinated omission); "service" counts from
 *                             when it was really sent;
 *   close         (--close)   a new connection for each request; the server closes it.
 *
 * Answers must be 200 with a Content-Length (of --expect bytes where given); anything else is
 * counted as an error of its kind, and the connection is made anew. A body is drained with
 * MSG_TRUNC, so its bytes are counted but never copied to user space.
 *
 * --mark 'K: V' counts the answers with that header line.
 *
 * --until-eof makes standard input the clock: the run ends when it closes (or after --seconds).
 *
 * It prints one JSON object: requests, errors by kind, seconds, bytes of bodies received, the
 * percentiles of both clocks in microseconds, and the local address of the connections that failed
 * (so that somebody can look up where they were). Requests still running at the end are waited for
 * and counted, so the work that a proxy did divides exactly by the requests printed here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "histogram.h"

enum {
    HEAD_MAX = 8192,
    READ_MAX = 256 * 1024,
    BODY_CHUNK = 256 * 1024,
    SOURCES = 64,       /* --close rotates over 127.0.1.1 … .64, so that ports never run out */
    SETTLE_MS = 100,    /* open loop: between connecting and the first request */
    DRAIN_MS = 10000,   /* how long unanswered requests are waited for at the end */
    RETRY_NS = 1000000, /* pause after a refused connection, so that errors do not spin */
    HEADERS_MAX = 8,
    FAILURES_MAX = 1024, /* failures whose local address is reported; all are counted */
};
#define NO_TIME UINT64_MAX

enum error_kind {
    ERR_REFUSED, /* nobody listens */
    ERR_CONNECT, /* no connection for another reason */
    ERR_RESET,   /* the connection was reset before the answer was complete */
    ERR_CLOSED,  /* it was ended in order, before the answer was complete */
    ERR_STATUS,
    ERR_LENGTH,
    ERR_PARSE,
    ERR_TIMEOUT,
    ERR_N
};
static const char *const error_names[ERR_N] = {"refused", "connect", "reset", "closed",
                                               "status",  "length",  "parse", "timeout"};

struct failure {
    enum error_kind kind;
    struct sockaddr_in from;
};

enum conn_state {
    CONN_DOWN,
    CONN_CONNECTING,
    CONN_IDLE,
    CONN_SENDING,
    CONN_HEAD,
    CONN_BODY,
    CONN_CLOSING
};

struct conn {
    int fd;
    enum conn_state state;
    bool wants_out;    /* EPOLLOUT is registered */
    uint32_t backlog;  /* open loop: requests due on this connection and not yet sent */
    uint64_t due;      /* open loop: when the next unsent request was due */
    uint64_t begun;    /* clock that latency counts from */
    uint64_t sent_at;  /* clock that service time counts from */
    uint64_t retry_at; /* CONN_DOWN: when to connect again */
    const char *head_out;
    size_t head_out_len;
    size_t sent; /* bytes of head and body already sent */
    uint64_t body_left;
    size_t head_len;
    char head[HEAD_MAX];
};

struct request_head {
    char *bytes;
    size_t len;
};

struct options {
    const char *address, *host, *path, *paths_file, *mark;
    const char *headers[HEADERS_MAX];
    int header_n;
    int port;
    int connections;
    double seconds;
    double rate;
    uint64_t body;
    int64_t expect;
    bool close;
    bool until_eof;
};

struct run {
    struct options opt;
    struct sockaddr_in to;
    int ep;
    struct conn *conns;
    struct request_head *heads;
    size_t head_n;
    size_t next_head;
    uint64_t start, end, now;
    uint64_t interval;  /* open loop: nanoseconds between two requests of one connection */
    uint64_t due_count; /* open loop: requests that have become due */
    uint64_t outstanding;
    uint64_t requests, bytes, connects, marked;
    uint64_t errors[ERR_N];
    struct failure failures[FAILURES_MAX];
    size_t failure_n;
    struct histogram latency, service;
    uint32_t source;
    bool stopping;
};

static struct run run;
static char scratch[READ_MAX];
static char body_out[BODY_CHUNK];

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* ---- connections ---------------------------------------------------------------------------- */

static void conn_start(struct conn *c);
static void conn_fill(struct conn *c);

static void watch_out(struct conn *c, bool on)
{
    if (c->wants_out == on) {
        return;
    }
    struct epoll_event ev = {.events = EPOLLIN | (on ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(run.ep, EPOLL_CTL_MOD, c->fd, &ev) < 0) {
        die("epoll_ctl");
    }
    c->wants_out = on;
}

static bool is_busy(const struct conn *c)
{
    return c->state == CONN_SENDING || c->state == CONN_HEAD || c->state == CONN_BODY ||
           (c->state == CONN_CONNECTING && run.opt.close);
}

static void conn_drop(struct conn *c)
{
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->fd = -1;
    c->wants_out = false;
    c->state = CONN_DOWN;
}

static bool is_connect_error(enum error_kind kind)
{
    return kind == ERR_REFUSED || kind == ERR_CONNECT;
}

static enum error_kind connect_error(int err)
{
    return err == ECONNREFUSED ? ERR_REFUSED : ERR_CONNECT;
}

/* What <err> of a send or receive means; 0 is the end of the stream. */
static enum error_kind end_error(int err)
{
    return err == ECONNRESET || err == EPIPE ? ERR_RESET : ERR_CLOSED;
}

static void note_failure(const struct conn *c, enum error_kind kind)
{
    if (run.failure_n < FAILURES_MAX) {
        struct failure *f = &run.failures[run.failure_n++];
        socklen_t len = sizeof f->from;
        f->kind = kind;
        getsockname(c->fd, (struct sockaddr *)&f->from, &len);
    }
}

static void conn_fail(struct conn *c, enum error_kind kind)
{
    run.errors[kind]++;
    note_failure(c, kind);
    if (is_busy(c)) {
        run.outstanding--;
    }
    conn_drop(c);
    c->retry_at = run.now + (is_connect_error(kind) ? RETRY_NS : 0);
    if (!run.stopping && c->retry_at <= run.now) {
        conn_start(c);
    }
}

/* Opens the socket. In close mode the clock of the request starts here. */
static void conn_start(struct conn *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket");
    }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (run.opt.close) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        from.sin_addr.s_addr = htonl(0x7f000101u + (run.source++ % SOURCES));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0) {
            die("bind");
        }
        c->begun = c->sent_at = clock_ns();
        run.outstanding++;
    }
    run.connects++;
    c->state = CONN_CONNECTING;
    c->head_len = 0;
    int rc = connect(c->fd, (struct sockaddr *)&run.to, sizeof run.to);
    if (rc < 0 && errno != EINPROGRESS) {
        conn_fail(c, connect_error(errno));
        return;
    }
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(run.ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        die("epoll_ctl");
    }
    c->wants_out = true;
}

/* Sends what is left of head and body; false when the connection is gone or the socket full. */
static bool conn_flush(struct conn *c)
{
    size_t total = c->head_out_len + run.opt.body;
    while (c->sent < total) {
        struct iovec iov[2];
        struct msghdr msg = {.msg_iov = iov};
        if (c->sent < c->head_out_len) {
            iov[msg.msg_iovlen++] =
                (struct iovec){(char *)c->head_out + c->sent, c->head_out_len - c->sent};
        }
        size_t body_sent = c->sent > c->head_out_len ? c->sent - c->head_out_len : 0;
        uint64_t body_left = run.opt.body - body_sent;
        if (body_left > 0) {
            iov[msg.msg_iovlen++] = (struct iovec){
                body_out, body_left < BODY_CHUNK ? (size_t)body_left : (size_t)BODY_CHUNK};
        }
        ssize_t n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch_out(c, true);
            return false;
        }
        if (n < 0) {
            conn_fail(c, end_error(errno));
            return false;
        }
        c->sent += (size_t)n;
    }
    watch_out(c, false);
    c->state = CONN_HEAD;
    return true;
}

static void conn_send(struct conn *c)
{
    const struct request_head *h = &run.heads[run.next_head];
    if (++run.next_head == run.head_n) {
        run.next_head = 0;
    }
    c->head_out = h->bytes;
    c->head_out_len = h->len;
    c->sent = 0;
    c->head_len = 0;
    c->state = CONN_SENDING;
    if (!run.opt.close) {
        run.outstanding++;
        c->sent_at = clock_ns();
        c->begun = c->sent_at;
        if (run.opt.rate > 0) {
            c->begun = c->due;
            c->due += run.interval;
            c->backlog--;
        }
    }
    conn_flush(c);
}

/* An idle connection: send the next request if there is one to send. */
static void conn_fill(struct conn *c)
{
    if (run.stopping || c->state != CONN_IDLE || (run.opt.rate > 0 && c->backlog == 0)) {
        return;
    }
    conn_send(c);
}

static void record(struct conn *c)
{
    uint64_t now = clock_ns();
    histogram_add(&run.latency, now > c->begun ? now - c->begun : 0);
    histogram_add(&run.service, now - c->sent_at);
    run.requests++;
    run.outstanding--;
}

static void conn_done(struct conn *c)
{
    record(c);
    if (run.opt.close) {
        c->state = CONN_CLOSING; /* the server closes first; its end keeps TIME_WAIT */
        return;
    }
    c->state = CONN_IDLE;
    conn_fill(c);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Length of the head in <p, len>, or 0 when its end is not there yet. */
static size_t head_end(const char *p, size_t len)
{
    const char *end = memmem(p, len, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - p) + 4;
}

static bool content_length(const char *p, size_t len, uint64_t *out)
{
    static const char name[] = "content-length:";
    const char *end = p + len;
    for (const char *line = p; (line = memchr(line, '\n', (size_t)(end - line))) != NULL;) {
        line++;
        if ((size_t)(end - line) > sizeof name && strncasecmp(line, name, sizeof name - 1) == 0) {
            *out = strtoull(line + sizeof name - 1, NULL, 10);
            return true;
        }
    }
    return false;
}

static bool has_line(const char *p, size_t len, const char *line)
{
    const char *end = p + len;
    size_t n = strlen(line);
    while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        p++;
        if ((size_t)(end - p) > n && p[n] == '\r' && strncasecmp(p, line, n) == 0) {
            return true;
        }
    }
    return false;
}

/* Judges a whole head; false when the connection was given up. */
static bool take_head(struct conn *c, const char *p, size_t len)
{
    if (len < 15 || memcmp(p, "HTTP/1.", 7) != 0) {
        conn_fail(c, ERR_PARSE);
        return false;
    }
    if (memcmp(p + 9, "200", 3) != 0) {
        conn_fail(c, ERR_STATUS);
        return false;
    }
    uint64_t body = 0;
    if (!content_length(p, len, &body)) {
        conn_fail(c, ERR_PARSE);
        return false;
    }
    if (run.opt.expect >= 0 && body != (uint64_t)run.opt.expect) {
        conn_fail(c, ERR_LENGTH);
        return false;
    }
    run.marked += run.opt.mark != NULL && has_line(p, len, run.opt.mark);
    c->body_left = body;
    c->state = CONN_BODY;
    return true;
}

/* Takes <n> received bytes that may end a head; the head goes to c->head only when it is split. */
static bool take_bytes(struct conn *c, const char *p, size_t n)
{
    size_t used;
    if (c->head_len == 0 && (used = head_end(p, n)) > 0) {
        if (!take_head(c, p, used)) {
            return false;
        }
    } else {
        size_t room = HEAD_MAX - c->head_len;
        size_t more = n < room ? n : room;
        size_t before = c->head_len;
        memcpy(c->head + before, p, more);
        c->head_len += more;
        size_t whole = head_end(c->head, c->head_len);
        if (whole == 0) {
            if (c->head_len == HEAD_MAX) {
                conn_fail(c, ERR_PARSE);
                return false;
            }
            return true;
        }
        used = whole - before;
        if (!take_head(c, c->head, whole)) {
            return false;
        }
    }
    size_t rest = n - used;
    if (rest > c->body_left) {
        conn_fail(c, ERR_LENGTH);
        return false;
    }
    c->body_left -= rest;
    run.bytes += rest;
    return true;
}

static void on_readable(struct conn *c)
{
    for (;;) {
        bool body = c->state == CONN_BODY;
        size_t room = body && c->body_left > READ_MAX ? 4u << 20 : READ_MAX;
        if (body && c->body_left < room) {
            room = (size_t)c->body_left;
        }
        /* MSG_TRUNC on TCP throws the bytes away in the kernel. */
        ssize_t n = recv(c->fd, scratch, room, body ? MSG_TRUNC : 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            if (c->state == CONN_CLOSING) {
                conn_drop(c);
                if (!run.stopping) {
                    conn_start(c);
                }
            } else if (c->state == CONN_IDLE) {
                conn_drop(c); /* an idle connection may be closed: no request was lost */
                if (!run.stopping) {
                    conn_start(c);
                }
            } else {
                conn_fail(c, end_error(n < 0 ? errno : 0));
            }
            return;
        }
        if (body) {
            c->body_left -= (uint64_t)n;
            run.bytes += (uint64_t)n;
        } else if (c->state == CONN_IDLE || c->state == CONN_CLOSING) {
            conn_fail(c, ERR_LENGTH); /* bytes nobody asked for */
            return;
        } else if (!take_bytes(c, scratch, (size_t)n)) {
            return;
        }
        if (c->state == CONN_BODY && c->body_left == 0) {
            conn_done(c);
            if (c->state != CONN_CLOSING) {
                return;
            }
            continue; /* often the end of the connection has come along */
        }
        if (!body && c->state != CONN_BODY) {
            return; /* half a head: wait for the rest */
        }
    }
}

static void on_connected(struct conn *c)
{
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err != 0) {
        conn_fail(c, connect_error(err));
        return;
    }
    c->state = CONN_IDLE;
    if (run.opt.close) {
        conn_send(c);
        return;
    }
    watch_out(c, false);
    conn_fill(c);
}

static void on_event(struct conn *c, uint32_t events)
{
    if (c->fd < 0) {
        return;
    }
    if (c->state == CONN_CONNECTING) {
        on_connected(c);
        return;
    }
    if ((events & EPOLLOUT) != 0 && c->state == CONN_SENDING) {
        conn_flush(c);
        if (c->fd < 0 || c->state == CONN_CONNECTING) {
            return;
        }
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        on_readable(c);
    }
}

/* ---- the run -------------------------------------------------------------------------------- */

/* Open loop: hand every request now due to its connection; returns when the next is due. */
static uint64_t release_due(void)
{
    double gap = 1e9 / run.opt.rate;
    for (;;) {
        uint64_t due = run.start + (uint64_t)((double)run.due_count * gap);
        if (due > run.now || due >= run.end) {
            return due;
        }
        struct conn *c = &run.conns[run.due_count % (uint64_t)run.opt.connections];
        if (c->backlog++ == 0) {
            c->due = due;
        }
        run.due_count++;
        conn_fill(c);
    }
}

/* Reconnects what was refused; returns when the next one is to be tried. */
static uint64_t revive(void)
{
    uint64_t next = NO_TIME;
    for (int i = 0; i < run.opt.connections; i++) {
        struct conn *c = &run.conns[i];
        if (c->state != CONN_DOWN) {
            continue;
        }
        if (c->retry_at <= run.now) {
            conn_start(c);
        }
        if (c->state == CONN_DOWN && c->retry_at < next) {
            next = c->retry_at;
        }
    }
    return next;
}

static void wait_until(uint64_t when)
{
    struct epoll_event events[256];
    uint64_t wait = when > run.now ? when - run.now : 0;
    struct timespec ts = {.tv_sec = (time_t)(wait / 1000000000u),
                          .tv_nsec = (long)(wait % 1000000000u)};
    int n = epoll_pwait2(run.ep, events, 256, &ts, NULL);
    if (n < 0 && errno != EINTR) {
        die("epoll_pwait2");
    }
    run.now = clock_ns();
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == NULL) {
            char byte;
            if (read(STDIN_FILENO, &byte, 1) == 0) {
                run.end = run.now;
                epoll_ctl(run.ep, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            }
            continue;
        }
        on_event(events[i].data.ptr, events[i].events);
    }
}

/* Connect. Open loop: give the server time to accept, or the first requests would pay for it. */
static void connect_all(void)
{
    run.now = clock_ns();
    run.end = NO_TIME;
    for (int i = 0; i < run.opt.connections; i++) {
        conn_start(&run.conns[i]);
    }
    uint64_t settled = run.now + (uint64_t)SETTLE_MS * 1000000u;
    while (run.opt.rate > 0 && run.now < settled && run.end == NO_TIME) {
        wait_until(settled);
    }
}

static void drive(void)
{
    uint64_t failed = 0;
    run.start = clock_ns();
    connect_all();
    if (run.opt.rate > 0) {
        run.start = run.now;
    }
    if (run.end == NO_TIME) {
        run.end = run.start + (uint64_t)(run.opt.seconds * 1e9);
    }
    while (run.now < run.end) {
        uint64_t next = run.end;
        if (run.opt.rate > 0) {
            uint64_t due = release_due();
            next = due < next ? due : next;
        }
        uint64_t unconnected = run.errors[ERR_REFUSED] + run.errors[ERR_CONNECT];
        if (unconnected != failed) {
            uint64_t again = revive();
            if (again == NO_TIME) {
                failed = unconnected;
            }
            next = again < next ? again : next;
        }
        wait_until(next);
    }
    /* Open loop: what is due but unsent counts as sent late, so it is still sent and waited for. */
    uint64_t owed = 0;
    uint64_t deadline = run.now + (uint64_t)DRAIN_MS * 1000000u;
    run.stopping = run.opt.rate <= 0;
    for (int i = 0; i < run.opt.connections; i++) {
        owed += run.conns[i].backlog;
    }
    while ((run.outstanding > 0 || owed > 0) && run.now < deadline) {
        wait_until(deadline);
        owed = 0;
        for (int i = 0; run.opt.rate > 0 && i < run.opt.connections; i++) {
            owed += run.conns[i].backlog;
        }
    }
    run.errors[ERR_TIMEOUT] += run.outstanding + owed;
    run.stopping = true;
}

static void print_failures(void)
{
    printf("\"failures\": [");
    for (size_t i = 0; i < run.failure_n; i++) {
        const struct failure *f = &run.failures[i];
        char address[INET_ADDRSTRLEN] = "";
        inet_ntop(AF_INET, &f->from.sin_addr, address, sizeof address);
        printf("%s{\"from\": \"%s:%u\", \"kind\": \"%s\"}", i > 0 ? ", " : "", address,
               ntohs(f->from.sin_port), error_names[f->kind]);
    }
    printf("]");
}

static void print_report(double seconds)
{
    struct rusage ru;
    getrusage(RUSAGE_SELF, &ru);
    printf("{\"requests\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"connects\": %llu, ",
           (unsigned long long)run.requests, seconds, (unsigned long long)run.bytes,
           (unsigned long long)run.connects);
    if (run.opt.mark != NULL) {
        printf("\"marked\": %llu, ", (unsigned long long)run.marked);
    }
    printf("\"cpu_seconds\": %.3f, ",
           (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
               (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6);
    printf("\"errors\": {");
    for (int i = 0; i < ERR_N; i++) {
        printf("%s\"%s\": %llu", i > 0 ? ", " : "", error_names[i],
               (unsigned long long)run.errors[i]);
    }
    printf("}, ");
    print_failures();
    printf(", ");
    histogram_print("latency_us", &run.latency);
    printf(", ");
    histogram_print("service_us", &run.service);
    printf("}\n");
}

/* ---- options -------------------------------------------------------------------------------- */

static void add_head(const char *path)
{
    char text[HEAD_MAX];
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\n",
                     run.opt.body > 0 ? "POST" : "GET", path, run.opt.host);
    for (int i = 0; i < run.opt.header_n; i++) {
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\r\n", run.opt.headers[i]);
    }
    if (run.opt.body > 0) {
        n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %llu\r\n",
                      (unsigned long long)run.opt.body);
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "%s\r\n",
                  run.opt.close ? "Connection: close\r\n" : "");
    run.heads = realloc(run.heads, (run.head_n + 1) * sizeof *run.heads);
    char *bytes = malloc((size_t)n);
    if (run.heads == NULL || bytes == NULL) {
        die("memory");
    }
    memcpy(bytes, text, (size_t)n);
    run.heads[run.head_n++] = (struct request_head){bytes, (size_t)n};
}

static void read_paths(const char *file)
{
    FILE *f = fopen(file, "r");
    char line[2048];
    if (f == NULL) {
        die(file);
    }
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0') {
            add_head(line);
        }
    }
    fclose(f);
}

static void usage(void)
{
    fputs("usage: load --port P [--address A] [--connections N] [--seconds S] [--rate R]\n"
          "            [--close] [--path P | --paths FILE] [--host H] [--header 'K: V']...\n"
          "            [--body BYTES] [--expect BYTES] [--mark 'K: V'] [--until-eof]\n",
          stderr);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"address", 1, NULL, 'a'},   {"port", 1, NULL, 'p'},  {"connections", 1, NULL, 'c'},
        {"seconds", 1, NULL, 's'},   {"rate", 1, NULL, 'r'},  {"close", 0, NULL, 'k'},
        {"path", 1, NULL, 'u'},      {"paths", 1, NULL, 'f'}, {"host", 1, NULL, 'h'},
        {"header", 1, NULL, 'H'},    {"body", 1, NULL, 'b'},  {"expect", 1, NULL, 'e'},
        {"until-eof", 0, NULL, 'z'}, {"mark", 1, NULL, 'm'},  {NULL, 0, NULL, 0},
    };
    struct options *o = &run.opt;
    *o = (struct options){.address = "127.0.0.1",
                          .host = "bench.example",
                          .path = "/",
                          .connections = 1,
                          .seconds = 1,
                          .expect = -1};
    for (int k; (k = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (k) {
        case 'a':
            o->address = optarg;
            break;
        case 'p':
            o->port = (int)strtol(optarg, NULL, 10);
            break;
        case 'c':
            o->connections = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            o->seconds = strtod(optarg, NULL);
            break;
        case 'r':
            o->rate = strtod(optarg, NULL);
            break;
        case 'k':
            o->close = true;
            break;
        case 'u':
            o->path = optarg;
            break;
        case 'f':
            o->paths_file = optarg;
            break;
        case 'h':
            o->host = optarg;
            break;
        case 'b':
            o->body = strtoull(optarg, NULL, 10);
            break;
        case 'e':
            o->expect = strtoll(optarg, NULL, 10);
            break;
        case 'z':
            o->until_eof = true;
            break;
        case 'm':
            o->mark = optarg;
            break;
        case 'H':
            if (o->header_n == HEADERS_MAX) {
                usage();
            }
            o->headers[o->header_n++] = optarg;
            break;
        default:
            usage();
        }
    }
    if (o->port <= 0 || o->connections <= 0 || o->seconds <= 0 || (o->close && o->rate > 0)) {
        usage();
    }
}

static void prepare(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1); /* the default slack of 50 µs would show in open-loop latencies */
    run.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)run.opt.port)};
    if (inet_pton(AF_INET, run.opt.address, &run.to.sin_addr) != 1) {
        usage();
    }
    if (run.opt.paths_file != NULL) {
        read_paths(run.opt.paths_file);
    } else {
        add_head(run.opt.path);
    }
    run.ep = epoll_create1(EPOLL_CLOEXEC);
    run.conns = calloc((size_t)run.opt.connections, sizeof *run.conns);
    if (run.ep < 0 || run.conns == NULL || run.head_n == 0) {
        die("start");
    }
    for (int i = 0; i < run.opt.connections; i++) {
        run.conns[i].fd = -1;
    }
    if (run.opt.rate > 0) {
        run.interval = (uint64_t)(1e9 * run.opt.connections / run.opt.rate);
    }
    if (run.opt.until_eof) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
        epoll_ctl(run.ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
    }
    memset(body_out, 'u', sizeof body_out);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    prepare();
    drive();
    print_report((double)(clock_ns() - run.start) / 1e9);
    return run.requests > 0 ? 0 : 1;
}
