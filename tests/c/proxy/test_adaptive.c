#include "proxy/adaptive.c"

#include "proxy/drive_test.h"

#define OOPS "HTTP/1.1 500 No\r\n" RIG_DATE "Content-Length: 0\r\n\r\n"

static struct rig_conf adaptive_conf(uint32_t requests)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.admission =
        (struct pp_admission_conf){.pending = 10, .queue_ms = 5000, .at_runtime = true};
    conf.cluster.adaptive = (struct pp_gradient_conf){.least = 1,
                                                      .most = 100,
                                                      .percentile = 50,
                                                      .window_ms = 100,
                                                      .min_rtt_ms = 60000,
                                                      .requests = requests,
                                                      .jitter_percent = 15,
                                                      .buffer_percent = 25};
    return conf;
}

static struct pp_cluster *cluster(void)
{
    return r.w.core.snapshot->cluster[0];
}

PP_TEST_CASE(requests_beyond_the_limit_wait)
{
    struct rig_conf conf = adaptive_conf(50);
    PP_REQUIRE(rig_start(&r, &conf));
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE_LIMIT), 1);
    int o, c = get(&o), c2 = rig_connect(&r);
    rig_send(&r, c2, RIG_GET);
    rig_settle(&r);
    PP_CHECK_EQ(pp_admission_held(cluster()), 1);
    PP_CHECK_EQ(pp_admission_queued(cluster()), 1);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c2, RIG_HI);
    close(c2);
    stop_all(c, o);
}

PP_TEST_CASE(the_limit_follows_the_times_of_answers)
{
    struct rig_conf conf = adaptive_conf(2);
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 2; i++)
        o = rig_simple(&r, c, o);
    PP_CHECK(!cluster()->gradient->measures);
    PP_CHECK(cluster()->gradient->min_rtt_us > 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE_MIN_RTT), 0); /* told with the limit */
    cluster()->gradient->min_rtt_us = 1000000;
    for (int i = 0; i < 6; i++) {
        rig_sleep(&r, 100);
        o = rig_simple(&r, c, o);
    }
    uint64_t high = RIG_COUNT(&r, UPSTREAM, ADAPTIVE_LIMIT);
    PP_CHECK(high > 10);
    PP_CHECK_EQ(cluster()->admission->limit, high);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE_MIN_RTT), 1000000);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_sleep(&r, 20000);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    PP_CHECK(RIG_COUNT(&r, UPSTREAM, ADAPTIVE_LIMIT) < high);
    stop_all(c, o);
}

PP_TEST_CASE(errors_teach_nothing)
{
    struct rig_conf conf = adaptive_conf(2);
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_send(&r, o, OOPS);
    rig_expect(&r, c, OOPS);
    PP_CHECK_EQ(cluster()->gradient->n, 0);
    o = rig_simple(&r, c, o);
    PP_CHECK_EQ(cluster()->gradient->n, 1);
    stop_all(c, o);
}

static void install(const struct rig_conf *conf)
{
    r.conf = *conf;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL && pp_worker_install(&r.w, sn) == PP_OK);
    pp_snapshot_unref(sn);
}

PP_TEST_CASE(a_reload_goes_on_with_what_was_learnt)
{
    struct rig_conf conf = adaptive_conf(2), narrow = adaptive_conf(2), none = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 2; i++)
        o = rig_simple(&r, c, o);
    struct pp_gradient *g = cluster()->gradient;
    g->limit = 40;
    pp_admission_set_limit(cluster(), 40);
    rig_send(&r, c, RIG_GET); /* one of the old configuration */
    rig_expect(&r, o, RIG_GOT);
    install(&conf);
    PP_CHECK(cluster()->gradient == g && g->limit == 40);
    narrow.cluster.adaptive.most = 7;
    install(&narrow);
    PP_CHECK(cluster()->gradient == g && g->limit == 7);
    PP_CHECK_EQ(cluster()->admission->limit, 7);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE_LIMIT), 7);
    none.cluster.admission = (struct pp_admission_conf){.requests = 5, .queue_ms = 1};
    install(&none);
    PP_CHECK(cluster()->gradient == NULL);
    PP_CHECK_EQ(cluster()->admission->limit, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ADAPTIVE_LIMIT), 0);
    install(&conf);
    PP_CHECK_EQ(cluster()->admission->limit, 1); /* from the beginning */
    rig_send(&r, o, RIG_HI); /* of a cluster that has nothing to learn any more */
    rig_expect(&r, c, RIG_HI);
    PP_CHECK_EQ(cluster()->gradient->n, 0);
    stop_all(c, o);
}

PP_TEST_MAIN()
