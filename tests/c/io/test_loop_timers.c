#include "io/loop_calls.h"

#include "io/loop.c"

#include "io/loop_test.h"

PP_TEST_CASE(a_timer_started_outside_a_turn_wakes_the_loop_not_before_its_time)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 20);
    PP_CHECK_EQ(n_settime, 1);
    turn_until(&a, 1);
    PP_CHECK_EQ(lp.wheel.n, 0);
    PP_CHECK_EQ(lp.timer_armed_ms, NEVER);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(timers_restart_themselves_also_for_the_past)
{
    struct pp_loop lp;
    struct alarm a;
    static const int steps[] = {3, 0, -5};

    if (!start_loop(&lp))
        return;
    for (size_t i = 0; i < PP_COUNT_OF(steps); i++) {
        alarm_init(&a, &lp);
        a.again = 5;
        a.step = steps[i];
        pp_loop_start(&lp, &a.t, lp.now_ms + 1);
        turn_until(&a, 6);
        PP_CHECK(!pp_timer_is_pending(&a.t));
    }
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_timer_for_the_past_fires_in_the_very_next_turn)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    /* Many turns in one millisecond: most of them find the wheel at their own time already. */
    pp_loop_turn(&lp, 0);
    uint64_t turns = lp.turns;
    for (int i = 0; i < 50; i++) {
        pp_loop_start(&lp, &a.t, lp.now_ms - 1);
        pp_loop_turn(&lp, 10000);
    }
    PP_CHECK_EQ(a.fired, 50);
    PP_CHECK_EQ(lp.turns, turns + 50);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(the_timerfd_is_set_only_when_it_must_fire_earlier)
{
    struct pp_loop lp;
    struct alarm a, b, c;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    alarm_init(&b, &lp);
    alarm_init(&c, &lp);
    for (int i = 0; i < 10; i++)
        pp_loop_turn(&lp, 0);
    PP_CHECK_EQ(n_settime, 0); /* nothing pending */

    pp_loop_enter(&lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 60000);
    pp_loop_start(&lp, &b.t, lp.now_ms + 70000);
    pp_loop_start(&lp, &c.t, lp.now_ms + 50000);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_settime, 1);

    uint64_t due = c.t.due_ms;
    for (int i = 0; i < 10; i++) { /* later, not earlier, stopped: all lazy */
        pp_loop_no_later(&lp, &a.t, lp.now_ms + 65000);
        pp_loop_no_later(&lp, &c.t, due);
        pp_loop_start(&lp, &b.t, lp.now_ms + 80000);
        pp_loop_turn(&lp, 0);
    }
    pp_loop_stop(&lp, &c.t);
    pp_loop_turn(&lp, 0);
    PP_CHECK_EQ(n_settime, 1);

    pp_loop_no_later(&lp, &a.t, lp.now_ms + 10);
    PP_CHECK_EQ(n_settime, 2);
    turn_until(&a, 1);
    pp_loop_stop(&lp, &b.t);
    PP_CHECK_EQ(lp.wheel.n, 0);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_timer_started_and_stopped_within_a_turn_costs_no_system_call)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    pp_loop_enter(&lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 5);
    pp_loop_stop(&lp, &a.t);
    pp_loop_leave(&lp);
    PP_CHECK_EQ(n_settime, 0);
    pp_loop_stop(&lp, &a.t);
    pp_loop_fini(&lp);
}

PP_TEST_CASE(a_far_timer_fires_on_time_although_the_wheel_looks_at_it_earlier)
{
    struct pp_loop lp;
    struct alarm a;

    if (!start_loop(&lp))
        return;
    alarm_init(&a, &lp);
    pp_loop_start(&lp, &a.t, lp.now_ms + 150); /* beyond the wheel's lowest level */
    turn_until(&a, 1);
    PP_CHECK(a.at >= a.t.due_ms);
    pp_loop_fini(&lp);
}

PP_TEST_MAIN()
