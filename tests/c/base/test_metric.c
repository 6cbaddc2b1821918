#include "base/metric.c"

#include "base/err.h"

#include "pp_test.h"

PP_TEST_CASE(words_of_a_kind_count_from_zero)
{
    uint32_t next[PP_METRIC_KIND_COUNT] = {0}, kind = 0;
    struct pp_metric_row row;
    unsigned i = 0;

    for (; pp_metric_row(i, &row); i++) {
        PP_REQUIRE(row.kind < PP_METRIC_KIND_COUNT);
        PP_CHECK(row.kind >= kind);
        kind = row.kind;
        PP_CHECK_EQ(row.word, next[row.kind]);
        next[row.kind]++;
    }
    PP_CHECK_EQ(i, PP_METRIC_INDEX_COUNT);
    for (kind = 0; kind < PP_METRIC_KIND_COUNT; kind++) {
        uint32_t histogram = pp_metric_histogram(kind);
        if (histogram == UINT32_MAX) {
            PP_CHECK_EQ(pp_metric_words(kind), next[kind]);
        } else {
            PP_CHECK_EQ(histogram, next[kind]);
            PP_CHECK_EQ(pp_metric_words(kind), next[kind] + PP_METRIC_BUCKETS + 1);
        }
    }
}

PP_TEST_CASE(routes_and_upstreams_have_histograms)
{
    PP_CHECK(pp_metric_histogram(PP_METRIC_ROUTE) != UINT32_MAX);
    PP_CHECK(pp_metric_histogram(PP_METRIC_UPSTREAM) != UINT32_MAX);
    PP_CHECK_EQ(pp_metric_histogram(PP_METRIC_WORKER), UINT32_MAX);
    PP_CHECK_EQ(pp_metric_histogram(PP_METRIC_LISTENER), UINT32_MAX);
    PP_CHECK_EQ(pp_metric_histogram(PP_METRIC_ENDPOINT), UINT32_MAX);
}

PP_TEST_CASE(word_macro_agrees_with_the_rows)
{
    struct pp_metric_row row;
    PP_CHECK(pp_metric_row(PP_METRIC_INDEX_ROUTE_STATUS_2XX, &row));
    PP_CHECK_EQ(row.kind, PP_METRIC_ROUTE);
    PP_CHECK_EQ(row.word, PP_METRIC_WORD(ROUTE, STATUS_2XX));
    PP_CHECK_EQ(row.word, 1);
    PP_CHECK(!row.gauge);
    PP_CHECK(strcmp(row.family, "requests_total") == 0);
    PP_CHECK(strcmp(row.labels, "code=\"2xx\"") == 0);
    PP_CHECK(strcmp(row.kind_label, "route") == 0);
    PP_CHECK(pp_metric_row(PP_METRIC_INDEX_UPSTREAM_IDLE, &row));
    PP_CHECK(row.gauge);
    PP_CHECK_EQ(row.word, PP_METRIC_WORD(UPSTREAM, IDLE));
}

/* Prometheus wants the lines of a family together, one type each, with a help text, and counters
 * named *_total. */
PP_TEST_CASE(families_are_fit_for_prometheus)
{
    struct pp_metric_row row, last = {.family = ""};
    for (unsigned i = 0; pp_metric_row(i, &row); last = row, i++) {
        size_t n = strlen(row.family);
        bool total = n > 6 && strcmp(row.family + n - 6, "_total") == 0;
        PP_CHECK_EQ(total, !row.gauge);
        if (strcmp(row.family, last.family) == 0) {
            PP_CHECK_EQ(row.gauge, last.gauge);
            PP_CHECK_EQ(row.kind, last.kind);
            PP_CHECK(strcmp(row.labels, last.labels) != 0);
            continue;
        }
        PP_CHECK(row.help[0] || row.family[0] == '_'); /* those are not shown */
        struct pp_metric_row other;
        for (unsigned j = 0; j < i && pp_metric_row(j, &other); j++)
            PP_CHECK(strcmp(other.family, row.family) != 0);
    }
}

PP_TEST_CASE(bounds_belong_to_the_bucket_below_them)
{
    PP_CHECK_EQ(pp_metric_bucket(0), 0);
    PP_CHECK_EQ(pp_metric_bucket(250), 0);
    PP_CHECK_EQ(pp_metric_bucket(251), 1);
    PP_CHECK_EQ(pp_metric_bucket(1000), 2);
    PP_CHECK_EQ(pp_metric_bucket(10000000), 14);
    PP_CHECK_EQ(pp_metric_bucket(10000001), 15);
    PP_CHECK_EQ(pp_metric_bucket(UINT64_MAX), 15);
    for (unsigned i = 0; i < PP_METRIC_BUCKETS - 1; i++) {
        PP_CHECK_EQ(pp_metric_bucket(pp_metric_bucket_us[i]), i);
        PP_CHECK_EQ(pp_metric_bucket(pp_metric_bucket_us[i] + 1ull), i + 1);
        PP_CHECK(i == 0 || pp_metric_bucket_us[i] > pp_metric_bucket_us[i - 1]);
    }
}

PP_TEST_CASE(shared_records_of_labelled_kinds_are_called_dash)
{
    PP_CHECK_STR(pp_metric_shared(PP_METRIC_ROUTE), "-");
    PP_CHECK_STR(pp_metric_shared(PP_METRIC_WORKER), "");
    PP_CHECK_STR(pp_metric_shared(PP_METRIC_SUPERVISOR), "");
    PP_CHECK(pp_metric_schema() != 0);
}

PP_TEST_CASE(gauges_are_cleared_as_far_as_the_column_was_written)
{
    static _Alignas(8) char mem[8192];
    struct pp_statseg s;
    uint32_t a, b, n = pp_metric_words(PP_METRIC_LISTENER);

    PP_CHECK_EQ(pp_statseg_format(&s, mem, sizeof mem, 3, 2 * n, 256, 1), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, PP_METRIC_LISTENER, PP_SPAN("a"), n, &a), PP_OK);
    PP_CHECK_EQ(pp_statseg_define(&s, PP_METRIC_LISTENER, PP_SPAN("b"), n, &b), PP_OK);
    for (uint32_t i = 0; i < 2 * n; i++)
        pp_statseg_words(&s, 1)[i] = pp_statseg_words(&s, 2)[i] = 5;
    pp_statseg_reach(&s, 1, n);
    pp_statseg_reach(&s, 2, 2 * n);
    pp_metric_clear_gauges(&s, 1);
    pp_metric_clear_gauges(&s, 3); /* there is none */
    uint64_t *words = pp_statseg_words(&s, 1);
    PP_CHECK_EQ(words[a + PP_METRIC_WORD(LISTENER, ACTIVE)], 0);
    PP_CHECK_EQ(words[a + PP_METRIC_WORD(LISTENER, CONNECTIONS)], 5);
    PP_CHECK_EQ(words[b + PP_METRIC_WORD(LISTENER, ACTIVE)], 5); /* not looked at */
    PP_CHECK_EQ(pp_statseg_words(&s, 2)[a + PP_METRIC_WORD(LISTENER, ACTIVE)], 5);
}

PP_TEST_CASE(row_past_the_end_is_refused)
{
    struct pp_metric_row row;
    PP_CHECK(!pp_metric_row(PP_METRIC_INDEX_COUNT, &row));
    PP_CHECK(!pp_metric_row(UINT32_MAX, &row));
}

PP_TEST_MAIN()
