#include "proxy/step_request.c"

#include "proxy/drive_test.h"

PP_TEST_CASE(unknown_paths_methods_and_bad_paths_are_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.methods = 1u << PP_HTTP_GET;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PUT /x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "405", "method_not_allowed", false);
    rig_send(&r, c, "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "400", "path_above_root", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, "GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "400", "encoded_slash", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "404", "no_route", false);
    rig_send(&r, c, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    rig_expect_fault(&r, c, "501", "not_implemented", true);
    stop_all(c, -1);
}

PP_TEST_CASE(the_total_timeout_ends_the_wait_for_an_answer)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.total_timeout_ms = 3000;
    PP_REQUIRE(rig_start(&r, &conf));
    int o, c = get(&o);
    rig_sleep(&r, 2900);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 101);
    rig_expect_fault(&r, c, "504", "total_timeout", false);
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_route_without_an_upstream_has_no_endpoint)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_NONE;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect_fault(&r, c, "503", "no_endpoint", false);
    stop_all(c, -1);
}

static int name_origin(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    x->peer = rig_address(&r.origin_at[0], f->mem);
    return PP_NEXT;
}

PP_TEST_CASE(an_upstream_address_that_a_filter_names_is_used)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_NONE;
    conf.phases = BIT(UPSTREAM_PEER);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = name_origin;
    int o, c = get(&o);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_simple(&r, c, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_dead_endpoint_is_left_for_the_next)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 4; i++) {
        rig_send(&r, c, RIG_GET);
        if (o < 0)
            o = rig_accept(&r, 1);
        int more = rig_try_accept(&r, 1, 30); /* a retry is never sent on a pooled connection */
        if (more >= 0) {
            close(o);
            o = more;
        }
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
    }
    PP_CHECK(RIG_COUNT(&r, UPSTREAM, RETRIES) >= 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES));
    stop_all(c, o);
}

PP_TEST_CASE(a_reused_connection_that_dies_is_retried_for_idempotent_methods_only)
{
    static const struct {
        const char *method;
        bool retried;
    } rows[] = {{"GET", true},     {"HEAD", true},  {"PUT", true},    {"DELETE", true},
                {"OPTIONS", true}, {"POST", false}, {"PATCH", false}, {"LOCK", false}};
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct rig_conf conf = rig_defaults();
        char text[128];
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = rig_simple(&r, c, -1);
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].method);
        rig_send(&r, c, text);
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n", rows[i].method);
        rig_expect(&r, o, text);
        close(o);
        if (rows[i].retried) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, text);
            rig_send(&r, o, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n");
            rig_expect(&r, c, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n");
        } else {
            rig_expect_fault(&r, c, "502", "upstream_reset", false);
            o = -1;
        }
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_fresh_connection_that_dies_is_not_retried)
{
    PP_REQUIRE(start(0));
    int o, c = get(&o);
    close(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    stop_all(c, -1);
}

PP_TEST_CASE(half_a_response_head_is_not_retried)
{
    PP_REQUIRE(start(0));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 O");
    rig_settle(&r);
    close(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    stop_all(c, -1);
}

PP_TEST_CASE(a_held_body_is_sent_again_and_a_streamed_one_is_not)
{
    for (int held = 0; held < 2; held++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = held ? BIT(REQUEST_BODY) : 0;
        conf.buffer_request = held ? 100 : 0;
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = rig_simple(&r, c, -1);
        const char *got = "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 3\r\n\r\nabc";
        rig_send(&r, c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        rig_expect(&r, o, got);
        close(o);
        if (held) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, got);
            rig_send(&r, o, RIG_HI);
            rig_expect(&r, c, RIG_HI);
        } else {
            rig_expect_fault(&r, c, "502", "upstream_reset", false);
            o = -1;
        }
        stop_all(c, o);
    }
}

/* The reused connection dies silently while the first piece is with a filter: the retry must send
 * it once, in order. */
PP_TEST_CASE(a_retry_while_the_first_piece_is_parked_sends_it_once)
{
    PP_REQUIRE(start(BIT(REQUEST_BODY)));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    r.filter[0].body = park_body;
    rig_send(&r, c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    rig_expect(&r, o, "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n");
    rig_settle(&r);
    PP_CHECK(r.parked[PP_PARK_REQUEST_BODY] != NULL);
    close(o);
    rig_settle(&r);
    o = rig_try_accept(&r, 0, 100);
    if (r.parked[PP_PARK_REQUEST_BODY] != NULL)
        rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    if (o >= 0) {
        rig_expect(&r, o,
                   "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n");
        rig_expect(&r, o, "3\r\nabc\r\n0\r\n\r\n");
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
    } else {
        rig_expect_fault(&r, c, "502", "upstream_reset", false);
    }
    stop_all(c, o);
}

PP_TEST_MAIN()
