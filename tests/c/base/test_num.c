#include "base/num.c"

#include "pp_test.h"

static int parse(struct pp_span s, uint64_t *v)
{
    *v = 77;
    return pp_num_parse_u64(s, v);
}

PP_TEST_CASE(decimal_numbers_are_read)
{
    uint64_t v;
    PP_CHECK_EQ(parse(PP_SPAN("0"), &v), PP_OK);
    PP_CHECK_EQ(v, 0);
    PP_CHECK_EQ(parse(PP_SPAN("0042"), &v), PP_OK);
    PP_CHECK_EQ(v, 42);
    PP_CHECK_EQ(parse(PP_SPAN("18446744073709551615"), &v), PP_OK);
    PP_CHECK_EQ(v, UINT64_MAX);
    PP_CHECK_EQ(parse(PP_SPAN("000000000000000000000000000000001"), &v), PP_OK);
    PP_CHECK_EQ(v, 1);
}

PP_TEST_CASE(anything_but_digits_is_refused)
{
    static const char *const bad[] = {
        "",    "+1",  "-1",  " 1",  "1 ",
        "1_0", "0x1", "1e3", "1.0", "a",
        "/",   ":",   "\t1", "1,1", "99999999999999999999999x",
    };
    uint64_t v;
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        PP_CHECK_EQ(parse(pp_span(bad[i], strlen(bad[i])), &v), PP_EINVAL);
        PP_CHECK_EQ(v, 77);
    }
    PP_CHECK_EQ(parse(PP_SPAN("1\0"), &v), PP_EINVAL);
    PP_CHECK_EQ(parse(PP_SPAN_NONE, &v), PP_EINVAL);
    for (int c = 0; c < 256; c++) {
        char text[2] = {'1', (char)c};
        PP_CHECK_EQ(parse(pp_span(text, 2), &v) == PP_OK, c >= '0' && c <= '9');
    }
}

PP_TEST_CASE(numbers_over_64_bits_are_refused)
{
    uint64_t v;
    PP_CHECK_EQ(parse(PP_SPAN("18446744073709551616"), &v), PP_EOVERFLOW);
    PP_CHECK_EQ(parse(PP_SPAN("18446744073709551620"), &v), PP_EOVERFLOW);
    PP_CHECK_EQ(parse(PP_SPAN("99999999999999999999"), &v), PP_EOVERFLOW);
    PP_CHECK_EQ(parse(PP_SPAN("184467440737095516150"), &v), PP_EOVERFLOW);
    /* wraps to a small value without the check */
    PP_CHECK_EQ(parse(PP_SPAN("184467440737095516160000000000000000000001"), &v), PP_EOVERFLOW);
    PP_CHECK_EQ(v, 77);
}

PP_TEST_CASE(formats_agree_with_printf_and_read_back)
{
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t v = pp_test_random(&state) >> (i % 64), back = 0;
        char want[32], got[PP_NUM_U64_CHARS];
        int n = snprintf(want, sizeof(want), "%" PRIu64, v);
        size_t m = pp_num_format_u64(got, v);
        PP_CHECK_BYTES(pp_span(got, m), want, (size_t)n);
        PP_CHECK_EQ(pp_num_parse_u64(pp_span(got, m), &back), PP_OK);
        PP_CHECK_EQ(back, v);
        n = snprintf(want, sizeof(want), "%" PRIx64, v);
        m = pp_num_format_hex(got, v);
        PP_CHECK_BYTES(pp_span(got, m), want, (size_t)n);
    }
}

PP_TEST_CASE(formats_at_the_ends)
{
    char out[PP_NUM_U64_CHARS];
    PP_CHECK_STR(pp_span(out, pp_num_format_u64(out, 0)), "0");
    PP_CHECK_STR(pp_span(out, pp_num_format_u64(out, UINT64_MAX)), "18446744073709551615");
    PP_CHECK_STR(pp_span(out, pp_num_format_hex(out, 0)), "0");
    PP_CHECK_STR(pp_span(out, pp_num_format_hex(out, 15)), "f");
    PP_CHECK_STR(pp_span(out, pp_num_format_hex(out, 16)), "10");
    PP_CHECK_STR(pp_span(out, pp_num_format_hex(out, UINT64_MAX)), "ffffffffffffffff");
}

PP_TEST_CASE(hex_digits)
{
    for (int c = 0; c < 256; c++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *at = c ? strchr(digits, c) : NULL;
        PP_CHECK_EQ(pp_num_hex((unsigned char)c), at ? (at - digits) % 16 : -1);
    }
}

PP_TEST_MAIN()
