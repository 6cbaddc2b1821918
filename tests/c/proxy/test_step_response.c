#include "proxy/step_response.c"

#include "proxy/drive_test.h"

PP_TEST_CASE(respond_routes_answer_with_their_fields_and_body)
{
    struct pp_respond_field field = {PP_SPAN("X-A"), PP_SPAN("b")};
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.route.body = PP_SPAN("hello");
    conf.route.field = &field;
    conf.route.n_field = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    char got[256];
    for (int head = 0; head < 2; head++) {
        rig_send(&r, c, head ? "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" : RIG_GET);
        rig_expect(&r, c, "HTTP/1.1 200 OK\r\nX-A: b\r\nDate: ");
        PP_CHECK_EQ(rig_read(&r, c, got, 29 + 2, &end), 31);
        rig_expect(&r, c, head ? "Content-Length: 5\r\n\r\n" : "Content-Length: 5\r\n\r\nhello");
        rig_expect_quiet(&r, c);
    }
    stop_all(c, -1);
}

PP_TEST_CASE(a_respond_route_swallows_a_body_that_is_there_and_closes_for_one_that_is_not)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 204;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    char got[512];
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" RIG_GET);
    for (int i = 0; i < 2; i++) {
        rig_expect(&r, c, "HTTP/1.1 204 No Content\r\nDate: ");
        PP_CHECK_EQ(rig_read(&r, c, got, 29 + 4, &end), 33);
    }
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nabc");
    rig_expect(&r, c, "HTTP/1.1 204 No Content\r\nDate: ");
    PP_CHECK_EQ(rig_read(&r, c, got, 29 + 2, &end), 31);
    rig_expect(&r, c, "Connection: close\r\n\r\n");
    rig_expect_eof(&r, c);
    rig_send(&r, c, "the rest is read and dropped");
    rig_settle(&r);
    stop_all(c, -1);
}

PP_TEST_CASE(body_filters_change_what_goes_through)
{
    PP_REQUIRE(start(BODY_PHASES));
    r.filter[0].body = upper_body;
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    rig_send(&r, c, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect(&r, o, "5\r\nABCDE\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "2\r\nHI\r\n0\r\n\r\n");
    stop_all(c, o);
}

PP_TEST_CASE(body_filters_may_drop_pieces_and_add_at_the_end)
{
    PP_REQUIRE(start(BODY_PHASES));
    r.filter[0].body = drop_body;
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    rig_send(&r, c, "3\r\nabc\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect_quiet(&r, o);
    rig_send(&r, c, "0\r\n\r\n");
    rig_expect(&r, o, "1\r\n!\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "1\r\n!\r\n0\r\n\r\n");
    stop_all(c, o);
}

PP_TEST_CASE(held_bodies_are_filtered_whole_and_sent_with_their_length)
{
    for (int park = 0; park < 2; park++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BODY_PHASES;
        conf.buffer_request = conf.buffer_response = 1000;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = park ? park_body : upper_body;
        int c = rig_connect(&r);
        rig_send(&r, c, chunked_post);
        rig_send(&r, c, "3\r\nabc\r\n");
        rig_settle(&r);
        PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
        rig_send(&r, c, "2\r\nde\r\n0\r\n\r\n");
        if (park) {
            rig_settle(&r);
            PP_CHECK_STR(kept(), "abcde");
            rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, PP_SPAN("12345"));
        }
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 5\r\n\r\n");
        rig_expect(&r, o, park ? "12345" : "ABCDE");
        rig_send(&r, o, chunked_ok);
        rig_send(&r, o, "1\r\nx\r\n");
        rig_expect_quiet(&r, c);
        rig_send(&r, o, "1\r\ny\r\n0\r\n\r\n");
        if (park) {
            rig_settle(&r);
            PP_CHECK_STR(kept(), "xy");
            rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, PP_SPAN("z"));
        }
        rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: ");
        rig_expect(&r, c, park ? "1\r\n\r\nz" : "2\r\n\r\nXY");
        rig_expect_quiet(&r, c);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST_BODY], 1);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_RESPONSE_BODY], 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(bodies_over_the_holding_limit_are_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BODY_PHASES;
    conf.buffer_request = conf.buffer_response = 4;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    rig_send(&r, c, "5\r\nabcde\r\n0\r\n\r\n");
    rig_expect_fault(&r, c, "413", "body_too_large", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
    rig_expect_fault(&r, c, "502", "upstream_body_too_large", false);
    stop_all(c, o);
}

static struct pp_span seen_server;

static int look_at_response(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    const struct pp_http_field *field = pp_http_msg_find_id(&x->response, PP_NAME_SERVER);
    seen_server = PP_SPAN_NONE;
    if (field != NULL) { /* read every byte */
        f->n = field->value_n;
        memcpy(f->mem, field->value, field->value_n);
        seen_server = pp_span(f->mem, f->n);
    }
    return PP_NEXT;
}

PP_TEST_CASE(a_broken_answer_is_not_seen_by_the_filters_of_the_error)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(RESPONSE_BODY) | BIT(PROXY_ERROR) | BIT(LOG);
    conf.buffer_response = 4;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = look_at_response;
    int o, c = get(&o);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nServer: gone\r\nContent-Length: 5\r\n\r\nabcde");
    rig_expect_fault(&r, c, "502", "upstream_body_too_large", false);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 1);
    PP_CHECK_EQ(seen_server.n, 0);
    stop_all(c, o);
}

PP_TEST_MAIN()
