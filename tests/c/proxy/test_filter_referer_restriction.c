#include "proxy/filter_referer_restriction.c"

#include "proxy/native.h"

static struct pp_span host_in(const char *url)
{
    return host_of(pp_span(url, strlen(url)));
}

PP_TEST_CASE(the_host_is_found_wherever_it_stands)
{
    PP_CHECK_STR(host_in("https://a.example/x"), "a.example");
    PP_CHECK_STR(host_in("http://u:p@b.example:80?q"), "b.example");
    PP_CHECK_STR(host_in("x://c#f@d"), "c");
    PP_CHECK_STR(host_in("x://"), "");
    PP_CHECK_STR(host_in("a.example"), "");
    PP_CHECK_STR(host_in(":/"), "");
    PP_CHECK_STR(host_in(""), "");
}

PP_TEST_CASE(links_are_refused_by_their_site)
{
    const char *options =
        "{\"allow\": [\"*.a.example\", \"a.example\"], \"deny\": [\"x.a.example\"]}";
    PP_CHECK_EQ(native_status(native_ask("referer_restriction", options, "GET",
                                         "Referer: https://b.a.example/\r\n")),
                200);
    PP_CHECK_EQ(native_status(native_ask("referer_restriction", options, "GET",
                                         "Referer: https://x.A.example/\r\n")),
                403);
    PP_CHECK_EQ(native_status(native_ask("referer_restriction", options, "GET", "")), 403);
}

PP_TEST_CASE(what_cannot_be_made_is_said)
{
    PP_CHECK(strstr(refusal_of("referer_restriction", "{\"allow\": [\"a b\"]}"),
                    "not a host name: \"a b\"") != NULL);
    PP_CHECK(strstr(refusal_of("referer_restriction", "{\"deny\": [\"a\", \"A\"]}"), "twice"));
}

PP_TEST_MAIN()
