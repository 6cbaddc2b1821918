#include "proxy/step_request.c"

#include "proxy/drive_test.h"
#include "proxy/filter.h"

#define ASK "PUT / HTTP/1.1\r\nHost: a\r\n"
#define WHOLE ASK "Content-Length: 3\r\n\r\nabc"

/* Remembers the body as the request phase finds it. */
static int look(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    PP_CHECK(flow->source_ended || flow->hold == 0);
    f->n = flow->held_n;
    if (f->n > 0)
        memcpy(f->mem, flow->held, f->n);
    f->mem[f->n] = 0;
    return PP_NEXT;
}

static int refuse(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)look(f, x, phase);
    return pp_filter_reply(x, 403, PP_SPAN("text/plain"), PP_SPAN("no"));
}

static int allow_two(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    x->body_limit = 2;
    return PP_NEXT;
}

static int wait_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)look(f, x, phase);
    return PP_PARK;
}

static void start_first(struct rig_conf conf,
                        int (*run)(struct rig_filter *, struct pp_exchange *, enum pp_phase))
{
    conf.phases = BIT(REQUEST);
    conf.body_first = 4;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = run;
}

PP_TEST_CASE(the_request_phase_finds_the_whole_body_and_it_goes_on_with_its_length)
{
    static const char *const asks[][3] = {
        {ASK "Content-Length: 3\r\n\r\n", "ab", "c"},
        {ASK "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n2\r\n", "bc\r\n0\r\n\r\n"},
    };
    for (unsigned i = 0; i < PP_COUNT_OF(asks); i++) {
        struct rig_conf conf = rig_defaults();
        conf.more_phases = BIT(REQUEST_BODY);
        start_first(conf, look);
        int c = rig_connect(&r);
        for (int k = 0; k < 3; k++) {
            PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 0);
            rig_send(&r, c, asks[i][k]);
            rig_settle(&r);
        }
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, ASK RIG_FWD "Content-Length: 3\r\n\r\nabc");
        PP_CHECK(strcmp(r.filter[0].mem, "abc") == 0);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 1);
        PP_CHECK_EQ(r.filter[1].runs[PP_PHASE_REQUEST_BODY], 1);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
        /* The next one has none, and waits for none. */
        rig_send(&r, c, RIG_GET);
        rig_expect(&r, o, RIG_GOT);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 2);
        PP_CHECK_EQ(r.filter[0].n, 0);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_longer_body_is_refused_before_anybody_looks_at_the_request)
{
    static const char *const asks[] = {ASK "Content-Length: 5\r\n\r\nabcde",
                                       ASK "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n"};
    for (unsigned i = 0; i < PP_COUNT_OF(asks); i++) {
        start_first(rig_defaults(), look);
        int c = rig_connect(&r);
        rig_send(&r, c, asks[i]);
        rig_expect_fault(&r, c, "413", "body_too_large", true);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 0);
        stop_all(c, -1);
    }
}

PP_TEST_CASE(a_limit_that_the_request_phase_sets_holds_for_what_is_there_already)
{
    start_first(rig_defaults(), allow_two);
    int c = rig_connect(&r);
    rig_send(&r, c, WHOLE);
    rig_expect_fault(&r, c, "413", "body_too_large", false);
    stop_all(c, -1);
}

PP_TEST_CASE(a_refusal_leaves_the_connection_in_order)
{
    start_first(rig_defaults(), refuse);
    int c = rig_connect(&r);
    char heard[4096];
    int ended;
    for (int i = 0; i < 2; i++) {
        rig_send(&r, c, WHOLE);
        size_t n = 0;
        heard[0] = 0;
        while (strstr(heard, "\r\n\r\nno") == NULL && rig_read(&r, c, heard + n, 1, &ended) == 1)
            heard[++n] = 0;
        PP_CHECK(strncmp(heard, "HTTP/1.1 403", 12) == 0);
    }
    PP_CHECK(strcmp(r.filter[0].mem, "abc") == 0);
    stop_all(c, -1);
}

PP_TEST_CASE(routes_that_answer_themselves_collect_it_too)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 204;
    start_first(conf, look);
    int c = rig_connect(&r);
    char heard[13] = "";
    int ended;
    rig_send(&r, c, WHOLE);
    rig_read(&r, c, heard, 12, &ended);
    PP_CHECK(strcmp(heard, "HTTP/1.1 204") == 0);
    PP_CHECK(strcmp(r.filter[0].mem, "abc") == 0);
    stop_all(c, -1);
}

PP_TEST_CASE(a_client_may_go_while_it_is_collected)
{
    start_first(rig_defaults(), look);
    int c = rig_connect(&r);
    rig_send(&r, c, ASK "Content-Length: 3\r\n\r\nab");
    rig_settle(&r);
    close(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 0);
    stop_all(-1, -1);
}

PP_TEST_CASE(who_waited_goes_on_with_the_body)
{
    start_first(rig_defaults(), wait_there);
    int c = rig_connect(&r);
    rig_send(&r, c, WHOLE);
    rig_settle(&r);
    struct pp_exchange *x = r.parked[PP_PARK_PHASE];
    PP_REQUIRE(x != NULL);
    r.parked[PP_PARK_PHASE] = NULL;
    x->task[PP_PARK_PHASE] = NULL;
    pp_phase_resume(x, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, ASK RIG_FWD "Content-Length: 3\r\n\r\nabc");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST], 1);
    stop_all(c, o);
}

PP_TEST_MAIN()
