#include "proxy/shadow.c"

#include "proxy/rig.h"

static struct rig r;
static struct pp_exchange *copy;
static unsigned ended;
static struct pp_fault fault;

static void on_ended(void *arg, const struct pp_exchange *x)
{
    PP_CHECK(arg == &ended);
    PP_CHECK(x == copy);
    ended++;
    fault = x->fault;
}

static const struct pp_shadow_plan plan = {.timeout_ms = 1000, .ended = on_ended, .arg = &ended};

/* Copy the request for its own upstream, once. */
static int copy_it(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f, (void)phase;
    if (copy == NULL)
        PP_CHECK_EQ(pp_shadow_new(x, x->snapshot->cluster[0], &copy), PP_OK);
    return PP_NEXT;
}

static void start(void)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_UPSTREAM_REQUEST;
    conf.trusted = "127.0.0.0/8";
    copy = NULL;
    ended = 0;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = copy_it;
}

#define GET "GET /x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\n\r\n"
#define GOT "GET /x?y HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n" RIG_FWD "\r\n"

PP_TEST_CASE(it_is_sent_as_the_request_was_and_later)
{
    start();
    int c = rig_connect(&r);
    rig_send(&r, c, GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    close(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    pp_shadow_start(copy, &plan, NULL, 0);
    rig_expect(&r, o, GOT); /* the fields that forward it are not added twice */
    rig_send(&r, o, RIG_HI);
    rig_settle(&r);
    PP_CHECK_EQ(ended, 1);
    PP_CHECK(!pp_fault_is_set(&fault));
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK(rig_try_accept(&r, 0, 10) < 0); /* the connection was used again */
    close(o);
    rig_stop(&r);
}

/* A request whose copy waits to be started; *o is the origin's connection. */
static void wait_for_copy(int *c, int *o)
{
    start();
    *c = rig_connect(&r);
    rig_send(&r, *c, GET);
    *o = rig_accept(&r, 0);
    rig_expect(&r, *o, GOT);
    rig_send(&r, *o, RIG_HI);
    rig_expect(&r, *c, RIG_HI);
}

PP_TEST_CASE(one_that_is_not_started_is_dropped)
{
    int c, o;
    wait_for_copy(&c, &o);
    PP_CHECK_EQ(r.w.core.n_exchange, 1);
    pp_shadow_drop(copy);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(ended, 0);
    close(c), close(o);
    rig_stop(&r);
}

PP_TEST_CASE(all_are_ended_wherever_they_are)
{
    for (int begun = 0; begun < 3; begun++) {
        int c, o;
        wait_for_copy(&c, &o);
        pp_shadow_start(copy, &plan, pp_mem_dup("abc", 3), 3);
        if (begun > 0)
            rig_settle(&r);
        if (begun > 1) /* half an answer */
            rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        if (begun > 1)
            rig_settle(&r);
        PP_CHECK_EQ(ended, 0);
        pp_loop_enter(&r.w.core.loop);
        pp_shadow_close_all(&r.w.core);
        pp_loop_leave(&r.w.core.loop);
        PP_CHECK_EQ(ended, 1);
        PP_CHECK_EQ(fault.code, PP_FAULT_SHUTDOWN);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        close(c), close(o);
        rig_stop(&r);
    }
}

PP_TEST_CASE(time_is_up_for_a_silent_endpoint)
{
    int c, o;
    wait_for_copy(&c, &o);
    pp_shadow_start(copy, &plan, NULL, 0);
    rig_sleep(&r, 900);
    PP_CHECK_EQ(ended, 0);
    rig_sleep(&r, 200);
    PP_CHECK_EQ(ended, 1);
    PP_CHECK_EQ(fault.code, PP_FAULT_TOTAL_TIMEOUT);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_2XX), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, STATUS_5XX), 0);
    close(c), close(o);
    rig_stop(&r);
}

PP_TEST_CASE(the_side_in_the_clients_place_takes_everything)
{
    PP_CHECK_EQ(side_ops.send_head(NULL), PP_OK);
    PP_CHECK_EQ(side_ops.send_body(NULL, PP_SPAN("x")), PP_OK);
    PP_CHECK_EQ(side_ops.room(NULL), SIZE_MAX);
    PP_CHECK(!side_ops.is_readable(NULL) && !side_ops.has_buffered(NULL));
    PP_CHECK(side_ops.plain_channel(NULL) == NULL);
    PP_CHECK(side_ops.discard(NULL));
    PP_CHECK_EQ(side_ops.give(NULL, NULL), PP_ENOMEM);
    side_ops.pump(NULL);
    side_ops.moved(NULL, 1, true);
}

PP_TEST_MAIN()
