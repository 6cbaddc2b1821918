#include "proxy/up_carry.h"

#include "io/tls_client.h"
#include "proxy/up_h2.h"

/* May a connection of <a> be used for <b>? */
static bool is_alike(const struct pp_cluster *a, const struct pp_cluster *b)
{
    return a->conf.http2.protocol == b->conf.http2.protocol &&
           a->conf.proxy_protocol == b->conf.proxy_protocol &&
           pp_tls_client_is_alike(a->conf.tls, b->conf.tls);
}

/* And may one of HTTP/2, whose limits were told to the endpoint when it began? */
static bool is_alike_h2(const struct pp_cluster *a, const struct pp_cluster *b)
{
    const struct pp_cluster_http2 *x = &a->conf.http2, *y = &b->conf.http2;
    return x->max_streams == y->max_streams && x->window_bytes == y->window_bytes &&
           a->conf.limits.head_bytes == b->conf.limits.head_bytes &&
           a->conf.limits.fields == b->conf.limits.fields;
}

/* The endpoint that <ep> has become in <cl>; NULL: none. */
static struct pp_endpoint *heir_of(struct pp_cluster *cl, const struct pp_endpoint *ep)
{
    struct pp_endpoint *heir = pp_cluster_twin(cl, ep);
    return heir != NULL && pp_span_eq(heir->host, ep->host) ? heir : NULL;
}

/* <up> is of <to> from now on. It is in no list, and counted as idle nowhere. */
static void move(struct pp_up *up, struct pp_endpoint *to)
{
    struct pp_cluster *from = up->ep->cluster;
    pp_cluster_count_open(up->ep, -1);
    pp_cluster_count_open(to, 1);
    pp_cluster_ref(to->cluster);
    up->ep = to;
    pp_cluster_unref(from);
}

static void carry_idle(struct pp_endpoint *from, struct pp_endpoint *to)
{
    while (!pp_list_is_empty(&from->idle) && to->n_idle < to->cluster->conf.max_idle) {
        struct pp_pooled *p = PP_CONTAINER_OF(from->idle.next, struct pp_pooled, link);
        pp_pool_detach(from, p);
        move(PP_CONTAINER_OF(p, struct pp_up, pooled), to);
        pp_list_attach_back(&to->idle, &p->link);
        pp_pool_count_idle(to, 1);
    }
}

static void carry_h2(struct pp_endpoint *from, struct pp_endpoint *to)
{
    if (to->cluster->http2 == NULL && from->cluster->http2 != NULL)
        to->cluster->http2 = pp_http2_codec_kind_ref(from->cluster->http2);
    while (!pp_list_is_empty(&from->multi)) {
        struct pp_up_h2 *h2 = PP_CONTAINER_OF(from->multi.next, struct pp_up_h2, link);
        bool idle = h2->up->state == PP_UP_IDLE;
        pp_list_detach(&h2->link);
        pp_pool_count_idle(from, -(int)idle);
        move(h2->up, to);
        pp_pool_count_idle(to, idle);
        pp_list_attach_back(&to->multi, &h2->link);
    }
}

/* What was learned of the endpoint goes with its connections. */
static void carry_endpoint(struct pp_endpoint *from, struct pp_endpoint *to)
{
    to->speaks = from->speaks;
    to->extended = from->extended;
    to->wants_h1 = from->wants_h1;
    if (to->ticket == NULL) {
        to->ticket = from->ticket;
        from->ticket = NULL;
    }
    carry_idle(from, to);
    if (is_alike_h2(from->cluster, to->cluster))
        carry_h2(from, to);
}

void pp_up_carry_all(struct pp_snapshot *old, struct pp_snapshot *sn)
{
    for (uint32_t i = 0; i < sn->n_cluster; i++) /* it may have been in force before */
        sn->cluster[i]->replaced = false;
    for (uint32_t i = 0; i < old->n_cluster; i++) {
        struct pp_cluster *from = old->cluster[i], *to = pp_cluster_namesake(from, sn);
        from->replaced = true;
        for (uint32_t k = 0; k < from->n && to != NULL && is_alike(from, to); k++) {
            struct pp_endpoint *heir = heir_of(to, &from->endpoint[k]);
            if (heir != NULL)
                carry_endpoint(&from->endpoint[k], heir);
        }
        pp_up_close_idle(from);
    }
}

bool pp_up_carry(struct pp_up *up)
{
    const struct pp_snapshot *sn = up->h.core->snapshot;
    struct pp_cluster *to = pp_cluster_namesake(up->ep->cluster, sn);
    struct pp_endpoint *heir = NULL;
    if (to != NULL && is_alike(up->ep->cluster, to))
        heir = heir_of(to, up->ep);
    if (heir != NULL)
        move(up, heir);
    return heir != NULL;
}
