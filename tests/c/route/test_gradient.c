#include "route/gradient.c"

#include "pp_test.h"

static const struct pp_gradient_conf conf = {.least = 3,
                                             .most = 1000,
                                             .percentile = 50,
                                             .window_ms = 100,
                                             .min_rtt_ms = 60000,
                                             .requests = 50,
                                             .jitter_percent = 15,
                                             .buffer_percent = 25};

static struct pp_gradient g;
static uint64_t now_us;

static void begin(const struct pp_gradient_conf *c)
{
    now_us = 5000000;
    g = (struct pp_gradient){0};
    pp_gradient_start(&g, c, now_us);
}

/* <n> requests that took <us>, all sent after what came before. */
static void take(const struct pp_gradient_conf *c, int n, uint64_t us)
{
    for (int i = 0; i < n; i++) {
        now_us += us;
        (void)pp_gradient_note(&g, c, now_us - us, now_us, 0);
    }
}

PP_TEST_CASE(classes_hold_times_of_nearly_the_same_length)
{
    uint32_t last = 0;
    for (uint64_t us = 0; us < 130000000; us += 1 + us / 50) {
        uint32_t i = class_of(us);
        PP_CHECK(i >= last && i < PP_GRADIENT_CLASSES);
        PP_CHECK(time_of(i) >= us && time_of(i) - us <= us / PP_GRADIENT_STEPS);
        last = i;
    }
    for (uint32_t i = 0; i < PP_GRADIENT_CLASSES; i++)
        PP_CHECK_EQ(class_of(time_of(i)), i);
    PP_CHECK_EQ(class_of(UINT64_MAX), PP_GRADIENT_CLASSES - 1);
}

PP_TEST_CASE(the_percentile_is_of_the_times)
{
    struct pp_gradient_conf c = conf;
    begin(&conf);
    for (uint64_t ms = 1; ms <= 49; ms++)
        (void)pp_gradient_note(&g, &conf, now_us, now_us + ms, 0);
    c.percentile = 100;
    PP_CHECK_EQ(percentile(&g, &c), 49);
    c.percentile = 50;
    PP_CHECK_EQ(percentile(&g, &c), 25);
    c.percentile = 1;
    PP_CHECK_EQ(percentile(&g, &c), 1);
}

PP_TEST_CASE(it_begins_with_a_measurement)
{
    begin(&conf);
    PP_CHECK_EQ(g.limit, 3);
    take(&conf, 49, 10000);
    PP_CHECK(g.measures && g.limit == 3);
    take(&conf, 1, 10000);
    PP_CHECK(!g.measures);
    PP_CHECK(g.min_rtt_us >= 10000 && g.min_rtt_us < 10400);
    PP_CHECK_EQ(g.limit, 3); /* it has had none before */
}

PP_TEST_CASE(requests_of_before_do_not_count_while_it_measures)
{
    begin(&conf);
    for (int i = 0; i < 100; i++)
        PP_CHECK(!pp_gradient_note(&g, &conf, now_us - 1, now_us + 900000, 0));
    PP_CHECK_EQ(g.n, 0);
}

PP_TEST_CASE(the_limit_grows_while_answers_are_quick)
{
    begin(&conf);
    take(&conf, 50, 10000);
    uint32_t last = g.limit;
    for (int window = 0; window < 20 && g.limit < conf.most; window++) {
        take(&conf, 11, 10000);
        PP_CHECK(g.limit > last);
        last = g.limit;
    }
    take(&conf, 200, 10000);
    PP_CHECK_EQ(g.limit, conf.most);
}

PP_TEST_CASE(the_limit_sinks_to_no_less_than_its_bound)
{
    begin(&conf);
    take(&conf, 50, 1000);
    take(&conf, 2000, 1000);
    uint32_t high = g.limit;
    now_us += 100000;
    take(&conf, 2, 1000000);
    PP_CHECK(g.limit < high);
    for (int i = 0; i < 50 && !g.measures; i++)
        take(&conf, 1, 1000000);
    PP_CHECK_EQ(g.limit, conf.least);
}

/* It is slower for good: a new measurement says so, and the limit may grow again. */
PP_TEST_CASE(at_the_lower_bound_it_measures_again)
{
    begin(&conf);
    take(&conf, 50, 1000);
    take(&conf, 60, 200000);
    PP_CHECK(g.measures || g.min_rtt_us > 190000);
    take(&conf, 60, 200000);
    PP_CHECK(g.min_rtt_us >= 200000);
    take(&conf, 5, 200000);
    PP_CHECK(g.limit > conf.least);
}

PP_TEST_CASE(it_measures_again_after_a_while_and_keeps_the_limit)
{
    begin(&conf);
    take(&conf, 50, 1000);
    take(&conf, 1000, 1000);
    uint32_t high = g.limit;
    now_us += (uint64_t)conf.min_rtt_ms * 1000;
    take(&conf, 1, 1000);
    PP_CHECK(g.measures && g.limit == conf.least);
    PP_CHECK(g.kept >= high);
    uint32_t kept = g.kept;
    take(&conf, 50, 1500);
    PP_CHECK(!g.measures && g.limit == kept);
    PP_CHECK(g.min_rtt_us >= 1500);
}

PP_TEST_CASE(measurements_are_put_off_by_chance)
{
    begin(&conf);
    for (int i = 0; i < 50; i++)
        (void)pp_gradient_note(&g, &conf, now_us, now_us + 1000, UINT64_MAX);
    uint64_t least = now_us + 1000 + 60000000, jitter = 9000000;
    PP_CHECK(g.measure_us > least && g.measure_us < least + jitter);
    struct pp_gradient_conf c = conf;
    c.jitter_percent = 0;
    begin(&c);
    take(&c, 50, 1000);
    PP_CHECK_EQ(g.measure_us, now_us + 60000000);
}

PP_TEST_CASE(answers_in_no_time_are_no_division_by_zero)
{
    begin(&conf);
    for (int i = 0; i < 300; i++, now_us += 10000)
        (void)pp_gradient_note(&g, &conf, now_us, now_us, 7);
    (void)pp_gradient_note(&g, &conf, now_us + 5, now_us, 7); /* a clock that is behind */
    PP_CHECK(g.limit >= conf.least && g.limit <= conf.most);
}

/* An upstream that serves <servers> requests at once in 10 ms each; clients send as many as they
 * may. The limit at the end, on average. */
static uint32_t settled(uint32_t servers, int windows)
{
    uint64_t sum = 0;
    for (int w = 0; w < windows; w++) {
        uint64_t rtt = 10000 * (uint64_t)PP_MAX(g.limit, servers) / servers;
        uint64_t end = now_us + 100000;
        while (now_us < end) {
            for (uint32_t i = 0, n = g.limit; i < n; i++)
                (void)pp_gradient_note(&g, &conf, now_us, now_us + rtt, now_us * 7919);
            now_us += rtt;
        }
        sum += g.limit;
    }
    return (uint32_t)(sum / (uint64_t)windows);
}

PP_TEST_CASE(the_limit_finds_what_the_upstream_can_do)
{
    begin(&conf);
    (void)settled(100, 50);
    uint32_t at_100 = settled(100, 50);
    PP_CHECK(at_100 >= 100 && at_100 <= 200);
    (void)settled(20, 50);
    uint32_t at_20 = settled(20, 50);
    PP_CHECK(at_20 >= 20 && at_20 <= 60);
    (void)settled(100, 50);
    at_100 = settled(100, 50);
    PP_CHECK(at_100 >= 100 && at_100 <= 200);
}

PP_TEST_MAIN()
