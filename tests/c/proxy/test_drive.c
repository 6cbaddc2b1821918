#include "proxy/drive.c"

#include "proxy/drive_test.h"

PP_TEST_CASE(a_client_that_leaves_while_a_filter_is_parked_cancels_it)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases); i++) {
        wanted = request_phases[i];
        PP_REQUIRE(start(ALL_PHASES & ~BODY_PHASES));
        r.filter[0].run = park_there;
        int o, c = get_until_wanted(&o);
        PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
        rig_reset(c);
        rig_settle(&r);
        if (wanted == PP_PHASE_LOG) { /* let to end */
            PP_CHECK_EQ(r.cancelled, 0);
            PP_CHECK_EQ(r.w.core.n_exchange, 1);
            rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        } else {
            PP_CHECK_EQ(r.cancelled, 1);
            PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
        }
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        PP_CHECK_EQ(r.w.core.n_down, 0);
        stop_all(-1, o);
    }
}

PP_TEST_CASE(a_connection_that_is_ready_after_its_client_left_starts_nothing)
{
    struct rig_conf conf = rig_defaults();
    int fill[3];
    conf.phases = BIT(LOG);
    wanted = PP_PHASE_LOG;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = park_there;
    listen(r.origin[0], 0); /* a full queue: the connect hangs */
    for (int i = 0; i < 3; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&r.origin_at[0], sizeof r.origin_at[0]);
    }
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_settle(&r);
    rig_reset(c);
    rig_settle(&r);
    struct pp_exchange *x = r.parked[PP_PARK_PHASE];
    PP_REQUIRE(x != NULL);
    PP_CHECK_EQ(x->state, PP_EXCHANGE_LOG);
    x->events->connected(x); /* as up.c says it when the queue has room again */
    PP_CHECK_EQ(x->state, PP_EXCHANGE_LOG);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    for (int i = 0; i < 3; i++)
        close(fill[i]);
    stop_all(-1, -1);
}

PP_TEST_CASE(a_worker_that_stops_cancels_what_is_parked)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases); i++) {
        wanted = request_phases[i];
        PP_REQUIRE(start(ALL_PHASES & ~BODY_PHASES));
        r.filter[0].run = park_there;
        int o, c = get_until_wanted(&o);
        rig_stop(&r);
        PP_CHECK_EQ(r.cancelled, 1);
        close(c);
        if (o >= 0)
            close(o);
    }
}

/* A log phase that parks as the worker stops must not keep the connection. */
static int park_in_log_always(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == PP_PHASE_LOG || phase == PP_PHASE_REQUEST ? PP_PARK : PP_NEXT;
}

PP_TEST_CASE(a_worker_that_stops_does_not_wait_for_a_log_phase_that_parks_then)
{
    PP_REQUIRE(start(BIT(LOG) | BIT(REQUEST)));
    r.filter[0].run = park_in_log_always;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_settle(&r);
    PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
    rig_stop(&r);
    PP_CHECK_EQ(r.cancelled, 2);
    close(c);
}

PP_TEST_CASE(a_parked_request_body_does_not_hold_back_the_head)
{
    PP_REQUIRE(start(BIT(REQUEST_BODY)));
    r.filter[0].body = park_body;
    int c = rig_connect(&r), other = rig_connect(&r);
    rig_send(&r, c,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"); /* one packet */
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    /* Meanwhile another exchange uses the same scratch memory. */
    rig_send(&r, other, RIG_GET);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, other, RIG_HI);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    rig_expect(&r, o, "5\r\nhello\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    close(other);
    close(o2);
    stop_all(c, o);
}

PP_TEST_CASE(a_parked_response_body_does_not_hold_back_the_head)
{
    PP_REQUIRE(start(BIT(RESPONSE_BODY)));
    r.filter[0].body = park_body;
    int c = rig_connect(&r), other = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    struct pp_exchange *x = r.parked[PP_PARK_RESPONSE_BODY];
    r.filter[0].body = NULL;
    rig_send(&r, other, RIG_GET);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, other, chunked_ok);
    rig_expect(&r, other, "2\r\nhi\r\n0\r\n\r\n");
    r.parked[PP_PARK_RESPONSE_BODY] = x;
    rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, kept());
    rig_expect(&r, c, "2\r\nhi\r\n0\r\n\r\n");
    close(other);
    close(o2);
    stop_all(c, o);
}

PP_TEST_CASE(pieces_parked_one_after_the_other_arrive_in_order)
{
    PP_REQUIRE(start(BODY_PHASES));
    r.filter[0].body = park_body;
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_send(&r, c, "3\r\nabc\r\n");
    rig_settle(&r);
    rig_send(&r, c, "3\r\ndef\r\n"); /* waits in the socket: the filter has a piece */
    rig_settle(&r);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    rig_expect(&r, o, "3\r\nabc\r\n");
    rig_settle(&r);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    rig_expect(&r, o, "3\r\ndef\r\n");
    rig_send(&r, c, "0\r\n\r\n");
    rig_settle(&r);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, PP_SPAN_NONE);
    rig_expect(&r, o, "0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    rig_settle(&r);
    rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, PP_SPAN("dropped and made anew"));
    rig_expect(&r, c, "15\r\ndropped and made anew\r\n0\r\n\r\n");
    r.filter[0].body = NULL;
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    stop_all(c, o);
}

PP_TEST_CASE(a_body_filter_that_raises_ends_the_exchange)
{
    for (int early = 0; early < 2; early++) {
        wanted = early ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
        PP_REQUIRE(start(BODY_PHASES));
        r.filter[0].body = fail_body;
        int c = rig_connect(&r), other = rig_connect(&r);
        rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        int o = rig_accept(&r, 0);
        if (early) {
            rig_expect_fault(&r, c, "500", "filter_error", true);
        } else {
            rig_expect(&r, o, chunked_got);
            rig_expect(&r, o, "2\r\nab\r\n0\r\n\r\n");
            rig_send(&r, o, RIG_HI);
            char got[512];
            int end;
            rig_read(&r, c, got, sizeof got,
                     &end); /* the head at most, then a reset: never a whole answer */
            PP_CHECK_EQ(end, ECONNRESET);
        }
        r.filter[0].body = NULL;
        close(o);
        rig_send(&r, other, RIG_GET); /* nothing of the other exchange leaks into this one */
        o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, other, chunked_ok);
        close(other);
        stop_all(c, o);
    }
}

/* A filter that parks answers when it is resumed. */
static void reply_late(void)
{
    rig_settle(&r);
    struct pp_exchange *x = r.parked[PP_PARK_REQUEST_BODY];
    PP_REQUIRE(x != NULL);
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_REPLY, PP_SPAN_NONE);
}

/* That answer as the client gets it. */
static void expect_reply(int c, bool closes)
{
    char date[29];
    int end;
    rig_expect(&r, c, "HTTP/1.1 403 Forbidden\r\nDate: ");
    PP_CHECK_EQ(rig_read(&r, c, date, sizeof date, &end), sizeof date);
    rig_expect(&r, c,
               closes ? "\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
                      : "\r\nContent-Length: 2\r\n\r\nno");
}

/* At once or later, it is the same: no error, and the connection goes on when the body was whole.
 */
PP_TEST_CASE(a_request_body_filter_may_answer)
{
    for (int late = 0; late < 2; late++) {
        for (int whole = 0; whole < 2; whole++) {
            wanted = PP_PHASE_REQUEST_BODY;
            PP_REQUIRE(start(BIT(REQUEST_BODY) | BIT(RESPONSE) | BIT(PROXY_ERROR)));
            r.filter[0].body = late ? park_body : reply_body;
            int c = rig_connect(&r);
            rig_send(&r, c, chunked_post);
            rig_send(&r, c, whole ? "3\r\nabc\r\n0\r\n\r\n" : "3\r\nabc\r\n");
            int o = rig_accept(&r, 0);
            if (late)
                reply_late();
            expect_reply(c, !whole);
            PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_RESPONSE], 1);
            PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 0);
            if (whole)
                close(rig_simple(&r, c, -1));
            stop_all(c, o);
        }
    }
}

PP_TEST_CASE(an_answer_to_the_body_ends_the_wait_for_a_filter_of_the_origins_answer)
{
    for (int late = 0; late < 2; late++) {
        wanted = PP_PHASE_RESPONSE;
        PP_REQUIRE(start(BIT(REQUEST_BODY) | BIT(RESPONSE)));
        r.filter[0].run = park_there;
        r.filter[0].body = late ? park_body : reply_body;
        int c = rig_connect(&r);
        rig_send(&r, c, chunked_post);
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, chunked_got);
        rig_send(&r, o, RIG_HI);
        rig_settle(&r);
        PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
        wanted = PP_PHASE_REQUEST_BODY;
        rig_send(&r, c, "3\r\nabc\r\n");
        if (late)
            reply_late();
        expect_reply(c, true);
        PP_CHECK_EQ(r.cancelled, 1);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_RESPONSE], 2); /* the filter sees this one, too */
        stop_all(c, o);
    }
}

/* An async body filter is still at work when its exchange loses the sink. */
PP_TEST_CASE(a_parked_request_body_whose_origin_breaks_goes_nowhere)
{
    for (int n = 0; n < 2; n++) {
        wanted = PP_PHASE_PROXY_ERROR;
        PP_REQUIRE(start(BIT(REQUEST_BODY) | BIT(PROXY_ERROR)));
        r.filter[0].run = park_there;
        r.filter[0].body = park_body;
        int c = rig_connect(&r);
        rig_send(&r, c, chunked_post);
        rig_send(&r, c, "3\r\nabc\r\n");
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, chunked_got);
        rig_settle(&r);
        PP_CHECK(r.parked[PP_PARK_REQUEST_BODY] != NULL);
        rig_reset(o);
        rig_settle(&r);
        PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
        if (n == 1 && r.parked[PP_PARK_REQUEST_BODY] != NULL)
            rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
        rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        rig_expect_fault(&r, c, "502", "upstream_reset", true);
        PP_CHECK(r.parked[PP_PARK_REQUEST_BODY] == NULL);
        stop_all(c, -1);
    }
}

PP_TEST_CASE(the_total_timeout_ends_parked_bodies)
{
    for (int dir = 0; dir < 2; dir++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BODY_PHASES;
        conf.route.total_timeout_ms = 5000;
        wanted = dir == 0 ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = park_wanted_body;
        int c = rig_connect(&r);
        rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        int o = rig_accept(&r, 0);
        if (dir == 1) {
            rig_expect(&r, o, chunked_got);
            rig_send(&r, o, RIG_HI);
            rig_expect(&r, c, chunked_ok);
        }
        rig_sleep(&r, 5001);
        if (dir == 0)
            rig_expect_fault(&r, c, "504", "total_timeout", false);
        else
            rig_expect_reset(&r, c);
        PP_CHECK_EQ(r.cancelled, 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_parked_trailer_phase_holds_back_the_end_only)
{
    for (int verdict = PP_NEXT; verdict <= PP_REPLY; verdict += PP_REPLY) {
        wanted = PP_PHASE_RESPONSE_TRAILERS;
        PP_REQUIRE(start(BIT(RESPONSE_TRAILERS)));
        r.filter[0].run = park_there;
        int o, c = get(&o);
        rig_send(&r, o, chunked_ok);
        rig_send(&r, o, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
        rig_expect(&r, c, chunked_ok);
        rig_expect(&r, c, "2\r\nhi\r\n");
        rig_expect_quiet(&r, c);
        struct pp_exchange *x = r.parked[PP_PARK_PHASE];
        PP_REQUIRE(x != NULL);
        if (verdict == PP_REPLY)
            pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
        rig_resume(&r, PP_PARK_PHASE, verdict, PP_SPAN_NONE);
        if (verdict == PP_NEXT)
            rig_expect(&r, c, "0\r\nX-T: 1\r\n\r\n");
        else
            rig_expect_reset(&r, c);
        stop_all(c, o);
    }
}

static int fail_trailers_park_log(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    wanted = PP_PHASE_RESPONSE_TRAILERS;
    return phase == PP_PHASE_LOG ? PP_PARK : fail_there(f, x, phase);
}

PP_TEST_CASE(what_was_gathered_leaves_before_a_log_filter_parks)
{
    PP_REQUIRE(start(BIT(RESPONSE_TRAILERS) | BIT(LOG)));
    r.filter[0].run = fail_trailers_park_log;
    int c = rig_connect(&r), end;
    char got[512];
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    rig_settle(&r); /* the gather is looked at after each turn */
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_read(&r, c, got, sizeof got, &end);
    PP_CHECK_EQ(end, ECONNRESET);
    stop_all(c, o);
}

PP_TEST_CASE(a_client_that_leaves_during_parked_trailers_ends_it_all)
{
    wanted = PP_PHASE_RESPONSE_TRAILERS;
    PP_REQUIRE(start(BIT(RESPONSE_TRAILERS)));
    r.filter[0].run = park_there;
    int o, c = get(&o);
    rig_send(&r, o, chunked_ok);
    rig_send(&r, o, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "2\r\nhi\r\n");
    rig_settle(&r);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.cancelled, 1);
    stop_all(-1, o);
}

PP_TEST_MAIN()
