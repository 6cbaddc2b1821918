#include "proxy/filter_rewrite_path.c"

#include "proxy/native.h"

PP_TEST_CASE(dots_are_found_as_whole_segments)
{
    PP_CHECK(has_dots(PP_SPAN("/.")));
    PP_CHECK(has_dots(PP_SPAN("/..")));
    PP_CHECK(has_dots(PP_SPAN("/a/../b")));
    PP_CHECK(has_dots(PP_SPAN("/a/./")));
    PP_CHECK(!has_dots(PP_SPAN("/")));
    PP_CHECK(!has_dots(PP_SPAN("/.../a./.b/..c/d..")));
    PP_CHECK(!has_dots(PP_SPAN("")));
}

PP_TEST_CASE(groups_are_found_by_number_and_name)
{
    char why[PP_REGEX_WHY_BYTES];
    struct pp_regex *regex;
    PP_REQUIRE(pp_regex_new(PP_SPAN("(a)(?P<b>b)"), &regex, why) == PP_OK);
    PP_CHECK_EQ(find_group(regex, PP_SPAN("1")), 1);
    PP_CHECK_EQ(find_group(regex, PP_SPAN("b")), 2);
    PP_CHECK_EQ(find_group(regex, PP_SPAN("3")), 0);
    PP_CHECK_EQ(find_group(regex, PP_SPAN("99999999999999999999")), 0);
    PP_CHECK_EQ(find_group(NULL, PP_SPAN("1")), 0);
    pp_regex_free(regex);
}

PP_TEST_CASE(options_that_make_no_path_are_refused)
{
    static const struct {
        const char *options, *why;
    } rows[] = {
        {"{\"strip_prefix\": \"/a/b\", \"add_prefix\": \"/c\"}", ""},
        {"{\"strip_prefix\": \"/a/\"}", "not a prefix of a path: \"/a/\""},
        {"{\"add_prefix\": \"a\"}", "not a prefix of a path: \"a\""},
        {"{\"add_prefix\": \"/a?b\"}", "not a prefix of a path: \"/a?b\""},
        {"{\"add_prefix\": \"/..\"}", "not a prefix of a path: \"/..\""},
        {"{\"path\": \"/{a\"}", "unbalanced braces in \"/{a\""},
        {"{\"patterns\": [{\"match\": \"a\", \"to\": \"{1}\"}]}", "there is no variable \"1\""},
        {"{\"patterns\": [{\"match\": \"(a)\", \"to\": \"{1}{0}\"}]}", ""},
        {"{\"patterns\": [{\"match\": \"(?P<n>a)\", \"to\": \"{n}\"}]}", ""},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        pp_test_bytes(rig_span(refusal_of("rewrite", rows[i].options)), rig_span(rows[i].why),
                      rows[i].options, __FILE__, __LINE__);
    PP_CHECK(refusal_of("rewrite", "{\"patterns\": [{\"match\": \"(\", \"to\": \"\"}]}")[0] != 0);
    char many[512] = "{\"path\": \"/";
    for (int i = 0; i < 33; i++)
        strcat(many, "{path}");
    strcat(many, "\"}");
    PP_CHECK(strstr(refusal_of("rewrite", many), "too many variables") != NULL);
}

PP_TEST_MAIN()
