/*
 * A small HTTP/1.1 origin for benchmarks: cheap enough not to be what is measured.
 *
 *   origin PORT[:MS] ...   (127.0.0.1; PORT 0 takes a free one; the ports are printed)
 *
 *   /bytes/N               200 with N bytes of body, all the same
 *   /text/N                200 with N bytes of JSON, which compress as such things do
 *   any other path         200 with a fixed body of 13 bytes
 *
 * for any method (HEAD gets the head alone). A request body, with Content-Length or chunked, is
 * read and thrown away before the answer. Keep-alive, pipelining, Expect: 100-continue, HTTP/1.0.
 * What it cannot read gets 400 and a close.
 *
 * A port with :MS is a slow endpoint: every answer of it waits for so many milliseconds, and says
 * so (X-Late: 1). Waiting costs no CPU time, and nobody else waits for it.
 *
 * One thread, one edge-triggered epoll set. Requests that arrived together are answered with one
 * send; long request bodies are dropped in the kernel (MSG_TRUNC), long response bodies are sent
 * from one block of memory.
 *
 *   in:  [ answered | being read ... | free ]      out: [ sent | waiting ... | free ], then
 * body_left
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"
#include "serve.h"

enum {
    IN_MAX = 32768,    /* longest request head */
    OUT_MAX = 16384,   /* answers are collected until this much waits */
    ANSWER_MAX = 8192, /* room that a head and a small body need */
    SMALL_BODY = 4096, /* copied behind its head; longer ones are sent from <block> */
    BLOCK_BYTES = 256 * 1024,
    DROP_MIN = 65536, /* request bodies with so much to come are dropped in the kernel */
    DROP_BYTES = 1 << 20,
    LISTENERS_MAX = 16,
};

enum state {
    READ_HEAD = 0,
    READ_LENGTH,      /* <left> bytes of body */
    READ_CHUNK_SIZE,  /* the hexadecimal digits; <left> collects them */
    READ_CHUNK_LINE,  /* the rest of that line */
    READ_CHUNK_BYTES, /* <left> bytes */
    READ_CHUNK_END,   /* CRLF after them */
    READ_TRAILER,     /* lines up to an empty one; <left> counts the characters of a line */
    HELD,             /* the answer waits for its time: nothing is read meanwhile */
    SEND_ONLY,        /* the last answer is on its way: nothing more is read */
};

/* One of the ports. Its answers wait equally long, so those that do are in the order of a queue. */
struct listener {
    int fd;
    uint64_t late_ns;
    struct conn *first, *last;
};

struct conn {
    int fd;
    enum state state;
    bool readable, writable, rdhup, eof;
    bool dead;
    bool close;         /* after this answer */
    bool head_only;     /* the request was HEAD */
    bool is_text;       /* the answer is JSON */
    uint64_t answer;    /* bytes of body to answer with; UINT64_MAX: the fixed one */
    uint64_t left;      /* see <state> */
    uint64_t body_left; /* of the answer, after <out>: its end */
    size_t in_at, in_n; /* in[in_at, in_n) is not yet read */
    size_t out_at, out_n;
    struct conn *next_dead;
    struct listener *at;
    uint64_t due;           /* HELD: when to answer */
    struct conn *next_held; /* HELD: who answers after it */
    char in[IN_MAX];
    char out[OUT_MAX];
};

static int epoll_fd;
static struct listener listeners[LISTENERS_MAX];
static size_t listener_n;
static char block[BLOCK_BYTES], records[BLOCK_BYTES];
static char date[64];
static struct conn *dead;

static const char fixed_body[] = "Hello, world!";

/* Take <c> out of the queue of those whose answer waits. */
static void unqueue(struct conn *c)
{
    struct listener *l = c->at;
    struct conn **link = &l->first, *before = NULL;

    while (*link != c) {
        before = *link;
        link = &before->next_held;
    }
    *link = c->next_held;
    if (l->last == c)
        l->last = before;
}

static void end_conn(struct conn *c)
{
    if (c->dead)
        return;
    if (c->state == HELD)
        unqueue(c);
    close(c->fd);
    c->dead = true;
    c->next_dead = dead;
    dead = c;
}

/* ---- answers ---- */

static void put(struct conn *c, const void *p, size_t n)
{
    memcpy(c->out + c->out_n, p, n);
    c->out_n += n;
}

static void put_text(struct conn *c, const char *text)
{
    put(c, text, strlen(text));
}

static void put_number(struct conn *c, uint64_t v)
{
    char digits[20], *p = digits + sizeof digits;

    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    put(c, p, (size_t)(digits + sizeof digits - p));
}

/* Queue the answer to the request that has just been read. There is room for it (see serve). */
static void answer(struct conn *c)
{
    bool fixed = c->answer == UINT64_MAX;
    uint64_t n = fixed ? sizeof fixed_body - 1 : c->answer;

    put_text(c, "HTTP/1.1 200 OK\r\nServer: bench-origin\r\nDate: ");
    put_text(c, date);
    put_text(c, c->is_text ? "\r\nContent-Type: application/json" : "\r\nContent-Type: text/plain");
    put_text(c, "\r\nCache-Control: no-cache\r\nContent-Length: ");
    put_number(c, n);
    if (c->at->late_ns > 0)
        put_text(c, "\r\nX-Late: 1");
    put_text(c, c->close ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n");
    if (!c->head_only) {
        if (fixed)
            put(c, fixed_body, n);
        else if (n <= SMALL_BODY)
            put(c, c->is_text ? records : block, n);
        else
            c->body_left = n;
    }
    c->state = c->close ? SEND_ONLY : READ_HEAD;
}

/* The request has been read: answer, at once or when it is time. */
static void respond(struct conn *c)
{
    struct listener *l = c->at;

    if (l->late_ns == 0) {
        answer(c);
        return;
    }
    c->state = HELD;
    c->due = clock_ns() + l->late_ns;
    c->next_held = NULL;
    *(l->first == NULL ? &l->first : &l->last->next_held) = c;
    l->last = c;
}

static void refuse(struct conn *c)
{
    put_text(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    c->close = true;
    c->state = SEND_ONLY;
}

/* Send what waits, as far as it goes. false: the connection is broken. */
static bool flush(struct conn *c)
{
    while (c->writable && (c->out_at < c->out_n || c->body_left > 0)) {
        size_t n_out = c->out_n - c->out_at;
        /* Where the body stands: the same bytes whatever the sends were. */
        size_t at = c->body_left > 0 ? (size_t)((c->answer - c->body_left) % BLOCK_BYTES) : 0;
        size_t n_body = c->body_left < BLOCK_BYTES - at ? (size_t)c->body_left : BLOCK_BYTES - at;
        struct iovec iov[2] = {{c->out + c->out_at, n_out},
                               {(c->is_text ? records : block) + at, n_body}};
        struct msghdr msg = {.msg_iov = n_out > 0 ? iov : iov + 1};
        ssize_t r;
        if (n_body == 0) {
            r = send(c->fd, c->out + c->out_at, n_out, MSG_NOSIGNAL);
        } else {
            msg.msg_iovlen = n_out > 0 ? 2 : 1;
            r = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
        }
        if (r < 0 && errno != EAGAIN)
            return false;
        size_t sent = r < 0 ? 0 : (size_t)r;
        if (sent < n_out + n_body)
            c->writable = false;
        size_t of_out = sent < n_out ? sent : n_out;
        c->out_at += of_out;
        c->body_left -= sent - of_out;
    }
    if (c->out_at == c->out_n)
        c->out_at = c->out_n = 0;
    return true;
}

/* ---- requests ---- */

/* Value of the decimal number at <p>; false when it is none, or not all of <n> bytes. */
static bool parse_number(const char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;

    if (n == 0 || n > 18)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *out = v;
    return true;
}

static bool is_name(const char *line, size_t n, const char *name)
{
    return n == strlen(name) && strncasecmp(line, name, n) == 0;
}

/* Is <word> in the value [p, p + n), whatever its case? */
static bool has_word(const char *p, size_t n, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; i + len <= n; i++) {
        if (strncasecmp(p + i, word, len) == 0)
            return true;
    }
    return false;
}

struct head {
    bool chunked, expects, has_length;
    uint64_t length;
};

static bool read_field(struct conn *c, struct head *h, const char *line, const char *end)
{
    const char *colon = memchr(line, ':', (size_t)(end - line));

    if (colon == NULL)
        return false;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t n = (size_t)(end - value);
    /* The first letter and the length sort out nearly all fields. */
    switch (*line | 0x20) {
    case 'c':
        if (is_name(line, name, "content-length")) {
            h->has_length = true;
            return parse_number(value, n, &h->length);
        }
        if (is_name(line, name, "connection")) {
            if (has_word(value, n, "close"))
                c->close = true;
            else if (has_word(value, n, "keep-alive"))
                c->close = false;
        }
        break;
    case 't':
        if (is_name(line, name, "transfer-encoding"))
            h->chunked = has_word(value, n, "chunked");
        break;
    case 'e':
        if (is_name(line, name, "expect"))
            h->expects = has_word(value, n, "100-continue");
        break;
    }
    return true;
}

/* "GET /bytes/5 HTTP/1.1" */
static bool read_request_line(struct conn *c, const char *line, const char *end)
{
    const char *path = memchr(line, ' ', (size_t)(end - line));
    const char *version = path == NULL ? NULL : memchr(path + 1, ' ', (size_t)(end - path - 1));

    if (version == NULL || end - version != 9 || memcmp(version, " HTTP/1.", 8) != 0)
        return false;
    path++;
    c->head_only = path - line == 5 && memcmp(line, "HEAD", 4) == 0;
    c->close = version[8] == '0';
    c->answer = UINT64_MAX;
    c->is_text = version - path > 6 && memcmp(path, "/text/", 6) == 0;
    if (c->is_text || (version - path > 7 && memcmp(path, "/bytes/", 7) == 0)) {
        const char *number = path + (c->is_text ? 6 : 7);
        const char *query = memchr(path, '?', (size_t)(version - path));
        const char *stop = query == NULL ? version : query;
        return parse_number(number, (size_t)(stop - number), &c->answer);
    }
    return true;
}

/* A head if it is there in full. false: not yet. */
static bool read_head(struct conn *c)
{
    char *p = c->in + c->in_at;
    char *stop = memmem(p, c->in_n - c->in_at, "\r\n\r\n", 4);
    struct head h = {0};

    if (stop == NULL) {
        if (c->in_at == 0 && c->in_n == IN_MAX)
            refuse(c);
        return false;
    }
    c->in_at = (size_t)(stop + 4 - c->in);
    char *end = memmem(p, (size_t)(stop + 2 - p), "\r\n", 2);
    bool good = read_request_line(c, p, end);
    while (good && end < stop) {
        char *line = end + 2;
        end = memmem(line, (size_t)(stop + 2 - line), "\r\n", 2);
        good = read_field(c, &h, line, end);
    }
    if (!good || (h.chunked && h.has_length)) {
        refuse(c);
        return true;
    }
    if (!h.chunked && h.length == 0) {
        respond(c);
        return true;
    }
    if (h.expects && c->in_at == c->in_n)
        put_text(c, "HTTP/1.1 100 Continue\r\n\r\n");
    c->left = h.chunked ? 0 : h.length;
    c->state = h.chunked ? READ_CHUNK_SIZE : READ_LENGTH;
    return true;
}

/* Drop up to <left> of the bytes that were read. */
static void skip(struct conn *c)
{
    size_t have = c->in_n - c->in_at;
    size_t n = c->left < have ? (size_t)c->left : have;

    c->in_at += n;
    c->left -= n;
}

static int hex(char ch)
{
    if (ch >= '0' && ch <= '9')
        return ch - '0';
    ch |= 0x20;
    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}

/* One step in a chunked body; there is at least one byte. */
static void read_chunked(struct conn *c)
{
    if (c->state == READ_CHUNK_BYTES) {
        skip(c);
        if (c->left == 0)
            c->state = READ_CHUNK_END;
        return;
    }
    char ch = c->in[c->in_at++];
    switch (c->state) {
    case READ_CHUNK_SIZE:
        if (hex(ch) < 0)
            c->state =
                ch == '\n' ? (c->left > 0 ? READ_CHUNK_BYTES : READ_TRAILER) : READ_CHUNK_LINE;
        else if (c->left >> 56)
            refuse(c);
        else
            c->left = c->left << 4 | (uint64_t)hex(ch);
        break;
    case READ_CHUNK_LINE:
        if (ch == '\n')
            c->state = c->left > 0 ? READ_CHUNK_BYTES : READ_TRAILER;
        break;
    case READ_CHUNK_END:
        if (ch == '\n')
            c->state = READ_CHUNK_SIZE;
        else if (ch != '\r')
            refuse(c);
        break;
    default: /* READ_TRAILER */
        if (ch == '\n' && c->left == 0)
            respond(c);
        else if (ch == '\n')
            c->left = 0;
        else if (ch != '\r')
            c->left++;
        break;
    }
}

/* Read requests out of <in> until it is used up, an answer has to wait for room, or all is said. */
static void serve(struct conn *c)
{
    while (c->in_at < c->in_n && c->state < HELD && c->body_left == 0 &&
           OUT_MAX - c->out_n >= ANSWER_MAX) {
        if (c->state == READ_HEAD) {
            if (!read_head(c))
                break;
        } else if (c->state == READ_LENGTH) {
            skip(c);
            if (c->left == 0)
                respond(c);
        } else {
            read_chunked(c);
        }
    }
    if (c->in_at == c->in_n) {
        c->in_at = c->in_n = 0;
    } else if (c->in_at > 0 && c->in_n == IN_MAX) {
        memmove(c->in, c->in + c->in_at, c->in_n - c->in_at);
        c->in_n -= c->in_at;
        c->in_at = 0;
    }
}

/* One recv into <in>, or, of a long body, into nothing. false: the connection is broken. */
static bool fill(struct conn *c)
{
    bool in_body = c->state == READ_LENGTH || c->state == READ_CHUNK_BYTES;
    bool drop = in_body && c->in_n == 0 && c->left >= DROP_MIN;
    size_t room = drop ? (c->left < DROP_BYTES ? (size_t)c->left : DROP_BYTES) : IN_MAX - c->in_n;
    ssize_t r;

    if (room == 0)
        return true;
    r = drop ? recv(c->fd, NULL, room, MSG_TRUNC) : recv(c->fd, c->in + c->in_n, room, 0);
    if (r < 0 && errno != EAGAIN)
        return false;
    if (r < 0) {
        c->readable = false;
        return true;
    }
    if (r == 0) {
        c->eof = true;
        return true;
    }
    if ((size_t)r < room && !c->rdhup)
        c->readable = false;
    if (drop) {
        c->left -= (uint64_t)r;
        if (c->left == 0 && c->state == READ_LENGTH)
            respond(c);
        else if (c->left == 0)
            c->state = READ_CHUNK_END;
    } else {
        c->in_n += (size_t)r;
    }
    return true;
}

/* Go on with <c> until the kernel has nothing for it. false: it is over. */
static bool go_on(struct conn *c)
{
    for (;;) {
        serve(c);
        if (!flush(c))
            return false;
        if (c->out_n > 0 || c->body_left > 0)
            return true; /* room will be an event */
        if (c->state >= HELD)
            return c->state == HELD;
        if (c->in_n > c->in_at && c->state != READ_HEAD)
            continue; /* stopped for want of room, which there is now */
        if (c->in_n > c->in_at && memmem(c->in + c->in_at, c->in_n - c->in_at, "\r\n\r\n", 4))
            continue;
        if (c->eof)
            return false;
        if (!c->readable)
            return true;
        if (!fill(c))
            return false;
    }
}

static void on_event(struct conn *c, uint32_t events)
{
    if (c->dead)
        return;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & EPOLLOUT)
        c->writable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP))
        c->rdhup = true;
    if ((events & EPOLLERR) || !go_on(c))
        end_conn(c);
}

/* Answer whoever's time has come; returns when the next one's does, or 0. */
static uint64_t release_due(void)
{
    uint64_t now = clock_ns(), next = 0;

    for (struct listener *l = listeners; l < listeners + listener_n; l++) {
        while (l->first != NULL && l->first->due <= now) {
            struct conn *c = l->first;
            unqueue(c);
            answer(c);
            if (!go_on(c))
                end_conn(c);
        }
        if (l->first != NULL && (next == 0 || l->first->due < next))
            next = l->first->due;
    }
    return next;
}

static void on_accept(struct listener *l)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET};
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return;
    struct conn *c = malloc(sizeof *c);
    if (c == NULL)
        fatal("malloc");
    memset(c, 0, offsetof(struct conn, in));
    c->fd = fd;
    c->at = l;
    ev.data.ptr = c;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
        fatal("epoll_ctl");
}

/* Records of an API's answer: names that repeat, numbers that do not. */
static void fill_text(void)
{
    static const char *const words[] = {"amber", "basil", "cedar", "delta", "ember", "fjord",
                                        "grove", "haven", "inlet", "jetty", "knoll", "lotus",
                                        "maple", "north", "ocean", "prism"};
    uint32_t x = 2463534242u;
    char line[256];
    for (size_t at = 0; at < sizeof records;) {
        uint32_t v[3];
        for (int i = 0; i < 3; i++) {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            v[i] = x;
        }
        size_t n = (size_t)snprintf(
            line, sizeof line,
            "{\"id\": %u, \"name\": \"%s %s\", \"active\": %s, \"score\": %u.%02u, "
            "\"updated\": \"2026-%02u-%02uT%02u:%02u:%02uZ\", \"tags\": [\"%s\", \"%s\"]},\n",
            v[0], words[v[1] % 16], words[v[1] / 16 % 16], v[1] / 256 % 2 ? "true" : "false",
            v[1] / 512 % 1000, v[1] / 1000000 % 100, v[2] % 12 + 1, v[2] / 16 % 28 + 1,
            v[2] / 512 % 24, v[2] / 16384 % 60, v[2] / 1048576 % 60, words[v[2] / 7 % 16],
            words[v[0] / 7 % 16]);
        n = n < sizeof records - at ? n : sizeof records - at;
        memcpy(records + at, line, n);
        at += n;
    }
}

/* The listener that "PORT" or "PORT:MS" asks for. false: it is neither. */
static bool add_listener(const char *word)
{
    struct listener *l = &listeners[listener_n];
    const char *colon = strchr(word, ':');
    uint64_t port, ms = 0;

    if (listener_n == LISTENERS_MAX || (colon && !parse_number(colon + 1, strlen(colon + 1), &ms)))
        return false;
    if (!parse_number(word, colon ? (size_t)(colon - word) : strlen(word), &port) ||
        port > UINT16_MAX)
        return false;
    listener_n++;
    l->late_ns = ms * 1000000;
    l->fd = listen_at(epoll_fd, (uint16_t)port, l);
    return true;
}

/* Wait for events, but no longer than until <when> (0: for ever). */
static int wait_until(uint64_t when, struct epoll_event *batch)
{
    uint64_t now = when > 0 ? clock_ns() : 0, left = when > now ? when - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(left / 1000000000),
                          .tv_nsec = (long)(left % 1000000000)};
    int n = epoll_pwait2(epoll_fd, batch, EVENTS, when > 0 ? &ts : NULL, NULL);

    if (n < 0 && errno != EINTR)
        fatal("epoll_pwait2");
    return n;
}

int main(int argc, char **argv)
{
    struct epoll_event batch[EVENTS];
    time_t now = time(NULL);
    struct tm tm;

    signal(SIGPIPE, SIG_IGN);
    memset(block, 'x', sizeof block);
    fill_text();
    /* Once: the answers of a run are the same length and the same bytes. */
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
    epoll_fd = new_epoll();
    bool good = argc > 1;
    for (int i = 1; good && i < argc; i++)
        good = add_listener(argv[i]);
    if (!good) {
        fputs("usage: origin PORT[:MS] ...\n", stderr);
        exit(2);
    }

    for (;;) {
        int n = wait_until(release_due(), batch);
        for (int i = 0; i < n; i++) {
            struct listener *l = batch[i].data.ptr;
            if (l >= listeners && l < listeners + listener_n)
                on_accept(l);
            else
                on_event(batch[i].data.ptr, batch[i].events);
        }
        while (dead != NULL) {
            struct conn *c = dead;
            dead = c->next_dead;
            free(c);
        }
    }
}
