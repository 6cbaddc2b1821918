/* A client that speaks HTTP/2 with the rig's worker: the codec in its other role. What it hears is
 * a text, as wire/http2_peer.h writes it. */
#ifndef PP_PROXY_H2_CLIENT_H
#define PP_PROXY_H2_CLIENT_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../wire/http2_peer.h"
#pragma GCC diagnostic pop
#include "proxy/rig.h"

struct h2_client {
    struct peer p;
    struct rig *r;
    int fd;
    int ended;   /* -1: open; 0 or the errno with which the connection ended */
    size_t step; /* bytes sent at once, 0: all */
    bool deaf;   /* reads nothing */
};

static inline bool h2_start(struct h2_client *c, struct rig *r, const struct pp_http2_limits *l)
{
    bool ok = peer_start(&c->p, PP_HTTP2_CLIENT, l);
    c->r = r;
    c->fd = rig_connect(r);
    c->ended = -1;
    c->step = 0;
    c->deaf = false;
    return ok;
}

static inline void h2_stop(struct h2_client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    peer_stop(&c->p);
}

/* Send what the codec has to say, turn, and hear what has come. True: something moved. */
static inline bool h2_step(struct h2_client *c)
{
    static char wire[1 << 16];
    bool moved = false;
    size_t n;
    if (c->ended >= 0)
        return false;
    while ((n = peer_output(&c->p, wire, sizeof wire)) > 0) {
        moved = true;
        for (size_t at = 0; at < n; at += c->step ? c->step : n) {
            size_t part = c->step ? PP_MIN(c->step, n - at) : n;
            if (!rig_send_n(c->r, c->fd, wire + at, part))
                return false;
            if (c->step)
                rig_turn(c->r, 0);
        }
        pp_http2_codec_wake(c->p.h);
    }
    rig_turn(c->r, 1);
    if (c->deaf)
        return moved;
    ssize_t k = recv(c->fd, wire, sizeof wire, 0);
    if (k < 0 && (errno == EAGAIN || errno == ENOTCONN))
        return moved;
    if (k <= 0) {
        c->ended = k == 0 ? 0 : errno;
        return true;
    }
    (void)!pp_http2_codec_feed(c->p.h, wire, (size_t)k, 0);
    pp_http2_codec_wake(c->p.h);
    return true;
}

/* Until nothing moves for a while. */
static inline void h2_settle(struct h2_client *c)
{
    for (int quiet = 0; quiet < 6;)
        quiet = h2_step(c) ? 0 : quiet + 1;
}

/* Until <text> was heard, or time is up: then it is a failed check. The log starts again. */
static inline void h2_hear_at(struct h2_client *c, const char *text, const char *file, int line)
{
    uint64_t until = rig_real_ms() + RIG_WAIT_MS;
    c->p.log[c->p.log_n] = '\0';
    while (strstr(c->p.log, text) == NULL && rig_real_ms() < until && c->ended < 0) {
        h2_step(c);
        c->p.log[c->p.log_n] = '\0';
    }
    bool ok = strstr(c->p.log, text) != NULL;
    pp_test_true(ok, text, file, line);
    if (!ok)
        printf("    heard: %s\n", c->p.log);
    c->p.log_n = 0;
}
#define h2_hear(c, text) h2_hear_at((c), (text), __FILE__, __LINE__)

/* The connection ends in order. */
static inline void h2_expect_end_at(struct h2_client *c, const char *file, int line)
{
    uint64_t until = rig_real_ms() + RIG_WAIT_MS;
    while (c->ended < 0 && rig_real_ms() < until)
        h2_step(c);
    pp_test_eq(c->ended, 0, "how the connection ends", file, line);
}
#define h2_expect_end(c) h2_expect_end_at((c), __FILE__, __LINE__)

/* A request without body; <path> "/": RIG_GOT is what an origin gets of it. */
static inline struct peer_stream *h2_get(struct h2_client *c, const char *path)
{
    int rc;
    struct peer_stream *s = peer_request(&c->p, "GET", path, NULL, true, &rc);
    PP_CHECK_EQ(rc, PP_OK);
    h2_step(c);
    return s;
}

/* The head of a request whose body follows. */
static inline struct peer_stream *h2_post(struct h2_client *c, const char *const *fields)
{
    int rc;
    struct peer_stream *s = peer_request(&c->p, "POST", "/", fields, false, &rc);
    PP_CHECK_EQ(rc, PP_OK);
    h2_step(c);
    return s;
}

/* All of <data>, as far as the windows allow; how much that was. */
static inline size_t h2_data(struct h2_client *c, struct peer_stream *s, struct pp_span data,
                             bool end)
{
    size_t n = 0, taken = 1;
    for (int idle = 0; idle < 4 && (n < data.n || !s->s.sent_end) && s->s.codec != NULL;) {
        if (pp_http2_codec_send_data(&s->s, pp_span(data.p + n, data.n - n), end, &taken) != PP_OK)
            break;
        n += taken;
        if (!end && n == data.n)
            break;
        idle = h2_step(c) || taken > 0 ? 0 : idle + 1;
    }
    h2_step(c);
    return n;
}

/* What an origin gets of a request that h2_get or h2_post has sent, up to the fields that differ.
 */
#define H2_FWD                                                                                     \
    "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.test\r\n"
#define H2_GOT "GET / HTTP/1.1\r\nHost: a.test\r\n" H2_FWD "\r\n"

#endif
