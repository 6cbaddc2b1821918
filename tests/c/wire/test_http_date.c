#include "wire/http_date.c"

#include "pp_test.h"

static int64_t date(const char *text)
{
    int64_t s = -1;
    return pp_http_date_parse(pp_span(text, strlen(text)), &s) == PP_OK ? s : -1;
}

static const char *text(int64_t s)
{
    static char at[PP_HTTP_DATE_CHARS + 1];
    pp_http_date_format(at, s);
    return at;
}

#define CHECK_TEXT(s, wanted) PP_CHECK_STR(pp_span(text(s), PP_HTTP_DATE_CHARS), wanted)

PP_TEST_CASE(seconds_become_a_date)
{
    CHECK_TEXT(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK_TEXT(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_TEXT(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK_TEXT(951868799, "Tue, 29 Feb 2000 23:59:59 GMT");
    CHECK_TEXT(INT64_C(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
    CHECK_TEXT(INT64_C(253402300799), "Fri, 31 Dec 9999 23:59:59 GMT");
}

PP_TEST_CASE(what_no_date_can_say_becomes_the_nearest)
{
    CHECK_TEXT(-1, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_TEXT(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    CHECK_TEXT(INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT");
}

PP_TEST_CASE(all_three_forms_are_read)
{
    PP_CHECK_EQ(date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    PP_CHECK_EQ(date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    PP_CHECK_EQ(date("Sun Nov  6 08:49:37 1994"), 784111777);
    PP_CHECK_EQ(date("Sun Nov 16 08:49:37 1994"), 784111777 + 10 * 86400);
    PP_CHECK_EQ(date("Wednesday, 01-Jan-20 00:00:00 GMT"), 1577836800);
    PP_CHECK_EQ(date("Friday, 01-Jan-70 00:00:00 GMT"), 0);
    PP_CHECK_EQ(date("Sat, 31 Dec 2016 23:59:60 GMT"), 1483228800); /* a leap second */
}

PP_TEST_CASE(what_is_written_is_read)
{
    for (int64_t s = 0; s < INT64_C(253402300799); s += INT64_C(8640000) * 37 + 86399)
        PP_CHECK_EQ(date(text(s)), s);
    for (int64_t day = 0; day < 800; day++)
        PP_CHECK_EQ(date(text(951000000 + day * 86400)), 951000000 + day * 86400);
}

PP_TEST_CASE(what_is_no_date_is_refused)
{
    static const char *const rows[] = {
        "",
        "0",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nox 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 19x4 08:49:37 GMT",
        "1un, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov    08:49:37 1994",
        "Sun Nov 6  08:49:37 1994",
        "Sund, 06-Nov-94 08:49:37 GMT",
        "Donnerstag, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        pp_test_true(date(rows[i]) == -1, rows[i], __FILE__, __LINE__);
}

PP_TEST_MAIN()
