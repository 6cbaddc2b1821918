#include "proxy/up_carry.c"

#include "proxy/h2_origin.h"
#include "proxy/rig.h"

static struct rig r;

/* Install the rig's configuration as it is now. */
static void reload(void)
{
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
    pp_snapshot_unref(sn);
}

static void stop(int c, int o)
{
    close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    rig_stop(&r);
}

PP_TEST_CASE(an_idle_connection_is_used_again_under_the_next_snapshot)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_settle(&r);
    for (int i = 0; i < 3; i++) {
        reload();
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
        rig_simple(&r, c, o);
        rig_settle(&r);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    stop(c, o);
}

PP_TEST_CASE(a_busy_connection_follows_when_it_is_at_rest)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    reload();
    reload();
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    rig_simple(&r, c, o);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    stop(c, o);
}

PP_TEST_CASE(connections_to_an_endpoint_that_has_gone_are_closed)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), d = rig_connect(&r);
    int o[2] = {-1, -1};
    rig_send(&r, c, RIG_GET); /* in turn: the first endpoint, then the second */
    o[0] = rig_accept(&r, 0);
    rig_expect(&r, o[0], RIG_GOT);
    rig_send(&r, d, RIG_GET);
    o[1] = rig_accept(&r, 1);
    rig_expect(&r, o[1], RIG_GOT);
    rig_send(&r, o[1], RIG_HI); /* idle; the other one is busy */
    rig_expect(&r, d, RIG_HI);
    rig_settle(&r);
    struct sockaddr_in first = r.origin_at[0];
    r.origin_at[0] = r.origin_at[1]; /* the first endpoint leaves */
    r.conf.origins = 1;
    reload();
    rig_expect_quiet(&r, o[1]);
    rig_send(&r, o[0], RIG_HI); /* what runs ends in order */
    rig_expect(&r, c, RIG_HI);
    rig_expect_eof(&r, o[0]);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o[1], RIG_GOT);
    rig_send(&r, o[1], RIG_HI);
    rig_expect(&r, c, RIG_HI);
    r.origin_at[0] = first;
    r.conf.origins = 2;
    close(o[0]);
    close(d);
    stop(c, o[1]);
}

PP_TEST_CASE(an_upstream_that_is_spoken_to_otherwise_gets_new_connections)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_settle(&r);
    r.conf.cluster.http2.protocol = PP_CLUSTER_H1;
    reload();
    rig_expect_eof(&r, o);
    close(o);
    o = rig_simple(&r, c, -1);
    rig_settle(&r);
    r.conf.cluster.max_idle = 0; /* and the pool may have become smaller */
    reload();
    rig_expect_eof(&r, o);
    stop(c, o);
}

PP_TEST_CASE(a_snapshot_that_comes_back_is_in_force_again)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_snapshot *a = rig_snapshot(&r), *b = rig_snapshot(&r);
    PP_REQUIRE(a != NULL && b != NULL);
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_settle(&r);
    struct pp_snapshot *turns[] = {a, b, a, a, b};
    for (size_t i = 0; i < PP_COUNT_OF(turns); i++) {
        PP_CHECK_EQ(pp_worker_install(&r.w, turns[i]), PP_OK);
        rig_simple(&r, c, o);
        rig_settle(&r);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    pp_snapshot_unref(a);
    pp_snapshot_unref(b);
    stop(c, o);
}

PP_TEST_CASE(streams_of_two_snapshots_share_a_connection_of_http2)
{
    static struct o2 o;
    struct rig_conf conf = o2_conf();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), d = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    o2_serve(&o, &r, 0);
    PP_CHECK_EQ(o2_n, 1);
    reload(); /* busy */
    rig_send(&r, d, RIG_GET);
    o2_settle(&o);
    PP_CHECK_EQ(o2_n, 2);
    o2_respond(&o2_streams[0], 204, NULL, true);
    rig_expect(&r, c, O2_NO_CONTENT);
    o2_respond(&o2_streams[1], 204, NULL, true);
    rig_expect(&r, d, O2_NO_CONTENT);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    reload(); /* idle */
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    rig_send(&r, c, RIG_GET);
    o2_settle(&o);
    PP_CHECK_EQ(o2_n, 3);
    o2_respond(&o2_streams[2], 204, NULL, true);
    rig_expect(&r, c, O2_NO_CONTENT);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    r.conf.cluster.http2.window_bytes *= 2; /* that cannot be told any more */
    reload();
    o2_settle(&o);
    PP_CHECK(o.eof);
    close(d);
    o2_close(&o);
    stop(c, -1);
}

PP_TEST_MAIN()
