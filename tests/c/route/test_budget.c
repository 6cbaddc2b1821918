#include "route/budget.c"

#include "base/rng.h"
#include "pp_test.h"

#define MS (SECOND / 1000)
#define START (12345 * SECOND + 678)

static struct pp_budget make(int kind, uint64_t count, uint64_t period, uint64_t burst,
                             uint64_t queue)
{
    struct pp_budget b = {
        .kind = (uint8_t)kind, .count = count, .period_ns = period, .burst = burst, .queue = queue};
    PP_CHECK_EQ(pp_budget_init(&b), PP_OK);
    return b;
}

static struct pp_budget_answer take(const struct pp_budget *b, uint64_t *word, uint64_t now)
{
    struct pp_budget_answer a;
    pp_budget_take(b, *word, now, &a);
    if (a.granted)
        *word = a.word;
    return a;
}

static unsigned take_many(const struct pp_budget *b, uint64_t *word, uint64_t now, unsigned n)
{
    unsigned granted = 0;
    for (unsigned i = 0; i < n; i++)
        granted += take(b, word, now).granted;
    return granted;
}

PP_TEST_CASE(what_is_out_of_range_is_refused)
{
    static const struct pp_budget bad[] = {
        {.count = 0, .period_ns = SECOND, .burst = 1},
        {.count = 1, .period_ns = MS - 1, .burst = 1},
        {.count = 1, .period_ns = PP_BUDGET_PERIOD_MAX + 1, .burst = 1},
        {.count = 1, .period_ns = SECOND, .burst = 0},
        {.count = 10001, .period_ns = MS, .burst = 1},
        {.count = PP_BUDGET_COUNT_MAX + 1, .period_ns = PP_BUDGET_PERIOD_MAX, .burst = 1},
        {.count = 1, .period_ns = PP_BUDGET_PERIOD_MAX, .burst = 2},
        {.count = 1, .period_ns = PP_BUDGET_PERIOD_MAX, .burst = 1, .queue = 2},
        {.count = 1, .period_ns = SECOND, .burst = UINT64_MAX},
        {.kind = PP_BUDGET_SLIDING, .count = 1, .period_ns = SECOND, .queue = 1},
        {.kind = PP_BUDGET_FIXED + 1, .count = 1, .period_ns = SECOND},
    };
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        struct pp_budget b = bad[i];
        PP_CHECK_EQ(pp_budget_init(&b), PP_EINVAL);
    }
}

PP_TEST_CASE(a_bucket_gives_its_burst_and_then_its_rate)
{
    struct pp_budget b = make(PP_BUDGET_BUCKET, 100, SECOND, 50, 0);
    uint64_t word = 0;
    PP_CHECK_EQ(take_many(&b, &word, START, 80), 50);
    PP_CHECK_EQ(take_many(&b, &word, START + 10 * MS - 1, 80), 0);
    PP_CHECK_EQ(take_many(&b, &word, START + 10 * MS, 80), 1);
    PP_CHECK_EQ(take_many(&b, &word, START + 110 * MS, 80), 10);
    PP_CHECK_EQ(take_many(&b, &word, START + 10 * SECOND, 80), 50);
}

PP_TEST_CASE(a_bucket_says_what_is_left_and_when_to_come_again)
{
    struct pp_budget b = make(PP_BUDGET_BUCKET, 10, SECOND, 3, 0);
    uint64_t word = 0;
    struct pp_budget_answer a = take(&b, &word, START);
    PP_CHECK(a.granted && a.left == 2 && a.wait_ns == 0 && a.reset_ns == 100 * MS);
    PP_CHECK_EQ(a.expires_ns, START + 100 * MS);
    PP_CHECK_EQ(take_many(&b, &word, START, 2), 2);
    a = take(&b, &word, START + 30 * MS);
    PP_CHECK(!a.granted && a.left == 0 && a.wait_ns == 70 * MS && a.reset_ns == 270 * MS);
    PP_CHECK(!take(&b, &word, START + 100 * MS - 1).granted);
    PP_CHECK(take(&b, &word, START + 100 * MS).granted);
}

PP_TEST_CASE(a_queue_spaces_evenly_what_exceeds_the_burst)
{
    struct pp_budget b = make(PP_BUDGET_BUCKET, 10, SECOND, 2, 3);
    uint64_t word = 0;
    static const uint64_t want_ms[] = {0, 0, 100, 200, 300};
    for (size_t i = 0; i < PP_COUNT_OF(want_ms); i++) {
        struct pp_budget_answer a = take(&b, &word, START);
        PP_CHECK(a.granted);
        PP_CHECK_EQ(a.wait_ns, want_ms[i] * MS);
    }
    PP_CHECK(!take(&b, &word, START).granted);
    PP_CHECK_EQ(take(&b, &word, START + 150 * MS).wait_ns, 250 * MS);
}

/* In no stretch of time are there more than burst + rate * time. */
PP_TEST_CASE(a_bucket_keeps_its_promise_for_every_stretch)
{
    enum { N = 3000 };
    static const struct {
        uint64_t count, period, burst;
    } rows[] = {{7, SECOND, 5}, {3, 10 * MS, 1}, {1000, SECOND, 20}};
    for (size_t r = 0; r < PP_COUNT_OF(rows); r++) {
        struct pp_budget b =
            make(PP_BUDGET_BUCKET, rows[r].count, rows[r].period, rows[r].burst, 0);
        static uint64_t granted[N];
        struct pp_rng rng;
        uint64_t word = 0, now = START;
        unsigned n = 0;
        pp_rng_init(&rng, r);
        for (int i = 0; i < N; i++) {
            now += pp_rng_below(&rng, (uint32_t)(rows[r].period / rows[r].count));
            if (take(&b, &word, now).granted)
                granted[n++] = now;
        }
        for (unsigned i = 0; i < n; i++) {
            for (unsigned k = i; k < n; k++) {
                double most = (double)rows[r].burst + (double)(granted[k] - granted[i]) *
                                                          (double)rows[r].count /
                                                          (double)rows[r].period;
                PP_CHECK((double)(k - i + 1) <= most + 1e-6);
            }
        }
        /* And it gives nearly all that it may, because they come at twice the rate; but with a
         * burst of one, what comes a moment too early is lost. */
        double all = (double)(now - START) * (double)rows[r].count / (double)rows[r].period;
        PP_CHECK((double)n > all * (rows[r].burst > 1 ? 0.95 : 0.7));
    }
}

PP_TEST_CASE(a_bucket_takes_back)
{
    struct pp_budget b = make(PP_BUDGET_BUCKET, 10, SECOND, 3, 0);
    uint64_t word = 0;
    PP_CHECK_EQ(take_many(&b, &word, START, 3), 3);
    word = pp_budget_give_back(&b, word, START);
    PP_CHECK_EQ(take_many(&b, &word, START, 3), 1);
    PP_CHECK_EQ(pp_budget_give_back(&b, 0, START), 0);
    PP_CHECK_EQ(pp_budget_give_back(&b, 5, START), 0);
}

PP_TEST_CASE(a_clock_that_lies_behind_takes_from_the_same)
{
    struct pp_budget b = make(PP_BUDGET_BUCKET, 10, SECOND, 3, 0);
    struct pp_budget s = make(PP_BUDGET_SLIDING, 3, SECOND, 0, 0);
    uint64_t word = 0, window = 0;
    PP_CHECK(take(&b, &word, START + 5 * MS).granted);
    PP_CHECK_EQ(take_many(&b, &word, START, 5), 1); /* 5 ms behind, there was less */
    PP_CHECK_EQ(take_many(&b, &word, START + 5 * MS, 5), 1);
    uint64_t border = (START / SECOND + 1) * SECOND;
    PP_CHECK(take(&s, &window, border + 1).granted);
    PP_CHECK_EQ(take_many(&s, &window, border - 1, 5), 2);
    PP_CHECK_EQ(take_many(&s, &window, border + 2, 5), 0);
}

/* With the numbers that everybody can check: the limit is 100 a minute. */
PP_TEST_CASE(a_sliding_window_weighs_the_previous_one)
{
    struct pp_budget s = make(PP_BUDGET_SLIDING, 100, 60 * SECOND, 0, 0);
    uint64_t word = 0, t = 60 * SECOND * 1000;
    PP_CHECK_EQ(take_many(&s, &word, t + 30 * SECOND, 80), 80);
    struct pp_budget_answer a = take(&s, &word, t + 75 * SECOND); /* 80 * 45/60 = 60 */
    PP_CHECK(a.granted);
    PP_CHECK(a.left == 38 || a.left == 39); /* rounded up */
    PP_CHECK_EQ(a.reset_ns, 45 * SECOND);
    unsigned more = take_many(&s, &word, t + 75 * SECOND, 100);
    PP_CHECK(more == 38 || more == 39);
    a = take(&s, &word, t + 75 * SECOND);
    PP_CHECK(!a.granted && a.left == 0);
    PP_CHECK(a.wait_ns > 0 && a.wait_ns < 2 * SECOND);
    PP_CHECK(take(&s, &word, t + 75 * SECOND + a.wait_ns).granted);
    /* After a period without requests all is new. */
    PP_CHECK_EQ(take_many(&s, &word, t + 240 * SECOND, 200), 100);
}

PP_TEST_CASE(a_sliding_window_says_when_to_come_again)
{
    static const uint64_t counts[] = {1, 2, 3, 10, 1000, 1000000};
    for (size_t i = 0; i < PP_COUNT_OF(counts); i++) {
        struct pp_budget s = make(PP_BUDGET_SLIDING, counts[i], 10 * SECOND, 0, 0);
        struct pp_rng rng;
        uint64_t word = 0, now = START;
        pp_rng_init(&rng, i);
        for (int k = 0; k < 2000; k++) {
            now += pp_rng_below(&rng, 2000) * MS;
            struct pp_budget_answer a = take(&s, &word, now);
            while (a.granted && counts[i] <= 1000)
                a = take(&s, &word, now);
            if (a.granted)
                continue;
            uint64_t other = word;
            PP_CHECK(a.wait_ns > 0 && a.wait_ns <= 20 * SECOND);
            PP_CHECK(take(&s, &other, now + a.wait_ns).granted);
        }
    }
}

PP_TEST_CASE(windows_of_any_length_and_count_stay_in_range)
{
    static const uint64_t periods[] = {MS, SECOND, 3600 * SECOND, PP_BUDGET_PERIOD_MAX};
    static const uint64_t words[] = {
        0, 1, UINT64_MAX, UINT64_MAX / 3, COUNT_MASK, COUNT_MASK << COUNT_BITS};
    for (size_t p = 0; p < PP_COUNT_OF(periods); p++) {
        uint64_t most = PP_MIN(PP_BUDGET_COUNT_MAX, periods[p] / 100);
        const uint64_t counts[] = {1, 2, most - 1, most};
        for (size_t c = 0; c < PP_COUNT_OF(counts); c++) {
            for (int kind = PP_BUDGET_SLIDING; kind <= PP_BUDGET_FIXED; kind++) {
                struct pp_budget s = make(kind, counts[c], periods[p], 0, 0);
                for (size_t w = 0; w < PP_COUNT_OF(words); w++) {
                    for (uint64_t at = 0; at < 300; at++) { /* every number of a piece */
                        struct pp_budget_answer a;
                        pp_budget_take(&s, words[w], START + at * periods[p] + at, &a);
                        PP_CHECK(a.granted || a.wait_ns > 0);
                        PP_CHECK(a.granted || a.wait_ns <= 2 * periods[p]);
                        PP_CHECK(!a.granted || (a.word & COUNT_MASK) <= counts[c]);
                        PP_CHECK(a.left < counts[c]);
                        (void)pp_budget_give_back(&s, words[w], START + at * periods[p]);
                    }
                }
            }
        }
    }
}

PP_TEST_CASE(a_fixed_window_begins_anew)
{
    struct pp_budget f = make(PP_BUDGET_FIXED, 5, SECOND, 0, 0);
    uint64_t word = 0, t = 2000 * SECOND;
    PP_CHECK_EQ(take_many(&f, &word, t + SECOND - 1, 9), 5);
    PP_CHECK_EQ(take(&f, &word, t + 400 * MS).wait_ns, 600 * MS);
    PP_CHECK_EQ(take_many(&f, &word, t + SECOND, 9), 5);
}

PP_TEST_CASE(windows_take_back_from_where_it_was_taken)
{
    struct pp_budget s = make(PP_BUDGET_SLIDING, 4, SECOND, 0, 0);
    uint64_t word = 0, t = 3000 * SECOND;
    PP_CHECK_EQ(take_many(&s, &word, t, 4), 4);
    word = pp_budget_give_back(&s, word, t);
    PP_CHECK_EQ(take_many(&s, &word, t, 4), 1);
    PP_CHECK(take(&s, &word, t + SECOND + 500 * MS).granted); /* 4 * 1/2 + 1 */
    word = pp_budget_give_back(&s, word, t);                  /* of the previous: 3 * 1/2 + 1 */
    word = pp_budget_give_back(&s, word, t - 5 * SECOND);     /* too long ago: nothing */
    PP_CHECK_EQ(word >> COUNT_BITS & COUNT_MASK, 3);
    PP_CHECK_EQ(word & COUNT_MASK, 1);
}

PP_TEST_MAIN()
