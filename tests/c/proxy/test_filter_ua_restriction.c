#include "proxy/filter_ua_restriction.c"

#include "proxy/native.h"

static int status(const char *options, const char *lines)
{
    return native_status(native_ask("ua_restriction", options, "GET", lines));
}

PP_TEST_CASE(programs_are_refused_by_what_they_say)
{
    PP_CHECK_EQ(status("{\"deny\": [\"^curl\"]}", "User-Agent: curl/8\r\n"), 403);
    PP_CHECK_EQ(status("{\"deny\": [\"^curl\"]}", "User-Agent: xcurl\r\n"), 200);
    PP_CHECK_EQ(status("{\"allow\": [\"^A\"]}", "User-Agent: A\r\nUser-Agent: B\r\n"), 403);
    PP_CHECK_EQ(status("{\"allow\": [\"^A\"]}", ""), 200);
    PP_CHECK_EQ(status("{\"missing\": false}", ""), 403);
    PP_CHECK_EQ(status("{\"allow\": [\"^$\"], \"missing\": false}", "User-Agent:\r\n"), 200);
}

PP_TEST_CASE(what_cannot_be_made_is_said)
{
    PP_CHECK(strstr(refusal_of("ua_restriction", "{\"deny\": [\"(\"]}"), "\"(\"") != NULL);
}

PP_TEST_MAIN()
