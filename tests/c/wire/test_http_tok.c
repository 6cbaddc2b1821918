#include "wire/http_tok.c"

#include "pp_test.h"

static const struct pp_span all_names[] = {
#define NAME_SPAN(tail, text) PP_SPAN(text),
    PP_HTTP_NAME_LIST(NAME_SPAN)
#undef NAME_SPAN
};

PP_TEST_CASE(classes_are_those_of_the_rfc)
{
    static const char tchars[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (unsigned c = 0; c < 256; c++) {
        unsigned char u = (unsigned char)c;
        bool digit = c >= '0' && c <= '9';

        PP_CHECK_EQ(pp_http_tok_is(u, PP_TOK_TCHAR), c && strchr(tchars, (int)c));
        PP_CHECK_EQ(pp_http_tok_is(u, PP_TOK_FIELD), c == '\t' || (c >= ' ' && c != 0x7f));
        PP_CHECK_EQ(pp_http_tok_is(u, PP_TOK_TARGET), c > ' ' && c < 0x7f);
        PP_CHECK_EQ(pp_http_tok_is(u, PP_TOK_DIGIT), digit);
        PP_CHECK_EQ(pp_http_tok_is(u, PP_TOK_HEX), digit || (c && strchr("abcdefABCDEF", (int)c)));
    }
}

PP_TEST_CASE(tokens_and_values)
{
    PP_CHECK(pp_http_tok_is_token(PP_SPAN("x-Y_1")));
    PP_CHECK(!pp_http_tok_is_token(PP_SPAN("")));
    PP_CHECK(!pp_http_tok_is_token(PP_SPAN("a b")));
    PP_CHECK(!pp_http_tok_is_token(PP_SPAN("a:")));
    PP_CHECK(pp_http_tok_is_value(PP_SPAN("")));
    PP_CHECK(pp_http_tok_is_value(PP_SPAN("a\t b\xff")));
    PP_CHECK(!pp_http_tok_is_value(PP_SPAN("a\r")));
    PP_CHECK(!pp_http_tok_is_value(PP_SPAN("a\0b")));
}

PP_TEST_CASE(one_byte_spoils_a_value_wherever_it_stands)
{
    char text[70];

    memset(text, 'v', sizeof(text));
    for (size_t n = 1; n <= sizeof(text); n++) {
        PP_CHECK(pp_http_tok_is_value(pp_span(text, n)));
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                PP_CHECK_EQ(pp_http_tok_is_value(pp_span(text, n)),
                            pp_http_tok_is((unsigned char)c, PP_TOK_FIELD));
            }
            text[at] = 'v';
        }
    }
}

PP_TEST_CASE(methods_there_and_back)
{
    for (int m = PP_HTTP_GET; m < PP_HTTP_METHOD_COUNT; m++) {
        struct pp_span text = pp_http_tok_method_text((enum pp_http_method)m);
        PP_CHECK(text.n > 0);
        PP_CHECK_EQ(pp_http_tok_method(text), m);
    }
    PP_CHECK_EQ(pp_http_tok_method(PP_SPAN("get")), PP_HTTP_OTHER);
    PP_CHECK_EQ(pp_http_tok_method(PP_SPAN("GETS")), PP_HTTP_OTHER);
    PP_CHECK_EQ(pp_http_tok_method(PP_SPAN("")), PP_HTTP_OTHER);
    PP_CHECK_STR(pp_http_tok_method_text(PP_HTTP_OTHER), "");
    PP_CHECK_STR(pp_http_tok_method_text(PP_HTTP_METHOD_COUNT), "");
}

/* With a changed list, the multiplier that separates all names; the table of http_tok.c follows
 * from it. */
static void print_new_table(void)
{
    uint64_t seed = 1;

    for (;;) {
        uint32_t mul = (uint32_t)pp_test_random(&seed) | 1;
        uint8_t slot[PP_HTTP_TOK_SLOTS] = {0};
        size_t i = 0;

        for (; i < PP_COUNT_OF(all_names); i++) {
            struct pp_span s = all_names[i];
            uint32_t key =
                (uint32_t)s.p[0] | (uint32_t)s.p[s.n - 2] << 8 | (uint32_t)s.p[s.n - 1] << 16;
            uint32_t at = (((key | 0x202020u) | (uint32_t)s.n << 24) * mul) >> 25;
            if (slot[at]) {
                break;
            }
            slot[at] = (uint8_t)(i + 1);
        }
        if (i == PP_COUNT_OF(all_names)) {
            printf("#define PP_HTTP_TOK_HASH_MUL 0x%08xu\n", mul);
            for (i = 0; i < PP_HTTP_TOK_SLOTS; i++) {
                if (slot[i]) {
                    printf("[%zu] = %s,\n", i, all_names[slot[i] - 1].p);
                }
            }
            return;
        }
    }
}

PP_TEST_CASE(names_are_found_in_any_case)
{
    unsigned long failures = pp_test_failures;

    for (size_t i = 0; i < PP_COUNT_OF(all_names); i++) {
        struct pp_span text = all_names[i];
        char upper[PP_HTTP_TOK_NAME_MAX + 1];

        for (size_t k = 0; k < text.n; k++) {
            bool letter = text.p[k] >= 'a' && text.p[k] <= 'z';
            upper[k] = (char)(letter && k % 2 == 0 ? text.p[k] - 0x20 : text.p[k]);
        }
        PP_CHECK_EQ(pp_http_tok_name(text.p, text.n), i + 1);
        PP_CHECK_EQ(pp_http_tok_name(upper, text.n), i + 1);
        PP_CHECK_BYTES(pp_http_tok_name_text((enum pp_http_name)(i + 1)), text.p, text.n);
    }
    if (pp_test_failures > failures) {
        print_new_table();
    }
}

PP_TEST_CASE(no_other_name_passes_for_a_listed_one)
{
    for (size_t i = 0; i < PP_COUNT_OF(all_names); i++) {
        struct pp_span text = all_names[i];

        for (size_t k = 0; k < text.n; k++) {
            for (unsigned c = 0; c < 256; c++) {
                char name[PP_HTTP_TOK_NAME_MAX + 1];
                struct pp_span s = pp_span(name, text.n);

                memcpy(name, text.p, text.n);
                name[k] = (char)c;
                if (!pp_span_eq_fold(s, text)) {
                    enum pp_http_name id = pp_http_tok_name(name, text.n);
                    PP_CHECK(id == PP_NAME_OTHER || pp_span_eq_fold(s, pp_http_tok_name_text(id)));
                }
            }
        }
        PP_CHECK_EQ(pp_http_tok_name(text.p, text.n - 1) == i + 1, false);
    }
    PP_CHECK_EQ(pp_http_tok_name("", 0), PP_NAME_OTHER);
    PP_CHECK_EQ(pp_http_tok_name("x", 1), PP_NAME_OTHER);
    PP_CHECK_EQ(pp_http_tok_name("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopq", 43), PP_NAME_OTHER);
    PP_CHECK_STR(pp_http_tok_name_text(PP_NAME_OTHER), "");
    PP_CHECK_STR(pp_http_tok_name_text(PP_NAME_COUNT), "");
}

PP_TEST_CASE(reasons)
{
    PP_CHECK_STR(pp_http_tok_reason(100), "Continue");
    PP_CHECK_STR(pp_http_tok_reason(200), "OK");
    PP_CHECK_STR(pp_http_tok_reason(404), "Not Found");
    PP_CHECK_STR(pp_http_tok_reason(431), "Request Header Fields Too Large");
    PP_CHECK_STR(pp_http_tok_reason(511), "Network Authentication Required");
    PP_CHECK_EQ(pp_http_tok_reason(99).n, 0);
    PP_CHECK_EQ(pp_http_tok_reason(299).n, 0);
    PP_CHECK_EQ(pp_http_tok_reason(999).n, 0);
    for (size_t i = 1; i < PP_COUNT_OF(reason_text); i++) {
        PP_CHECK(reason_text[i - 1].status < reason_text[i].status);
    }
}

PP_TEST_MAIN()
