#include "proxy/up.c"

#include "proxy/rig.h"

static struct rig r;

static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_refused_connection_is_a_502)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect_fault(&r, c, "502", "connect_refused", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES), 2); /* one retry */
    stop_all(c, -1);
}

/* A full accept queue drops SYNs: the connect hangs. */
PP_TEST_CASE(a_connect_that_hangs_is_a_504)
{
    struct rig_conf conf = rig_defaults();
    int fill[RIG_CLOG];
    conf.cluster.connect_timeout_ms = 3000;
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    rig_clog(&r, fill);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_sleep(&r, 2000);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 1001);
    rig_expect_fault(&r, c, "504", "connect_timeout", false);
    rig_unclog(fill);
    stop_all(c, -1);
}

PP_TEST_CASE(a_client_that_leaves_during_connect_leaves_nothing_behind)
{
    struct rig_conf conf = rig_defaults();
    int fill[RIG_CLOG];
    PP_REQUIRE(rig_start(&r, &conf));
    rig_clog(&r, fill);
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_unclog(fill);
    stop_all(-1, -1);
}

PP_TEST_CASE(without_descriptors_a_request_is_a_502_and_later_ones_go_through)
{
    struct rig_conf conf = rig_defaults();
    struct rlimit old, tight;
    conf.cluster.retries = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_settle(&r);
    int next = dup(0);
    close(next);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)next;
    setrlimit(RLIMIT_NOFILE, &tight);
    rig_send(&r, c, RIG_GET);
    rig_expect_fault(&r, c, "502", "connect_failed", false);
    setrlimit(RLIMIT_NOFILE, &old);
    int o = rig_simple(&r, c, -1);
    stop_all(c, o);
}

PP_TEST_CASE(idle_connections_age_out)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.idle_timeout_ms = 10000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    rig_sleep(&r, 9000);
    rig_simple(&r, c, o);
    rig_sleep(&r, 9000);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 1);
    rig_sleep(&r, 1001);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(old_and_used_up_connections_are_not_kept)
{
    for (int age = 0; age < 2; age++) {
        struct rig_conf conf = rig_defaults();
        conf.cluster.max_age_ms = age ? 10000 : 0;
        conf.cluster.max_requests = age ? 0 : 2;
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = rig_simple(&r, c, -1);
        if (age)
            rig_sleep(&r, 10000); /* not lent any more */
        else
            rig_simple(&r, c, o);
        if (age) {
            int fresh = rig_simple(&r, c, -1);
            close(fresh);
            rig_settle(&r);
        }
        rig_expect_eof(&r, o);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
        close(o);
        o = rig_simple(&r, c, -1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(an_idle_connection_that_the_origin_closes_or_writes_to_is_dropped)
{
    for (int writes = 0; writes < 2; writes++) {
        struct rig_conf conf = rig_defaults();
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = rig_simple(&r, c, -1);
        if (writes)
            rig_send(&r, o, "HTTP/1.1 408 Request Timeout\r\n\r\n");
        else
            close(o);
        rig_settle(&r);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
        PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
        if (writes)
            close(o);
        o = rig_simple(&r, c, -1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(the_pool_keeps_no_more_than_it_should)
{
    struct rig_conf conf = rig_defaults();
    int c[3], o[3];
    conf.cluster.max_idle = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < 3; i++) {
        c[i] = rig_connect(&r);
        rig_send(&r, c[i], RIG_GET);
        o[i] = rig_accept(&r, 0);
        rig_expect(&r, o[i], RIG_GOT);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 3);
    for (int i = 0; i < 3; i++) {
        rig_send(&r, o[i], RIG_HI);
        rig_expect(&r, c[i], RIG_HI);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 2);
    rig_expect_eof(&r, o[2]);
    rig_send(&r, c[0], RIG_GET);
    rig_expect(&r, o[1], RIG_GOT); /* last used first */
    for (int i = 0; i < 3; i++) {
        close(c[i]);
        close(o[i]);
    }
    stop_all(-1, -1);
}

PP_TEST_CASE(a_body_that_comes_apart_from_its_head_keeps_the_connection)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 3; i++) {
        rig_send(&r, c, RIG_GET);
        if (o < 0)
            o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\n");
        rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\n");
        rig_send(&r, o, "hi");
        rig_expect(&r, c, "hi");
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    stop_all(c, o);
}

PP_TEST_MAIN()
