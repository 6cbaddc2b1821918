#include "wire/http_accept.c"

#include "pp_test.h"

static unsigned weight_by(const char *first, const char *second, const char *type)
{
    static struct pp_http_msg m;
    struct pp_arena arena;
    const char *values[] = {first, second};
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&m, &arena);
    for (int i = 0; i < 2 && values[i] != NULL; i++)
        PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("Accept"), PP_NAME_ACCEPT,
                                    pp_span(values[i], strlen(values[i]))),
                    PP_OK);
    unsigned weight = pp_http_accept_media(&m, pp_span(type, strlen(type)));
    pp_arena_fini(&arena);
    return weight;
}

static unsigned media(const char *accept, const char *type)
{
    return weight_by(accept, NULL, type);
}

PP_TEST_CASE(the_most_specific_range_gives_the_weight)
{
    const char *browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    PP_CHECK_EQ(media(browser, "text/html"), 1000);
    PP_CHECK_EQ(media(browser, "application/json"), 800);
    PP_CHECK_EQ(media("*/*;q=0.8, text/*;q=0.2, Text/HTML;level=1;Q=0.125", "text/html"), 125);
    PP_CHECK_EQ(media("*/*;q=0.8, TEXT/*;q=0.2", "text/html"), 200);
    PP_CHECK_EQ(media("text/html;q=0, */*", "text/html"), 0);
    PP_CHECK_EQ(media("application/json", "text/html"), 0);
    PP_CHECK_EQ(media("", "text/html"), 0);
    PP_CHECK_EQ(media(NULL, "text/html"), 1000);
    PP_CHECK_EQ(media("tex/*, text*, */html, text/*x, *", "text/html"), 0);
}

PP_TEST_CASE(several_fields_are_one_list)
{
    PP_CHECK_EQ(weight_by("text/*", "text/html;q=0.3", "text/html"), 300);
    PP_CHECK_EQ(weight_by("text/html;q=0.4", "text/*", "text/html"), 400);
}

PP_TEST_CASE(what_is_no_weight_weighs_nothing)
{
    static const struct {
        const char *text;
        unsigned weight;
    } rows[] = {
        {"a/b;q=1", 1000},   {"a/b;q=1.000", 1000}, {"a/b;q=0.001", 1}, {"a/b;q=0", 0},
        {"a/b;q=0.", 0},     {"a/b;q=1.", 1000},    {"a/b;q=1.001", 0}, {"a/b;q=2", 0},
        {"a/b;q=0.1234", 0}, {"a/b;q=-1", 0},       {"a/b;q=", 0},      {"a/b;q=.5", 0},
        {"a/b;q=0,5", 0},    {"a/b;q=1x", 0},       {"a/b;;", 1000},    {";q=1", 0},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        PP_CHECK_EQ(media(rows[i].text, "a/b"), rows[i].weight);
}

PP_TEST_MAIN()
