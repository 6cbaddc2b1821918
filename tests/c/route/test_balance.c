#include "route/balance.c"

#include "pp_test.h"

PP_TEST_CASE(policies_are_found_by_the_word_of_the_configuration)
{
    PP_CHECK(pp_balance_find("round_robin") == &pp_balance_rr_ops);
    PP_CHECK(pp_balance_find("nothing_like_it") == NULL);
    PP_CHECK(pp_balance_find("") == NULL);
}

PP_TEST_MAIN()
