#include "proxy/filter_gate.c"

#include "pp_test.h"
#include "route/predicate_program.h"

static unsigned runs, bodies;

static int on_run(void *self, struct pp_exchange *at, enum pp_phase phase)
{
    runs++;
    return PP_REPLY;
}

static int on_body(void *self, struct pp_exchange *at, enum pp_phase phase, struct pp_span piece,
                   bool last, struct pp_span *out)
{
    bodies++;
    *out = pp_span(piece.p + 1, piece.n - 1);
    return PP_NEXT;
}

static const struct pp_filter_ops behind = {.name = "test", .run = on_run, .body = on_body};
static struct pp_exchange x;
static struct pp_core core;
static struct pp_snapshot sn;
static struct pp_route route;
static struct pp_filter_gate gate = {.behind = {.ops = &behind}};

static void begin(size_t limit)
{
    struct program p = {.n = 0};
    runs = bodies = 0;
    memset(&x, 0, sizeof x);
    x.core = &core;
    x.snapshot = &sn;
    x.route = &route;
    pp_arena_init(&x.arena, NULL, 0, limit);
    pp_http_msg_init(&x.request, &x.arena);
    put_test(&p, '=', "header.x-mode", "on");
    gate.when = compile(&p);
}

static void end(void)
{
    pp_predicate_free((struct pp_predicate *)gate.when);
    pp_arena_fini(&x.arena);
}

static void set_mode(struct pp_span value)
{
    PP_CHECK_EQ(pp_http_msg_set(&x.request, PP_SPAN("X-Mode"), PP_NAME_OTHER, value), PP_OK);
}

PP_TEST_CASE(the_filter_behind_runs_where_the_condition_holds)
{
    struct pp_span out;
    begin(1 << 16);
    set_mode(PP_SPAN("on"));
    PP_CHECK_EQ(run(&gate, &x, PP_PHASE_REQUEST), PP_REPLY);
    set_mode(PP_SPAN("off")); /* it was asked, and that was that */
    PP_CHECK_EQ(run(&gate, &x, PP_PHASE_RESPONSE), PP_REPLY);
    PP_CHECK_EQ(body(&gate, &x, PP_PHASE_RESPONSE_BODY, PP_SPAN("abc"), true, &out), PP_NEXT);
    PP_CHECK_STR(out, "bc");
    PP_CHECK(runs == 2 && bodies == 1);
    end();
}

PP_TEST_CASE(elsewhere_everything_passes)
{
    struct pp_span out;
    begin(1 << 16);
    PP_CHECK_EQ(body(&gate, &x, PP_PHASE_REQUEST_BODY, PP_SPAN("abc"), true, &out), PP_NEXT);
    PP_CHECK_STR(out, "abc");
    set_mode(PP_SPAN("on"));
    PP_CHECK_EQ(run(&gate, &x, PP_PHASE_RESPONSE), PP_NEXT);
    PP_CHECK(runs == 0 && bodies == 0 && !pp_fault_is_set(&x.fault));
    end();
}

PP_TEST_CASE(bodies_are_left_alone_there)
{
    gate.phases = PP_PHASE_BIT(REQUEST_BODY) | PP_PHASE_BIT(RESPONSE_BODY);
    for (int shut = 0; shut < 2; shut++) {
        begin(1 << 16);
        if (!shut)
            set_mode(PP_SPAN("on"));
        (void)run(&gate, &x, PP_PHASE_EARLY_REQUEST);
        PP_CHECK_EQ(x.flow[PP_DIR_REQUEST].bystanders, 0);
        (void)run(&gate, &x, PP_PHASE_REQUEST);
        (void)run(&gate, &x, PP_PHASE_RESPONSE);
        PP_CHECK_EQ(x.flow[PP_DIR_REQUEST].bystanders, shut);
        PP_CHECK_EQ(x.flow[PP_DIR_RESPONSE].bystanders, shut);
        end();
    }
    gate.phases = 0;
    begin(1 << 16); /* one without bodies stands for nobody */
    (void)run(&gate, &x, PP_PHASE_REQUEST);
    PP_CHECK_EQ(x.flow[PP_DIR_REQUEST].bystanders, 0);
    end();
}

PP_TEST_CASE(a_condition_that_cannot_be_asked_is_a_fault)
{
    struct pp_span out;
    begin(0);
    PP_CHECK_EQ(run(&gate, &x, PP_PHASE_REQUEST), PP_REPLY);
    PP_CHECK_EQ(x.fault.code, PP_FAULT_NO_MEMORY);
    PP_CHECK_EQ(body(&gate, &x, PP_PHASE_REQUEST_BODY, PP_SPAN("abc"), true, &out), PP_REPLY);
    PP_CHECK(runs == 0 && bodies == 0);
    end();
}

PP_TEST_MAIN()
