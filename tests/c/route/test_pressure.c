#include "route/pressure.c"

#include "pp_test.h"

#define NONE PP_PRESSURE_NONE
#define STOP PP_PRESSURE_STOP_KEEP_ALIVE
#define SHED PP_PRESSURE_SHED

static const struct pp_pressure_conf both = {{0, 800, 1000}}, only_shed = {{0, 0, 1000}};

PP_TEST_CASE(it_rises_at_once_to_the_highest_threshold)
{
    struct pp_pressure p = {0};
    PP_CHECK(!pp_pressure_note(&p, &both, 799, 5000));
    PP_CHECK(pp_pressure_note(&p, &both, 800, 5001));
    PP_CHECK_EQ(p.level, STOP);
    PP_CHECK(!pp_pressure_note(&p, &both, 999, 5002));
    PP_CHECK(pp_pressure_note(&p, &both, 1000, 5003));
    PP_CHECK_EQ(p.level, SHED);
    p = (struct pp_pressure){0};
    PP_CHECK(pp_pressure_note(&p, &both, 5000, 5004));
    PP_CHECK_EQ(p.level, SHED);
}

PP_TEST_CASE(it_falls_after_a_while_well_below_the_threshold)
{
    struct pp_pressure p = {.level = SHED};
    PP_CHECK(!pp_pressure_note(&p, &both, 901, 5000)); /* not well below */
    PP_CHECK(!pp_pressure_note(&p, &both, 901, 9000));
    PP_CHECK(!pp_pressure_note(&p, &both, 899, 9100));
    PP_CHECK(!pp_pressure_note(&p, &both, 899, 10099));
    PP_CHECK(pp_pressure_note(&p, &both, 899, 10100));
    PP_CHECK_EQ(p.level, STOP);
    PP_CHECK(!pp_pressure_note(&p, &both, 700, 10200));
    PP_CHECK(!pp_pressure_note(&p, &both, 720, 10300)); /* again: the second begins anew */
    PP_CHECK(!pp_pressure_note(&p, &both, 700, 11250));
    PP_CHECK(!pp_pressure_note(&p, &both, 700, 12249));
    PP_CHECK(pp_pressure_note(&p, &both, 700, 12250));
    PP_CHECK_EQ(p.level, NONE);
}

PP_TEST_CASE(it_falls_by_more_than_one_level_at_a_time)
{
    struct pp_pressure p = {.level = SHED};
    PP_CHECK(!pp_pressure_note(&p, &both, 10, 5000));
    PP_CHECK(pp_pressure_note(&p, &both, 10, 6000));
    PP_CHECK_EQ(p.level, NONE);
}

PP_TEST_CASE(a_threshold_of_none_is_never_reached)
{
    struct pp_pressure p = {0};
    PP_CHECK(!pp_pressure_note(&p, &only_shed, 999, 5000));
    PP_CHECK(pp_pressure_note(&p, &only_shed, 1000, 5000));
    PP_CHECK_EQ(p.level, SHED);
    p = (struct pp_pressure){0};
    PP_CHECK(!pp_pressure_note(&p, &(struct pp_pressure_conf){{0}}, UINT64_MAX, 5000));
    PP_CHECK(!pp_pressure_is_watched(&(struct pp_pressure_conf){{0}}));
    PP_CHECK(pp_pressure_is_watched(&only_shed) && pp_pressure_is_watched(&both));
}

/* What thresholds of another configuration have brought about ends like any other. */
PP_TEST_CASE(higher_thresholds_let_it_fall)
{
    const struct pp_pressure_conf higher = {{0, 8000, 10000}};
    struct pp_pressure p = {.level = SHED};
    PP_CHECK(!pp_pressure_note(&p, &higher, 1200, 5000));
    PP_CHECK(pp_pressure_note(&p, &higher, 1200, 6000));
    PP_CHECK_EQ(p.level, NONE);
}

static const struct pp_pressure_conf lags = {{0, 50000, 200000}};

static uint64_t after(uint64_t late_us, uint64_t span_us, int times)
{
    struct pp_pressure_lag lag = {0};
    for (int i = 0; i < times; i++)
        pp_pressure_add_lag(&lag, &lags, late_us, span_us);
    return lag.mean_us;
}

PP_TEST_CASE(lag_counts_by_the_time_it_takes)
{
    PP_CHECK_EQ(after(0, 12000, 100), 0);
    PP_CHECK(after(60000, 72000, 1) < 10000);   /* a hiccup */
    PP_CHECK(after(100000, 112000, 5) > 50000); /* half a second of stalls */
    PP_CHECK(after(100000, 112000, 50) <= 100000);
    PP_CHECK(after(100000, 112000, 50) > 99000);
    PP_CHECK(after(1000000, 1000000, 1) > 200000); /* a whole second */
}

PP_TEST_CASE(a_long_stall_does_not_echo_for_long)
{
    struct pp_pressure_lag lag = {0};
    pp_pressure_add_lag(&lag, &lags, 3600000000u, 3600000000u);
    PP_CHECK(lag.mean_us <= 400000 && lag.mean_us > 200000);
    for (int ms = 0; ms < 1200; ms += 12)
        pp_pressure_add_lag(&lag, &lags, 0, 12000);
    PP_CHECK(lag.mean_us < 45000);
    pp_pressure_add_lag(&lag, &lags, UINT64_MAX, UINT64_MAX);
    PP_CHECK(lag.mean_us <= 400000);
}

PP_TEST_MAIN()
