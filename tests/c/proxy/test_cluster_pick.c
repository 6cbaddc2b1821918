#include "proxy/cluster_pick.c"

#include "proxy/rig.h"

#define SEG_BYTES (1 << 20)

static struct pp_core core[2]; /* two workers over one segment */
static uint64_t segment[SEG_BYTES / 8];
static struct pp_statseg seg;
static long live;

static void begin_worker(struct pp_core *c, uint32_t column)
{
    memset(c, 0, sizeof(*c));
    pp_rng_init(&c->rng, column);
    PP_CHECK_EQ(pp_metrics_init(&c->metrics, segment, sizeof(segment), column), PP_OK);
    c->loop.now_ms = 1000;
    c->loop.now_us = 1000000;
}

static void begin(void)
{
    static const char *const endpoints[] = {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3",
                                            "127.0.0.1:4"};
    live = pp_mem_live_for_test();
    memset(segment, 0, sizeof(segment));
    uint32_t base;
    PP_CHECK_EQ(
        pp_statseg_format(&seg, segment, sizeof(segment), 4, 2048, 65536, pp_metric_schema()),
        PP_OK);
    for (uint32_t kind = 0; kind < PP_METRIC_KIND_COUNT; kind++)
        PP_CHECK_EQ(
            pp_statseg_define(&seg, kind, pp_metric_shared(kind), pp_metric_words(kind), &base),
            PP_OK);
    for (size_t i = 0; i < PP_COUNT_OF(endpoints); i++)
        PP_CHECK_EQ(pp_statseg_define(&seg, PP_METRIC_ENDPOINT, rig_span(endpoints[i]),
                                      pp_metric_words(PP_METRIC_ENDPOINT), &base),
                    PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&seg, PP_METRIC_UPSTREAM, PP_SPAN("up"),
                                  pp_metric_words(PP_METRIC_UPSTREAM), &base),
                PP_OK);
    begin_worker(&core[0], 1);
    begin_worker(&core[1], 2);
}

static void end(void)
{
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

/* Endpoints 127.0.0.1:1 .. :n, not attached. */
static struct pp_cluster *make(const char *policy, const struct pp_cluster_conf *conf, uint32_t n)
{
    char text[32];
    struct pp_cluster *cl = pp_cluster_new(PP_SPAN("up"), conf, pp_balance_find(policy), n);
    PP_CHECK(cl != NULL);
    for (uint32_t i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "127.0.0.1:%u", i + 1);
        PP_CHECK_EQ(pp_cluster_set_endpoint(cl, i, rig_span(text), PP_SPAN_NONE, 1), PP_OK);
    }
    return cl;
}

static uint32_t chosen(struct pp_cluster *cl)
{
    const struct pp_endpoint *ep = pp_cluster_pick(cl, 0, pp_rng_next(&cl->core->rng));
    return ep == NULL ? PP_ID_NONE : ep->index;
}

/* Bits of the endpoints that <n> picks chose. */
static unsigned seen(struct pp_cluster *cl, int n)
{
    unsigned bits = 0;
    while (n-- > 0) {
        uint32_t i = chosen(cl);
        bits |= i == PP_ID_NONE ? 0 : 1u << i;
    }
    return bits;
}

static uint64_t panics(struct pp_cluster *cl)
{
    return cl->core->metrics.words[cl->record + PP_METRIC_WORD(UPSTREAM, PANIC)];
}

PP_TEST_CASE(each_reason_keeps_an_endpoint_out_until_it_ends)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("round_robin", &conf, 3);
    pp_cluster_attach(cl, &core[0]);
    struct pp_endpoint *ep = &cl->endpoint[1];
    PP_CHECK_EQ(seen(cl, 6), 7);
    pp_cluster_mark(ep, PP_CLUSTER_UNHEALTHY, true);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, true);
    PP_CHECK_EQ(seen(cl, 6), 5);
    pp_cluster_mark(ep, PP_CLUSTER_UNHEALTHY, false);
    PP_CHECK_EQ(seen(cl, 6), 5);
    PP_CHECK_EQ(ep->out, PP_CLUSTER_EJECTED);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, false);
    PP_CHECK_EQ(seen(cl, 6), 7);
    PP_CHECK_EQ(panics(cl), 0);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(a_single_endpoint_is_used_unless_an_operator_took_it_out)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("round_robin", &conf, 1);
    pp_cluster_attach(cl, &core[0]);
    PP_CHECK_EQ(chosen(cl), 0);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(chosen(cl), 0); /* panic: there is nothing better */
    PP_CHECK_EQ(panics(cl), 1);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_DOWN, true);
    PP_CHECK_EQ(chosen(cl), PP_ID_NONE);
    PP_CHECK_EQ(panics(cl), 1);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(below_the_threshold_all_are_used_and_that_is_counted)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("least_request", &conf, 4);
    pp_cluster_attach(cl, &core[0]);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, true);
    pp_cluster_mark(&cl->endpoint[1], PP_CLUSTER_EJECTED, true);
    PP_CHECK_EQ(seen(cl, 100), 12); /* half of them are enough */
    PP_CHECK_EQ(panics(cl), 0);
    pp_cluster_mark(&cl->endpoint[2], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(seen(cl, 100), 15);
    PP_CHECK_EQ(panics(cl), 100);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_DRAIN, true); /* nobody asks for it any more */
    PP_CHECK_EQ(seen(cl, 100), 14);
    pp_cluster_mark(&cl->endpoint[2], PP_CLUSTER_UNHEALTHY, false);
    PP_CHECK_EQ(seen(cl, 100), 12); /* two of three */
    pp_cluster_unref(cl);

    conf.balance.panic_percent = 0;
    cl = make("least_request", &conf, 2);
    pp_cluster_attach(cl, &core[0]);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(seen(cl, 10), 2);
    pp_cluster_mark(&cl->endpoint[1], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(chosen(cl), PP_ID_NONE);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(tiers_are_used_in_order_as_far_as_needed)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("random", &conf, 4);
    pp_cluster_set_role(cl, 0, 3, false);
    pp_cluster_set_role(cl, 3, 1, false);
    pp_cluster_attach(cl, &core[0]);
    PP_CHECK_EQ(seen(cl, 100), 6);
    pp_cluster_mark(&cl->endpoint[1], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(seen(cl, 100), 4); /* half of the tier */
    pp_cluster_mark(&cl->endpoint[2], PP_CLUSTER_DOWN, true);
    PP_CHECK_EQ(seen(cl, 100), 8);
    pp_cluster_mark(&cl->endpoint[3], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(seen(cl, 100), 1);
    PP_CHECK_EQ(panics(cl), 0);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, true);
    PP_CHECK_EQ(seen(cl, 100), 11); /* panic: all, but what is down */
    pp_cluster_mark(&cl->endpoint[2], PP_CLUSTER_DOWN, false);
    PP_CHECK_EQ(seen(cl, 100), 4);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(a_retry_goes_to_a_later_tier_when_the_first_was_tried)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("ring_hash", &conf, 3);
    pp_cluster_set_role(cl, 1, 2, false);
    pp_cluster_set_role(cl, 2, 1, false);
    pp_cluster_attach(cl, &core[0]);
    PP_CHECK_EQ(pp_cluster_pick(cl, 0, 5)->index, 0);
    PP_CHECK_EQ(pp_cluster_pick(cl, 1, 5)->index, 2);
    PP_CHECK_EQ(pp_cluster_pick(cl, 5, 5)->index, 1);
    PP_CHECK_EQ(pp_cluster_pick(cl, 7, 5)->index, 0); /* all tried: all again */
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(what_one_worker_tells_all_obey_and_newcomers_know)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl[2];
    for (int w = 0; w < 2; w++) {
        cl[w] = make("round_robin", &conf, 3);
        pp_cluster_attach(cl[w], &core[w]);
    }
    pp_cluster_tell(&cl[0]->endpoint[2], PP_CLUSTER_EJECTED, true);
    PP_CHECK_EQ(seen(cl[0], 6), 3);
    PP_CHECK_EQ(seen(cl[1], 6), 3);
    PP_CHECK_EQ(cl[1]->endpoint[2].out, PP_CLUSTER_EJECTED);
    struct pp_cluster *late = make("round_robin", &conf, 3);
    pp_cluster_attach(late, &core[1]);
    PP_CHECK_EQ(seen(late, 6), 3);
    pp_cluster_unref(late);
    /* A weight, as an operator gives it. */
    pp_metrics_tell(&core[1].metrics, cl[1]->endpoint[0].record, PP_METRIC_WORD(ENDPOINT, WEIGHT),
                    UINT64_MAX, 3);
    uint32_t got[3] = {0};
    for (int k = 0; k < 400; k++)
        got[chosen(cl[0])]++;
    PP_CHECK(got[0] == 300 && got[1] == 100 && got[2] == 0);
    pp_cluster_tell(&cl[1]->endpoint[2], PP_CLUSTER_EJECTED, false);
    PP_CHECK_EQ(seen(cl[0], 10), 7);
    for (int w = 0; w < 2; w++)
        pp_cluster_unref(cl[w]);
    end();
}

PP_TEST_CASE(ready_overrules_the_drain_of_the_configuration)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("round_robin", &conf, 2);
    pp_cluster_set_role(cl, 0, 0, true);
    pp_cluster_attach(cl, &core[0]);
    PP_CHECK_EQ(seen(cl, 4), 2);
    pp_cluster_tell(&cl->endpoint[0], PP_CLUSTER_READY, true);
    PP_CHECK_EQ(seen(cl, 4), 3);
    pp_cluster_tell(&cl->endpoint[0], PP_CLUSTER_READY, false);
    PP_CHECK_EQ(seen(cl, 4), 2);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(an_endpoint_without_a_record_of_its_own_is_told_nothing_of_others)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("round_robin", &conf, 6); /* the last two share the record "-" */
    pp_cluster_attach(cl, &core[0]);
    PP_CHECK_EQ(cl->endpoint[4].record, cl->endpoint[5].record);
    pp_cluster_tell(&cl->endpoint[4], PP_CLUSTER_EJECTED, true);
    PP_CHECK_EQ(seen(cl, 30), 0x2f); /* in this worker */
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(a_slow_start_grows_by_steps)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    conf.balance.slow_start_ms = 32000;
    for (int k = 0; k < PP_CLUSTER_RAMP; k++)
        conf.balance.ramp[k] = (uint16_t)PP_MAX(k * 1000 / PP_CLUSTER_RAMP, 100);
    struct pp_cluster *cl = make("round_robin", &conf, 2);
    pp_cluster_attach(cl, &core[0]);
    PP_CHECK(cl->view[0].weight == 1000 && cl->due_ms == UINT64_MAX); /* not at the beginning */
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, true);
    core[0].loop.now_ms = 5000;
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, false);
    uint32_t got[2] = {0};
    for (int k = 0; k < 1100; k++)
        got[chosen(cl)]++;
    PP_CHECK(got[0] >= 99 && got[0] <= 101);
    PP_CHECK_EQ(cl->due_ms, 6000);
    core[0].loop.now_ms = 21000; /* half of it */
    got[0] = got[1] = 0;
    for (int k = 0; k < 1500; k++)
        got[chosen(cl)]++;
    PP_CHECK(got[0] >= 498 && got[0] <= 502);
    core[0].loop.now_ms = 37000;
    (void)chosen(cl);
    PP_CHECK(cl->view[0].weight == 1000 && cl->due_ms == UINT64_MAX);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(hashing_policies_do_not_start_slowly)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    conf.balance.slow_start_ms = 32000;
    struct pp_cluster *cl = make("maglev", &conf, 2);
    pp_cluster_attach(cl, &core[0]);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, true);
    pp_cluster_mark(&cl->endpoint[0], PP_CLUSTER_UNHEALTHY, false);
    PP_CHECK_EQ(cl->view[0].weight, 1000);
    PP_CHECK_EQ(cl->due_ms, UINT64_MAX);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(the_next_configuration_goes_on_with_what_is_known)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    conf.balance.slow_start_ms = 32000;
    struct pp_cluster *old = make("peak_ewma", &conf, 3), *next = make("peak_ewma", &conf, 4);
    struct pp_cluster *both[] = {old};
    struct pp_snapshot sn = {.cluster = both, .n_cluster = 1};
    pp_cluster_attach(old, &core[0]);
    pp_cluster_mark(&old->endpoint[1], PP_CLUSTER_EJECTED, true);
    pp_cluster_observe(&old->endpoint[2], 5000, false);
    core[0].snapshot = &sn;
    pp_cluster_attach(next, &core[0]);
    PP_CHECK_EQ(next->endpoint[1].out, PP_CLUSTER_EJECTED);
    PP_CHECK_EQ(next->endpoint[2].ewma, 5000 << 8);
    PP_CHECK_EQ(next->endpoint[0].warm_ms, 0);
    PP_CHECK_EQ(next->endpoint[3].warm_ms, 1000); /* this one is new */
    PP_CHECK_EQ(next->view[3].weight, 1);
    core[0].snapshot = NULL;
    pp_cluster_unref(old);
    pp_cluster_unref(next);
    end();
}

PP_TEST_CASE(what_stood_elsewhere_is_found_from_every_place)
{
    for (uint32_t n = 1; n < 9; n++)
        for (uint32_t i = 0; i < 10; i++) {
            unsigned found = 0;
            for (uint32_t k = 0; k < n; k++)
                found |= 1u << nearby(i, k, n);
            PP_CHECK_EQ(found, (1u << n) - 1);
        }
}

PP_TEST_CASE(requests_in_other_workers_count)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *mine = make("least_request", &conf, 2);
    struct pp_cluster *theirs = make("least_request", &conf, 2);
    pp_cluster_attach(mine, &core[0]);
    pp_cluster_attach(theirs, &core[1]);
    mine->endpoint[1].active = 2;
    PP_COUNT(&core[0].metrics, mine->endpoint[1].record, ENDPOINT, ACTIVE, 2);
    PP_CHECK_EQ(seen(mine, 20), 1);
    PP_COUNT(&core[1].metrics, theirs->endpoint[0].record, ENDPOINT, ACTIVE, 5);
    PP_CHECK_EQ(seen(mine, 20), 1); /* looked at a moment ago */
    core[0].loop.now_ms++;
    PP_CHECK_EQ(seen(mine, 20), 2);
    PP_CHECK_EQ(mine->view[1].active, 2);
    PP_CHECK_EQ(mine->view[0].active, 5);
    pp_cluster_unref(mine);
    pp_cluster_unref(theirs);
    end();
}

PP_TEST_CASE(bounded_load_counts_all_exchanges)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    conf.balance.policy.bound_percent = 150;
    struct pp_cluster *cl = make("ring_hash", &conf, 4);
    pp_cluster_attach(cl, &core[0]);
    uint32_t got[4] = {0};
    for (int k = 0; k < 400; k++) { /* one key, and nothing ends */
        struct pp_endpoint *ep = pp_cluster_pick(cl, 0, 77);
        ep->active++;
        got[ep->index]++;
    }
    for (int i = 0; i < 4; i++)
        PP_CHECK(got[i] <= 151);
    PP_CHECK_EQ(got[pp_cluster_pick(cl, 14, 77)->index] <= 151, true);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(failures_are_no_quick_answers)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("peak_ewma", &conf, 2);
    pp_cluster_attach(cl, &core[0]);
    pp_cluster_observe(&cl->endpoint[0], 100, true);
    pp_cluster_observe(&cl->endpoint[1], 50000, false);
    for (int k = 0; k < 20; k++)
        PP_CHECK_EQ(chosen(cl), 1);
    core[0].loop.now_us += 600 * 1000000ull; /* forgotten by now */
    PP_CHECK_EQ(seen(cl, 50), 3);
    pp_cluster_unref(cl);
    end();
}

PP_TEST_CASE(a_client_finds_the_endpoint_that_it_sticks_to)
{
    begin();
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    struct pp_cluster *cl = make("random", &conf, 3);
    pp_cluster_attach(cl, &core[0]);
    struct pp_endpoint *ep = &cl->endpoint[1];
    uint64_t key = pp_cluster_key(ep);
    PP_CHECK(pp_cluster_find(cl, 0, key) == ep);
    PP_CHECK(pp_cluster_find(cl, 2, key) == NULL); /* tried */
    PP_CHECK(pp_cluster_find(cl, 0, key + 1) == NULL);
    pp_cluster_tell(ep, PP_CLUSTER_DRAIN, true);
    PP_CHECK(pp_cluster_find(cl, 0, key) == ep);
    PP_CHECK_EQ(seen(cl, 50), 5);
    pp_cluster_tell(ep, PP_CLUSTER_DOWN, true);
    PP_CHECK(pp_cluster_find(cl, 0, key) == NULL);
    pp_cluster_unref(cl);
    end();
}

/* Before the first endpoints are found. */
PP_TEST_CASE(without_endpoints_no_policy_chooses_any)
{
    static const char *const policies[] = {"round_robin", "least_request", "random",
                                           "ring_hash",   "maglev",        "peak_ewma"};
    struct pp_cluster_conf conf = pp_cluster_default_conf();
    begin();
    for (size_t i = 0; i < PP_COUNT_OF(policies); i++) {
        struct pp_cluster *cl = make(policies[i], &conf, 0);
        pp_cluster_attach(cl, &core[0]);
        for (uint64_t hash = 0; hash < 3; hash++)
            PP_CHECK(pp_cluster_pick(cl, 0, hash) == NULL);
        PP_CHECK(pp_cluster_pick(cl, 1, 0) == NULL);
        PP_CHECK(pp_cluster_find(cl, 0, 1) == NULL);
        pp_cluster_unref(cl);
    }
    end();
}

PP_TEST_MAIN()
