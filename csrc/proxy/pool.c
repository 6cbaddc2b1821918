#include "proxy/pool.h"

void pp_pool_init(struct pp_pooled *p, uint64_t now_ms)
{
    pp_list_init(&p->link);
    p->born_ms = now_ms;
    p->uses = 0;
}

void pp_pool_count_idle(struct pp_endpoint *ep, int n)
{
    struct pp_metrics *m = &ep->cluster->core->metrics;
    ep->n_idle += (uint32_t)n;
    PP_COUNT(m, ep->cluster->record, UPSTREAM, IDLE, n);
}

struct pp_pooled *pp_pool_acquire(struct pp_endpoint *ep)
{
    if (pp_list_is_empty(&ep->idle))
        return NULL;
    struct pp_pooled *p = PP_CONTAINER_OF(ep->idle.next, struct pp_pooled, link);
    pp_pool_detach(ep, p);
    return p;
}

bool pp_pool_release(struct pp_endpoint *ep, struct pp_pooled *p, uint64_t now_ms)
{
    const struct pp_cluster_conf *conf = &ep->cluster->conf;
    if (ep->n_idle >= conf->max_idle || (conf->max_requests > 0 && p->uses >= conf->max_requests) ||
        (conf->max_age_ms > 0 && now_ms - p->born_ms >= conf->max_age_ms))
        return false;
    pp_list_attach(&ep->idle, &p->link);
    pp_pool_count_idle(ep, 1);
    return true;
}

void pp_pool_detach(struct pp_endpoint *ep, struct pp_pooled *p)
{
    pp_list_detach(&p->link);
    pp_pool_count_idle(ep, -1);
}
