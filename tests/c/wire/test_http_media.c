#include "wire/http_media.c"

#include "pp_test.h"

static struct pp_span span(const char *text)
{
    return pp_span(text, strlen(text));
}

PP_TEST_CASE(the_table_is_sorted_and_in_lower_case)
{
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct pp_span ext = span(rows[i].ext);
        char lower[LONGEST];
        PP_REQUIRE(ext.n < LONGEST);
        pp_span_copy_lower(lower, ext);
        PP_CHECK(pp_span_eq(ext, pp_span(lower, ext.n)));
        PP_CHECK(i == 0 || pp_span_cmp(span(rows[i - 1].ext), ext) < 0);
        PP_CHECK(pp_span_eq(pp_http_media_find(ext), span(rows[i].type)));
    }
}

PP_TEST_CASE(texts_say_how_they_are_encoded)
{
    PP_CHECK_STR(pp_http_media_find(span("html")), "text/html; charset=utf-8");
    PP_CHECK_STR(pp_http_media_find(span("js")), "text/javascript; charset=utf-8");
    PP_CHECK_STR(pp_http_media_find(span("json")), "application/json");
    PP_CHECK_STR(pp_http_media_find(span("PnG")), "image/png");
}

PP_TEST_CASE(what_is_not_known_is_empty)
{
    static const char *const rows_of[] = {
        "", "nope", "h", "htmlx", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ht\xc3\xa4"};
    for (size_t i = 0; i < PP_COUNT_OF(rows_of); i++)
        PP_CHECK_EQ(pp_http_media_find(span(rows_of[i])).n, 0);
}

PP_TEST_CASE(an_extension_stands_behind_the_last_dot_of_the_name)
{
    PP_CHECK_STR(pp_http_media_extension(span("a.css")), "css");
    PP_CHECK_STR(pp_http_media_extension(span("x.y/a.tar.gz")), "gz");
    PP_CHECK_STR(pp_http_media_extension(span("a.")), "");
    PP_CHECK_STR(pp_http_media_extension(span(".css")), "");
    PP_CHECK_STR(pp_http_media_extension(span("x/.css")), "");
    PP_CHECK_STR(pp_http_media_extension(span("x.y/a")), "");
    PP_CHECK_STR(pp_http_media_extension(span("")), "");
    PP_CHECK_STR(pp_http_media_extension(span(".")), "");
}

PP_TEST_MAIN()
