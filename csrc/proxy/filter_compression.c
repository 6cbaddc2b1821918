#include "proxy/filter_compression.h"

#include "proxy/filter_coder.h"

/* The codings that we compress with. */
#define OURS 3

struct compression {
    uint32_t n_type, n_coding;
    struct pp_span *type; /* may begin or end with '*' */
    uint8_t coding[OURS]; /* enum pp_http_coding, best first */
    uint64_t min_length;
    struct pp_filter_coders pool[PP_HTTP_CODING_COUNT];
};

/* The body of one response. */
struct stream {
    struct pp_filter_coder *coder; /* NULL: it stays as it is */
    bool flows;                    /* of unknown length: pauses are told */
    bool pending;                  /* bytes since the last pause */
};

/* ---- making ---- */

struct bounds {
    const char *key;
    int64_t level, level_min, level_max, window, window_max; /* defaults and what is allowed */
};
static const struct bounds bounds_of[PP_HTTP_CODING_COUNT] = {
    [PP_HTTP_CODING_GZIP] = {"gzip", 4, 1, PP_COMPRESS_GZIP_LEVEL_MAX, 15,
                             PP_COMPRESS_GZIP_WINDOW_MAX},
    [PP_HTTP_CODING_BROTLI] = {"br", 4, 0, PP_COMPRESS_BROTLI_LEVEL_MAX, 18,
                               PP_COMPRESS_BROTLI_WINDOW_MAX},
    [PP_HTTP_CODING_ZSTD] = {"zstd", 3, 1, PP_COMPRESS_ZSTD_LEVEL_MAX, 18,
                             PP_COMPRESS_ZSTD_WINDOW_MAX},
};

static int make_coding(struct pp_filter_make *m, const struct pp_options *o, struct compression *c,
                       struct pp_span word)
{
    enum pp_http_coding coding = pp_http_coding_find(word);
    if (coding >= PP_HTTP_CODING_COUNT || bounds_of[coding].key == NULL)
        return pp_filter_refuse(m, "responses cannot be compressed with", word);
    if (c->pool[coding].conf.coding != PP_HTTP_CODING_IDENTITY)
        return pp_filter_refuse(m, "named twice:", word);
    const struct bounds *b = &bounds_of[coding];
    const struct pp_options *set = pp_options_get_map(o, b->key, &m->fault);
    int64_t level = b->level, window = b->window;
    pp_options_get_int(set, "level", b->level_min, b->level_max, &level, &m->fault);
    pp_options_get_int(set, "window", PP_COMPRESS_WINDOW_MIN, b->window_max, &window, &m->fault);
    c->pool[coding].conf = (struct pp_compress_conf){
        .coding = (uint8_t)coding, .level = (uint8_t)level, .window = (uint8_t)window};
    c->coding[c->n_coding++] = (uint8_t)coding;
    return pp_filter_coder_prepare(&c->pool[coding], m->arena);
}

static int make_types(struct pp_filter_make *m, const struct pp_options *types,
                      struct compression *c)
{
    c->type = pp_arena_alloc(m->arena, types->n * sizeof(*c->type));
    if (c->type == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < types->n; i++)
        c->type[c->n_type++] = pp_options_text(&types->as.item[i], "types", &m->fault);
    return PP_OK;
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct compression *c = pp_arena_alloc(m->arena, sizeof(*c));
    if (c == NULL)
        return PP_ENOMEM;
    memset(c, 0, sizeof(*c));
    int64_t min_length = 1024;
    pp_options_get_int(o, "min_length", 0, INT64_MAX, &min_length, &m->fault);
    c->min_length = (uint64_t)min_length;
    const struct pp_options *codings = pp_options_get_list(o, "codings", &m->fault);
    int rc = make_types(m, pp_options_get_list(o, "types", &m->fault), c);
    for (uint32_t i = 0; i < codings->n && rc == PP_OK; i++)
        rc = make_coding(m, o, c, pp_options_text(&codings->as.item[i], "codings", &m->fault));
    *self = c;
    return rc;
}

/* ---- which responses ---- */

static bool fits(struct pp_span type, struct pp_span pattern)
{
    if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*') {
        pattern.n--;
        return type.n >= pattern.n && pp_span_eq_fold(pp_span(type.p, pattern.n), pattern);
    }
    if (pattern.n > 0 && pattern.p[0] == '*') {
        pattern.p++;
        pattern.n--;
        return type.n >= pattern.n &&
               pp_span_eq_fold(pp_span(type.p + type.n - pattern.n, pattern.n), pattern);
    }
    return pp_span_eq_fold(type, pattern);
}

static bool has_type(const struct compression *c, const struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONTENT_TYPE);
    if (f == NULL)
        return false;
    struct pp_span type = pp_http_field_value(f);
    type = pp_span_trim(pp_span(type.p, pp_span_find(type, ';')));
    for (uint32_t i = 0; i < c->n_type; i++) {
        if (fits(type, c->type[i]))
            return true;
    }
    return false;
}

/* May this response be compressed, for a client that likes it? <n>: its length, UINT64_MAX when
 * it is not known; <must>: it does not take it as it is. */
static bool is_worth_it(const struct compression *c, const struct pp_exchange *x, uint64_t n,
                        bool must)
{
    const struct pp_http_msg *m = &x->response;
    if (n == 0 || (n < c->min_length && !must))
        return false;
    return has_type(c, m) && pp_http_msg_find_id(m, PP_NAME_CONTENT_ENCODING) == NULL &&
           pp_filter_coder_may(x);
}

/* Bytes of the body; UINT64_MAX: not known. */
static uint64_t length_of(const struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->response;
    if (x->state == PP_EXCHANGE_REPLY)
        return x->reply_body.n;
    if (m->body == PP_HTTP_BODY_LENGTH)
        return m->content_length;
    if (m->body != PP_HTTP_BODY_NONE)
        return UINT64_MAX;
    if (x->request.method_id != PP_HTTP_HEAD) /* it opens a tunnel, say */
        return 0;
    return x->declared_length ? m->content_length : UINT64_MAX;
}

/* ---- its head ---- */

static int describe(struct pp_exchange *x, enum pp_http_coding coding)
{
    int rc = pp_filter_coder_rewritten(x);
    return rc != PP_OK ? rc
                       : pp_http_msg_set(&x->response, PP_SPAN("Content-Encoding"),
                                         PP_NAME_CONTENT_ENCODING, pp_http_coding_text(coding));
}

/* ---- running ---- */

/* An answer of our own is whole already. */
static int encode_reply(struct pp_exchange *x, struct pp_filter_coder *coder)
{
    int rc = pp_filter_coder_run(coder, x->reply_body, PP_COMPRESS_END, SIZE_MAX, &x->reply_body);
    return rc == PP_EEND ? PP_OK : rc;
}

static int begin(struct compression *c, struct pp_exchange *x, enum pp_http_coding coding)
{
    struct stream *s = pp_filter_state(x, c, sizeof(*s));
    struct pp_filter_coder *coder = s == NULL ? NULL : pp_filter_coder_lend(&c->pool[coding], x);
    if (coder == NULL) /* then without */
        return PP_OK;
    bool own = x->state == PP_EXCHANGE_REPLY;
    int rc = own ? encode_reply(x, coder) : PP_OK;
    if (rc == PP_OK)
        rc = describe(x, coding);
    s->coder = own || x->response.body == PP_HTTP_BODY_NONE ? NULL : coder;
    s->flows = x->response.body != PP_HTTP_BODY_LENGTH;
    return rc;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    struct compression *c = self;
    struct pp_http_coding_accept accept;
    int rc = PP_OK;
    (void)phase;
    pp_http_coding_accept(&x->request, &accept);
    enum pp_http_coding coding = pp_http_coding_choose(&accept, c->coding, c->n_coding);
    bool must = accept.q[PP_HTTP_CODING_IDENTITY] == 0;
    if (is_worth_it(c, x, length_of(x), must)) {
        rc = pp_filter_coder_vary(x);
        if (rc == PP_OK && coding != PP_HTTP_CODING_IDENTITY)
            rc = begin(c, x, coding);
    }
    if (rc != PP_OK)
        return pp_filter_fail(x, PP_FAULT_NO_MEMORY, rc);
    const struct stream *s = pp_filter_state_find(x, c);
    if (s == NULL || s->coder == NULL)
        pp_filter_stand_by(x, PP_DIR_RESPONSE);
    return PP_NEXT;
}

/* Has the endpoint sent no more than what is in hand? Of a connection that it shares with others,
 * nobody knows. */
static bool pauses(const struct pp_exchange *x)
{
    const struct pp_side_ops *up = x->ops[PP_SIDE_UP];
    return up == NULL || x->response.major == 2 || (!up->is_readable(x) && !up->has_buffered(x));
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    struct stream *s = pp_filter_state_find(x, self);
    enum pp_compress_how how = PP_COMPRESS_MORE;
    (void)phase;
    *out = piece;
    if (s == NULL || s->coder == NULL)
        return PP_NEXT;
    s->pending = s->pending || piece.n > 0;
    if (last)
        how = PP_COMPRESS_END;
    else if (s->flows && s->pending && pauses(x))
        how = PP_COMPRESS_SYNC;
    int rc = pp_filter_coder_run(s->coder, piece, how, SIZE_MAX, out);
    if (rc != PP_OK && rc != PP_EEND)
        return pp_filter_fail(x, rc == PP_ENOMEM ? PP_FAULT_NO_MEMORY : PP_FAULT_FILTER_ERROR, rc);
    s->pending = s->pending && how == PP_COMPRESS_MORE;
    x->flow[PP_DIR_RESPONSE].withheld = s->flows && s->pending;
    return PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "compression", .run = run, .body = body};

const struct pp_filter_kind pp_filter_compression_kind = {
    .name = "compression",
    .phases = PP_PHASE_BIT(RESPONSE) | PP_PHASE_BIT(RESPONSE_BODY),
    .ops = &ops,
    .make = make,
};
