#include "route/pattern.c"

#include "pp_test.h"

static int check(const char *text, char *why)
{
    why[0] = 0;
    return pp_pattern_check(pp_span(text, strlen(text)), why);
}

static bool matches(const char *pattern, const char *path)
{
    char key[PP_PATTERN_BYTES_MAX];
    size_t n = pp_pattern_compile(pp_span(pattern, strlen(pattern)), key);
    return pp_pattern_match(pp_span(key, n), pp_span(path, strlen(path)));
}

static int compare(const char *a, const char *b)
{
    char key_a[PP_PATTERN_BYTES_MAX], key_b[PP_PATTERN_BYTES_MAX];
    size_t n_a = pp_pattern_compile(pp_span(a, strlen(a)), key_a);
    size_t n_b = pp_pattern_compile(pp_span(b, strlen(b)), key_b);
    return pp_pattern_compare(pp_span(key_a, n_a), pp_span(key_b, n_b));
}

PP_TEST_CASE(good_patterns_are_accepted)
{
    static const char *const good[] = {
        "/",          "/a/b",           "/a/{id}/c", "/{a}/{b_2}/{c-3}",
        "/a/*",       "/a/*rest",       "/a*",       "*",
        "/*",         "/{{a}}",         "//",        "/a//b/",
        "/caf%C3%A9", "/.well-known/x", "/...",      "/%2F"};
    char why[PP_PATTERN_WHY_BYTES];
    for (size_t i = 0; i < PP_COUNT_OF(good); i++) {
        PP_CHECK_EQ(check(good[i], why), PP_OK);
        PP_CHECK_STR(pp_span(why, strlen(why)), "");
    }
}

PP_TEST_CASE(bad_patterns_are_refused_with_a_sentence)
{
    static const char *const bad[] = {
        "",        "a",        "a/b",     "**",     "*x",     "/a*b",         "/a/*/b",  "/a/**",
        "/{",      "/{}",      "/{a",     "/a{b}",  "/{a}b",  "/{a b}",       "/{a}{b}", "/}",
        "/a}",     "/{a}/{a}", "/{a}/*a", "/a b",   "/a\x7f", "/caf\xc3\xa9", "/a?b",    "/a#b",
        "/%",      "/%4",      "/%2f",    "/%zz",   "/%41",   "/%7E",         "/.",      "/..",
        "/a/../b", "/a/./b",   "/a/..",   "/{{{a}", "/{a}}}"};
    char why[PP_PATTERN_WHY_BYTES];
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        int rc = check(bad[i], why);
        if (rc != PP_EINVAL)
            printf("    accepted: %s\n", bad[i]);
        PP_CHECK_EQ(rc, PP_EINVAL);
        PP_CHECK(strlen(why) > 10);
    }
}

PP_TEST_CASE(limits_are_exact)
{
    char text[PP_PATTERN_BYTES_MAX + 2], why[PP_PATTERN_WHY_BYTES];
    memset(text, 'a', sizeof(text));
    text[0] = '/';
    PP_CHECK_EQ(pp_pattern_check(pp_span(text, PP_PATTERN_BYTES_MAX), why), PP_OK);
    PP_CHECK_EQ(pp_pattern_check(pp_span(text, PP_PATTERN_BYTES_MAX + 1), why), PP_ELIMIT);

    size_t n = 0;
    for (int i = 0; i < PP_CAPTURES_MAX + 1; i++) {
        if (i == PP_CAPTURES_MAX)
            PP_CHECK_EQ(pp_pattern_check(pp_span(text, n), why), PP_OK);
        n += (size_t)sprintf(text + n, "/{n%d}", i);
    }
    PP_CHECK_EQ(pp_pattern_check(pp_span(text, n), why), PP_ELIMIT);

    /* A path of n slashes has n + 1 segments, the first one empty. */
    memset(text, '/', sizeof(text));
    PP_CHECK_EQ(pp_pattern_check(pp_span(text, PP_PATTERN_SEGMENTS_MAX - 1), why), PP_OK);
    PP_CHECK_EQ(pp_pattern_check(pp_span(text, PP_PATTERN_SEGMENTS_MAX), why), PP_ELIMIT);
}

PP_TEST_CASE(longest_sentences_fit)
{
    char text[PP_PATTERN_BYTES_MAX], why[PP_PATTERN_WHY_BYTES];
    size_t n = (size_t)sprintf(text, "/{");
    for (int twice = 0; twice < 2; twice++) {
        memset(text + n, 'n', 2000);
        n += 2000;
        n += (size_t)sprintf(text + n, twice ? "}" : "}/{");
    }
    PP_CHECK_EQ(pp_pattern_check(pp_span(text, n), why), PP_EINVAL);
    PP_CHECK(strlen(why) < sizeof(why));
}

PP_TEST_CASE(pieces_come_in_order)
{
    struct pp_span rest = PP_SPAN("/a{{/{id}/}}b/*all");
    struct pp_pattern_piece piece;
    static const struct {
        enum pp_pattern_kind kind;
        const char *text;
    } want[] = {{PP_PATTERN_PIECE_TEXT, "/a"}, {PP_PATTERN_PIECE_TEXT, "{"},
                {PP_PATTERN_PIECE_TEXT, "/"},  {PP_PATTERN_PIECE_NAME, "id"},
                {PP_PATTERN_PIECE_TEXT, "/"},  {PP_PATTERN_PIECE_TEXT, "}"},
                {PP_PATTERN_PIECE_TEXT, "b/"}, {PP_PATTERN_PIECE_STAR, "all"}};
    for (size_t i = 0; i < PP_COUNT_OF(want); i++) {
        PP_REQUIRE(pp_pattern_next(&rest, &piece));
        PP_CHECK_EQ(piece.kind, want[i].kind);
        PP_CHECK_BYTES(piece.text, want[i].text, strlen(want[i].text));
    }
    PP_CHECK(!pp_pattern_next(&rest, &piece));
}

PP_TEST_CASE(captures_have_names)
{
    PP_CHECK_STR(pp_pattern_capture_name(PP_SPAN("/{a}/x/{b}/*c"), 0), "a");
    PP_CHECK_STR(pp_pattern_capture_name(PP_SPAN("/{a}/x/{b}/*c"), 1), "b");
    PP_CHECK_STR(pp_pattern_capture_name(PP_SPAN("/{a}/x/{b}/*c"), 2), "c");
    PP_CHECK_STR(pp_pattern_capture_name(PP_SPAN("/{a}/x/{b}/*c"), 3), "");
    PP_CHECK_STR(pp_pattern_capture_name(PP_SPAN("/a*"), 0), "");
}

PP_TEST_CASE(matching_follows_the_language)
{
    PP_CHECK(matches("/a/b", "/a/b"));
    PP_CHECK(!matches("/a/b", "/a/b/"));
    PP_CHECK(!matches("/a/b", "/a"));
    PP_CHECK(matches("/a/{id}/c", "/a/x/c"));
    PP_CHECK(!matches("/a/{id}/c", "/a//c"));
    PP_CHECK(!matches("/a/{id}", "/a/"));
    PP_CHECK(!matches("/a/{id}", "/a/x/y"));
    PP_CHECK(matches("/a/*", "/a/"));
    PP_CHECK(matches("/a/*", "/a/x/y"));
    PP_CHECK(!matches("/a/*", "/a"));
    PP_CHECK(matches("/a*", "/a"));
    PP_CHECK(matches("/a*", "/abc/d"));
    PP_CHECK(matches("*", ""));
    PP_CHECK(matches("*", "*"));
    PP_CHECK(matches("/{{x}}", "/{x}"));
    PP_CHECK(!matches("/{{x}}", "/abc"));
}

PP_TEST_CASE(specificity_is_from_left_to_right)
{
    static const char *const order[] = {"/a/b",   "/a/b*",    "/a/{x}", "/a/*", "/a*",
                                        "/{y}/b", "/{y}/{x}", "/{y}/*", "/*",   "*"};
    for (size_t i = 0; i < PP_COUNT_OF(order); i++)
        for (size_t j = 0; j < PP_COUNT_OF(order); j++) {
            int got = compare(order[i], order[j]);
            PP_CHECK_EQ((got > 0) - (got < 0), (i > j) - (i < j));
        }
}

PP_TEST_MAIN()
