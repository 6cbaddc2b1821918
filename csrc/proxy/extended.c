#include "proxy/extended.h"

#include "wire/websocket.h"

static const struct pp_span key_name = PP_SPAN("Sec-WebSocket-Key");
static const struct pp_span accept_name = PP_SPAN("Sec-WebSocket-Accept");

/* The client's handshake has no key; the endpoint's wants one. */
static int set_key(struct pp_exchange *x)
{
    uint64_t nonce[2] = {pp_rng_next(&x->core->rng), pp_rng_next(&x->core->rng)};
    char *p = pp_arena_alloc(&x->arena, PP_WEBSOCKET_KEY_BYTES);
    if (p == NULL)
        return PP_ENOMEM;
    pp_websocket_key(nonce, p);
    return pp_http_msg_set(&x->request, key_name, PP_NAME_OTHER,
                           pp_span(p, PP_WEBSOCKET_KEY_BYTES));
}

int pp_extended_begin(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->request;
    struct pp_span protocol = m->protocol;
    x->extended = true;
    m->protocol = PP_SPAN_NONE;
    m->method = PP_SPAN("GET");
    m->method_id = PP_HTTP_GET;
    m->upgrade = true;
    if (m->content_length == 0)
        m->body = PP_HTTP_BODY_NONE; /* what follows the head belongs to the other protocol */
    int rc = pp_http_msg_set(m, PP_SPAN("Upgrade"), PP_NAME_UPGRADE, protocol);
    if (rc == PP_OK && pp_span_eq_fold(protocol, PP_SPAN("websocket")))
        rc = set_key(x);
    return rc;
}

/* Is it the answer to the key that was sent? Without a key there is nothing to answer. */
static bool is_accepted(const struct pp_exchange *x)
{
    const struct pp_http_field *key = pp_http_msg_find(&x->request, key_name);
    const struct pp_http_field *accept = pp_http_msg_find(&x->response, accept_name);
    char wanted[PP_WEBSOCKET_ACCEPT_BYTES];
    if (key == NULL)
        return true;
    pp_websocket_accept(pp_http_field_value(key), wanted);
    return accept != NULL &&
           pp_span_eq(pp_http_field_value(accept), pp_span(wanted, sizeof(wanted)));
}

bool pp_extended_is_answered(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    if (m->status != 101)
        return m->status < 200 || m->status >= 300;
    if (!is_accepted(x))
        return false;
    pp_http_msg_remove(m, accept_name, PP_NAME_OTHER);
    return true;
}

/* ---- to endpoints of HTTP/2 ---- */

/* The protocol that is asked for: the first of the offer, as every other one might be left out. */
static struct pp_span wanted(const struct pp_exchange *x)
{
    struct pp_span rest = x->offer, item = PP_SPAN_NONE;
    (void)pp_span_next_item(&rest, &item);
    /* Registered in lower case; in Upgrade the case does not matter. */
    return pp_span_eq_fold(item, PP_SPAN("websocket")) ? PP_SPAN("websocket") : item;
}

bool pp_extended_can_ask(const struct pp_exchange *x)
{
    return x->request.method_id == PP_HTTP_GET && pp_http_tok_is_token(wanted(x));
}

int pp_extended_decline(struct pp_exchange *x)
{
    if (x->extended)
        return PP_EHTTP_SWITCH;
    x->offer = PP_SPAN_NONE;
    x->wants_tunnel = false;
    return PP_OK;
}

int pp_extended_ask(struct pp_exchange *x, struct pp_http_msg *m)
{
    const struct pp_http_msg *from = &x->request;
    pp_http_msg_init(m, &x->arena);
    m->method = PP_SPAN("CONNECT");
    m->method_id = PP_HTTP_CONNECT;
    m->protocol = wanted(x);
    for (uint32_t i = 0; i < from->n_field; i++) {
        const struct pp_http_field *f = &from->field[i];
        struct pp_span name = pp_http_field_name(f);
        if (!pp_http_field_is_live(f) || (f->flags & PP_HTTP_FIELD_HOP) ||
            pp_span_eq_fold(name, key_name))
            continue;
        if (pp_http_msg_add(m, name, (enum pp_http_name)f->id, pp_http_field_value(f)) != PP_OK)
            return PP_ENOMEM;
        m->field[m->n_field - 1].flags = f->flags;
    }
    return PP_OK;
}

/* What a client of HTTP/1 wants to see. */
static int set_accept(struct pp_exchange *x, struct pp_span key)
{
    char *p = pp_arena_alloc(&x->arena, PP_WEBSOCKET_ACCEPT_BYTES);
    if (p == NULL)
        return PP_ENOMEM;
    pp_websocket_accept(key, p);
    return pp_http_msg_set(&x->response, accept_name, PP_NAME_OTHER,
                           pp_span(p, PP_WEBSOCKET_ACCEPT_BYTES));
}

int pp_extended_accept(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    const struct pp_http_field *key = pp_http_msg_find(&x->request, key_name);
    m->status = 101;
    m->upgrade = true;
    int rc = pp_http_msg_set(m, PP_SPAN("Upgrade"), PP_NAME_UPGRADE, wanted(x));
    if (rc == PP_OK && key != NULL)
        rc = set_accept(x, pp_http_field_value(key));
    return rc;
}
