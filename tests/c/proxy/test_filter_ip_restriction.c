#include "proxy/filter_ip_restriction.c"

#include "proxy/native.h"

static int status(const char *options)
{
    return native_status(native_ask("ip_restriction", options, "GET", ""));
}

PP_TEST_CASE(clients_are_refused_by_their_address)
{
    PP_CHECK_EQ(status("{\"deny\": [\"127.0.0.0/8\"]}"), 403);
    PP_CHECK_EQ(status("{\"deny\": [\"10.0.0.0/8\"]}"), 200);
    PP_CHECK_EQ(status("{\"allow\": [\"127.0.0.1\"]}"), 200);
    PP_CHECK_EQ(status("{\"allow\": [\"10.0.0.0/8\"], \"status\": 404}"), 404);
    PP_CHECK_EQ(status("{\"allow\": [\"127.0.0.1\"], \"deny\": [\"127.0.0.1\"]}"), 403);
    PP_CHECK_EQ(status("{\"allow\": [\"unix\"]}"), 403);
}

PP_TEST_CASE(what_cannot_be_made_is_said)
{
    PP_CHECK(strcmp(refusal_of("ip_restriction", "{\"deny\": [\"x\"]}"), "not a network: \"x\"") ==
             0);
    PP_CHECK(strstr(refusal_of("ip_restriction", "{\"allow\": 7}"), "allow is not a list"));
}

PP_TEST_MAIN()
