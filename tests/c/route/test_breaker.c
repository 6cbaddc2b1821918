#include "route/breaker.c"

#include "pp_test.h"

static const struct pp_breaker_conf
    row = {.in_a_row = 3, .window_ms = 10000, .open_ms = 1000, .probes = 2},
    share = {.percent = 50, .least = 10, .window_ms = 10000, .open_ms = 1000, .probes = 1};

PP_TEST_CASE(failures_in_a_row_open_it)
{
    struct pp_breaker b = {0};
    PP_CHECK(!pp_breaker_note(&b, &row, 5000, true));
    PP_CHECK(!pp_breaker_note(&b, &row, 5000, true));
    PP_CHECK(!pp_breaker_note(&b, &row, 5000, false));
    PP_CHECK(!pp_breaker_note(&b, &row, 5000, true));
    PP_CHECK(!pp_breaker_note(&b, &row, 5000, true));
    PP_CHECK(pp_breaker_admit(&b, &row, 5000));
    PP_CHECK(pp_breaker_note(&b, &row, 5000, true));
    PP_CHECK(!pp_breaker_admit(&b, &row, 5999));
    PP_CHECK(!pp_breaker_note(&b, &row, 5999, true)); /* of before */
    PP_CHECK(!pp_breaker_note(&b, &row, 5999, false));
    PP_CHECK_EQ(b.state, PP_BREAKER_OPEN);
}

static struct pp_breaker opened(void)
{
    struct pp_breaker b = {0};
    for (int i = 0; i < 3; i++)
        (void)pp_breaker_note(&b, &row, 5000, true);
    PP_CHECK_EQ(b.state, PP_BREAKER_OPEN);
    return b;
}

PP_TEST_CASE(probes_close_it)
{
    struct pp_breaker b = opened();
    PP_CHECK(pp_breaker_admit(&b, &row, 6000));
    PP_CHECK_EQ(b.state, PP_BREAKER_HALF_OPEN);
    PP_CHECK(pp_breaker_admit(&b, &row, 6000));
    PP_CHECK(!pp_breaker_admit(&b, &row, 6000));
    PP_CHECK(!pp_breaker_note(&b, &row, 6100, false));
    PP_CHECK_EQ(b.state, PP_BREAKER_HALF_OPEN);
    PP_CHECK(!pp_breaker_note(&b, &row, 6100, false));
    PP_CHECK_EQ(b.state, PP_BREAKER_CLOSED);
    PP_CHECK(pp_breaker_admit(&b, &row, 6100));
}

PP_TEST_CASE(a_probe_that_fails_opens_it_again)
{
    struct pp_breaker b = opened();
    PP_CHECK(pp_breaker_admit(&b, &row, 6000));
    PP_CHECK(pp_breaker_note(&b, &row, 6100, true));
    PP_CHECK(!pp_breaker_admit(&b, &row, 7099));
    PP_CHECK(pp_breaker_admit(&b, &row, 7100));
}

PP_TEST_CASE(probes_that_never_end_hold_nothing_up)
{
    struct pp_breaker b = opened();
    PP_CHECK(pp_breaker_admit(&b, &row, 6000) && pp_breaker_admit(&b, &row, 6000));
    PP_CHECK(!pp_breaker_admit(&b, &row, 6999));
    PP_CHECK(pp_breaker_admit(&b, &row, 7000));
}

PP_TEST_CASE(a_share_of_the_window_opens_it)
{
    struct pp_breaker b = {0};
    for (int i = 0; i < 9; i++)
        PP_CHECK(!pp_breaker_note(&b, &share, 5000 + (uint64_t)i, i % 2 == 0));
    PP_CHECK(pp_breaker_note(&b, &share, 5100, true));
}

PP_TEST_CASE(what_the_window_has_left_does_not_count)
{
    struct pp_breaker b = {0};
    for (int i = 0; i < 9; i++)
        PP_CHECK(!pp_breaker_note(&b, &share, 5000, true));
    PP_CHECK(!pp_breaker_note(&b, &share, 16000, true));
    for (int i = 0; i < 8; i++)
        PP_CHECK(!pp_breaker_note(&b, &share, 16000, true));
    PP_CHECK(!pp_breaker_note(&b, &share, (uint64_t)1 << 60, true)); /* no long way there */
}

PP_TEST_CASE(all_zero_is_none)
{
    struct pp_breaker_conf none = {0};
    struct pp_breaker b = {0};
    PP_CHECK(!pp_breaker_is_on(&none) && pp_breaker_is_on(&row) && pp_breaker_is_on(&share));
    for (int i = 0; i < 100; i++)
        PP_CHECK(!pp_breaker_note(&b, &none, 1, true));
}

PP_TEST_MAIN()
