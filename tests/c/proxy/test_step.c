#include "proxy/step.c"

#include "proxy/drive_test.h"

PP_TEST_CASE(an_exchange_passes_all_phases_once_and_in_order)
{
    PP_REQUIRE(start(ALL_PHASES));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect(&r, o, "2\r\nab\r\n0\r\n\r\n");
    rig_send(&r, o, chunked_ok);
    rig_send(&r, o, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    for (int phase = 0; phase < PP_PHASE_COUNT; phase++) {
        bool fails = phase == PP_PHASE_PROXY_ERROR || phase == PP_PHASE_CONNECT_FAILED;
        if (phase != PP_PHASE_REQUEST_BODY && phase != PP_PHASE_RESPONSE_BODY)
            PP_CHECK_EQ(r.filter[0].runs[phase], fails ? 0 : 1);
        else
            PP_CHECK(r.filter[0].runs[phase] >= 1);
    }
    stop_all(c, o);
}

PP_TEST_CASE(a_filter_may_park_in_every_phase_and_go_on)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases); i++) {
        wanted = request_phases[i];
        PP_REQUIRE(start(ALL_PHASES & ~BODY_PHASES));
        r.filter[0].run = park_there;
        int o, c = get_until_wanted(&o);
        rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        if (o < 0) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, RIG_GOT);
            rig_send(&r, o, RIG_HI);
        }
        rig_expect(&r, c, RIG_HI);
        rig_simple(&r, c, o);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_filter_may_answer_in_every_phase)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases) - 1; i++) {
        for (int late = 0; late < 2; late++) {
            wanted = request_phases[i];
            PP_REQUIRE(start(ALL_PHASES & ~BODY_PHASES));
            r.filter[0].run = late ? park_there : reply_there;
            int c = rig_connect(&r), o = -1;
            rig_send(&r, c, RIG_GET);
            if (wanted >= PP_PHASE_CONNECTED)
                o = rig_accept(&r, 0);
            if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
                rig_expect(&r, o, RIG_GOT);
                rig_send(&r, o, RIG_HI);
            }
            if (late) {
                rig_settle(&r);
                struct pp_exchange *x = r.parked[PP_PARK_PHASE];
                PP_REQUIRE(x != NULL);
                x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
                rig_resume(&r, PP_PARK_PHASE, PP_REPLY, PP_SPAN_NONE);
            }
            rig_expect(&r, c, "HTTP/1.1 403 Forbidden\r\nDate: ");
            char rest[128];
            int end;
            PP_CHECK_EQ(rig_read(&r, c, rest, 54, &end), 54); /* date, Content-Length: 2, no */
            PP_CHECK(memcmp(rest + 29, "\r\nContent-Length: 2\r\n\r\nno", 25) == 0);
            rig_expect_quiet(&r, c);
            stop_all(c, o);
        }
    }
}

PP_TEST_CASE(a_filter_that_raises_costs_a_500)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases) - 1; i++) {
        wanted = request_phases[i];
        PP_REQUIRE(start(ALL_PHASES & ~BODY_PHASES));
        r.filter[0].run = fail_there;
        int c = rig_connect(&r), o = -1;
        rig_send(&r, c, RIG_GET);
        if (wanted >= PP_PHASE_CONNECTED)
            o = rig_accept(&r, 0);
        if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
            rig_expect(&r, o, RIG_GOT);
            rig_send(&r, o, RIG_HI);
        }
        rig_expect_fault(&r, c, "500", "filter_error", false);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 1);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_filter_that_raises_in_the_log_phase_changes_nothing)
{
    wanted = PP_PHASE_LOG;
    PP_REQUIRE(start(BIT(LOG)));
    r.filter[0].run = fail_there;
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_simple(&r, c, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_parked_proxy_error_phase_goes_on_to_the_error)
{
    for (int verdict = PP_NEXT; verdict <= PP_REPLY; verdict += PP_REPLY) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BIT(PROXY_ERROR) | BIT(CONNECT_FAILED);
        conf.cluster.retries = 0;
        wanted = PP_PHASE_PROXY_ERROR;
        PP_REQUIRE(rig_start(&r, &conf));
        close(r.origin[0]);
        r.origin[0] = -1;
        r.filter[0].run = park_there;
        int c = rig_connect(&r);
        rig_send(&r, c, RIG_GET);
        rig_settle(&r);
        rig_resume(&r, PP_PARK_PHASE, verdict, PP_SPAN_NONE);
        rig_expect_fault(&r, c, "502", "connect_refused", false);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_CONNECT_FAILED], 1);
        stop_all(c, -1);
    }
}

PP_TEST_MAIN()
