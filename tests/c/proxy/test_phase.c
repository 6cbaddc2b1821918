#include "proxy/phase.c"

#include "proxy/rig.h"

static int verdicts[4], asked[4];

static int run_one(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    long i = (long)(intptr_t)self;
    asked[i]++;
    return verdicts[i];
}

static int body_one(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                    bool last, struct pp_span *out)
{
    long i = (long)(intptr_t)self;
    asked[i]++;
    *out = pp_span(piece.p + 1, piece.n - 1); /* each takes a byte off */
    return verdicts[i];
}

static const struct pp_filter_ops ops = {.name = "test", .run = run_one, .body = body_one};
static const struct pp_filter filters[] = {{&ops, (void *)0}, {&ops, (void *)1}, {&ops, (void *)2}};
static struct pp_exchange x;
static struct pp_route route;
static struct pp_snapshot sn;

static void begin(enum pp_phase phase)
{
    memset(&x, 0, sizeof x);
    memset(&route, 0, sizeof route);
    memset(verdicts, 0, sizeof verdicts);
    memset(asked, 0, sizeof asked);
    x.route = &route;
    x.snapshot = &sn;
    route.chain.n[phase] = 3;
    route.chain.filter[phase] = filters;
}

PP_TEST_CASE(filters_run_in_order_and_only_in_their_phase)
{
    begin(PP_PHASE_REQUEST);
    PP_CHECK(pp_phase_is_bound(&x, PP_PHASE_REQUEST) && !pp_phase_is_bound(&x, PP_PHASE_RESPONSE));
    PP_CHECK_EQ(pp_phase_run(&x, PP_PHASE_RESPONSE), PP_NEXT);
    PP_CHECK_EQ(pp_phase_run(&x, PP_PHASE_REQUEST), PP_NEXT);
    PP_CHECK(asked[0] == 1 && asked[1] == 1 && asked[2] == 1);
}

PP_TEST_CASE(a_parked_filter_is_gone_on_from)
{
    begin(PP_PHASE_REQUEST);
    verdicts[1] = PP_PARK;
    PP_CHECK_EQ(pp_phase_run(&x, PP_PHASE_REQUEST), PP_PARK);
    PP_CHECK(x.parked && x.cursor == 1 && asked[2] == 0);
    x.parked = false;
    x.cursor++;
    PP_CHECK_EQ(pp_phase_run(&x, PP_PHASE_REQUEST), PP_NEXT);
    PP_CHECK(asked[0] == 1 && asked[1] == 1 && asked[2] == 1);
}

PP_TEST_CASE(an_answer_stops_the_chain)
{
    begin(PP_PHASE_REQUEST);
    verdicts[0] = PP_REPLY;
    PP_CHECK_EQ(pp_phase_run(&x, PP_PHASE_REQUEST), PP_REPLY);
    PP_CHECK(!x.parked && asked[1] == 0);
}

PP_TEST_CASE(pieces_go_from_filter_to_filter)
{
    begin(PP_PHASE_RESPONSE_BODY);
    struct pp_span piece = PP_SPAN("abcdef");
    PP_CHECK_EQ(pp_phase_run_body(&x, PP_DIR_RESPONSE, &piece, false), PP_NEXT);
    PP_CHECK_STR(piece, "def");
    PP_CHECK_EQ(x.flow[PP_DIR_RESPONSE].cursor, 0);
    verdicts[1] = PP_PARK;
    piece = PP_SPAN("abcdef");
    PP_CHECK_EQ(pp_phase_run_body(&x, PP_DIR_RESPONSE, &piece, true), PP_PARK);
    PP_CHECK(x.flow[PP_DIR_RESPONSE].parked && x.flow[PP_DIR_RESPONSE].last);
    x.flow[PP_DIR_RESPONSE].parked = false;
    x.flow[PP_DIR_RESPONSE].cursor++;
    piece = PP_SPAN("xyz");
    PP_CHECK_EQ(pp_phase_run_body(&x, PP_DIR_RESPONSE, &piece, true), PP_NEXT);
    PP_CHECK_STR(piece, "yz");
}

static struct pp_exchange *cancelled_at;
static unsigned cancels;

static void on_cancel(struct pp_task *t, struct pp_exchange *at, enum pp_park which)
{
    PP_CHECK(which == PP_PARK_RESPONSE_BODY && at->task[which] == NULL);
    cancelled_at = at;
    cancels++;
}

PP_TEST_CASE(what_is_waited_for_is_cancelled_once)
{
    struct pp_task task = {on_cancel};
    begin(PP_PHASE_REQUEST);
    x.task[PP_PARK_RESPONSE_BODY] = &task;
    pp_phase_cancel(&x, PP_PARK_PHASE);
    PP_CHECK_EQ(cancels, 0);
    pp_phase_cancel(&x, PP_PARK_RESPONSE_BODY);
    pp_phase_cancel(&x, PP_PARK_RESPONSE_BODY);
    PP_CHECK(cancels == 1 && cancelled_at == &x);
}

PP_TEST_MAIN()
