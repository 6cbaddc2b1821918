#include "route/balance.c"

#include "pp_test.h"

PP_TEST_CASE(policies_are_found_by_the_words_of_the_configuration)
{
    PP_CHECK(pp_balance_find("round_robin") == &pp_balance_rr_ops);
    PP_CHECK(pp_balance_find("least_request") == &pp_balance_least_ops);
    PP_CHECK(pp_balance_find("random") == &pp_balance_random_ops);
    PP_CHECK(pp_balance_find("ring_hash") == &pp_balance_ring_ops);
    PP_CHECK(pp_balance_find("maglev") == &pp_balance_maglev_ops);
    PP_CHECK(pp_balance_find("peak_ewma") == &pp_balance_ewma_ops);
    PP_CHECK(pp_balance_find("nothing_like_it") == NULL);
    PP_CHECK(pp_balance_find("") == NULL);
}

PP_TEST_CASE(mixing_changes_about_half_of_the_bits)
{
    for (int bit = 0; bit < 64; bit++) {
        unsigned flips = 0;
        for (uint64_t x = 0; x < 256; x++)
            flips += (unsigned)__builtin_popcountll(pp_balance_mix(x * 77) ^
                                                    pp_balance_mix(x * 77 ^ UINT64_C(1) << bit));
        PP_CHECK(flips > 256 * 28 && flips < 256 * 36);
    }
}

PP_TEST_MAIN()
