#include "proxy/filter_grpc_web.h"

#include "proxy/grpc.h"

/* What a bridged exchange needs: memory for the piece in hand, which grows with the pieces, and
 * each time by half at least. Each direction has its own: calls may go both ways at once. */
static char *room_for(struct pp_exchange *x, enum pp_dir dir, size_t n)
{
    struct pp_grpc_web_piece *piece = &x->web->piece[dir];
    if (n > piece->cap) {
        size_t cap = PP_MAX(n, piece->cap + piece->cap / 2);
        char *mem = pp_arena_alloc(&x->arena, cap);
        if (mem == NULL)
            return NULL;
        piece->mem = mem;
        piece->cap = cap;
    }
    return piece->mem;
}

static int fail(struct pp_exchange *x, enum pp_fault_code code, int detail)
{
    pp_exchange_fault(x, pp_fault_make(code, PP_SIDE_DOWN, false, detail));
    return PP_REPLY;
}

/* The suffix behind "application/grpc-web[-text]" ("+proto"), where there is nothing or a parameter
 * else. False: another type. */
static bool split_type(struct pp_span type, bool *text, struct pp_span *rest)
{
    static const struct pp_span web = {"application/grpc-web", 20}, plus_text = {"-text", 5};
    if (type.n < web.n || !pp_span_eq_fold(pp_span(type.p, web.n), web))
        return false;
    *rest = pp_span(type.p + web.n, type.n - web.n);
    *text = rest->n >= plus_text.n && pp_span_eq_fold(pp_span(rest->p, plus_text.n), plus_text);
    if (*text)
        *rest = pp_span(rest->p + plus_text.n, rest->n - plus_text.n);
    return rest->n == 0 || rest->p[0] == '+' || rest->p[0] == ';';
}

/* Set Content-Type of <m> to <base><rest>. */
static int set_type(struct pp_exchange *x, struct pp_http_msg *m, struct pp_span base,
                    struct pp_span rest)
{
    char *p = pp_arena_alloc(&x->arena, base.n + rest.n);
    if (p == NULL)
        return PP_ENOMEM;
    memcpy(p, base.p, base.n);
    if (rest.n > 0)
        memcpy(p + base.n, rest.p, rest.n);
    return pp_http_msg_set(m, PP_SPAN("content-type"), PP_NAME_CONTENT_TYPE,
                           pp_span(p, base.n + rest.n));
}

static int on_request(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->request;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONTENT_TYPE);
    struct pp_span rest;
    bool text;
    if (f == NULL || !split_type(pp_http_field_value(f), &text, &rest))
        return PP_NEXT;
    x->web = pp_arena_alloc(&x->arena, sizeof(*x->web));
    if (x->web == NULL)
        return fail(x, PP_FAULT_NO_MEMORY, PP_ENOMEM);
    memset(x->web, 0, sizeof(*x->web));
    x->web->text = text;
    x->web->type = pp_http_field_value(f);
    m->te_trailers = true;
    return set_type(x, m, PP_SPAN("application/grpc"), rest) == PP_OK
               ? PP_NEXT
               : fail(x, PP_FAULT_NO_MEMORY, PP_ENOMEM);
}

static int on_response(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    if (x->web == NULL || !pp_grpc_is_call(m)) /* an error page, say, stays what it is */
        return PP_NEXT;
    struct pp_span type = pp_http_field_value(pp_http_msg_find_id(m, PP_NAME_CONTENT_TYPE));
    struct pp_span rest = pp_span(type.p + 16, type.n - 16);
    struct pp_span base =
        x->web->text ? PP_SPAN("application/grpc-web-text") : PP_SPAN("application/grpc-web");
    x->web->bridges = true;
    if (rest.n == 0) /* what the client has said of its messages holds */
        base = x->web->type;
    return set_type(x, m, base, rest) == PP_OK ? PP_NEXT : fail(x, PP_FAULT_NO_MEMORY, PP_ENOMEM);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    (void)self;
    if (phase == PP_PHASE_REQUEST)
        return on_request(x);
    return phase == PP_PHASE_RESPONSE ? on_response(x) : PP_NEXT;
}

static int decode(struct pp_exchange *x, struct pp_span piece, bool last, struct pp_span *out)
{
    struct pp_grpc_web *web = x->web;
    *out = piece;
    if (web == NULL || !web->text)
        return PP_NEXT;
    char *mem = room_for(x, PP_DIR_REQUEST, pp_base64_decoded_max(piece.n) + 1);
    if (mem == NULL)
        return fail(x, PP_FAULT_NO_MEMORY, PP_ENOMEM);
    size_t n;
    int rc = pp_base64_decode(&web->decoder, piece.p, piece.n, mem, &n);
    if (rc != PP_OK || (last && !pp_base64_is_whole(&web->decoder)))
        return fail(x, PP_FAULT_BAD_REQUEST, PP_EGRPC_WEB_TEXT);
    *out = pp_span(mem, n);
    return PP_NEXT;
}

/* The body goes on, and behind it the trailers. In text the frame of the trailers is a piece of its
 * own. */
static int encode(struct pp_exchange *x, struct pp_span piece, bool last, struct pp_span *out)
{
    struct pp_http_msg *trailers = x->flow[PP_DIR_RESPONSE].trailers;
    *out = piece;
    if (x->web == NULL || !x->web->bridges || (!last && !x->web->text))
        return PP_NEXT;
    bool any = last && trailers != NULL && trailers->n_field > 0;
    size_t frame = any ? pp_grpc_web_trailers_size(trailers) : 0;
    size_t body = x->web->text ? pp_base64_encoded(piece.n) : piece.n;
    size_t tail = x->web->text ? pp_base64_encoded(frame) : frame;
    char *mem = room_for(x, PP_DIR_RESPONSE, body + tail + frame);
    if (mem == NULL)
        return fail(x, PP_FAULT_NO_MEMORY, PP_ENOMEM);
    if (x->web->text)
        pp_base64_encode(mem, piece.p, piece.n);
    else if (piece.n > 0)
        memcpy(mem, piece.p, piece.n);
    if (any) {
        char *raw = x->web->text ? mem + body + tail : mem + body;
        pp_grpc_web_emit_trailers(raw, trailers);
        if (x->web->text)
            pp_base64_encode(mem + body, raw, frame);
        pp_http_msg_init(trailers, &x->arena); /* they are in the body now */
    }
    *out = pp_span(mem, body + tail);
    return PP_NEXT;
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    (void)self;
    return phase == PP_PHASE_REQUEST_BODY ? decode(x, piece, last, out)
                                          : encode(x, piece, last, out);
}

const struct pp_filter_ops pp_filter_grpc_web_ops = {
    .name = "grpc_web",
    .run = run,
    .body = body,
};
