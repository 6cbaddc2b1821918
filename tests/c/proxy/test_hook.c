#include "proxy/hook.c"

#include "proxy/rig.h"

static struct rig r;
static struct pp_exchange x;
static unsigned cancels, ends;

static int on_run(void *owner, struct pp_exchange *at, const struct pp_hook *hook,
                  enum pp_phase phase)
{
    PP_CHECK(owner == &r && at == &x && hook->timeout_ms == 7 && phase == PP_PHASE_REQUEST);
    return PP_REPLY;
}

static int on_body(void *owner, struct pp_exchange *at, const struct pp_hook *hook,
                   enum pp_phase phase, struct pp_span piece, bool last, struct pp_span *out)
{
    PP_CHECK(owner == &r && at == &x && hook->timeout_ms == 7 && phase == PP_PHASE_RESPONSE_BODY &&
             last);
    *out = pp_span(piece.p + 1, 1);
    return PP_NEXT;
}

static void on_cancel(struct pp_task *t, struct pp_exchange *at, enum pp_park which)
{
    PP_CHECK(at == &x && x.task[which] == NULL);
    cancels++;
}

static struct pp_task task = {on_cancel};

static void on_end(void *owner, struct pp_exchange *at)
{
    PP_CHECK(x.view != NULL);
    ends++;
}

static const struct pp_hook_ops table = {.run = on_run, .body = on_body, .end = on_end};

PP_TEST_CASE(calls_go_through_the_table)
{
    struct pp_hook hook = {.timeout_ms = 7};
    struct pp_span out;
    r.w.core.hook = &table;
    r.w.core.hook_owner = &r;
    x.core = &r.w.core;
    PP_CHECK_EQ(pp_hook_filter_ops.run(&hook, &x, PP_PHASE_REQUEST), PP_REPLY);
    PP_CHECK_EQ(
        pp_hook_filter_ops.body(&hook, &x, PP_PHASE_RESPONSE_BODY, PP_SPAN("abc"), true, &out),
        PP_NEXT);
    PP_CHECK_STR(out, "b");
}

PP_TEST_CASE(the_end_cancels_what_runs_once)
{
    r.w.core.hook = &table;
    x.core = &r.w.core;
    pp_hook_end(&x);
    PP_CHECK(cancels == 0 && ends == 0);
    x.task[PP_PARK_PHASE] = x.task[PP_PARK_RESPONSE_BODY] = &task;
    x.view = &r;
    pp_hook_end(&x);
    pp_hook_end(&x);
    PP_CHECK(cancels == 2 && ends == 1);
    PP_CHECK(x.view == NULL && x.task[PP_PARK_PHASE] == NULL);
}

PP_TEST_CASE(a_filter_resumed_outside_of_a_turn_ends_its_exchange_at_once)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_LOG;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    PP_CHECK_EQ(r.w.core.exchange_slab.n_live, 0);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_MAIN()
