#include "route/outlier.c"

#include "pp_test.h"

static const struct pp_outlier_conf conf = {
    .interval_ms = 10000,
    .base_ms = 30000,
    .max_ms = 300000,
    .consecutive_5xx = 5,
    .consecutive_gateway = 3,
    .min_hosts = 5,
    .min_volume = 100,
    .stdev_factor = 1900,
    .max_percent = 10,
};

static uint64_t after(const char *results)
{
    uint64_t streak = 0;
    for (; *results != 0; results++)
        streak = pp_outlier_streak(streak, *results == '.'   ? PP_OUTLIER_OK
                                           : *results == 'e' ? PP_OUTLIER_ERROR
                                                             : PP_OUTLIER_FAILURE);
    return streak;
}

PP_TEST_CASE(results_in_a_row_are_counted_by_their_kind)
{
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("")), PP_OUTLIER_NONE);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("eeee")), PP_OUTLIER_NONE);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("eeeee")), PP_OUTLIER_5XX);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("eeee.e")), PP_OUTLIER_NONE);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("ff")), PP_OUTLIER_NONE);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("fff")), PP_OUTLIER_GATEWAY);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("ffef")), PP_OUTLIER_NONE);
    PP_CHECK_EQ(pp_outlier_judge(&conf, after("ffeff")), PP_OUTLIER_5XX); /* failures count too */
    PP_CHECK_EQ(after("efefe."), 0);
}

PP_TEST_CASE(a_kind_that_is_not_looked_at_says_nothing)
{
    struct pp_outlier_conf c = conf;
    c.consecutive_5xx = c.consecutive_gateway = 0;
    PP_CHECK_EQ(pp_outlier_judge(&c, after("ffffffffffffffff")), PP_OUTLIER_NONE);
    c.consecutive_5xx = 4;
    PP_CHECK_EQ(pp_outlier_judge(&c, after("ffff")), PP_OUTLIER_5XX);
}

PP_TEST_CASE(a_streak_ends_at_the_end_of_its_numbers)
{
    PP_CHECK_EQ(pp_outlier_streak(UINT64_MAX, PP_OUTLIER_FAILURE), UINT64_MAX);
    PP_CHECK_EQ(pp_outlier_streak(UINT64_MAX, PP_OUTLIER_ERROR), UINT32_MAX);
}

PP_TEST_CASE(a_part_may_be_ejected_and_one_always_but_for_an_only_one)
{
    PP_CHECK_EQ(pp_outlier_cap(&conf, 0), 0);
    PP_CHECK_EQ(pp_outlier_cap(&conf, 1), 0);
    PP_CHECK_EQ(pp_outlier_cap(&conf, 2), 1);
    PP_CHECK_EQ(pp_outlier_cap(&conf, 19), 1);
    PP_CHECK_EQ(pp_outlier_cap(&conf, 20), 2);
    PP_CHECK_EQ(pp_outlier_cap(&conf, 1000), 100);
    struct pp_outlier_conf all = conf;
    all.max_percent = 1000;
    PP_CHECK_EQ(pp_outlier_cap(&all, 7), 7);
}

static uint64_t length(uint64_t word, uint64_t now)
{
    return pp_outlier_until(word) - now;
}

PP_TEST_CASE(ejections_grow_up_to_a_maximum)
{
    uint64_t now = 1000, word = 0;
    for (uint64_t i = 1; i <= 40; i++) {
        word = pp_outlier_eject(&conf, word, now, PP_OUTLIER_GATEWAY);
        PP_CHECK_EQ(length(word, now), PP_MIN(30000 * i, 300000));
        PP_CHECK_EQ(word >> 16 & 15, PP_OUTLIER_GATEWAY);
        PP_CHECK(pp_outlier_is_ejected(word, now));
        now = pp_outlier_until(word);
        PP_CHECK(!pp_outlier_is_ejected(word, now));
        now += 9999; /* less than an interval: nothing is forgiven */
    }
}

PP_TEST_CASE(each_good_interval_takes_one_ejection_back)
{
    uint64_t now = 1000, word = 0;
    for (int i = 0; i < 4; i++) {
        word = pp_outlier_eject(&conf, word, now, PP_OUTLIER_5XX);
        now = pp_outlier_until(word);
    }
    PP_CHECK_EQ(length(pp_outlier_eject(&conf, word, now, PP_OUTLIER_5XX), now), 150000);
    now += 20000;
    PP_CHECK_EQ(length(pp_outlier_eject(&conf, word, now, PP_OUTLIER_5XX), now), 90000);
    now += 1000000;
    PP_CHECK_EQ(length(pp_outlier_eject(&conf, word, now, PP_OUTLIER_5XX), now), 30000);
}

PP_TEST_CASE(odd_words_and_times_stay_in_their_bits)
{
    struct pp_outlier_conf c = conf;
    c.max_ms = 1; /* shorter than the first: that is the longest then */
    PP_CHECK_EQ(length(pp_outlier_eject(&c, 0, 5, PP_OUTLIER_5XX), 5), 30000);
    c.base_ms = c.max_ms = UINT64_MAX / 2;
    uint64_t word = pp_outlier_eject(&c, 0xffff, 5, PP_OUTLIER_SUCCESS_RATE);
    PP_CHECK_EQ(pp_outlier_until(word), UNTIL_MAX);
    PP_CHECK_EQ(word >> 16 & 15, PP_OUTLIER_SUCCESS_RATE);
    c.interval_ms = 0;
    PP_CHECK(pp_outlier_eject(&c, 1, 5, PP_OUTLIER_5XX) != 0);
}

PP_TEST_CASE(roots_are_whole)
{
    static const uint64_t of[] = {0, 1, 2, 3, 4, 99, 100, 1000000000000u, UINT64_MAX};
    for (size_t i = 0; i < PP_COUNT_OF(of); i++) {
        uint64_t r = root(of[i]);
        PP_CHECK(r * r <= of[i]);
        PP_CHECK(r == UINT32_MAX || (r + 1) * (r + 1) > of[i]);
    }
}

PP_TEST_CASE(one_that_is_far_below_the_others_is_an_outlier)
{
    struct pp_outlier_sample s[10];
    uint32_t least;
    for (int i = 0; i < 10; i++)
        s[i] = (struct pp_outlier_sample){1000 - (uint64_t)i, 1000};
    s[3].ok = 600;
    PP_CHECK(pp_outlier_compare(&conf, s, 10, &least));
    /* mean 95.6 %, deviation 11.9 %: 73.1 % */
    PP_CHECK(least > 720000 && least < 740000);
    for (int i = 0; i < 10; i++)
        PP_CHECK_EQ(pp_outlier_is_below(&conf, &s[i], least), i == 3);
}

PP_TEST_CASE(alike_ones_are_no_outliers_however_bad)
{
    struct pp_outlier_sample s[6];
    uint32_t least;
    for (int i = 0; i < 6; i++)
        s[i] = (struct pp_outlier_sample){10, 1000};
    PP_CHECK(pp_outlier_compare(&conf, s, 6, &least));
    for (int i = 0; i < 6; i++)
        PP_CHECK(!pp_outlier_is_below(&conf, &s[i], least));
}

PP_TEST_CASE(too_few_say_nothing)
{
    struct pp_outlier_sample s[6] = {{0}};
    uint32_t least = 7;
    for (int i = 0; i < 5; i++)
        s[i] = (struct pp_outlier_sample){i == 0 ? 0 : 100, i == 4 ? 99 : 100};
    PP_CHECK(!pp_outlier_compare(&conf, s, 6, &least)); /* four have volume */
    s[4].all = 100;
    PP_CHECK(pp_outlier_compare(&conf, s, 6, &least));
    PP_CHECK(pp_outlier_is_below(&conf, &s[0], least));
    PP_CHECK(!pp_outlier_is_below(&conf, &s[5], least));
    struct pp_outlier_conf never = conf;
    never.min_hosts = 0;
    PP_CHECK(!pp_outlier_compare(&never, s, 6, &least));
}

PP_TEST_MAIN()
