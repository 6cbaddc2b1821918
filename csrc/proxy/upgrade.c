#include "proxy/upgrade.h"

/* Does <list> hold <protocol>? A name without version in it stands for every version. */
static bool holds(struct pp_span list, struct pp_span protocol)
{
    struct pp_span name = pp_span(protocol.p, pp_span_find(protocol, '/')), item;
    while (pp_span_next_item(&list, &item)) {
        if (pp_span_eq_fold(item, protocol) || pp_span_eq_fold(item, name))
            return true;
    }
    return false;
}

static bool is_allowed(const struct pp_exchange *x, struct pp_span protocol)
{
    return holds(x->route->upgrade, protocol) && !pp_span_eq_fold(protocol, PP_SPAN("h2c"));
}

static bool may_ask(const struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    return m->upgrade && x->route->upgrade.n > 0 && m->method_id != PP_HTTP_CONNECT &&
           m->body != PP_HTTP_BODY_CHUNKED && m->content_length == 0;
}

int pp_upgrade_offer(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->request;
    struct pp_span item;
    size_t room = 0, n = 0;
    if (!may_ask(x))
        return PP_OK;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_UPGRADE);
    for (const struct pp_http_field *g = f; g != NULL; g = pp_http_msg_find_next(m, g))
        room += g->value_n + 2;
    char *p = pp_arena_alloc(&x->arena, room);
    if (p == NULL)
        return PP_ENOMEM;
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f);
        while (pp_span_next_item(&rest, &item)) {
            if (!is_allowed(x, item))
                continue;
            if (n > 0) {
                p[n++] = ',';
                p[n++] = ' ';
            }
            memcpy(p + n, item.p, item.n);
            n += item.n;
        }
    }
    if (n == 0)
        return PP_OK;
    x->offer = pp_span(p, n);
    x->wants_tunnel = true;
    return pp_http_msg_set(m, PP_SPAN("Upgrade"), PP_NAME_UPGRADE, x->offer);
}

bool pp_upgrade_is_answered(const struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->response;
    if (x->offer.n == 0 || !m->upgrade || m->content_length > 0 ||
        pp_http_msg_find_id(m, PP_NAME_TRANSFER_ENCODING) != NULL)
        return false;
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_UPGRADE);
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;
        while (pp_span_next_item(&rest, &item)) {
            if (!holds(x->offer, item))
                return false;
        }
    }
    return true; /* the rules have seen that there is at least one */
}
