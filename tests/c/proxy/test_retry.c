#include "proxy/retry.c"

#include "proxy/rig.h"

static const struct pp_route route;

static bool may(unsigned method, enum pp_fault_code code, bool retryable, bool reused, bool silent)
{
    static struct pp_cluster cl;
    static struct pp_exchange x;
    memset(&x, 0, sizeof x);
    cl.conf.retries = 1;
    x.route = &route;
    x.cluster = &cl;
    x.attempts = 1;
    x.request.method_id = (uint8_t)method;
    x.reused = reused;
    x.silent = silent;
    struct pp_fault f = pp_fault_make(code, PP_SIDE_UP, retryable, PP_OK);
    return pp_retry_may(&x, &f);
}

PP_TEST_CASE(only_what_cannot_have_been_acted_upon_is_tried_again)
{
    PP_CHECK(may(PP_HTTP_POST, PP_FAULT_CONNECT_REFUSED, true, false, true));
    PP_CHECK(may(PP_HTTP_GET, PP_FAULT_UPSTREAM_RESET, false, true, true));
    PP_CHECK(!may(PP_HTTP_POST, PP_FAULT_UPSTREAM_RESET, false, true, true));
    PP_CHECK(!may(PP_HTTP_PATCH, PP_FAULT_UPSTREAM_RESET, false, true, true));
    PP_CHECK(!may(PP_HTTP_OTHER, PP_FAULT_UPSTREAM_RESET, false, true, true));
    PP_CHECK(!may(PP_HTTP_GET, PP_FAULT_UPSTREAM_RESET, false, false, true));
    PP_CHECK(!may(PP_HTTP_GET, PP_FAULT_UPSTREAM_RESET, false, true, false));
    PP_CHECK(!may(PP_HTTP_GET, PP_FAULT_FIRST_BYTE_TIMEOUT, false, true, true));
}

PP_TEST_CASE(attempts_end_and_what_has_begun_stays)
{
    static struct pp_cluster cl;
    static struct pp_exchange x;
    struct pp_fault refused = pp_fault_make(PP_FAULT_CONNECT_REFUSED, PP_SIDE_UP, true, PP_OK);
    struct pp_fault reset = pp_fault_make(PP_FAULT_UPSTREAM_RESET, PP_SIDE_UP, false, PP_OK);
    memset(&x, 0, sizeof x);
    x.request.method_id = PP_HTTP_PUT;
    x.route = &route;
    x.attempts = 1;
    PP_CHECK(!pp_retry_may(&x, &refused)); /* no cluster, nowhere to go */
    x.cluster = &cl;
    cl.conf.retries = 2;
    PP_CHECK(pp_retry_may(&x, &refused));
    x.attempts = 3;
    PP_CHECK(!pp_retry_may(&x, &refused));
    x.attempts = 1;
    x.flow[PP_DIR_RESPONSE].head_sent = true;
    PP_CHECK(!pp_retry_may(&x, &refused));
    x.flow[PP_DIR_RESPONSE].head_sent = false;
    x.reused = x.silent = true;
    x.flow[PP_DIR_REQUEST].received = x.flow[PP_DIR_REQUEST].bytes = 1; /* it was sent */
    PP_CHECK(!pp_retry_may(&x, &reset));
    x.flow[PP_DIR_REQUEST].hold = 10;
    PP_CHECK(pp_retry_may(&x, &reset));
    x.flow[PP_DIR_REQUEST].hold = 0;
    x.flow[PP_DIR_REQUEST].held_n = 1; /* but is there */
    PP_CHECK(pp_retry_may(&x, &reset));
    x.flow[PP_DIR_REQUEST].torn = true; /* a filter had more of it */
    PP_CHECK(!pp_retry_may(&x, &reset));
}

/* Does the policy <words> allow another try after <code>, or after <status> when that is not 0? */
static bool policy_may(const char *words, bool non_idempotent, unsigned method,
                       enum pp_fault_code code, unsigned status)
{
    static struct pp_cluster cl;
    static struct pp_exchange x;
    struct pp_span rest = pp_span(words, strlen(words)), word;
    uint64_t after_ms;
    memset(&x, 0, sizeof x);
    cl.conf.retry = (struct pp_retry_policy){.non_idempotent = non_idempotent};
    while (pp_span_next_item(&rest, &word))
        PP_CHECK_EQ(pp_retry_policy_add(&cl.conf.retry, word), PP_OK);
    cl.conf.retries = 1;
    x.route = &route;
    x.cluster = &cl;
    x.attempts = 1;
    x.request.method_id = (uint8_t)method;
    x.response.status = (uint16_t)status;
    struct pp_fault f = pp_fault_make(code, PP_SIDE_UP, false, PP_OK);
    return status != 0 ? pp_retry_wants(&x, &after_ms) : pp_retry_may(&x, &f);
}

PP_TEST_CASE(conditions_allow_what_they_name)
{
    const enum pp_fault_code reset = PP_FAULT_UPSTREAM_RESET, late = PP_FAULT_FIRST_BYTE_TIMEOUT,
                             per_try = PP_FAULT_TRY_TIMEOUT, total = PP_FAULT_TOTAL_TIMEOUT;
    PP_CHECK(policy_may("reset", false, PP_HTTP_GET, reset, 0));
    PP_CHECK(!policy_may("reset", false, PP_HTTP_GET, late, 0));
    PP_CHECK(policy_may("timeout", false, PP_HTTP_GET, late, 0));
    PP_CHECK(policy_may("timeout", false, PP_HTTP_GET, per_try, 0));
    PP_CHECK(!policy_may("timeout,5xx", false, PP_HTTP_GET, total, 0));
    PP_CHECK(policy_may("gateway_error", false, PP_HTTP_GET, reset, 0));
    PP_CHECK(policy_may("gateway_error", false, PP_HTTP_GET, 0, 503));
    PP_CHECK(!policy_may("gateway_error", false, PP_HTTP_GET, 0, 500));
    PP_CHECK(policy_may("5xx", false, PP_HTTP_GET, 0, 500));
    PP_CHECK(policy_may("429", false, PP_HTTP_GET, 0, 429));
    PP_CHECK(!policy_may("429", false, PP_HTTP_GET, 0, 200));
}

PP_TEST_CASE(what_may_have_been_acted_upon_is_repeated_only_when_told_to)
{
    PP_CHECK(!policy_may("reset", false, PP_HTTP_POST, PP_FAULT_UPSTREAM_RESET, 0));
    PP_CHECK(!policy_may("5xx", false, PP_HTTP_PATCH, 0, 503));
    PP_CHECK(policy_may("reset", true, PP_HTTP_POST, PP_FAULT_UPSTREAM_RESET, 0));
    PP_CHECK(policy_may("5xx", true, PP_HTTP_POST, 0, 503));
}

PP_TEST_MAIN()
