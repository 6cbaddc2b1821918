#include "base/wheel.c"

#include "pp_test.h"

static struct pp_wheel wheel;

struct alarm {
    struct pp_timer timer;
    int fired;
    uint64_t at; /* wheel time of the last firing */
};

static void ring(struct pp_timer *t)
{
    struct alarm *a = PP_CONTAINER_OF(t, struct alarm, timer);
    PP_CHECK(!pp_timer_is_pending(t));
    a->fired++;
    a->at = wheel.now_ms;
}

static void check_bits(void)
{
    for (unsigned level = 0; level < PP_WHEEL_LEVELS; level++)
        for (unsigned i = 0; i < SLOTS; i++)
            PP_CHECK_EQ(wheel.occupied[level] >> i & 1, !pp_list_is_empty(&wheel.slot[level][i]));
}

PP_TEST_CASE(empty_wheel_needs_no_call)
{
    pp_wheel_init(&wheel, 1000);
    PP_CHECK_EQ(pp_wheel_next(&wheel), UINT64_MAX);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 5000), 0);
    PP_CHECK_EQ(wheel.now_ms, 5000);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, UINT64_MAX), 0);
}

PP_TEST_CASE(fires_on_time_from_any_start_and_distance)
{
    static const uint64_t starts[] = {
        0,
        1,
        63,
        64,
        4095,
        4096,
        (1u << 24) - 1,
        1u << 24,
        (1u << 30) - 1,
        1ull << 30,
        (5ull << 30) - 7,
        1ull << 41,
    };
    for (size_t i = 0; i < PP_COUNT_OF(starts); i++)
        for (int bit = 0; bit < 40; bit++)
            for (int off = -1; off <= 1; off++) {
                uint64_t wait = (1ull << bit) + (uint64_t)(int64_t)off;
                if (wait == 0)
                    continue;
                struct alarm a = {.fired = 0};
                pp_wheel_init(&wheel, starts[i]);
                pp_timer_init(&a.timer, ring);
                pp_wheel_start(&wheel, &a.timer, starts[i] + wait);
                PP_CHECK_EQ(pp_wheel_advance(&wheel, starts[i] + wait - 1), 0);
                PP_CHECK_EQ(a.fired, 0);
                PP_CHECK(pp_wheel_next(&wheel) <= starts[i] + wait);
                check_bits();
                PP_CHECK_EQ(pp_wheel_advance(&wheel, starts[i] + wait), 1);
                PP_CHECK_EQ(a.fired, 1);
                PP_CHECK_EQ(pp_wheel_next(&wheel), UINT64_MAX);
            }
}

PP_TEST_CASE(following_next_is_enough)
{
    static const uint64_t waits[] = {1, 64, 65, 5000, 300000, 1u << 24, 1ull << 31, 1ull << 33};
    for (size_t i = 0; i < PP_COUNT_OF(waits); i++) {
        struct alarm a = {.fired = 0};
        int calls = 0;
        pp_wheel_init(&wheel, 12345);
        pp_timer_init(&a.timer, ring);
        pp_wheel_start(&wheel, &a.timer, 12345 + waits[i]);
        while (pp_wheel_next(&wheel) != UINT64_MAX && calls < 100) {
            uint64_t next = pp_wheel_next(&wheel);
            PP_CHECK(next > wheel.now_ms);
            pp_wheel_advance(&wheel, next);
            calls++;
        }
        PP_CHECK_EQ(a.fired, 1);
        PP_CHECK_EQ(a.at, 12345 + waits[i]);
        PP_CHECK(calls <=
                 PP_WHEEL_LEVELS + 9); /* one for each level, and for each turn of the top */
    }
}

PP_TEST_CASE(past_due_times_fire_at_the_next_advance)
{
    struct alarm a = {.fired = 0}, b = {.fired = 0};
    pp_wheel_init(&wheel, 1000);
    pp_timer_init(&a.timer, ring);
    pp_timer_init(&b.timer, ring);
    pp_wheel_start(&wheel, &a.timer, 1000);
    pp_wheel_start(&wheel, &b.timer, 3);
    PP_CHECK_EQ(wheel.n, 2);
    PP_CHECK_EQ(pp_wheel_next(&wheel), 1000);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 1000), 2);
    PP_CHECK(a.fired == 1 && b.fired == 1);
    PP_CHECK_EQ(pp_wheel_next(&wheel), UINT64_MAX);
}

PP_TEST_CASE(overdue_timers_can_be_stopped_and_moved)
{
    struct alarm a = {.fired = 0}, b = {.fired = 0};
    pp_wheel_init(&wheel, 1000);
    pp_timer_init(&a.timer, ring);
    pp_timer_init(&b.timer, ring);
    pp_wheel_start(&wheel, &a.timer, 5);
    pp_wheel_start(&wheel, &b.timer, 6);
    pp_wheel_stop(&wheel, &a.timer);
    pp_wheel_start(&wheel, &b.timer, 2000);
    check_bits();
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 1500), 0);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 2000), 1);
    PP_CHECK(a.fired == 0 && b.at == 2000);
}

PP_TEST_CASE(time_never_goes_back)
{
    struct alarm a = {.fired = 0};
    pp_wheel_init(&wheel, 1000);
    pp_timer_init(&a.timer, ring);
    pp_wheel_start(&wheel, &a.timer, 1010);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 500), 0);
    PP_CHECK_EQ(wheel.now_ms, 1000);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 1010), 1);
}

PP_TEST_CASE(stopping_and_moving)
{
    struct alarm a = {.fired = 0};
    pp_wheel_init(&wheel, 0);
    pp_timer_init(&a.timer, ring);
    pp_wheel_stop(&wheel, &a.timer);
    pp_wheel_start(&wheel, &a.timer, 100);
    PP_CHECK(pp_timer_is_pending(&a.timer));
    pp_wheel_start(&wheel, &a.timer, 50);
    pp_wheel_start(&wheel, &a.timer, 5000);
    PP_CHECK_EQ(wheel.n, 1);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 4999), 0);
    pp_wheel_stop(&wheel, &a.timer);
    pp_wheel_stop(&wheel, &a.timer);
    PP_CHECK_EQ(wheel.n, 0);
    check_bits();
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 10000), 0);
    PP_CHECK_EQ(a.fired, 0);
}

PP_TEST_CASE(no_later_only_moves_forward)
{
    struct alarm a = {.fired = 0};
    pp_wheel_init(&wheel, 0);
    pp_timer_init(&a.timer, ring);
    pp_wheel_no_later(&wheel, &a.timer, 100);
    pp_wheel_no_later(&wheel, &a.timer, 200);
    PP_CHECK_EQ(a.timer.due_ms, 100);
    pp_wheel_no_later(&wheel, &a.timer, 70);
    PP_CHECK_EQ(a.timer.due_ms, 70);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 70), 1);
}

static struct alarm *victim;

static void ring_and_stop_victim(struct pp_timer *t)
{
    ring(t);
    pp_wheel_stop(&wheel, &victim->timer);
    victim->fired = -1;
    memset(&victim->timer, 0xee, sizeof(victim->timer)); /* as if freed */
}

PP_TEST_CASE(fn_may_stop_and_free_others_due_at_the_same_time)
{
    for (uint64_t due = 0; due < 40; due += 20) {
        struct alarm a = {.fired = 0}, b = {.fired = 0}, c = {.fired = 0};
        pp_wheel_init(&wheel, 10);
        pp_timer_init(&a.timer, ring_and_stop_victim);
        pp_timer_init(&b.timer, ring);
        pp_timer_init(&c.timer, ring);
        pp_wheel_start(&wheel, &a.timer, due);
        pp_wheel_start(&wheel, &b.timer, due);
        pp_wheel_start(&wheel, &c.timer, due);
        victim = &b;
        PP_CHECK_EQ(pp_wheel_advance(&wheel, 30), 2);
        PP_CHECK(a.fired == 1 && b.fired == -1 && c.fired == 1);
        PP_CHECK_EQ(wheel.n, 0);
        check_bits();
    }
}

static int restarts_left;
static uint64_t restart_after;

static void ring_and_restart(struct pp_timer *t)
{
    ring(t);
    if (restarts_left-- > 0)
        pp_wheel_start(&wheel, t, wheel.now_ms + restart_after);
}

PP_TEST_CASE(restart_in_the_past_waits_for_the_next_advance)
{
    struct alarm a = {.fired = 0};
    pp_wheel_init(&wheel, 0);
    pp_timer_init(&a.timer, ring_and_restart);
    restarts_left = 3;
    restart_after = 0;
    pp_wheel_start(&wheel, &a.timer, 10);
    for (int i = 0; i < 4; i++)
        PP_CHECK_EQ(pp_wheel_advance(&wheel, 10), 1);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 10), 0);
    PP_CHECK_EQ(a.fired, 4);
}

PP_TEST_CASE(restart_within_the_time_advanced_fires_in_turn)
{
    struct alarm a = {.fired = 0};
    pp_wheel_init(&wheel, 0);
    pp_timer_init(&a.timer, ring_and_restart);
    restarts_left = 1000;
    restart_after = 70;
    pp_wheel_start(&wheel, &a.timer, 70);
    PP_CHECK_EQ(pp_wheel_advance(&wheel, 7000), 100);
    PP_CHECK_EQ(a.at, 7000);
    pp_wheel_stop(&wheel, &a.timer);
}

/* --- the wheel against a plain list --------------------------------------------------------- */

enum { TIMERS = 300, STEPS = 400000 };

static struct {
    struct alarm alarm;
    bool pending; /* what the list says */
    bool overdue; /* started with a due time that had passed */
    uint64_t due;
} model[TIMERS];
static uint64_t model_random = 77, advance_from, last_due;
static size_t model_fired;
static bool busy_fns; /* fns start and stop timers themselves */

static void model_start(int i, uint64_t due)
{
    pp_wheel_start(&wheel, &model[i].alarm.timer, due);
    model[i].pending = true;
    model[i].overdue = due <= wheel.now_ms;
    model[i].due = due;
}

static void model_stop(int i)
{
    pp_wheel_stop(&wheel, &model[i].alarm.timer);
    model[i].pending = false;
}

static uint64_t random_due(void)
{
    uint64_t r = pp_test_random(&model_random);
    uint64_t wait = (r >> 8) & ((1ull << (r & 31)) - 1); /* all magnitudes up to 2^31 */
    return r % 50 == 0 ? wheel.now_ms - PP_MIN(wheel.now_ms, wait) : wheel.now_ms + wait;
}

static void ring_model(struct pp_timer *t)
{
    int i = (int)(((char *)t - (char *)model) / (ptrdiff_t)sizeof(model[0]));
    PP_CHECK(model[i].pending);
    PP_CHECK(!pp_timer_is_pending(t));
    PP_CHECK(t->due_ms == model[i].due && t->due_ms <= wheel.now_ms);
    if (!model[i].overdue) {
        PP_CHECK_EQ(wheel.now_ms, model[i].due); /* at its very tick */
        PP_CHECK(model[i].due >= last_due);      /* in order */
        last_due = model[i].due;
    } else {
        PP_CHECK_EQ(wheel.now_ms, advance_from); /* before all others */
    }
    model[i].pending = false;
    model_fired++;
    if (!busy_fns)
        return;
    uint64_t r = pp_test_random(&model_random);
    if (r % 4 == 0)
        model_start((int)((r >> 8) % TIMERS), random_due());
    if (r % 5 == 0)
        model_stop((int)((r >> 24) % TIMERS));
}

static void model_advance(uint64_t now)
{
    uint64_t next = pp_wheel_next(&wheel);
    size_t due = 0, fired;

    for (int i = 0; i < TIMERS; i++) {
        if (!model[i].pending)
            continue;
        PP_CHECK(next <= PP_MAX(model[i].due, wheel.now_ms));
        due += model[i].due <= now || model[i].overdue;
    }
    advance_from = wheel.now_ms;
    last_due = 0;
    model_fired = 0;
    fired = pp_wheel_advance(&wheel, now);
    PP_CHECK_EQ(fired, model_fired);
    PP_CHECK(wheel.now_ms == now);
    if (!busy_fns)
        PP_CHECK_EQ(fired, due);
    size_t pending = 0;
    for (int i = 0; i < TIMERS; i++) {
        PP_CHECK_EQ(pp_timer_is_pending(&model[i].alarm.timer), model[i].pending);
        pending += model[i].pending;
        /* Left behind: only what was started in the past meanwhile. */
        PP_CHECK(!model[i].pending || model[i].due > now || model[i].overdue);
    }
    PP_CHECK_EQ(wheel.n, pending);
}

static void run_model(uint64_t start)
{
    pp_wheel_init(&wheel, start);
    for (int i = 0; i < TIMERS; i++) {
        pp_timer_init(&model[i].alarm.timer, ring_model);
        model[i].pending = false;
    }
    for (int step = 0; step < STEPS; step++) {
        uint64_t r = pp_test_random(&model_random);
        int i = (int)((r >> 8) % TIMERS);
        if (r % 16 < 9) {
            model_start(i, random_due());
        } else if (r % 16 < 13) {
            model_stop(i);
        } else if (r % 16 < 14 || step % 8) {
            continue; /* advancing costs a walk over the list: not at every step */
        } else {
            uint64_t skip = (r >> 20) & ((1ull << (r >> 16 & (step % 1000 ? 15 : 31))) - 1);
            model_advance(wheel.now_ms + skip);
        }
        if (step % 5000 == 0)
            check_bits();
    }
    for (int i = 0; i < TIMERS; i++)
        model_stop(i);
    check_bits();
    PP_CHECK_EQ(pp_wheel_next(&wheel), UINT64_MAX);
}

PP_TEST_CASE(agrees_with_a_plain_list)
{
    busy_fns = false;
    run_model(0);
    run_model((1ull << 32) - 5000);
}

PP_TEST_CASE(agrees_with_a_plain_list_when_fns_start_and_stop)
{
    busy_fns = true;
    run_model(123456789);
}

PP_TEST_MAIN()
