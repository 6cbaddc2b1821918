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

PP_TEST_CASE(a_body_filter_whose_condition_does_not_hold_stands_by)
{
    const struct pp_filter both[] = {{.ops = &behind}, {.ops = &pp_filter_gate_ops, .self = &gate}};
    for (int open = 0; open < 2; open++) {
        begin(1 << 16);
        route.chain.filter[PP_PHASE_RESPONSE_BODY] = both;
        route.chain.n[PP_PHASE_RESPONSE_BODY] = 2;
        if (open)
            set_mode(PP_SPAN("on"));
        PP_CHECK_EQ(pp_filter_gate_settle(&x, PP_DIR_REQUEST), PP_OK);
        PP_CHECK_EQ(pp_filter_gate_settle(&x, PP_DIR_RESPONSE), PP_OK);
        PP_CHECK_EQ(x.flow[PP_DIR_REQUEST].bystanders, 0);
        PP_CHECK_EQ(x.flow[PP_DIR_RESPONSE].bystanders, open ? 0 : 1);
        PP_CHECK(runs == 0 && bodies == 0);
        end();
    }
    begin(0);
    PP_CHECK_EQ(pp_filter_gate_settle(&x, PP_DIR_RESPONSE), PP_ENOMEM);
    PP_CHECK_EQ(x.fault.code, PP_FAULT_NO_MEMORY);
    end();
    memset(&route, 0, sizeof route);
}

PP_TEST_MAIN()
