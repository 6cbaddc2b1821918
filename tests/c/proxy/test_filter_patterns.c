#include "proxy/filter_patterns.c"

#include "base/options_text.h"
#include "pp_test.h"

static struct pp_arena arena;
static struct pp_filter_make m;
static struct pp_filter_patterns patterns;

static int make(const char *json)
{
    struct pp_options o;
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    memset(&m, 0, sizeof m);
    m.arena = &arena;
    PP_CHECK(options_of(&o, &arena, json));
    return pp_filter_patterns_make(&m, &o, "p", &patterns);
}

PP_TEST_CASE(one_of_them_is_enough)
{
    PP_CHECK_EQ(make("{\"p\": [\"^a+$\", \"(?i)bot\"]}"), PP_OK);
    PP_CHECK_EQ(pp_filter_patterns_search(&patterns, PP_SPAN("aaa")), PP_OK);
    PP_CHECK_EQ(pp_filter_patterns_search(&patterns, PP_SPAN("a RoBot")), PP_OK);
    PP_CHECK_EQ(pp_filter_patterns_search(&patterns, PP_SPAN("aab")), PP_ENOENT);
    PP_CHECK_EQ(pp_filter_patterns_search(&patterns, PP_SPAN("")), PP_ENOENT);
    pp_arena_fini(&arena);
}

PP_TEST_CASE(none_match_nothing_and_bad_ones_are_refused)
{
    PP_CHECK_EQ(make("{}"), PP_OK);
    PP_CHECK_EQ(pp_filter_patterns_search(&patterns, PP_SPAN("a")), PP_ENOENT);
    pp_arena_fini(&arena);
    PP_CHECK_EQ(make("{\"p\": [\"ok\", \"(\"]}"), PP_EINVAL);
    PP_CHECK(strstr(m.why, "\"(\"") != NULL);
    pp_arena_fini(&arena);
}

PP_TEST_MAIN()
