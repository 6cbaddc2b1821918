// links: base/arena.c base/buf.c base/check.c base/err.c base/mem.c base/num.c base/slab.c
// links: base/span.c wire/http2_codec.c wire/http2_codec_feed.c wire/http2_codec_send.c
// links: wire/http2_flood.c wire/http2_msg.c wire/http_msg.c wire/http_priority.c
// links: wire/http_rules.c wire/http_tok.c wire/uri.c
// libs: nghttp2
// dict: http2.dict
/* Frames from a peer that may do anything, whole and in pieces: the same streams come of both, all
 * messages obey the grammar, bodies their lengths, and nothing stays behind. The first byte chooses
 * the role and what the owner does, the second how the input is cut. */
#include "fuzz.h"
#include "wire/http2_codec_impl.h"

#define STREAMS 64
#define REQUESTS 4

enum {
    CLIENT = 1 << 0,
    ANSWER = 1 << 1,  /* a server answers each request at once */
    RELEASE = 1 << 2, /* and lets go of it */
    KEEP = 1 << 3,    /* what comes is not consumed */
    RESET = 1 << 4,   /* every second message is reset when it begins */
    CONNECT = 1 << 5, /* extended CONNECT is welcome */
    SMALL = 1 << 6,   /* small limits */
    NO_PREFACE = 1 << 7
};

struct stream {
    struct pp_http2_stream s; /* first */
    struct side *side;
    struct pp_arena arena;
    struct pp_http_msg m;
    uint64_t digest;
    uint64_t body;
    bool ended, detached;
};

struct side {
    unsigned flags;
    struct pp_slab chunks;
    struct pp_http2_kind *kind;
    struct pp_http2_codec *h;
    struct stream stream[STREAMS];
    unsigned n;
    int rc;
};

static uint64_t mix(uint64_t d, const void *p, size_t n)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < n; i++) {
        d = (d ^ c[i]) * 1099511628211u;
    }
    return d;
}

static struct stream *of(struct pp_http2_stream *s)
{
    return (struct stream *)s;
}

static struct stream *take(struct side *x)
{
    struct stream *t;

    if (x->n == STREAMS) {
        return NULL;
    }
    t = &x->stream[x->n++];
    memset(t, 0, sizeof(*t));
    t->side = x;
    pp_arena_init(&t->arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&t->m, &t->arena);
    return t;
}

static struct pp_http2_stream *on_open(void *owner)
{
    struct stream *t = take(owner);

    return t ? &t->s : NULL;
}

static struct pp_http_msg *on_message(struct pp_http2_stream *s, enum pp_http2_part part)
{
    FUZZ_CHECK(s->codec && s->id > 0);
    pp_http_msg_init(&of(s)->m, &of(s)->arena);
    return &of(s)->m;
}

static void check_message(struct stream *t)
{
    for (uint32_t i = 0; i < t->m.n_field; i++) {
        const struct pp_http_field *f = &t->m.field[i];
        struct pp_span name = pp_http_field_name(f), value = pp_http_field_value(f);
        FUZZ_CHECK(pp_http_tok_is_token(name) && pp_http_tok_is_value(value));
        FUZZ_CHECK(f->id == pp_http_tok_name(name.p, name.n));
        FUZZ_CHECK(pp_span_eq(pp_span_trim(value), value));
        for (size_t k = 0; k < name.n; k++) {
            FUZZ_CHECK(name.p[k] < 'A' || name.p[k] > 'Z');
        }
        t->digest = mix(mix(t->digest, name.p, name.n), value.p, value.n);
    }
}

static void answer(struct stream *t)
{
    static const struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 3};
    struct pp_http_msg m;
    size_t taken;

    pp_http_msg_init(&m, &t->arena);
    m.status = 200;
    (void)!pp_http2_codec_send_response(&t->s, &m, &fr, false);
    (void)!pp_http2_codec_send_data(&t->s, PP_SPAN("abc"), true, &taken);
    if (t->side->flags & RELEASE) {
        pp_http2_codec_release(&t->s);
        t->detached = true;
    }
}

static void on_head(struct pp_http2_stream *s, bool end)
{
    struct stream *t = of(s);
    const struct pp_http_msg *m = &t->m;

    FUZZ_CHECK(s->codec == t->side->h && !t->ended && m->major == 2);
    check_message(t);
    t->digest = mix(mix(t->digest, m->method.p, m->method.n), m->target.p, m->target.n);
    t->digest = mix(t->digest, &m->status, sizeof(m->status));
    t->ended = end;
    if (t->side->flags & CLIENT) {
        FUZZ_CHECK(m->status >= 100 && m->status != 101);
        return;
    }
    FUZZ_CHECK(pp_http_tok_is_token(m->method) && m->authority.n > 0);
    if (t->side->flags & RESET && s->id % 4 == 1) {
        pp_http2_codec_reset(s, PP_HTTP2_CANCEL);
        t->detached = true;
    } else if (t->side->flags & ANSWER) {
        answer(t);
    }
}

static void on_bad_head(struct pp_http2_stream *s, int verdict)
{
    FUZZ_CHECK(verdict < 0 && !(of(s)->side->flags & CLIENT));
    of(s)->digest = mix(of(s)->digest, &verdict, sizeof(verdict));
    pp_http2_codec_reset(s, PP_HTTP2_ENHANCE_YOUR_CALM);
    of(s)->detached = true;
}

static void on_data(struct pp_http2_stream *s, struct pp_span data, bool end)
{
    struct stream *t = of(s);

    FUZZ_CHECK(!t->ended && !t->detached);
    t->digest = mix(t->digest, data.p, data.n);
    t->body += data.n;
    t->ended = end;
    FUZZ_CHECK(t->m.body != PP_HTTP_BODY_NONE || data.n == 0);
    FUZZ_CHECK(t->m.body != PP_HTTP_BODY_LENGTH || t->body <= t->m.content_length);
    FUZZ_CHECK(t->m.body != PP_HTTP_BODY_LENGTH || !end || t->body == t->m.content_length);
    if (!(t->side->flags & KEEP)) {
        pp_http2_codec_consume(s, data.n);
    }
}

static void on_trailers(struct pp_http2_stream *s)
{
    FUZZ_CHECK(!of(s)->ended);
    of(s)->ended = true;
    check_message(of(s));
}

static void on_reset(struct pp_http2_stream *s, uint32_t code, bool by_peer)
{
    struct stream *t = of(s);

    FUZZ_CHECK(!s->codec && !t->detached);
    t->detached = true;
    t->digest = mix(t->digest, &code, sizeof(code)) + by_peer;
}

static void on_writable(struct pp_http2_stream *s)
{
    size_t taken;

    FUZZ_CHECK(s->codec && !s->sent_end);
    (void)!pp_http2_codec_send_data(s, PP_SPAN("abc"), true, &taken);
}

static const struct pp_http2_events events = {
    .open = on_open,
    .message = on_message,
    .head = on_head,
    .bad_head = on_bad_head,
    .data = on_data,
    .trailers = on_trailers,
    .reset = on_reset,
    .writable = on_writable,
};

static void ask(struct side *x)
{
    static const char *const methods[REQUESTS] = {"GET", "POST", "HEAD", "CONNECT"};

    for (unsigned i = 0; i < REQUESTS; i++) {
        static const struct pp_http1_framing fr;
        struct stream *t = take(x);
        size_t taken;
        FUZZ_CHECK(t);
        t->m.method = pp_span(methods[i], strlen(methods[i]));
        t->m.method_id = (uint8_t)pp_http_tok_method(t->m.method);
        FUZZ_CHECK(pp_http2_codec_send_request(x->h, &t->s, &t->m, PP_SPAN("http"), PP_SPAN("a:1"),
                                               PP_SPAN("/"), &fr, i % 2 == 0) == PP_OK);
        if (i == 1) {
            FUZZ_CHECK(pp_http2_codec_send_data(&t->s, PP_SPAN("abc"), false, &taken) == PP_OK);
        }
    }
}

static void drain(struct side *x)
{
    struct iovec iov[4];

    for (int n; (n = pp_http2_codec_peek(x->h, iov, 4)) > 0;) {
        for (int i = 0; i < n; i++) {
            pp_http2_codec_sent(x->h, iov[i].iov_len);
        }
    }
}

static int feed(struct side *x, const uint8_t *in, size_t n, unsigned step)
{
    int rc = PP_OK;

    for (size_t at = 0; at < n && rc == PP_OK;) {
        size_t end = fuzz_piece_end(at, n, step);
        char *copy = fuzz_copy(in + at, end - at);
        rc = pp_http2_codec_feed(x->h, copy, end - at, 1000);
        free(copy);
        at = end;
    }
    return rc;
}

static void run(struct side *x, unsigned flags, const uint8_t *in, size_t n, unsigned step)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    struct pp_http2_limits limits = {.connect_protocol = (flags & CONNECT) != 0};

    if (flags & SMALL) {
        limits.head_bytes = 300;
        limits.fields = 8;
        limits.max_streams = 4;
    }
    memset(x, 0, sizeof(*x));
    x->flags = flags;
    pp_buf_slab_init(&x->chunks, 2);
    x->kind = pp_http2_codec_kind_new(flags & CLIENT ? PP_HTTP2_CLIENT : PP_HTTP2_SERVER, &limits,
                                      &events, &x->chunks);
    FUZZ_CHECK(x->kind);
    x->h = pp_http2_codec_new(x->kind, x);
    FUZZ_CHECK(x->h);
    x->rc = PP_OK;
    if (flags & CLIENT) {
        ask(x);
    } else if (!(flags & NO_PREFACE)) {
        x->rc = feed(x, (const uint8_t *)preface, sizeof(preface) - 1, 0);
    }
    if (x->rc == PP_OK) {
        x->rc = feed(x, in, n, step);
    }
    if (x->rc == PP_OK) {
        pp_http2_codec_wake(x->h);
    }
}

static void end(struct side *x)
{
    unsigned open = 0;

    for (unsigned i = 0; i < x->n; i++) {
        FUZZ_CHECK(x->stream[i].detached == !x->stream[i].s.codec);
        open += x->stream[i].s.codec && !x->stream[i].s.over;
    }
    FUZZ_CHECK(open == x->h->n_open);
    drain(x);
    for (unsigned i = 0; i < x->n; i += 2) {
        pp_http2_codec_release(&x->stream[i].s);
    }
    pp_http2_codec_free(x->h);
    for (unsigned i = 0; i < x->n; i++) {
        FUZZ_CHECK(!x->stream[i].s.codec);
        pp_arena_fini(&x->stream[i].arena);
    }
    pp_http2_codec_kind_free(x->kind);
    FUZZ_CHECK(x->chunks.n_live == 0);
    pp_slab_fini(&x->chunks);
}

static void check_same(const struct side *whole, const struct side *cut)
{
    FUZZ_CHECK(pp_http2_codec_error(whole->h) == pp_http2_codec_error(cut->h));
    for (unsigned i = 0; i < whole->n; i++) {
        const struct stream *a = &whole->stream[i], *b = &cut->stream[i];
        FUZZ_CHECK(a->digest == b->digest && a->ended == b->ended && a->detached == b->detached);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct side whole, cut;

    if (n < 2) {
        return 0;
    }
    run(&whole, bytes[0], bytes + 2, n - 2, 0);
    run(&cut, bytes[0], bytes + 2, n - 2, 1 + bytes[1] % 64);
    FUZZ_CHECK(whole.rc == cut.rc && whole.n == cut.n);
    FUZZ_CHECK(pp_http2_codec_flood(whole.h) == pp_http2_codec_flood(cut.h));
    /* Where in its last frame a flood is found depends on the cutting. */
    if (pp_http2_codec_flood(whole.h) == PP_HTTP2_FLOOD_NONE) {
        check_same(&whole, &cut);
    }
    end(&whole);
    end(&cut);
    return 0;
}
