#include "proxy/retry.c"

#include "proxy/rig.h"

static bool may(unsigned method, enum pp_fault_code code, bool retryable, bool reused, bool silent)
{
    static struct pp_cluster cl;
    static struct pp_exchange x;
    memset(&x, 0, sizeof x);
    cl.conf.retries = 1;
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

PP_TEST_MAIN()
