#include "proxy/reply.h"

#include "base/num.h"
#include "io/fd.h"
#include "proxy/forward.h"
#include "proxy/grpc.h"

/* A few pieces of text, one after the other, in the arena. */
static int concat(struct pp_exchange *x, const struct pp_span *part, size_t n, struct pp_span *out)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++)
        size += part[i].n;
    char *p = pp_arena_alloc(&x->arena, size + 1), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        memcpy(at, part[i].p, part[i].n);
        at += part[i].n;
    }
    *out = pp_span(p, size);
    return PP_OK;
}

static struct pp_span span_of(const char *text)
{
    return pp_span(text, strlen(text));
}

static int add_allow(struct pp_exchange *x, pp_router_methods allowed)
{
    struct pp_span part[2 * PP_HTTP_METHOD_COUNT];
    size_t n = 0;
    for (unsigned m = 1; m < PP_HTTP_METHOD_COUNT; m++) {
        if ((allowed >> m & 1) == 0)
            continue;
        if (n > 0)
            part[n++] = PP_SPAN(", ");
        part[n++] = pp_http_tok_method_text((enum pp_http_method)m);
    }
    struct pp_span value;
    int rc = concat(x, part, n, &value);
    return rc != PP_OK ? rc : pp_http_msg_add(&x->response, PP_SPAN("Allow"), PP_NAME_ALLOW, value);
}

/* Whoever balances over several of us can tell this 503 from an endpoint's. */
static int add_overload(struct pp_exchange *x)
{
    char digits[PP_NUM_U64_CHARS];
    struct pp_span value = pp_span(digits, pp_num_format_u64(digits, x->retry_after_s));
    int rc = pp_arena_dup(&x->arena, value, &value);
    if (rc == PP_OK)
        rc = pp_http_msg_add(&x->response, PP_SPAN("Retry-After"), PP_NAME_RETRY_AFTER, value);
    if (rc == PP_OK)
        rc = pp_http_msg_add(&x->response, PP_SPAN("X-Pyproxy-Overloaded"), PP_NAME_OTHER,
                             span_of(pp_fault_word(&x->fault)));
    return rc;
}

int pp_reply_fault(struct pp_exchange *x, pp_router_methods allowed)
{
    const struct pp_fault *f = &x->fault;
    unsigned status = pp_fault_status(f);
    if (status == 499) /* never seen by the client, but a filter may ask why */
        status = 400;
    char digits[PP_NUM_U64_CHARS];
    /* The words are ours: nothing in them needs escaping in JSON. */
    struct pp_span part[] = {PP_SPAN("{\"status\":"),
                             pp_span(digits, pp_num_format_u64(digits, status)),
                             PP_SPAN(",\"error\":\""),
                             span_of(pp_fault_word(f)),
                             PP_SPAN("\",\"detail\":\""),
                             span_of(pp_fault_text(f)),
                             PP_SPAN("\"}\n")};
    struct pp_span body;
    int rc = concat(x, part, PP_COUNT_OF(part), &body);
    if (rc == PP_OK)
        rc = pp_exchange_reply(x, status, PP_SPAN_NONE);
    if (rc != PP_OK)
        return rc;
    x->reply_body = body;
    rc = pp_http_msg_add(&x->response, PP_SPAN("Content-Type"), PP_NAME_CONTENT_TYPE,
                         PP_SPAN("application/json"));
    if (rc == PP_OK && (f->code == PP_FAULT_BREAKER_OPEN || f->code == PP_FAULT_OVERLOAD))
        rc = add_overload(x);
    if (rc == PP_OK && f->code == PP_FAULT_METHOD_NOT_ALLOWED)
        rc = add_allow(x, allowed);
    return rc;
}

int pp_reply_route(struct pp_exchange *x)
{
    const struct pp_route *route = x->route;
    if (route->action == PP_ROUTE_ACTION_REDIRECT)
        return pp_forward_redirect(x);
    int rc = pp_exchange_reply(x, route->status, PP_SPAN_NONE);
    x->reply_body = route->body; /* lives as long as the snapshot, which lives as long as we do */
    for (uint32_t i = 0; rc == PP_OK && i < route->n_field; i++) {
        const struct pp_respond_field *f = &route->field[i];
        rc = pp_http_msg_add(&x->response, f->name, pp_http_tok_name(f->name.p, f->name.n),
                             f->value);
    }
    return rc;
}

static void close_file(void *arg)
{
    struct pp_exchange_file *f = arg;
    pp_fd_close(&f->fd);
}

int pp_reply_file(struct pp_exchange *x, unsigned status, int fd, uint64_t at, uint64_t n)
{
    struct pp_exchange_file *f = pp_arena_alloc(&x->arena, sizeof(*f));
    if (f == NULL || pp_arena_on_reset(&x->arena, close_file, f) != PP_OK) {
        pp_fd_close(&fd);
        return PP_ENOMEM;
    }
    bool silent = x->request.method_id == PP_HTTP_HEAD;
    *f = (struct pp_exchange_file){.fd = fd, .at = at, .end = silent ? at : at + n};
    int rc = pp_exchange_reply(x, status, PP_SPAN_NONE);
    x->response.body = silent ? PP_HTTP_BODY_NONE : PP_HTTP_BODY_LENGTH;
    x->response.content_length = n;
    x->declared_length = silent;
    x->file = f;
    return rc;
}

/* Statuses that never have a body (RFC 9110 sections 15.2, 15.3.5, 15.4.5). */
static bool is_bodyless(unsigned status)
{
    return status < 200 || status == 204 || status == 304;
}

int pp_reply_send(struct pp_exchange *x)
{
    struct pp_flow *flow = &x->flow[PP_DIR_RESPONSE];
    const struct pp_side_ops *down = x->ops[PP_SIDE_DOWN];
    struct pp_http1_framing *fr = &flow->framing;
    if (x->response.status >= 400 && pp_grpc_is_call(&x->request) && pp_grpc_reply(x) != PP_OK)
        return PP_ENOMEM;
    memset(fr, 0, sizeof(*fr));
    flow->trailers = NULL; /* those of the response that this one replaces */
    if (!is_bodyless(x->response.status)) {
        fr->body = PP_HTTP_BODY_LENGTH;
        fr->content_length = x->reply_body.n;
    }
    bool silent = fr->body == PP_HTTP_BODY_NONE || x->request.method_id == PP_HTTP_HEAD;
    int rc = pp_forward_response(x);
    if (rc == PP_OK)
        rc = down->send_head(x);
    if (rc == PP_OK && !silent && x->reply_body.n > 0) {
        flow->bytes += x->reply_body.n;
        rc = down->send_body(x, x->reply_body);
    }
    if (rc == PP_OK)
        rc = down->send_end(x);
    flow->sink_ended = true;
    return rc == PP_OK ? down->flush(x) : rc;
}
