#include "proxy/admission.c"

#include "proxy/drive_test.h"

static struct rig_conf conf_of(uint32_t requests, uint32_t pending)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.retries = 0;
    conf.cluster.admission =
        (struct pp_admission_conf){.requests = requests, .pending = pending, .queue_ms = 5000};
    return conf;
}

/* What is in progress and what waits, here and in the counters. */
static void expect_counts(unsigned held, unsigned queued)
{
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, SLOTS), held);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, QUEUED), queued);
}

/* A client that asks for /<i>. */
static int ask(int i)
{
    char text[64];
    int c = rig_connect(&r);
    snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i);
    rig_send(&r, c, text);
    rig_settle(&r);
    return c;
}

static void expect_asked(int o, int i)
{
    char text[256];
    snprintf(text, sizeof text, "GET /%d HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n", i);
    rig_expect(&r, o, text);
}

static void answer(int o, int c)
{
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
}

static void reload(void)
{
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_REQUIRE(sn != NULL);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
    pp_snapshot_unref(sn);
}

static void stop_clients(int *c, int n, int o)
{
    for (int i = 0; i < n; i++)
        close(c[i]);
    rig_settle(&r);
    expect_counts(0, 0);
    stop_all(-1, o);
}

PP_TEST_CASE(what_comes_beyond_waits_and_goes_on_in_order)
{
    struct rig_conf conf = conf_of(1, 8);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[4];
    for (int i = 0; i < 4; i++)
        c[i] = ask(i);
    int o = rig_accept(&r, 0);
    expect_asked(o, 0);
    expect_counts(1, 3);
    for (int i = 0; i < 4; i++) {
        rig_expect_quiet(&r, o);
        answer(o, c[i]);
        if (i < 3)
            expect_asked(o, i + 1); /* on the same connection */
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, QUEUED_ALL), 3);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    stop_clients(c, 4, o);
}

PP_TEST_CASE(a_full_queue_refuses_at_once)
{
    struct rig_conf conf = conf_of(1, 1);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1), ask(2)};
    rig_expect_fault(&r, c[2], "503", "upstream_overflow", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, OVERFLOW), 1);
    int o = rig_accept(&r, 0);
    expect_asked(o, 0);
    answer(o, c[0]);
    expect_asked(o, 1);
    answer(o, c[1]);
    stop_clients(c, 3, o);
}

PP_TEST_CASE(without_a_queue_nobody_waits)
{
    struct rig_conf conf = conf_of(1, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2] = {ask(0), ask(1)};
    rig_expect_fault(&r, c[1], "503", "upstream_overflow", false);
    int o = rig_accept(&r, 0);
    expect_asked(o, 0);
    answer(o, c[0]);
    expect_counts(0, 0);
    stop_clients(c, 2, o);
}

PP_TEST_CASE(who_waits_too_long_is_refused)
{
    struct rig_conf conf = conf_of(1, 8);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1)};
    rig_sleep(&r, 3000);
    c[2] = ask(2);
    rig_sleep(&r, 2001);
    rig_expect_fault(&r, c[1], "503", "queue_timeout", false);
    rig_expect_quiet(&r, c[2]);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, QUEUE_TIMEOUT), 1);
    expect_counts(1, 1);
    int o = rig_accept(&r, 0);
    expect_asked(o, 0);
    answer(o, c[0]);
    expect_asked(o, 2);
    answer(o, c[2]);
    stop_clients(c, 3, o);
}

PP_TEST_CASE(a_client_that_leaves_gives_up_its_turn)
{
    struct rig_conf conf = conf_of(1, 8);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1), ask(2)};
    rig_reset(c[1]);
    expect_counts(1, 1);
    c[1] = ask(3);
    int o = rig_accept(&r, 0);
    expect_asked(o, 0);
    answer(o, c[0]);
    expect_asked(o, 2);
    answer(o, c[2]);
    expect_asked(o, 3);
    answer(o, c[1]);
    stop_clients(c, 3, o);
}

PP_TEST_CASE(a_client_that_leaves_frees_its_place)
{
    struct rig_conf conf = conf_of(1, 8);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2] = {ask(0), ask(1)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    rig_reset(c[0]);
    rig_expect_eof(&r, o);
    close(o);
    o = rig_accept(&r, 0);
    expect_asked(o, 1);
    answer(o, c[1]);
    stop_clients(c + 1, 1, o);
}

PP_TEST_CASE(the_total_timeout_ends_the_wait)
{
    struct rig_conf conf = conf_of(1, 8);
    conf.cluster.total_timeout_ms = 1000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2] = {ask(0)};
    rig_sleep(&r, 500);
    c[1] = ask(1);
    int o = rig_accept(&r, 0);
    expect_asked(o, 0);
    rig_sleep(&r, 501);
    rig_expect_fault(&r, c[0], "504", "total_timeout", false);
    close(o);
    o = rig_accept(&r, 0);
    expect_asked(o, 1);
    rig_sleep(&r, 500);
    rig_expect_fault(&r, c[1], "504", "total_timeout", false);
    stop_clients(c, 2, o);
}

PP_TEST_CASE(an_endpoint_that_cannot_be_reached_keeps_nothing)
{
    struct rig_conf conf = conf_of(1, 8);
    conf.cluster.retries = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1), ask(2)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    close(r.origin[0]);
    r.origin[0] = -1;
    rig_reset(o);
    rig_expect_fault(&r, c[0], "502", "upstream_reset", false);
    rig_expect_fault(&r, c[1], "502", "connect_refused", false);
    rig_expect_fault(&r, c[2], "502", "connect_refused", false);
    expect_counts(0, 0);
    stop_clients(c, 3, -1);
}

PP_TEST_CASE(a_retry_goes_before_those_who_wait)
{
    struct rig_conf conf = conf_of(1, 8);
    conf.cluster.retries = 1;
    conf.cluster.retry = (struct pp_retry_policy){.budget_least = 3, .base_ms = 1000};
    PP_CHECK_EQ(pp_retry_policy_add(&conf.cluster.retry, PP_SPAN("reset")), PP_OK);
    conf.cluster.retry.most_ms = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1), ask(2)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    rig_reset(o);
    rig_sleep(&r, 100); /* the second one has the place while the first pauses */
    o = rig_accept(&r, 0);
    expect_asked(o, 1);
    expect_counts(1, 2);
    answer(o, c[1]);
    int o2 = rig_accept(&r, 0); /* a retry has a fresh connection */
    expect_asked(o2, 0);
    answer(o2, c[0]);
    rig_settle(&r);
    expect_asked(o2, 2);
    answer(o2, c[2]);
    close(o);
    stop_clients(c, 3, o2);
}

/* Each goes on under the snapshot that it began with: whose connections others have by now. */
PP_TEST_CASE(those_who_wait_outlast_a_reload)
{
    struct rig_conf conf = conf_of(1, 8);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[4] = {ask(0), ask(1)}, o[4] = {rig_accept(&r, 0)};
    expect_asked(o[0], 0);
    reload();
    c[2] = ask(2);
    reload();
    expect_counts(1, 2);
    answer(o[0], c[0]);
    for (int i = 1; i < 3; i++) {
        o[i] = rig_accept(&r, 0);
        expect_asked(o[i], i);
        if (i == 1)
            answer(o[i], c[i]);
    }
    c[3] = ask(3);
    expect_counts(1, 1);
    r.conf.cluster.admission.requests = 2;
    reload(); /* room for one more */
    o[3] = rig_accept(&r, 0);
    expect_asked(o[3], 3);
    r.conf.cluster.admission = (struct pp_admission_conf){0};
    reload(); /* no limits any more */
    answer(o[2], c[2]);
    answer(o[3], c[3]);
    for (int i = 1; i < 4; i++)
        close(o[i]);
    stop_clients(c, 4, o[0]);
}

PP_TEST_CASE(a_limit_may_change_while_requests_wait)
{
    struct rig_conf conf = conf_of(0, 8);
    conf.cluster.admission.at_runtime = true;
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_cluster *cl = r.w.core.snapshot->cluster[0];
    pp_admission_set_limit(cl, 1);
    int c[3] = {ask(0), ask(1), ask(2)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    PP_CHECK_EQ(pp_admission_held(cl), 1);
    PP_CHECK_EQ(pp_admission_queued(cl), 2);
    pp_admission_set_limit(cl, 0);
    rig_settle(&r);
    PP_CHECK_EQ(pp_admission_held(cl), 3);
    pp_admission_set_limit(cl, 1); /* nobody is thrown out */
    rig_settle(&r);
    PP_CHECK_EQ(pp_admission_held(cl), 3);
    answer(o, c[0]);
    int o2 = rig_accept(&r, 0), o3 = rig_accept(&r, 0);
    expect_asked(o2, 1);
    expect_asked(o3, 2);
    answer(o2, c[1]);
    answer(o3, c[2]);
    close(o2);
    close(o3);
    stop_clients(c, 3, o);
}

PP_TEST_CASE(a_worker_that_stops_forgets_those_who_wait)
{
    struct rig_conf conf = conf_of(1, 8);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2] = {ask(0), ask(1)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    rig_stop(&r);
    close(c[0]);
    close(c[1]);
    close(o);
}

PP_TEST_CASE(an_open_breaker_keeps_nobody_waiting)
{
    struct rig_conf conf = conf_of(1, 8);
    conf.cluster.breaker =
        (struct pp_breaker_conf){.in_a_row = 1, .window_ms = 10000, .open_ms = 5000, .probes = 1};
    PP_REQUIRE(rig_start(&r, &conf));
    int c[4] = {ask(0), ask(1), ask(2)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    rig_reset(o);
    rig_expect_fault(&r, c[0], "502", "upstream_reset", false);
    c[3] = ask(3);
    for (int i = 1; i < 4; i++)
        rig_expect_fault(&r, c[i], "503", "breaker_open", false);
    stop_clients(c, 4, -1);
}

/* ---- endpoints and connections ---- */

static struct rig_conf conf_of_two(uint32_t max_requests, uint32_t max_connections)
{
    struct rig_conf conf = conf_of(0, 8);
    conf.origins = 2;
    conf.max_requests = max_requests;
    conf.max_connections = max_connections;
    return conf;
}

PP_TEST_CASE(an_endpoint_that_is_full_is_not_chosen)
{
    struct rig_conf conf = conf_of_two(1, 0);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[5] = {ask(0), ask(1), ask(2), ask(3)}, o[2] = {rig_accept(&r, 0), rig_accept(&r, 1)};
    expect_asked(o[0], 0);
    expect_asked(o[1], 1);
    expect_counts(2, 2);
    answer(o[1], c[1]);
    expect_asked(o[1], 2); /* whoever's turn it were */
    answer(o[1], c[2]);
    expect_asked(o[1], 3);
    answer(o[0], c[0]);
    c[4] = ask(4);
    expect_asked(o[0], 4);
    answer(o[0], c[4]);
    answer(o[1], c[3]);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 0);
    close(o[0]);
    stop_clients(c, 5, o[1]);
}

PP_TEST_CASE(who_finds_all_endpoints_full_keeps_its_time)
{
    struct rig_conf conf = conf_of_two(1, 0);
    conf.cluster.admission.pending = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    int c[5] = {ask(0), ask(1), ask(2), ask(3), ask(4)};
    int o[2] = {rig_accept(&r, 0), rig_accept(&r, 1)};
    rig_expect_fault(&r, c[4], "503", "upstream_overflow", false);
    expect_asked(o[0], 0);
    expect_asked(o[1], 1);
    rig_sleep(&r, 3000);
    pp_admission_set_limit(r.w.core.snapshot->cluster[0], 9); /* it is looked at */
    rig_sleep(&r, 2001);
    rig_expect_fault(&r, c[2], "503", "queue_timeout", false);
    rig_expect_fault(&r, c[3], "503", "queue_timeout", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, QUEUED_ALL), 2);
    answer(o[0], c[0]);
    answer(o[1], c[1]);
    close(o[0]);
    stop_clients(c, 5, o[1]);
}

PP_TEST_CASE(a_place_at_an_endpoint_comes_back_when_it_fails)
{
    struct rig_conf conf = conf_of_two(1, 0);
    conf.cluster.retries = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c[2] = {ask(0)}, o = rig_accept(&r, 1); /* the first one refuses */
    expect_asked(o, 0);
    c[1] = ask(1); /* no room at the second: both attempts are at the first */
    rig_expect_fault(&r, c[1], "502", "connect_refused", false);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 1);
    expect_counts(1, 0);
    answer(o, c[0]);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, SLOTS), 0);
    stop_clients(c, 2, o);
}

PP_TEST_CASE(a_request_waits_for_a_connection)
{
    struct rig_conf conf = conf_of(0, 8);
    conf.cluster.admission.connections = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1), ask(2)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    expect_counts(1, 2);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    for (int i = 0; i < 3; i++) {
        answer(o, c[i]);
        if (i < 2)
            expect_asked(o, i + 1);
    }
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, CONNECTS), 1);
    stop_clients(c, 3, o);
}

PP_TEST_CASE(an_idle_connection_makes_room_for_one_to_another_endpoint)
{
    struct rig_conf conf = conf_of_two(0, 0);
    conf.cluster.admission.connections = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2] = {ask(0)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    answer(o, c[0]);
    c[1] = ask(1);
    rig_expect_eof(&r, o);
    int o2 = rig_accept(&r, 1);
    expect_asked(o2, 1);
    answer(o2, c[1]);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 1);
    close(o);
    stop_clients(c, 2, o2);
}

PP_TEST_CASE(an_endpoint_has_so_many_connections)
{
    struct rig_conf conf = conf_of_two(0, 1);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[3] = {ask(0), ask(1), ask(2)}, o[2] = {rig_accept(&r, 0), rig_accept(&r, 1)};
    expect_asked(o[0], 0);
    expect_asked(o[1], 1);
    expect_counts(2, 1);
    close(o[0]); /* a connection that breaks is room as well */
    rig_expect_fault(&r, c[0], "502", "upstream_reset", false);
    o[0] = rig_try_accept(&r, 0, 200);
    if (o[0] < 0) { /* it was the other one's turn */
        answer(o[1], c[1]);
        expect_asked(o[1], 2);
        answer(o[1], c[2]);
    } else {
        expect_asked(o[0], 2);
        answer(o[0], c[2]);
        close(o[0]);
        answer(o[1], c[1]);
    }
    stop_clients(c, 3, o[1]);
}

/* ---- retries ---- */

PP_TEST_CASE(only_so_many_retries_are_in_progress)
{
    struct rig_conf conf = conf_of(0, 0);
    conf.cluster.retries = 1;
    conf.cluster.retry = (struct pp_retry_policy){.budget_percent = 100, .budget_least = 9};
    conf.cluster.admission.retries = 1;
    PP_CHECK_EQ(pp_retry_policy_add(&conf.cluster.retry, PP_SPAN("reset")), PP_OK);
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2], o[2];
    for (int i = 0; i < 2; i++) {
        c[i] = ask(i);
        o[i] = rig_accept(&r, 0);
        expect_asked(o[i], i);
    }
    close(o[0]);
    rig_settle(&r);
    o[0] = rig_accept(&r, 0);
    expect_asked(o[0], 0);
    close(o[1]);
    rig_expect_fault(&r, c[1], "502", "upstream_reset", false);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRY_OVERFLOW), 1);
    answer(o[0], c[0]);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 0);
    stop_clients(c, 2, o[0]);
}

PP_TEST_CASE(retries_that_need_no_policy_count_as_well)
{
    struct rig_conf conf = conf_of(0, 0);
    conf.cluster.retries = 1;
    conf.cluster.admission.retries = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_settle(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_reset(o); /* the connection was used before */
    o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 1);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES_ACTIVE), 0);
    stop_all(c, o);
}

PP_TEST_CASE(the_log_says_how_long_it_waited)
{
    struct rig_conf conf = conf_of(1, 8);
    char line[256];
    int out[2];
    PP_REQUIRE(pipe2(out, O_NONBLOCK) == 0);
    conf.log = "{request.path} {upstream.queue_ms} {fault}";
    conf.log_fd = out[1];
    PP_REQUIRE(rig_start(&r, &conf));
    int c[2] = {ask(0), ask(1)}, o = rig_accept(&r, 0);
    expect_asked(o, 0);
    rig_sleep(&r, 5001);
    rig_expect_fault(&r, c[1], "503", "queue_timeout", false);
    answer(o, c[0]);
    stop_clients(c, 2, o);
    ssize_t n = read(out[0], line, sizeof line - 1);
    line[PP_MAX(n, 0)] = '\0';
    PP_CHECK(strncmp(line, "/1 50", 5) == 0 &&
             strstr(line, " queue_timeout\n/0 0.000 -\n") != NULL);
    close(out[0]);
    close(out[1]);
}

PP_TEST_MAIN()
