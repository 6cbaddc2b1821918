#include "proxy/metrics.c"

#include "pp_test.h"

static _Alignas(8) char mem[65536];

static void define_all(struct pp_statseg *s)
{
    uint32_t base;
    for (uint32_t kind = 0; kind < PP_METRIC_KIND_COUNT; kind++) {
        struct pp_span name = pp_metric_shared((enum pp_metric_kind)kind);
        PP_CHECK_EQ(
            pp_statseg_define(s, kind, name, pp_metric_words((enum pp_metric_kind)kind), &base),
            PP_OK);
    }
    PP_CHECK_EQ(pp_statseg_define(s, PP_METRIC_ROUTE, PP_SPAN("r"),
                                  pp_metric_words(PP_METRIC_ROUTE), &base),
                PP_OK);
}

static void format(struct pp_statseg *s)
{
    memset(mem, 0, sizeof mem);
    PP_CHECK_EQ(pp_statseg_format(s, mem, sizeof mem, 3, 512, 4096, pp_metric_schema()), PP_OK);
    define_all(s);
}

PP_TEST_CASE(without_a_segment_words_are_private)
{
    struct pp_metrics m;
    PP_CHECK_EQ(pp_metrics_init(&m, NULL, 0, 0), PP_OK);
    uint32_t r = pp_metrics_record(&m, PP_METRIC_ROUTE, PP_SPAN("any"));
    PP_CHECK_EQ(r, m.fallback[PP_METRIC_ROUTE]);
    PP_COUNT(&m, r, ROUTE, ACTIVE, 2);
    PP_COUNT(&m, r, ROUTE, ACTIVE, -1);
    PP_CHECK_EQ(m.words[r + PP_METRIC_WORD(ROUTE, ACTIVE)], 1);
    uint32_t last =
        m.fallback[PP_METRIC_KIND_COUNT - 1] + pp_metric_words(PP_METRIC_KIND_COUNT - 1);
    m.words[last - 1] = 1; /* inside */
    pp_metrics_fini(&m);
    pp_metrics_fini(&m);
}

PP_TEST_CASE(records_of_the_segment_are_found_and_others_shared)
{
    struct pp_statseg s;
    struct pp_metrics m;
    format(&s);
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 1), PP_OK);
    uint32_t r = pp_metrics_record(&m, PP_METRIC_ROUTE, PP_SPAN("r"));
    PP_CHECK(r != m.fallback[PP_METRIC_ROUTE]);
    PP_CHECK_EQ(pp_metrics_record(&m, PP_METRIC_ROUTE, PP_SPAN("other")),
                m.fallback[PP_METRIC_ROUTE]);
    PP_COUNT(&m, r, ROUTE, STATUS_2XX, 3);
    PP_CHECK_EQ(pp_statseg_sum(&s, r + PP_METRIC_WORD(ROUTE, STATUS_2XX)), 3);
    pp_metrics_fini(&m);
}

PP_TEST_CASE(a_new_worker_goes_on_counting_and_clears_gauges)
{
    struct pp_statseg s;
    struct pp_metrics m;
    format(&s);
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 2), PP_OK);
    uint32_t r = pp_metrics_record(&m, PP_METRIC_ROUTE, PP_SPAN("r"));
    PP_COUNT(&m, r, ROUTE, STATUS_2XX, 3);
    PP_COUNT(&m, r, ROUTE, ACTIVE, 3);
    pp_metrics_fini(&m);
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 2), PP_OK);
    PP_CHECK_EQ(m.words[r + PP_METRIC_WORD(ROUTE, STATUS_2XX)], 3);
    PP_CHECK_EQ(m.words[r + PP_METRIC_WORD(ROUTE, ACTIVE)], 0);
    pp_metrics_fini(&m);
}

PP_TEST_CASE(a_segment_that_is_none_is_refused)
{
    struct pp_statseg s;
    struct pp_metrics m;
    format(&s);
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 3), PP_EINVAL); /* no such column */
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, PP_STATSEG_COMMON), PP_EINVAL);
    mem[0] ^= 1;
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 2), PP_EINVAL);
    memset(mem, 0, sizeof mem);
    PP_CHECK_EQ(pp_statseg_format(&s, mem, sizeof mem, 3, 512, 4096, pp_metric_schema()),
                PP_OK); /* without records */
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 2), PP_EINVAL);
    memset(mem, 0, sizeof mem);
    PP_CHECK_EQ(pp_statseg_format(&s, mem, sizeof mem, 3, 512, 4096, pp_metric_schema() + 1),
                PP_OK);
    define_all(&s); /* all is there, but means something else */
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 1), PP_EINVAL);
}

PP_TEST_CASE(records_added_later_are_found)
{
    struct pp_statseg s;
    struct pp_metrics m;
    uint32_t base;
    format(&s);
    PP_CHECK_EQ(pp_metrics_init(&m, mem, sizeof mem, 1), PP_OK);
    PP_CHECK_EQ(pp_metrics_record(&m, PP_METRIC_LISTENER, PP_SPAN("new")),
                m.fallback[PP_METRIC_LISTENER]);
    PP_CHECK_EQ(pp_statseg_define(&s, PP_METRIC_LISTENER, PP_SPAN("new"),
                                  pp_metric_words(PP_METRIC_LISTENER), &base),
                PP_OK);
    PP_CHECK(pp_statseg_reached(&s, 1) <= base);
    PP_CHECK_EQ(pp_metrics_record(&m, PP_METRIC_LISTENER, PP_SPAN("new")), base);
    PP_COUNT(&m, base, LISTENER, MOVED_OUT, 1);
    PP_CHECK_EQ(pp_statseg_sum(&s, base + PP_METRIC_WORD(LISTENER, MOVED_OUT)), 1);
    PP_CHECK_EQ(pp_statseg_reached(&s, 2), 0); /* a column without writer is not touched */
    pp_metrics_fini(&m);
}

PP_TEST_CASE(without_a_segment_nobody_is_told_anything)
{
    struct pp_metrics m;
    PP_CHECK_EQ(pp_metrics_init(&m, NULL, 0, 0), PP_OK);
    uint32_t r = m.fallback[PP_METRIC_ENDPOINT];
    PP_CHECK(!pp_metrics_tell(&m, r, PP_METRIC_WORD(ENDPOINT, STATE), 1, 1));
    PP_CHECK_EQ(pp_metrics_told(&m, r, PP_METRIC_WORD(ENDPOINT, STATE)), 0);
    PP_CHECK_EQ(pp_metrics_elsewhere(&m, r, PP_METRIC_WORD(ENDPOINT, ACTIVE)), 0);
    PP_CHECK_EQ(*m.told, 0);
    pp_metrics_fini(&m);
}

PP_TEST_CASE(observations_fill_the_histogram)
{
    struct pp_metrics m;
    PP_CHECK_EQ(pp_metrics_init(&m, NULL, 0, 0), PP_OK);
    uint32_t r = m.fallback[PP_METRIC_UPSTREAM], h = r + pp_metric_histogram(PP_METRIC_UPSTREAM);
    pp_metrics_observe(&m, PP_METRIC_UPSTREAM, r, 0);
    pp_metrics_observe(&m, PP_METRIC_UPSTREAM, r, pp_metric_bucket_us[PP_METRIC_BUCKETS - 2] + 1);
    PP_CHECK_EQ(m.words[h], 1);
    PP_CHECK_EQ(m.words[h + PP_METRIC_BUCKETS - 1], 1);
    PP_CHECK_EQ(m.words[h + PP_METRIC_BUCKETS], pp_metric_bucket_us[PP_METRIC_BUCKETS - 2] + 1);
    pp_metrics_fini(&m);
}

static bool scenario(void)
{
    struct pp_metrics m;
    bool ok = pp_metrics_init(&m, NULL, 0, 0) == PP_OK;
    pp_metrics_fini(&m);
    return ok;
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_CASE(what_is_claimed_stays_within_the_limit_over_all_workers)
{
    const uint32_t word = PP_METRIC_WORD(ROUTE, ACTIVE);
    struct pp_statseg s;
    struct pp_metrics a, b;
    format(&s);
    PP_CHECK_EQ(pp_metrics_init(&a, mem, sizeof mem, 1), PP_OK);
    PP_CHECK_EQ(pp_metrics_init(&b, mem, sizeof mem, 2), PP_OK);
    uint32_t r = pp_metrics_record(&a, PP_METRIC_ROUTE, PP_SPAN("r"));
    PP_CHECK_EQ(pp_metrics_record(&b, PP_METRIC_ROUTE, PP_SPAN("r")), r);
    PP_CHECK_EQ(pp_metrics_others(&a, r, word), 0);
    PP_CHECK(pp_metrics_claim(&a, r, word, 3));
    PP_CHECK(pp_metrics_claim(&b, r, word, 3));
    PP_CHECK(pp_metrics_claim(&b, r, word, 3));
    PP_CHECK(!pp_metrics_claim(&a, r, word, 3));
    PP_CHECK(!pp_metrics_claim(&b, r, word, 3));
    PP_CHECK(!pp_metrics_claim(&b, r, word, 0));
    PP_CHECK_EQ(a.words[r + word], 1);
    PP_CHECK_EQ(b.words[r + word], 2);
    PP_CHECK_EQ(pp_metrics_others(&a, r, word), 1);
    PP_CHECK_EQ(pp_metrics_others(&b, r, word), 1);
    PP_COUNT(&b, r, ROUTE, ACTIVE, -1);
    PP_CHECK(pp_metrics_claim(&a, r, word, 3));
    pp_metrics_fini(&a);
    PP_CHECK_EQ(pp_metrics_init(&a, mem, sizeof mem, 1), PP_OK); /* as a new worker does */
    PP_CHECK_EQ(pp_metrics_others(&b, r, word), 0);
    pp_metrics_fini(&a);
    pp_metrics_fini(&b);
}

PP_TEST_MAIN()
