/* An origin that speaks HTTP/2, played by a test over the rig's sockets with the codec's server
 * role.
 *
 * Streams are numbered by their arrival at the origin, from 0, over all of its connections. */
#ifndef PP_PROXY_H2_ORIGIN_H
#define PP_PROXY_H2_ORIGIN_H

#include "proxy/retry.h"
#include "proxy/rig.h"
#include "wire/http2_codec.h"

#define O2_STREAMS 160
#define O2_BODY (1 << 20)

struct o2;

struct o2_stream {
    struct pp_http2_stream s;
    struct o2 *o;
    struct pp_http_msg request, trailers;
    struct pp_arena arena;
    char *body;
    size_t n;
    bool head, end, reset;
    uint32_t code; /* of the reset */
};

/* One connection. */
struct o2 {
    struct rig *r;
    int fd;
    bool eof;
    struct pp_slab chunks;
    struct pp_http2_kind *kind;
    struct pp_http2_codec *codec;
    struct o2_stream *stream; /* of all connections of one array */
    unsigned *n;
    bool keeps;      /* windows stay shut */
    bool refuses;    /* new streams */
    uint32_t goaway; /* 1 + code of the proxy's GOAWAY */
    unsigned pongs;
    int fed; /* what the codec has said last */
};

static struct o2_stream o2_streams[O2_STREAMS];
static unsigned o2_n;

static inline struct o2_stream *o2_of(struct pp_http2_stream *s)
{
    return PP_CONTAINER_OF(s, struct o2_stream, s);
}

static inline struct pp_http2_stream *o2_open(void *owner)
{
    struct o2 *o = owner;
    if (o->refuses || o2_n == O2_STREAMS)
        return NULL;
    struct o2_stream *s = &o2_streams[o2_n++];
    memset(s, 0, sizeof *s);
    s->o = o;
    pp_arena_init(&s->arena, NULL, 0, 1 << 22);
    return &s->s;
}

static inline struct pp_http_msg *o2_message(struct pp_http2_stream *cs, enum pp_http2_part part)
{
    struct o2_stream *s = o2_of(cs);
    struct pp_http_msg *m = part == PP_HTTP2_HEAD ? &s->request : &s->trailers;
    pp_http_msg_init(m, &s->arena);
    return m;
}

static inline void o2_head(struct pp_http2_stream *cs, bool end)
{
    o2_of(cs)->head = true;
    o2_of(cs)->end = end;
}

static inline void o2_bad_head(struct pp_http2_stream *cs, int verdict)
{
    PP_CHECK_EQ(verdict, PP_OK);
}

static inline void o2_data(struct pp_http2_stream *cs, struct pp_span data, bool end)
{
    struct o2_stream *s = o2_of(cs);
    if (s->body == NULL)
        s->body = malloc(O2_BODY);
    PP_CHECK(s->n + data.n <= O2_BODY);
    if (data.n > 0)
        memcpy(s->body + s->n, data.p, data.n);
    s->n += data.n;
    s->end = end;
    if (!s->o->keeps)
        pp_http2_codec_consume(cs, data.n);
}

static inline void o2_trailers(struct pp_http2_stream *cs)
{
    o2_of(cs)->end = true;
}

static inline void o2_reset(struct pp_http2_stream *cs, uint32_t code, bool by_peer)
{
    PP_CHECK(by_peer);
    o2_of(cs)->reset = true;
    o2_of(cs)->code = code;
}

static inline void o2_writable(struct pp_http2_stream *cs)
{
    (void)cs;
}

static inline void o2_goaway(void *owner, uint32_t code, uint32_t last)
{
    (void)last;
    ((struct o2 *)owner)->goaway = 1 + code;
}

static inline void o2_settings(void *owner)
{
    (void)owner;
}

static inline void o2_pong(void *owner, uint64_t tag)
{
    (void)tag;
    ((struct o2 *)owner)->pongs++;
}

static const struct pp_http2_events o2_events = {.open = o2_open,
                                                 .message = o2_message,
                                                 .head = o2_head,
                                                 .bad_head = o2_bad_head,
                                                 .data = o2_data,
                                                 .trailers = o2_trailers,
                                                 .reset = o2_reset,
                                                 .writable = o2_writable,
                                                 .goaway = o2_goaway,
                                                 .settings = o2_settings,
                                                 .pong = o2_pong};

/* Write what the codec has. */
static inline void o2_flush(struct o2 *o)
{
    struct iovec iov[8];
    int n;
    while (!o->eof && (n = pp_http2_codec_peek(o->codec, iov, 8)) > 0) {
        ssize_t k = writev(o->fd, iov, n);
        if (k < 0)
            break;
        pp_http2_codec_sent(o->codec, (size_t)k);
    }
}

/* Read what is there, answer what must be answered. */
static inline void o2_step(struct o2 *o)
{
    static char in[65536];
    ssize_t k;
    while (!o->eof && (k = recv(o->fd, in, sizeof in, 0)) >= 0) {
        if (k == 0)
            o->eof = true;
        else
            o->fed = pp_http2_codec_feed(o->codec, in, (size_t)k, rig_real_ms());
    }
    if (!o->eof && errno == ECONNRESET)
        o->eof = true;
    o2_flush(o);
}

static inline void o2_limits(struct o2 *o, struct rig *r, int fd,
                             const struct pp_http2_limits *limits)
{
    memset(o, 0, sizeof *o);
    o->r = r;
    o->fd = fd;
    pp_buf_slab_init(&o->chunks, 4);
    o->kind = pp_http2_codec_kind_new(PP_HTTP2_SERVER, limits, &o2_events, &o->chunks);
    o->codec = pp_http2_codec_new(o->kind, o);
    PP_CHECK(o->codec != NULL);
    o2_flush(o);
}

/* The next connection to origin <i>. */
static inline void o2_accept(struct o2 *o, struct rig *r, unsigned i)
{
    struct pp_http2_limits limits = {0};
    o2_limits(o, r, rig_accept(r, i), &limits);
}

/* What clients of HTTP/1 get for two answers of o2_respond. */
#define O2_DATE "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define O2_HI "HTTP/1.1 200 OK\r\n" O2_DATE "Content-Length: 2\r\n\r\nhi"
#define O2_NO_CONTENT "HTTP/1.1 204 No Content\r\n" O2_DATE "\r\n"

/* The rig whose origins speak HTTP/2 without TLS, and no streams yet. */
static inline struct rig_conf o2_conf(void)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.http2.protocol = PP_CLUSTER_H2C;
    o2_n = 0;
    return conf;
}

/* Turn the worker and the origin until nothing happens any more. */
static inline void o2_settle(struct o2 *o)
{
    for (int i = 0; i < 3; i++) {
        rig_settle(o->r);
        o2_step(o);
    }
    rig_settle(o->r);
}

/* The next connection to origin <i>, with all that comes on it. */
static inline void o2_serve(struct o2 *o, struct rig *r, unsigned i)
{
    o2_accept(o, r, i);
    o2_settle(o);
}

static inline bool o2_has(const struct o2_stream *s, const char *method, const char *target)
{
    return s->head && pp_span_eq(s->request.method, rig_span(method)) &&
           pp_span_eq(s->request.target, rig_span(target));
}

/* A response; <body> NULL: the head is all. <end>: and so is this. */
static inline void o2_respond(struct o2_stream *s, unsigned status, const char *body, bool end)
{
    struct pp_http_msg m;
    struct pp_http1_framing fr = {0};
    size_t taken;
    pp_http_msg_init(&m, &s->arena);
    m.status = (uint16_t)status;
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("date"), PP_NAME_DATE,
                                PP_SPAN("Sun, 06 Nov 1994 08:49:37 GMT")),
                PP_OK);
    if (end && body != NULL) {
        fr.body = PP_HTTP_BODY_LENGTH;
        fr.content_length = strlen(body);
    }
    PP_CHECK_EQ(pp_http2_codec_send_response(&s->s, &m, &fr, end && body == NULL), PP_OK);
    if (body != NULL)
        PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, rig_span(body), end, &taken), PP_OK);
    o2_flush(s->o);
}

static inline void o2_more(struct o2_stream *s, const char *body, bool end)
{
    size_t taken;
    PP_CHECK_EQ(pp_http2_codec_send_data(&s->s, rig_span(body), end, &taken), PP_OK);
    PP_CHECK_EQ(taken, strlen(body));
    o2_flush(s->o);
}

static inline void o2_close(struct o2 *o)
{
    if (o->fd >= 0)
        close(o->fd);
    o->fd = -1;
    pp_http2_codec_free(o->codec);
    pp_http2_codec_kind_free(o->kind);
    pp_slab_fini(&o->chunks);
    for (unsigned i = 0; i < o2_n; i++) {
        if (o2_streams[i].o != o)
            continue;
        pp_arena_fini(&o2_streams[i].arena);
        free(o2_streams[i].body);
        o2_streams[i].body = NULL;
    }
}

#endif
