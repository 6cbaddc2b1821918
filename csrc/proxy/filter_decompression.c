#include "proxy/filter_decompression.h"

#include "proxy/filter_coder.h"

struct decompression {
    bool responses, requests;
    uint64_t max_ratio, max_size;
    struct pp_filter_coders pool[PP_HTTP_CODING_COUNT];
};

/* A body that is decoded, by enum pp_dir. */
struct bodies {
    struct body {
        struct pp_filter_coder *coder; /* NULL: it stays as it is */
        uint64_t in, out;              /* bytes so far */
        bool ended;                    /* at the end of the coding's stream */
    } of[2];
};

/* ---- making ---- */

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct decompression *d = pp_arena_alloc(m->arena, sizeof(*d));
    int64_t ratio = 100, size = (int64_t)64 << 20;
    if (d == NULL)
        return PP_ENOMEM;
    memset(d, 0, sizeof(*d));
    d->responses = true;
    pp_options_get_bool(o, "responses", &d->responses, &m->fault);
    pp_options_get_bool(o, "requests", &d->requests, &m->fault);
    pp_options_get_int(o, "max_ratio", 1, INT32_MAX, &ratio, &m->fault);
    pp_options_get_int(o, "max_size", 1, INT64_MAX, &size, &m->fault);
    d->max_ratio = (uint64_t)ratio;
    d->max_size = (uint64_t)size;
    if (!d->responses)
        m->phases &= ~(PP_PHASE_BIT(RESPONSE) | PP_PHASE_BIT(RESPONSE_BODY));
    if (!d->requests)
        m->phases &= ~(PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(REQUEST_BODY));
    int rc = PP_OK;
    for (unsigned i = PP_HTTP_CODING_IDENTITY + 1; i < PP_HTTP_CODING_COUNT && rc == PP_OK; i++) {
        d->pool[i].conf = (struct pp_compress_conf){.coding = (uint8_t)i, .decodes = true};
        rc = pp_filter_coder_prepare(&d->pool[i], m->arena);
    }
    *self = d;
    return rc;
}

/* ---- heads ---- */

static int begin(struct decompression *d, struct pp_exchange *x, enum pp_dir dir,
                 enum pp_http_coding coding)
{
    struct pp_http_msg *m = dir == PP_DIR_REQUEST ? &x->request : &x->response;
    if (m->body != PP_HTTP_BODY_NONE) {
        struct bodies *all = pp_filter_state(x, d, sizeof(*all));
        if (all == NULL)
            return PP_ENOMEM;
        all->of[dir].coder = pp_filter_coder_lend(&d->pool[coding], x);
        if (all->of[dir].coder == NULL)
            return PP_ENOMEM;
    }
    (void)pp_http_msg_remove(m, PP_SPAN("content-encoding"), PP_NAME_CONTENT_ENCODING);
    return PP_OK;
}

static int refuse_coding(struct pp_exchange *x)
{
    int verdict = pp_filter_reply(x, 415, PP_SPAN("text/plain"),
                                  PP_SPAN("the content coding is not supported\n"));
    if (x->replied &&
        pp_http_msg_add(&x->response, PP_SPAN("Accept-Encoding"), PP_NAME_ACCEPT_ENCODING,
                        PP_SPAN("gzip, deflate, br, zstd")) != PP_OK)
        return pp_filter_failed(x, PP_ENOMEM);
    return verdict;
}

static int on_request(struct decompression *d, struct pp_exchange *x)
{
    enum pp_http_coding coding = pp_http_coding_of(&x->request);
    bool empty = x->request.body == PP_HTTP_BODY_NONE ||
                 (x->request.body == PP_HTTP_BODY_LENGTH && x->request.content_length == 0);
    if (empty || coding == PP_HTTP_CODING_IDENTITY) {
        pp_filter_stand_by(x, PP_DIR_REQUEST);
        return PP_NEXT;
    }
    if (coding == PP_HTTP_CODING_COUNT)
        return refuse_coding(x);
    int rc = begin(d, x, PP_DIR_REQUEST, coding);
    return rc == PP_OK ? PP_NEXT : pp_filter_failed(x, rc);
}

/* Has the response a coding that we can take off, and the client no use for it? */
static bool is_wanted(const struct pp_exchange *x, enum pp_http_coding coding)
{
    const struct pp_http_msg *m = &x->response;
    struct pp_http_coding_accept accept;
    if (coding == PP_HTTP_CODING_IDENTITY || coding == PP_HTTP_CODING_COUNT ||
        x->state == PP_EXCHANGE_REPLY || !pp_filter_coder_may(x) ||
        (m->body == PP_HTTP_BODY_LENGTH && m->content_length == 0) ||
        (m->body == PP_HTTP_BODY_NONE && x->request.method_id != PP_HTTP_HEAD))
        return false;
    pp_http_coding_accept(&x->request, &accept);
    return accept.q[coding] == 0;
}

static int on_response(struct decompression *d, struct pp_exchange *x)
{
    enum pp_http_coding coding = pp_http_coding_of(&x->response);
    if (!is_wanted(x, coding)) {
        pp_filter_stand_by(x, PP_DIR_RESPONSE);
        return PP_NEXT;
    }
    int rc = begin(d, x, PP_DIR_RESPONSE, coding);
    if (rc == PP_OK)
        rc = pp_filter_coder_vary(x);
    if (rc == PP_OK)
        rc = pp_filter_coder_rewritten(x);
    return rc == PP_OK ? PP_NEXT : pp_filter_failed(x, rc);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == PP_PHASE_REQUEST ? on_request(self, x) : on_response(self, x);
}

/* ---- bodies ---- */

static int give_up(struct pp_exchange *x, enum pp_dir dir, int rc)
{
    int detail = rc == PP_EINVAL ? PP_EHTTP_CODING : rc == PP_ELIMIT ? PP_EHTTP_BOMB : rc;
    if (rc == PP_ENOMEM)
        return pp_filter_fail(x, PP_FAULT_NO_MEMORY, rc);
    return pp_filter_fail(
        x, dir == PP_DIR_REQUEST ? PP_FAULT_BAD_REQUEST : PP_FAULT_UPSTREAM_BAD_RESPONSE, detail);
}

/* How many bytes may have come out of what has come in. */
static uint64_t limit_of(const struct decompression *d, const struct body *b)
{
    uint64_t ratio = b->in > UINT64_MAX / 2 / d->max_ratio ? UINT64_MAX / 2 : b->in * d->max_ratio;
    return PP_MIN(d->max_size, ratio + PP_FILTER_DECOMPRESSION_FREE);
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    struct bodies *all = pp_filter_state_find(x, self);
    enum pp_dir dir = phase == PP_PHASE_REQUEST_BODY ? PP_DIR_REQUEST : PP_DIR_RESPONSE;
    *out = piece;
    if (all == NULL || all->of[dir].coder == NULL)
        return PP_NEXT;
    struct body *b = &all->of[dir];
    int rc = PP_OK;
    b->in += piece.n;
    if (piece.n > 0) {
        uint64_t limit = limit_of(self, b);
        size_t most = (size_t)(limit - b->out) + 1; /* one more, to see it */
        rc = pp_filter_coder_run(b->coder, piece, PP_COMPRESS_MORE, most, out);
        b->ended = rc == PP_EEND;
        b->out += out->n;
        if (b->out > limit)
            rc = PP_ELIMIT;
    }
    if (rc == PP_OK || rc == PP_EEND) {
        /* Nothing at all is what an empty body is sent as, too. */
        if (!last || b->ended || b->in == 0)
            return PP_NEXT;
        rc = PP_EHTTP_BODY_SHORT;
    }
    return give_up(x, dir, rc);
}

static const struct pp_filter_ops ops = {.name = "decompression", .run = run, .body = body};

const struct pp_filter_kind pp_filter_decompression_kind = {
    .name = "decompression",
    .phases = PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(REQUEST_BODY) | PP_PHASE_BIT(RESPONSE) |
              PP_PHASE_BIT(RESPONSE_BODY),
    .ops = &ops,
    .make = make,
};
