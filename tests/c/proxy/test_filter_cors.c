#include "proxy/filter_cors.c"

#include "proxy/native.h"

#define SITE "Origin: https://a.example\r\n"

static bool says(const char *heard, const char *line)
{
    return strstr(heard, line) != NULL;
}

PP_TEST_CASE(preflights_are_answered)
{
    const char *options = "{\"origins\": [\"https://a.example\"], \"methods\": [\"GET\", \"PUT\"],"
                          " \"headers\": [\"x-a\"], \"max_age_ms\": 61000}";
    const char *heard =
        native_ask("cors", options, "OPTIONS", SITE "Access-Control-Request-Method: PUT\r\n");
    PP_CHECK_EQ(native_status(heard), 204);
    PP_CHECK(says(heard, "\r\naccess-control-allow-origin: https://a.example\r\n"));
    PP_CHECK(says(heard, "\r\naccess-control-allow-methods: GET, PUT\r\n"));
    PP_CHECK(says(heard, "\r\naccess-control-allow-headers: x-a\r\n"));
    PP_CHECK(says(heard, "\r\naccess-control-max-age: 61\r\n"));
    PP_CHECK(!says(heard, "credentials") && says(heard, "\r\nvary: Origin\r\n"));
    heard = native_ask("cors", options, "OPTIONS",
                       "Origin: https://b.example\r\nAccess-Control-Request-Method: PUT\r\n");
    PP_CHECK(native_status(heard) == 403 && !says(heard, "access-control"));
    PP_CHECK(says(heard, "\r\nvary: Origin\r\n"));
}

PP_TEST_CASE(answers_say_who_may_read)
{
    const char *options = "{\"origins\": [], \"origin_patterns\": [\"^https://[ab].example$\"],"
                          " \"credentials\": true, \"expose\": [\"x-b\"]}";
    const char *heard = native_ask("cors", options, "GET", SITE);
    PP_CHECK_EQ(native_status(heard), 200);
    PP_CHECK(says(heard, "\r\naccess-control-allow-origin: https://a.example\r\n"));
    PP_CHECK(says(heard, "\r\naccess-control-allow-credentials: true\r\n"));
    PP_CHECK(says(heard, "\r\naccess-control-expose-headers: x-b\r\n"));
    heard = native_ask("cors", options, "GET", "Origin: https://c.example\r\n");
    PP_CHECK(native_status(heard) == 200 && !says(heard, "access-control"));
    heard = native_ask("cors", "{\"origins\": [\"*\"]}", "GET", SITE);
    PP_CHECK(says(heard, "\r\naccess-control-allow-origin: *\r\n") && !says(heard, "vary"));
    heard = native_ask("cors", "{\"origins\": [\"*\"], \"headers\": [\"*\"]}", "OPTIONS",
                       SITE "Access-Control-Request-Method: PUT\r\n");
    PP_CHECK(native_status(heard) == 204 && !says(heard, "allow-headers"));
}

PP_TEST_CASE(vary_is_a_list)
{
    struct pp_arena arena;
    struct pp_http_msg m;
    pp_arena_init(&arena, NULL, 0, 1 << 16);
    pp_http_msg_init(&m, &arena);
    PP_CHECK(!varies(&m, PP_SPAN("Origin")));
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("Vary"), PP_NAME_VARY, PP_SPAN("Accept, oRIGIN")),
                PP_OK);
    PP_CHECK(varies(&m, PP_SPAN("Origin")) && !varies(&m, PP_SPAN("Cookie")));
    PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("Vary"), PP_NAME_VARY, PP_SPAN("*")), PP_OK);
    PP_CHECK(varies(&m, PP_SPAN("Cookie")));
    pp_arena_fini(&arena);
}

PP_TEST_CASE(what_opens_too_much_is_refused)
{
    PP_CHECK(strstr(refusal_of("cors", "{\"origins\": [\"*\"], \"credentials\": true}"),
                    "credentials for every origin") != NULL);
    PP_CHECK(strstr(refusal_of("cors", "{\"methods\": [\"a b\"]}"), "not a word of HTTP"));
    PP_CHECK(strstr(refusal_of("cors", "{\"max_age_ms\": -1}"), "max_age_ms") != NULL);
    PP_CHECK(strcmp(refusal_of("cors", "{}"), "") == 0);
}

PP_TEST_MAIN()
