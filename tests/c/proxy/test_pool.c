#include "proxy/pool.c"

#include "proxy/rig.h"

static struct pp_core core;
static uint64_t words[256];

static struct pp_cluster *make(struct pp_cluster_conf conf)
{
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("c"), &conf, &pp_balance_rr_ops, 1);
    core.metrics.words = words;
    cl->core = &core;
    return cl;
}

PP_TEST_CASE(the_warmest_connection_is_used_first)
{
    struct pp_cluster *cl = make((struct pp_cluster_conf){.max_idle = 2});
    struct pp_endpoint *ep = &cl->endpoint[0];
    struct pp_pooled p[3];
    for (int i = 0; i < 3; i++)
        pp_pool_init(&p[i], 0);
    PP_CHECK(pp_pool_acquire(ep) == NULL);
    PP_CHECK(pp_pool_release(ep, &p[0], 0) && pp_pool_release(ep, &p[1], 0));
    PP_CHECK(!pp_pool_release(ep, &p[2], 0)); /* full */
    PP_CHECK_EQ(ep->n_idle, 2);
    PP_CHECK_EQ(words[PP_METRIC_WORD(UPSTREAM, IDLE)], 2);
    PP_CHECK(pp_pool_acquire(ep) == &p[1]);
    PP_CHECK(pp_pool_release(ep, &p[2], 0));
    pp_pool_detach(ep, &p[2]);
    PP_CHECK(pp_pool_acquire(ep) == &p[0]);
    PP_CHECK_EQ(ep->n_idle, 0);
    PP_CHECK_EQ(words[PP_METRIC_WORD(UPSTREAM, IDLE)], 0);
    pp_cluster_unref(cl);
}

PP_TEST_CASE(the_old_and_the_used_up_are_refused)
{
    struct pp_cluster *cl =
        make((struct pp_cluster_conf){.max_idle = 2, .max_age_ms = 100, .max_requests = 3});
    struct pp_endpoint *ep = &cl->endpoint[0];
    struct pp_pooled p;
    pp_pool_init(&p, 1000);
    PP_CHECK(!pp_pool_release(ep, &p, 1100));
    PP_CHECK(pp_pool_release(ep, &p, 1099));
    PP_CHECK(pp_pool_acquire(ep) == &p);
    p.uses = 3;
    PP_CHECK(!pp_pool_release(ep, &p, 1001));
    pp_cluster_unref(cl);
}

PP_TEST_MAIN()
