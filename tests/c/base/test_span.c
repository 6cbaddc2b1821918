#include "base/span.c"

#include "pp_test.h"

PP_TEST_CASE(equality_is_byte_for_byte)
{
    PP_CHECK(pp_span_eq(PP_SPAN("abc"), PP_SPAN("abc")));
    PP_CHECK(!pp_span_eq(PP_SPAN("abc"), PP_SPAN("abC")));
    PP_CHECK(!pp_span_eq(PP_SPAN("abc"), PP_SPAN("abcd")));
    PP_CHECK(pp_span_eq(PP_SPAN_NONE, PP_SPAN("")));
    PP_CHECK(pp_span_eq(PP_SPAN("a\0b"), PP_SPAN("a\0b")));
    PP_CHECK(!pp_span_eq(PP_SPAN("a\0b"), PP_SPAN("a\0c")));
}

PP_TEST_CASE(folding_changes_ascii_capitals_only)
{
    for (int c = 0; c < 256; c++) {
        unsigned char lower = pp_span_lower((unsigned char)c);
        PP_CHECK_EQ(lower, c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
}

static void check_fold(size_t n, size_t at)
{
    char a[32], b[32];
    memset(a, 'Q', n);
    memset(b, 'q', n);
    for (int x = 0; x < 256; x++)
        for (int y = 0; y < 256; y++) {
            a[at] = (char)x;
            b[at] = (char)y;
            bool want = pp_span_lower((unsigned char)x) == pp_span_lower((unsigned char)y);
            PP_CHECK_EQ(pp_span_eq_fold(pp_span(a, n), pp_span(b, n)), want);
        }
}

/* Every pair of byte values: in what is shorter than a word, in words, and in the last one. */
PP_TEST_CASE(folded_equality_agrees_with_folding_each_byte)
{
    static const size_t lengths[] = {3, 8, 11, 16, 25};
    for (size_t i = 0; i < PP_COUNT_OF(lengths); i++)
        for (size_t at = 0; at < lengths[i]; at += at + 5 < lengths[i] ? 5 : 1)
            check_fold(lengths[i], at);
    PP_CHECK(pp_span_eq_fold(PP_SPAN_NONE, PP_SPAN_NONE));
    PP_CHECK(!pp_span_eq_fold(PP_SPAN("host"), PP_SPAN("hos")));
    PP_CHECK(pp_span_eq_fold(PP_SPAN("Transfer-Encoding"), PP_SPAN("tRANSFER-eNCODING")));
}

PP_TEST_CASE(copy_lower_agrees_with_folding_each_byte)
{
    unsigned char all[256 + 3];
    char out[sizeof(all)];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)i;
    for (size_t from = 0; from < 9; from++) {
        size_t n = sizeof(all) - from;
        pp_span_copy_lower(out, pp_span((char *)all + from, n));
        for (size_t i = 0; i < n; i++)
            PP_CHECK_EQ((unsigned char)out[i], pp_span_lower(all[from + i]));
    }
    pp_span_copy_lower(NULL, PP_SPAN_NONE);
}

PP_TEST_CASE(order_is_by_bytes_then_length)
{
    PP_CHECK(pp_span_cmp(PP_SPAN("a"), PP_SPAN("b")) < 0);
    PP_CHECK(pp_span_cmp(PP_SPAN("b"), PP_SPAN("a")) > 0);
    PP_CHECK(pp_span_cmp(PP_SPAN("a"), PP_SPAN("aa")) < 0);
    PP_CHECK(pp_span_cmp(PP_SPAN("aa"), PP_SPAN("a")) > 0);
    PP_CHECK(pp_span_cmp(PP_SPAN("b"), PP_SPAN("aa")) > 0);
    PP_CHECK(pp_span_cmp(PP_SPAN("\xff"), PP_SPAN("a")) > 0);
    PP_CHECK_EQ(pp_span_cmp(PP_SPAN_NONE, PP_SPAN_NONE), 0);
    PP_CHECK(pp_span_cmp(PP_SPAN_NONE, PP_SPAN("a")) < 0);
}

PP_TEST_CASE(prefixes)
{
    PP_CHECK(pp_span_starts_with(PP_SPAN("/api/x"), PP_SPAN("/api")));
    PP_CHECK(pp_span_starts_with(PP_SPAN("/api"), PP_SPAN("/api")));
    PP_CHECK(!pp_span_starts_with(PP_SPAN("/ap"), PP_SPAN("/api")));
    PP_CHECK(!pp_span_starts_with(PP_SPAN("/abi/x"), PP_SPAN("/api")));
    PP_CHECK(pp_span_starts_with(PP_SPAN_NONE, PP_SPAN_NONE));
    PP_CHECK(pp_span_starts_with(PP_SPAN("x"), PP_SPAN_NONE));
}

PP_TEST_CASE(trim_takes_space_and_tab_only)
{
    PP_CHECK_STR(pp_span_trim(PP_SPAN(" \t a b \t")), "a b");
    PP_CHECK_STR(pp_span_trim(PP_SPAN("a")), "a");
    PP_CHECK_STR(pp_span_trim(PP_SPAN(" \t ")), "");
    PP_CHECK_STR(pp_span_trim(PP_SPAN("\ra\n")), "\ra\n");
    PP_CHECK_EQ(pp_span_trim(PP_SPAN_NONE).n, 0);
}

PP_TEST_CASE(find_gives_offset_or_length)
{
    PP_CHECK_EQ(pp_span_find(PP_SPAN("a:b:c"), ':'), 1);
    PP_CHECK_EQ(pp_span_find(PP_SPAN("abc"), ':'), 3);
    PP_CHECK_EQ(pp_span_find(PP_SPAN("a\0b"), '\0'), 1);
    PP_CHECK_EQ(pp_span_find(PP_SPAN_NONE, ':'), 0);
}

/* The items of <list>, each in brackets. */
static struct pp_span items(struct pp_span list)
{
    static char out[200];
    size_t n = 0;
    struct pp_span item;

    while (pp_span_next_item(&list, &item)) {
        out[n++] = '[';
        memcpy(out + n, item.p, item.n);
        n += item.n;
        out[n++] = ']';
    }
    return pp_span(out, n);
}

PP_TEST_CASE(list_items_are_trimmed_and_empty_ones_skipped)
{
    PP_CHECK_STR(items(PP_SPAN("a, b,c")), "[a][b][c]");
    PP_CHECK_STR(items(PP_SPAN(",a ,, \t,b,")), "[a][b]");
    PP_CHECK_STR(items(PP_SPAN("")), "");
    PP_CHECK_STR(items(PP_SPAN_NONE), "");
    PP_CHECK_STR(items(PP_SPAN(" , ,")), "");
    PP_CHECK_STR(items(PP_SPAN("keep-alive")), "[keep-alive]");
}

PP_TEST_CASE(commas_in_quoted_strings_do_not_split)
{
    PP_CHECK_STR(items(PP_SPAN("a=\"x,y\", b")), "[a=\"x,y\"][b]");
    PP_CHECK_STR(items(PP_SPAN("\",\",\",\"")), "[\",\"][\",\"]");
    PP_CHECK_STR(items(PP_SPAN("\"a\\\",b\",c")), "[\"a\\\",b\"][c]");
    PP_CHECK_STR(items(PP_SPAN("\"a\\\\\",b")), "[\"a\\\\\"][b]");
    PP_CHECK_STR(items(PP_SPAN("a\\,b")), "[a\\][b]");
}

PP_TEST_CASE(quoted_string_without_end_takes_the_rest)
{
    PP_CHECK_STR(items(PP_SPAN("a, \"b,c")), "[a][\"b,c]");
    PP_CHECK_STR(items(PP_SPAN("a, \"b,c\\")), "[a][\"b,c\\]");
    PP_CHECK_STR(items(PP_SPAN("a, \"b,c\\\"")), "[a][\"b,c\\\"]");
}

PP_TEST_MAIN()
