#include "io/loop_calls.h"

#include "io/loop.c"

#include "io/loop_test.h"

/* ---- deferred ---- */

struct late {
    struct pp_deferred d;
    struct pp_loop *lp;
    struct late *more; /* deferred by it */
    int order;         /* position in which it ran */
};

static int n_late;

static void on_late(struct pp_deferred *d)
{
    struct late *l = PP_CONTAINER_OF(d, struct late, d);

    l->order = ++n_late;
    if (l->more != NULL)
        pp_loop_defer_free(l->lp, &l->more->d);
}

PP_TEST_CASE(deferred_calls_run_in_order_also_those_that_they_defer)
{
    struct pp_loop lp;
    struct late l[4];

    if (!start_loop(&lp))
        return;
    n_late = 0;
    for (int i = 0; i < 4; i++)
        l[i] = (struct late){.d.fn = on_late, .lp = &lp};
    l[0].more = &l[3];
    pp_loop_enter(&lp);
    for (int i = 0; i < 3; i++)
        pp_loop_defer_free(&lp, &l[i].d);
    PP_CHECK_EQ(n_late, 0);
    PP_CHECK_EQ(n_ends, 0);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_ends, 1);
    for (int i = 0; i < 4; i++)
        PP_CHECK_EQ(l[i].order, i + 1);

    pp_loop_enter(&lp); /* the queue is usable again */
    pp_loop_defer_free(&lp, &l[1].d);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(l[1].order, 5);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(what_is_deferred_outside_a_turn_brings_one_about)
{
    struct pp_loop lp;
    struct late l;

    if (!start_loop(&lp))
        return;
    n_late = 0;
    l = (struct late){.d.fn = on_late, .lp = &lp};
    pp_loop_defer_free(&lp, &l.d);
    PP_CHECK_EQ(n_late, 0);
    PP_CHECK(pp_loop_run_ready(&lp) > 0);
    PP_CHECK_EQ(n_late, 1);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(fini_runs_what_is_still_deferred)
{
    struct pp_loop lp;
    struct late l[2];

    if (!start_loop(&lp))
        return;
    n_late = 0;
    for (int i = 0; i < 2; i++)
        l[i] = (struct late){.d.fn = on_late, .lp = &lp};
    l[0].more = &l[1];
    pp_loop_defer_free(&lp, &l[0].d);
    pp_loop_fini(&lp);
    PP_CHECK_EQ(n_late, 2);
}

static struct late turn_late;

static void enter_in_turn(struct pp_io *io, uint32_t events)
{
    struct probe *p = PP_CONTAINER_OF(io, struct probe, io);

    p->calls++;
    n_clock = 0;
    pp_loop_enter(p->lp);
    pp_loop_defer_free(p->lp, &turn_late.d);
    pp_loop_leave(p->lp);
    PP_CHECK_EQ(n_late, 0); /* the turn is not over */
    PP_CHECK_EQ(n_clock, 0);
    PP_CHECK_EQ(n_ends, 0);
}

PP_TEST_CASE(enter_and_leave_do_nothing_within_a_turn_and_nest_outside)
{
    struct watched w;

    PP_REQUIRE(watch(&w, enter_in_turn));
    n_late = 0;
    turn_late = (struct late){.d.fn = on_late, .lp = &w.lp};
    PP_CHECK_EQ(pp_loop_turn(&w.lp, 0), 1);
    PP_CHECK_EQ(w.p.calls, 1);
    PP_CHECK_EQ(n_late, 1);
    PP_CHECK_EQ(n_ends, 1);

    n_clock = 0;
    pp_loop_enter(&w.lp);
    pp_loop_enter(&w.lp);
    pp_loop_defer_free(&w.lp, &turn_late.d);
    pp_loop_leave(&w.lp);
    PP_CHECK_EQ(n_late, 1);
    pp_loop_leave(&w.lp);
    PP_CHECK_EQ(n_late, 2);
    PP_CHECK_EQ(n_clock, 1);
    PP_CHECK_EQ(n_ends, 2);
    unwatch(&w);
}

/* ---- wake ---- */

PP_TEST_CASE(many_wakes_are_one_call)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    for (int i = 0; i < 5; i++)
        pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 10000), 1);
    PP_CHECK_EQ(n_wakes, 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(n_wakes, 2);
    lp.on_wake = NULL;
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_wake_from_its_own_callback_comes_in_the_next_turn)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    wakes_wanted = 1;
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(n_wakes, 1);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 1);
    PP_CHECK_EQ(n_wakes, 2);
    PP_CHECK_EQ(pp_loop_turn(&lp, 0), 0);
    pp_loop_fini(&lp);
}

/* ---- nested in another loop ---- */

static int outer_over(struct pp_loop *lp)
{
    int outer = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN};

    PP_CHECK(epoll_ctl(outer, EPOLL_CTL_ADD, pp_loop_fd(lp), &ev) == 0);
    return outer;
}

static int outer_ready(int outer, int wait_ms)
{
    struct epoll_event ev;
    return epoll_wait(outer, &ev, 1, wait_ms);
}

PP_TEST_CASE(an_outer_epoll_sees_the_set_ready_while_something_is)
{
    struct pp_loop lp;
    struct probe p;
    struct alarm a;
    int fds[2];

    PP_REQUIRE(test_pair(fds));
    if (!start_loop(&lp))
        return;
    int outer = outer_over(&lp);
    PP_CHECK_EQ(outer_ready(outer, 0), 0);

    pp_loop_wake(&lp);
    PP_CHECK_EQ(outer_ready(outer, 10000), 1);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(outer_ready(outer, 0), 0); /* although nobody read the eventfd */

    probe_init(&p, &lp);
    PP_CHECK_EQ(pp_loop_add(&lp, &p.io, fds[0], on_probe), PP_OK);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(write(fds[1], "x", 1), 1);
    PP_CHECK_EQ(outer_ready(outer, 10000), 1);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(outer_ready(outer, 0), 0);

    alarm_init(&a, &lp);
    for (unsigned i = 1; i <= 3; i++) {
        pp_loop_start(&lp, &a.t, lp.now_ms + 10);
        for (int turns = 0; a.fired < i && turns < 100; turns++) {
            PP_CHECK_EQ(outer_ready(outer, 10000), 1);
            pp_loop_run_ready(&lp);
        }
        PP_CHECK_EQ(a.fired, i);
        PP_CHECK_EQ(outer_ready(outer, 0), 0);
    }
    pp_loop_remove(&lp, &p.io, true);
    close_pair(fds);
    close(outer);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(run_ready_ends_at_its_budget_and_leaves_the_set_ready)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    int outer = outer_over(&lp);
    wakes_wanted = 1000;
    pp_loop_wake(&lp);
    PP_CHECK_EQ(pp_loop_run_ready(&lp), PP_LOOP_TURNS);
    PP_CHECK_EQ(n_wakes, PP_LOOP_TURNS);
    PP_CHECK_EQ(outer_ready(outer, 0), 1);
    wakes_wanted = 0;
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 1);
    PP_CHECK_EQ(outer_ready(outer, 0), 0);
    close(outer);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(run_ready_with_nothing_to_do_is_one_system_call)
{
    struct pp_loop lp;

    if (!start_loop(&lp))
        return;
    PP_CHECK_EQ(pp_loop_run_ready(&lp), 0);
    PP_CHECK_EQ(n_wait, 1);
    PP_CHECK_EQ(n_clock, 0);
    PP_CHECK_EQ(n_ends, 0);
    pp_loop_fini(&lp);
}

/* More ready ios than one batch holds: none is forgotten. */
PP_TEST_CASE(more_events_than_a_batch_holds_all_arrive)
{
    enum { MANY = PP_LOOP_BATCH + 40 };
    static struct probe p[MANY];
    static int fds[MANY][2];
    struct pp_loop lp;
    struct rlimit limit;

    PP_REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    PP_REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (!start_loop(&lp))
        return;
    for (int i = 0; i < MANY; i++) {
        PP_REQUIRE(test_pair(fds[i]));
        probe_init(&p[i], &lp);
        PP_CHECK_EQ(pp_loop_add(&lp, &p[i].io, fds[i][0], on_probe), PP_OK);
    }
    PP_CHECK_EQ(pp_loop_run_ready(&lp), MANY);
    PP_CHECK_EQ(lp.turns, 2);
    for (int i = 0; i < MANY; i++) {
        PP_CHECK_EQ(p[i].calls, 1);
        pp_loop_remove(&lp, &p[i].io, true);
        close_pair(fds[i]);
    }
    pp_loop_fini(&lp);
}

PP_TEST_MAIN()
