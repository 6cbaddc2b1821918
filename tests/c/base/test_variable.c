#include "base/variable.c"

#include "pp_test.h"

static int parse(const char *text, struct pp_variable *out)
{
    return pp_variable_parse(pp_span(text, strlen(text)), out);
}

PP_TEST_CASE(names_lead_to_their_kind)
{
    struct pp_variable v;
    PP_CHECK_EQ(parse("host", &v), PP_OK);
    PP_CHECK(v.kind == PP_VARIABLE_HOST && v.name.n == 0);
    PP_CHECK_EQ(parse("client.address", &v), PP_OK);
    PP_CHECK_EQ(v.kind, PP_VARIABLE_CLIENT_ADDRESS);
    PP_CHECK_EQ(parse("query", &v), PP_OK);
    PP_CHECK_EQ(v.kind, PP_VARIABLE_QUERY);
    PP_CHECK_EQ(parse("query.name", &v), PP_OK);
    PP_CHECK_EQ(v.kind, PP_VARIABLE_ARGUMENT);
    PP_CHECK_STR(v.name, "name");
    PP_CHECK_EQ(v.hash, pp_variable_hash(PP_SPAN("name")));
    PP_CHECK_EQ(parse("header.X-User", &v), PP_OK);
    PP_CHECK_STR(v.name, "X-User");
    PP_CHECK_EQ(parse("query.a.b c", &v), PP_OK);
    PP_CHECK_STR(v.name, "a.b c");
}

PP_TEST_CASE(what_is_no_variable_is_refused)
{
    static const char *const bad[] = {"",           "hos",       "hosts",      "header",
                                      "header.",    "cookie.",   "header.a b", "header.a:b",
                                      "cookie.a=b", "query.a\n", "client",     "Host"};
    struct pp_variable v;
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++)
        PP_CHECK_EQ(parse(bad[i], &v), PP_EINVAL);
}

PP_TEST_CASE(the_list_can_be_walked)
{
    struct pp_span name, meaning;
    struct pp_variable v;
    char text[64];
    unsigned n = 0;
    while (pp_variable_row(n, &name, &meaning)) {
        int size = snprintf(text, sizeof(text), "%.*s%s", (int)name.n, name.p,
                            name.p[name.n - 1] == '.' ? "x" : "");
        PP_CHECK_EQ(pp_variable_parse(pp_span(text, (size_t)size), &v), PP_OK);
        PP_CHECK_EQ(v.kind, n);
        PP_CHECK(meaning.n > 0);
        n++;
    }
    PP_CHECK_EQ(n, PP_VARIABLE_KIND_COUNT);
}

PP_TEST_MAIN()
