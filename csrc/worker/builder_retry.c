/* How the builder is told what is done about upstreams that fail. */
#include "worker/builder.h"

static int compile(struct pp_builder *b, const struct pp_builder_retry *r,
                   struct pp_retry_policy *out)
{
    struct pp_span rest = r->conditions, word;
    *out = r->policy;
    while (pp_span_next_item(&rest, &word))
        if (pp_retry_policy_add(out, word) != PP_OK)
            return pp_builder_refuse(b, "no such condition for a retry", word);
    return PP_OK;
}

int pp_builder_set_retry(struct pp_builder *b, uint32_t upstream, const struct pp_builder_retry *r)
{
    return compile(b, r, &pp_builder_upstream(b, upstream)->retry);
}

int pp_builder_set_route_retry(struct pp_builder *b, uint32_t route,
                               const struct pp_builder_retry *r)
{
    struct pp_retry_policy *p = pp_arena_alloc(pp_builder_arena(b), sizeof(*p));
    if (p == NULL)
        return PP_ENOMEM;
    pp_builder_route(b, route)->retry = p;
    return compile(b, r, p);
}

void pp_builder_set_limits(struct pp_builder *b, uint32_t upstream,
                           const struct pp_admission_conf *conf)
{
    struct pp_admission_conf *c = &pp_builder_upstream(b, upstream)->admission;
    bool endpoints = c->endpoints;
    *c = *conf;
    c->endpoints = endpoints;
}

void pp_builder_set_adaptive(struct pp_builder *b, uint32_t upstream,
                             const struct pp_gradient_conf *conf)
{
    struct pp_cluster_conf *c = pp_builder_upstream(b, upstream);
    c->adaptive = *conf;
    c->admission.at_runtime = true;
}

void pp_builder_set_breaker(struct pp_builder *b, uint32_t upstream,
                            const struct pp_breaker_conf *conf)
{
    pp_builder_upstream(b, upstream)->breaker = *conf;
}
