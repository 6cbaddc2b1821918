#include "route/retry_policy.c"

#include "pp_test.h"

static struct pp_retry_policy of(const char *words)
{
    struct pp_retry_policy p = {.base_ms = 25, .most_ms = 250};
    struct pp_span rest = pp_span(words, strlen(words)), word;
    while (pp_span_next_item(&rest, &word))
        PP_CHECK_EQ(pp_retry_policy_add(&p, word), PP_OK);
    return p;
}

PP_TEST_CASE(words_are_the_conditions_that_they_name)
{
    struct pp_retry_policy p = of("reset, timeout");
    PP_CHECK_EQ(p.on, PP_RETRY_ON_RESET | PP_RETRY_ON_TIMEOUT);
    PP_CHECK(!pp_retry_policy_has_status(&p, 503));
    p = of("connect_failure,refused_stream");
    PP_CHECK_EQ(p.on, PP_RETRY_ON_CONNECT | PP_RETRY_ON_REFUSED);
    p = of("grpc_unavailable,grpc_aborted");
    PP_CHECK_EQ(p.on, PP_RETRY_ON_GRPC);
    PP_CHECK_EQ(p.grpc, 1u << 14 | 1u << 10);
    p = of("");
    PP_CHECK_EQ(p.on, 0);
}

PP_TEST_CASE(statuses_are_those_that_are_listed)
{
    static const char *const words[] = {"gateway_error", "5xx", "retriable_4xx", "429,599,400"};
    static const uint16_t least[] = {502, 500, 409, 400}, most[] = {504, 599, 409, 599};
    static const unsigned count[] = {3, 100, 1, 3};
    for (unsigned i = 0; i < PP_COUNT_OF(words); i++) {
        struct pp_retry_policy p = of(words[i]);
        unsigned n = 0;
        for (unsigned s = 0; s < 1200; s++) {
            if (!pp_retry_policy_has_status(&p, s))
                continue;
            n++;
            PP_CHECK(s >= least[i] && s <= most[i]);
        }
        PP_CHECK_EQ(n, count[i]);
        PP_CHECK((p.on & PP_RETRY_ON_STATUS) != 0);
        PP_CHECK_EQ((p.on & PP_RETRY_ON_RESET) != 0, i < 2);
    }
}

PP_TEST_CASE(other_words_are_refused)
{
    static const char *const words[] = {"", "4xx", "399", "600", "grpc_ok", "RESET", "503x", "-1"};
    struct pp_retry_policy p = {0};
    for (unsigned i = 0; i < PP_COUNT_OF(words); i++)
        PP_CHECK_EQ(pp_retry_policy_add(&p, pp_span(words[i], strlen(words[i]))), PP_EINVAL);
    PP_CHECK_EQ(p.on, 0);
}

PP_TEST_CASE(the_backoff_grows_to_its_most_and_is_drawn)
{
    static const uint64_t most[] = {25, 75, 175, 250, 250};
    struct pp_retry_policy p = of("5xx");
    struct pp_rng rng;
    pp_rng_init(&rng, 7);
    for (unsigned n = 1; n <= PP_COUNT_OF(most); n++) {
        uint64_t sum = 0, top = 0;
        for (unsigned i = 0; i < 4000; i++) {
            uint64_t ms = pp_retry_policy_backoff_ms(&p, n, &rng);
            sum += ms;
            top = PP_MAX(top, ms);
        }
        PP_CHECK(top < most[n - 1] && top >= most[n - 1] - 2);
        uint64_t mean = sum / 4000; /* even: half of the most, within 10 % */
        PP_CHECK(mean * 20 > most[n - 1] * 9 - 20 && mean * 20 < most[n - 1] * 11);
    }
    PP_CHECK(pp_retry_policy_backoff_ms(&p, 4000000000u, &rng) < 250);
    p.base_ms = 0;
    PP_CHECK_EQ(pp_retry_policy_backoff_ms(&p, 3, &rng), 0);
}

PP_TEST_CASE(the_budget_is_a_share_and_a_few)
{
    struct pp_retry_policy p = {.budget_percent = 20, .budget_least = 3};
    PP_CHECK(pp_retry_policy_has_budget(&p, 2, 0));
    PP_CHECK(!pp_retry_policy_has_budget(&p, 3, 0));
    PP_CHECK(!pp_retry_policy_has_budget(&p, 3, 19));
    PP_CHECK(pp_retry_policy_has_budget(&p, 3, 20));
    PP_CHECK(pp_retry_policy_has_budget(&p, 199, 1000));
    PP_CHECK(!pp_retry_policy_has_budget(&p, 200, 1000));
    p = (struct pp_retry_policy){0};
    PP_CHECK(!pp_retry_policy_has_budget(&p, 0, 1000));
}

PP_TEST_MAIN()
