#include "proxy/fault.c"

#include "pp_test.h"

PP_TEST_CASE(every_code_has_a_status_a_word_and_a_sentence)
{
    for (int code = 1; code < PP_FAULT_COUNT; code++) {
        struct pp_fault f = pp_fault_make((enum pp_fault_code)code, PP_SIDE_DOWN, false, PP_OK);
        unsigned status = pp_fault_status(&f);
        PP_CHECK(pp_fault_is_set(&f));
        PP_CHECK(status >= 400 && status < 600);
        PP_CHECK(strlen(pp_fault_word(&f)) > 3 && strlen(pp_fault_text(&f)) > 3);
        PP_CHECK(strpbrk(pp_fault_word(&f), "\"\\ ") == NULL &&
                 strpbrk(pp_fault_text(&f), "\"\\") == NULL);
        for (int other = 1; other < code; other++)
            PP_CHECK(strcmp(rows[other].word, rows[code].word) != 0);
    }
}

PP_TEST_CASE(no_fault_is_not_set)
{
    struct pp_fault f = {0};
    PP_CHECK(!pp_fault_is_set(&f));
}

PP_TEST_CASE(a_verdict_speaks_for_a_malformed_request)
{
    struct pp_fault f =
        pp_fault_make(PP_FAULT_BAD_REQUEST, PP_SIDE_DOWN, false, PP_EHTTP_TARGET_BYTES);
    PP_CHECK_EQ(pp_fault_status(&f), 414);
    PP_CHECK(strcmp(pp_fault_word(&f), "target_too_long") == 0);
    f.detail = PP_EURI_SLASH;
    PP_CHECK_EQ(pp_fault_status(&f), 400);
    PP_CHECK(strcmp(pp_fault_word(&f), "encoded_slash") == 0);
    PP_CHECK(strcmp(pp_fault_text(&f), pp_err_text(PP_EURI_SLASH)) == 0);
}

PP_TEST_CASE(a_verdict_about_an_answer_keeps_the_word_and_the_status)
{
    struct pp_fault f =
        pp_fault_make(PP_FAULT_UPSTREAM_BAD_RESPONSE, PP_SIDE_UP, false, PP_EHTTP_BARE_LF);
    PP_CHECK_EQ(pp_fault_status(&f), 502);
    PP_CHECK(strcmp(pp_fault_word(&f), "upstream_bad_response") == 0);
    PP_CHECK(strcmp(pp_fault_text(&f), pp_err_text(PP_EHTTP_BARE_LF)) == 0);
}

PP_TEST_CASE(an_endpoint_that_is_not_there_has_a_reason)
{
    PP_CHECK_EQ(pp_fault_connect_code(PP_EREFUSED), PP_FAULT_CONNECT_REFUSED);
    PP_CHECK_EQ(pp_fault_connect_code(PP_ETIMEDOUT), PP_FAULT_CONNECT_TIMEOUT);
    PP_CHECK_EQ(pp_fault_connect_code(PP_ENOMEM), PP_FAULT_NO_MEMORY); /* it is not to blame */
    PP_CHECK_EQ(pp_fault_connect_code(PP_EUNREACH), PP_FAULT_CONNECT_FAILED);
    PP_CHECK_EQ(pp_fault_connect_code(PP_ERESET), PP_FAULT_CONNECT_FAILED);
}

PP_TEST_MAIN()
