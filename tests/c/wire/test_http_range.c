#include "wire/http_range.c"

#include "pp_test.h"

/* What <value> asks of <size> bytes, as text: "first+n", "none" or "whole". */
static const char *ask(const char *value, uint64_t size)
{
    static char text[64];
    uint64_t first = 0, n = 0;
    int rc = pp_http_range_parse(pp_span(value, strlen(value)), size, &first, &n);
    if (rc != PP_OK)
        return rc == PP_ENOENT ? "none" : rc == PP_EINVAL ? "whole" : "?";
    snprintf(text, sizeof text, "%llu+%llu", (unsigned long long)first, (unsigned long long)n);
    return text;
}

PP_TEST_CASE(one_part_is_found)
{
    static const struct {
        const char *value, *part;
    } rows[] = {
        {"bytes=0-499", "0+500"},
        {"bytes=0-0", "0+1"},
        {"bytes=999-999", "999+1"},
        {"bytes=500-", "500+500"},
        {"bytes=0-", "0+1000"},
        {"bytes=990-2000", "990+10"},
        {"bytes=0-99999999999999999999999", "0+1000"},
        {"bytes=-1", "999+1"},
        {"bytes=-1000", "0+1000"},
        {"bytes=-1001", "0+1000"},
        {"bytes=-99999999999999999999999", "0+1000"},
        {"BYTES=1-2", "1+2"},
        {"bytes= 1-2 ", "1+2"},
        {"bytes=1000-", "none"},
        {"bytes=1000-2000", "none"},
        {"bytes=99999999999999999999999-", "none"},
        {"bytes=-0", "none"},
        {"bytes=5-4", "whole"},
        {"bytes=", "whole"},
        {"bytes=-", "whole"},
        {"bytes=1", "whole"},
        {"bytes", "whole"},
        {"", "whole"},
        {"=1-2", "whole"},
        {"bytes=1-2,", "whole"},
        {"bytes=0-1,5-6", "whole"},
        {"bytes=0-,0-,0-,0-", "whole"},
        {"bytes=--1", "whole"},
        {"bytes=+1-2", "whole"},
        {"bytes=1 -2", "whole"},
        {"bytes=0x1-2", "whole"},
        {"bytes=1-2x", "whole"},
        {"bytes =1-2", "whole"},
        {"lines=1-2", "whole"},
        {"byte=1-2", "whole"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        const char *part = ask(rows[i].value, 1000);
        pp_test_true(strcmp(part, rows[i].part) == 0, rows[i].value, __FILE__, __LINE__);
    }
}

PP_TEST_CASE(of_nothing_there_is_no_part)
{
    PP_CHECK(strcmp(ask("bytes=0-", 0), "none") == 0);
    PP_CHECK(strcmp(ask("bytes=-1", 0), "none") == 0);
}

PP_TEST_CASE(the_largest_numbers_fit)
{
    PP_CHECK(strcmp(ask("bytes=18446744073709551614-18446744073709551615", UINT64_MAX),
                    "18446744073709551614+1") == 0);
    PP_CHECK(strcmp(ask("bytes=0-18446744073709551615", UINT64_MAX), "0+18446744073709551615") ==
             0);
}

PP_TEST_MAIN()
