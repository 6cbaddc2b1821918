#include "base/err.c"

#include "pp_test.h"

PP_TEST_CASE(every_code_has_its_own_number_word_and_text)
{
    for (int i = 0; i < pp_err_count(); i++) {
        int code = pp_err_code(i);
        PP_CHECK(strcmp(pp_err_name(code), "unknown") != 0);
        PP_CHECK(strlen(pp_err_text(code)) > 5);
        for (int j = 0; j < i; j++) {
            PP_CHECK(code != pp_err_code(j));
            PP_CHECK(strcmp(pp_err_name(code), pp_err_name(pp_err_code(j))) != 0);
        }
    }
    PP_CHECK(pp_err_count() > 50);
}

PP_TEST_CASE(only_ok_is_not_negative)
{
    PP_CHECK_EQ(pp_err_code(0), PP_OK);
    for (int i = 1; i < pp_err_count(); i++)
        PP_CHECK(pp_err_code(i) < 0);
}

PP_TEST_CASE(words_are_fit_for_logs)
{
    for (int i = 0; i < pp_err_count(); i++)
        for (const char *p = pp_err_name(pp_err_code(i)); *p; p++)
            PP_CHECK((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
    PP_CHECK(strcmp(pp_err_name(PP_EHTTP_BARE_LF), "bare_lf") == 0);
    PP_CHECK(strcmp(pp_err_name(PP_OK), "ok") == 0);
}

PP_TEST_CASE(numbers_outside_the_table_are_unknown)
{
    PP_CHECK(strcmp(pp_err_name(1), "unknown") == 0);
    PP_CHECK(strcmp(pp_err_name(-31), "unknown") == 0);
    PP_CHECK(strcmp(pp_err_text(-100000), "unknown error") == 0);
    PP_CHECK_EQ(pp_err_code(-1), PP_EINVAL);
    PP_CHECK_EQ(pp_err_code(pp_err_count()), PP_EINVAL);
}

PP_TEST_MAIN()
