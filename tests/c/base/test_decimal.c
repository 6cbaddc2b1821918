#include "base/decimal.c"

#include "pp_test.h"

static int parse(const char *text, struct pp_decimal *out)
{
    return pp_decimal_parse(pp_span(text, strlen(text)), out);
}

PP_TEST_CASE(numbers_are_read_with_sign_and_fraction)
{
    struct pp_decimal d;
    PP_CHECK_EQ(parse("12", &d), PP_OK);
    PP_CHECK(d.whole == 12 && d.nano == 0);
    PP_CHECK_EQ(parse("+0.5", &d), PP_OK);
    PP_CHECK(d.whole == 0 && d.nano == 500000000);
    PP_CHECK_EQ(parse("-1.25", &d), PP_OK);
    PP_CHECK(d.whole == -2 && d.nano == 750000000);
    PP_CHECK_EQ(parse("-3", &d), PP_OK);
    PP_CHECK(d.whole == -3 && d.nano == 0);
    PP_CHECK_EQ(parse("0.1234567899999", &d), PP_OK);
    PP_CHECK_EQ(d.nano, 123456789);
    PP_CHECK_EQ(parse("999999999999999999", &d), PP_OK);
}

PP_TEST_CASE(what_is_no_number_is_refused)
{
    static const char *const bad[] = {"",   "-",  "+",   ".5",  "1.",    "1e3", "0x10",
                                      " 1", "1 ", "1,5", "--1", "1.2.3", "nan", "1.x"};
    struct pp_decimal d;
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++)
        PP_CHECK_EQ(parse(bad[i], &d), PP_EINVAL);
    PP_CHECK_EQ(parse("1000000000000000000", &d), PP_EOVERFLOW);
    PP_CHECK_EQ(pp_decimal_parse(PP_SPAN_NONE, &d), PP_EINVAL);
}

PP_TEST_CASE(numbers_compare_by_value)
{
    static const char *const rising[] = {"-10",         "-1.5", "-1.25", "-1",   "-0.5", "0",
                                         "0.000000001", "0.5",  "1",     "1.25", "9",    "10"};
    struct pp_decimal a, b;
    for (size_t i = 0; i < PP_COUNT_OF(rising); i++) {
        for (size_t j = 0; j < PP_COUNT_OF(rising); j++) {
            PP_CHECK_EQ(parse(rising[i], &a), PP_OK);
            PP_CHECK_EQ(parse(rising[j], &b), PP_OK);
            int order = pp_decimal_compare(&a, &b);
            PP_CHECK_EQ((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

PP_TEST_MAIN()
