/* HTTP/2 peers in memory for tests: a codec, an owner that writes what it is told into a text, and
 * a wire between two of them. Include the codec's sources (or link them) before. */
#ifndef PP_HTTP2_PEER_H
#define PP_HTTP2_PEER_H

#include <stdarg.h>

#include "base/mem.h"
#include "pp_test.h"
#include "wire/http2_codec.h"

#define PEER_STREAMS 512
#define PEER_LOG (1 << 16)

struct peer_stream {
    struct pp_http2_stream s; /* first: a pointer to one is a pointer to the other */
    struct peer *p;
    struct pp_arena arena;
    struct pp_http_msg m;
    bool used, keeps; /* keeps: the sink does not take what comes */
    uint64_t got;     /* body bytes */
};

struct peer {
    struct pp_slab chunks;
    struct pp_http2_kind *kind;
    struct pp_http2_codec *h;
    struct peer_stream streams[PEER_STREAMS];
    uint32_t n_streams;
    bool refuses, quiet, keeps;
    uint64_t now_ms;
    char log[PEER_LOG];
    size_t log_n;
};

static inline void peer_say(struct peer *p, const char *fmt, ...) PP_PRINTF(2, 3);
static inline void peer_say(struct peer *p, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (p->quiet || p->log_n + 4096 > sizeof(p->log)) {
        return;
    }
    va_start(ap, fmt);
    n = vsnprintf(p->log + p->log_n, sizeof(p->log) - p->log_n, fmt, ap);
    va_end(ap);
    p->log_n += (size_t)n;
}

static inline struct peer_stream *peer_stream_of(struct pp_http2_stream *s)
{
    return (struct peer_stream *)s;
}

static inline struct peer_stream *peer_take(struct peer *p)
{
    struct peer_stream *t;

    if (p->n_streams == PEER_STREAMS) {
        return NULL;
    }
    t = &p->streams[p->n_streams++];
    memset(t, 0, sizeof(*t));
    t->p = p;
    t->used = true;
    t->keeps = p->keeps;
    pp_arena_init(&t->arena, NULL, 0, 1 << 22);
    return t;
}

static inline struct pp_http2_stream *peer_open(void *owner)
{
    struct peer *p = owner;
    struct peer_stream *t = p->refuses ? NULL : peer_take(p);

    return t ? &t->s : NULL;
}

static inline struct pp_http_msg *peer_message(struct pp_http2_stream *s, enum pp_http2_part part)
{
    struct peer_stream *t = peer_stream_of(s);

    pp_http_msg_init(&t->m, &t->arena);
    return &t->m;
}

static inline void peer_say_fields(struct peer *p, const struct pp_http_msg *m)
{
    for (uint32_t i = 0; i < m->n_field; i++) {
        const struct pp_http_field *f = &m->field[i];
        if (pp_http_field_is_live(f)) {
            peer_say(p, "  %.*s: %.*s%s%s\n", (int)f->name_n, f->name, (int)f->value_n, f->value,
                     f->flags & PP_HTTP_FIELD_HOP ? " (hop)" : "",
                     f->flags & PP_HTTP_FIELD_SECRET ? " (secret)" : "");
        }
    }
}

#define PEER_SPAN(s) (int)(s).n, (s).p ? (s).p : "-"

static inline void peer_head(struct pp_http2_stream *s, bool end)
{
    struct peer_stream *t = peer_stream_of(s);
    const struct pp_http_msg *m = &t->m;
    static const char *const bodies[] = {"none", "length", "chunked", "close"};

    if (m->status == 0) {
        peer_say(t->p, "%u request %.*s %.*s://%.*s path=%.*s query=%.*s protocol=%.*s", s->id,
                 PEER_SPAN(m->method), PEER_SPAN(m->scheme), PEER_SPAN(m->authority),
                 PEER_SPAN(m->path), PEER_SPAN(m->query), PEER_SPAN(m->protocol));
    } else {
        peer_say(t->p, "%u response %u", s->id, m->status);
    }
    peer_say(t->p, " body=%s", bodies[m->body]);
    if (m->body == PP_HTTP_BODY_LENGTH) {
        peer_say(t->p, " %llu", (unsigned long long)m->content_length);
    }
    peer_say(t->p, "%s%s%s\n", m->expect_continue ? " expects" : "",
             m->te_trailers ? " te-trailers" : "", end ? " end" : "");
    peer_say_fields(t->p, m);
}

static inline void peer_bad_head(struct pp_http2_stream *s, int verdict)
{
    peer_say(peer_stream_of(s)->p, "%u bad head %s\n", s->id, pp_err_name(verdict));
}

static inline void peer_data(struct pp_http2_stream *s, struct pp_span data, bool end)
{
    struct peer_stream *t = peer_stream_of(s);

    t->got += data.n;
    if (data.n <= 64) {
        peer_say(t->p, "%u data \"%.*s\"%s\n", s->id, PEER_SPAN(data), end ? " end" : "");
    } else {
        peer_say(t->p, "%u data %zu bytes%s\n", s->id, data.n, end ? " end" : "");
    }
    if (!t->keeps) {
        pp_http2_codec_consume(s, data.n);
    }
}

static inline void peer_trailers(struct pp_http2_stream *s)
{
    peer_say(peer_stream_of(s)->p, "%u trailers\n", s->id);
    peer_say_fields(peer_stream_of(s)->p, &peer_stream_of(s)->m);
}

static inline void peer_reset(struct pp_http2_stream *s, uint32_t code, bool by_peer)
{
    peer_say(peer_stream_of(s)->p, "%u reset %u%s%s%s\n", s->id, code, by_peer ? " by peer" : "",
             s->verdict ? " " : "", s->verdict ? pp_err_name(s->verdict) : "");
}

static inline void peer_writable(struct pp_http2_stream *s)
{
    peer_say(peer_stream_of(s)->p, "%u writable\n", s->id);
}

static inline void peer_goaway(void *owner, uint32_t code, uint32_t last)
{
    peer_say(owner, "goaway %u last %u\n", code, last);
}

static inline void peer_settings(void *owner)
{
    peer_say(owner, "settings\n");
}

static inline void peer_pong(void *owner, uint64_t tag)
{
    peer_say(owner, "pong %llu\n", (unsigned long long)tag);
}

static inline void peer_priority(struct pp_http2_stream *s)
{
    peer_say(peer_stream_of(s)->p, "%u priority u=%u%s\n", s->id, s->urgency,
             s->incremental ? " i" : "");
}

static const struct pp_http2_events peer_events = {
    .open = peer_open,
    .message = peer_message,
    .head = peer_head,
    .bad_head = peer_bad_head,
    .data = peer_data,
    .trailers = peer_trailers,
    .reset = peer_reset,
    .writable = peer_writable,
    .goaway = peer_goaway,
    .settings = peer_settings,
    .pong = peer_pong,
    .priority = peer_priority,
};

/* A peer that has just connected. False when memory is out. */
static inline bool peer_start(struct peer *p, enum pp_http2_role role,
                              const struct pp_http2_limits *limits)
{
    static const struct pp_http2_limits standard;

    memset(p, 0, sizeof(*p));
    pp_buf_slab_init(&p->chunks, 4);
    p->kind = pp_http2_codec_kind_new(role, limits ? limits : &standard, &peer_events, &p->chunks);
    p->h = p->kind ? pp_http2_codec_new(p->kind, p) : NULL;
    return p->h != NULL;
}

static inline void peer_stop(struct peer *p)
{
    pp_http2_codec_free(p->h);
    pp_http2_codec_kind_free(p->kind);
    for (uint32_t i = 0; i < p->n_streams; i++) {
        pp_arena_fini(&p->streams[i].arena);
    }
    pp_slab_fini(&p->chunks);
    memset(p, 0, sizeof(*p));
}

/* What was logged since the last call. */
static inline struct pp_span peer_heard(struct peer *p)
{
    struct pp_span s = pp_span(p->log, p->log_n);

    p->log_n = 0;
    return s;
}

/* Take up to <most> bytes of the output into <to>. */
static inline size_t peer_output(struct peer *p, char *to, size_t most)
{
    struct iovec iov[16];
    size_t n = 0;
    int count = pp_http2_codec_peek(p->h, iov, 16);

    for (int i = 0; i < count && n < most; i++) {
        size_t part = PP_MIN(iov[i].iov_len, most - n);
        memcpy(to + n, iov[i].iov_base, part);
        n += part;
    }
    pp_http2_codec_sent(p->h, n);
    return n;
}

/* Carry what <from> has to say to <to>, in pieces of at most <step> bytes (0: as they come), each
 * in memory of its own. Returns how many bytes; *rc gets the last result of feed. */
static inline size_t peer_carry(struct peer *from, struct peer *to, size_t step, int *rc)
{
    static char wire[1 << 16];
    size_t all = 0, n;

    *rc = PP_OK;
    while ((n = peer_output(from, wire, sizeof(wire))) > 0) {
        for (size_t at = 0; at < n && *rc == PP_OK; at += step ? step : n) {
            size_t part = step ? PP_MIN(step, n - at) : n;
            char *copy = malloc(part);
            memcpy(copy, wire + at, part);
            *rc = pp_http2_codec_feed(to->h, copy, part, to->now_ms);
            free(copy);
        }
        all += n;
        pp_http2_codec_wake(from->h);
        if (*rc == PP_OK) {
            pp_http2_codec_wake(to->h);
        }
    }
    return all;
}

/* Until both have said everything. */
static inline int peer_settle(struct peer *a, struct peer *b, size_t step)
{
    int rc_a = PP_OK, rc_b = PP_OK;
    size_t moved;

    do {
        moved = peer_carry(a, b, step, &rc_b);
        moved += rc_b == PP_OK ? peer_carry(b, a, step, &rc_a) : 0;
    } while (moved > 0 && rc_a == PP_OK && rc_b == PP_OK);
    return rc_a != PP_OK ? rc_a : rc_b;
}

/* Body bytes that all streams got. */
static inline uint64_t peer_streams_got(const struct peer *p)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < p->n_streams; i++) {
        n += p->streams[i].got;
    }
    return n;
}

/* A message with the fields "name: value" of <fields>, NULL at the end; in <t>'s arena. */
static inline void peer_fill(struct peer_stream *t, struct pp_http_msg *m,
                             const char *const *fields)
{
    pp_http_msg_init(m, &t->arena);
    for (; fields && *fields; fields++) {
        const char *colon = strstr(*fields, ": ");
        struct pp_span name = pp_span(*fields, (size_t)(colon - *fields));
        if (pp_http_msg_add(m, name, pp_http_tok_name(name.p, name.n),
                            pp_span(colon + 2, strlen(colon + 2))) != PP_OK) {
            return;
        }
    }
}

static inline struct pp_span peer_text(const char *s)
{
    return s ? pp_span(s, strlen(s)) : PP_SPAN_NONE;
}

/* The client sends a request; NULL when that was not possible (*rc). */
static inline struct peer_stream *peer_request(struct peer *p, const char *method, const char *path,
                                               const char *const *fields, bool end, int *rc)
{
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_NONE};
    struct peer_stream *t = peer_take(p);

    if (!t) {
        *rc = PP_ENOMEM;
        return NULL;
    }
    peer_fill(t, &t->m, fields);
    t->m.method = peer_text(method);
    t->m.method_id = (uint8_t)pp_http_tok_method(t->m.method);
    *rc = pp_http2_codec_send_request(p->h, &t->s, &t->m, PP_SPAN("https"), PP_SPAN("a.test"),
                                      peer_text(path), &fr, end);
    return *rc == PP_OK ? t : NULL;
}

static inline int peer_respond(struct peer_stream *t, unsigned status, const char *const *fields,
                               const struct pp_http1_framing *fr, bool end)
{
    static const struct pp_http1_framing none;
    struct pp_http_msg m;

    peer_fill(t, &m, fields);
    m.status = (uint16_t)status;
    return pp_http2_codec_send_response(&t->s, &m, fr ? fr : &none, end);
}

#endif
