/* White box as far as C++ lets one: the source is compiled apart. */
#include "base/regex.h"

#include "pp_test.h"

static struct pp_regex *compile(const char *text)
{
    char why[PP_REGEX_WHY_BYTES] = "";
    struct pp_regex *re = NULL;
    int rc = pp_regex_new(pp_span(text, strlen(text)), &re, why);
    if (rc != PP_OK)
        printf("%s: %s\n", text, why);
    return re;
}

static bool found(const char *expression, const char *text)
{
    struct pp_regex *re = compile(expression);
    if (re == NULL)
        return false;
    int rc = pp_regex_search(re, pp_span(text, strlen(text)), NULL, 0);
    PP_CHECK(rc == PP_OK || rc == PP_ENOENT);
    pp_regex_free(re);
    return rc == PP_OK;
}

PP_TEST_CASE(expressions_are_found_anywhere)
{
    PP_CHECK(found("b+", "abbc"));
    PP_CHECK(!found("^b+", "abbc"));
    PP_CHECK(found("^a.*c$", "abbc"));
    PP_CHECK(found("(?i)ABBC", "abbc"));
    PP_CHECK(found("", ""));
    PP_CHECK(found("^$", ""));
    PP_CHECK(!found("x", ""));
    PP_CHECK(found("^v(1|2)$", "v2"));
    PP_CHECK(found("^.$", "\xff"));
    PP_CHECK(found("\xc3\xa4", "b\xc3\xa4r"));
}

PP_TEST_CASE(groups_are_spans_of_the_text)
{
    struct pp_regex *re = compile("^/(?P<who>[a-z]+)(/(\\d+))?");
    struct pp_span group[6];
    PP_REQUIRE(re != NULL);
    PP_CHECK_EQ(pp_regex_groups(re), 3);
    PP_CHECK_EQ(pp_regex_group_find(re, PP_SPAN("who")), 1);
    PP_CHECK_EQ(pp_regex_group_find(re, PP_SPAN("what")), 0);
    PP_CHECK_EQ(pp_regex_search(re, PP_SPAN("/ann/42/x"), group, 6), PP_OK);
    PP_CHECK_STR(group[0], "/ann/42");
    PP_CHECK_STR(group[1], "ann");
    PP_CHECK_STR(group[3], "42");
    PP_CHECK(group[4].p == NULL && group[5].p == NULL);
    PP_CHECK_EQ(pp_regex_search(re, PP_SPAN("/ann"), group, 4), PP_OK);
    PP_CHECK_STR(group[0], "/ann");
    PP_CHECK(group[2].p == NULL && group[3].p == NULL);
    PP_CHECK_EQ(pp_regex_search(re, PP_SPAN("/7"), group, 2), PP_ENOENT);
    PP_CHECK_EQ(pp_regex_search(re, PP_SPAN_NONE, group, 2), PP_ENOENT);
    pp_regex_free(re);
}

PP_TEST_CASE(what_is_no_expression_is_refused_with_a_sentence)
{
    static const char *const bad[] = {"(", "a**b(", "[z-a]", "(?=x)", "\\1", "(?<name>", "a{3,1}"};
    char why[PP_REGEX_WHY_BYTES];
    struct pp_regex *re = NULL;
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        why[0] = 0;
        PP_CHECK_EQ(pp_regex_new(pp_span(bad[i], strlen(bad[i])), &re, why), PP_EINVAL);
        PP_CHECK(why[0] != 0 && re == NULL);
    }
    static char longest[PP_REGEX_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    PP_CHECK_EQ(pp_regex_new(pp_span(longest, sizeof(longest)), &re, why), PP_ELIMIT);
    PP_CHECK_EQ(pp_regex_new(PP_SPAN("((a{100}){100}){100}"), &re, why), PP_EINVAL);
    for (size_t i = 0; i + 7 < sizeof(longest); i += 7)
        memcpy(longest + i, "x{1000}", 7);
    PP_CHECK_EQ(pp_regex_new(pp_span(longest, 580 * 7), &re, why), PP_ELIMIT);
    memset(longest, '(', 40);
    memset(longest + 40, ')', 40);
    PP_CHECK_EQ(pp_regex_new(pp_span(longest, 80), &re, why), PP_ELIMIT);
    pp_regex_free(NULL);
}

PP_TEST_CASE(what_stands_before_counts_but_is_no_part_of_a_match)
{
    struct pp_regex *re = NULL;
    char why[PP_REGEX_WHY_BYTES];
    struct pp_span group[2], text = PP_SPAN("foofoo foo");
    PP_REQUIRE(pp_regex_new(PP_SPAN("\\bfo(o)"), &re, why) == PP_OK);
    PP_CHECK_EQ(pp_regex_search_from(re, text, 3, group, 2), PP_OK);
    PP_CHECK(group[0].p == text.p + 7 && group[0].n == 3 && group[1].p == text.p + 9);
    PP_CHECK_EQ(pp_regex_search_from(re, text, text.n, group, 2), PP_ENOENT);
    pp_regex_free(re);
    PP_REQUIRE(pp_regex_new(PP_SPAN("^foo|$"), &re, why) == PP_OK);
    PP_CHECK_EQ(pp_regex_search_from(re, text, 3, group, 1), PP_OK);
    PP_CHECK(group[0].p == text.p + text.n && group[0].n == 0);
    PP_CHECK_EQ(pp_regex_search_from(re, PP_SPAN(""), 0, group, 1), PP_OK);
    pp_regex_free(re);
}

/* The expressions and texts with which backtracking matchers take longer than anybody waits: that
 * this ends at all is the proof. */
PP_TEST_CASE(hostile_expressions_and_texts_end)
{
    static char text[60001];
    memset(text, 'a', sizeof(text) - 1);
    PP_CHECK(!found("^(a+)+$b", text));
    PP_CHECK(!found("^(a|a)*b$", text));
    PP_CHECK(!found("(.*.*.*.*.*)x$", text));
    PP_CHECK(!found("(a?){30}a{30}b", text));
}

PP_TEST_MAIN()
