#include "base/rng.c"

#include "pp_test.h"

PP_TEST_CASE(same_seed_same_numbers)
{
    struct pp_rng a, b, c;
    bool differs = false;
    pp_rng_init(&a, 7);
    pp_rng_init(&b, 7);
    pp_rng_init(&c, 8);
    for (int i = 0; i < 100; i++) {
        uint64_t x = pp_rng_next(&a);
        PP_CHECK_EQ(x, pp_rng_next(&b));
        differs |= x != pp_rng_next(&c);
    }
    PP_CHECK(differs);
}

/* First outputs from the state {1, 2, 3, 4}, worked out from the published recurrence. */
PP_TEST_CASE(follows_the_published_recurrence)
{
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240u};
    struct pp_rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < PP_COUNT_OF(want); i++)
        PP_CHECK_EQ(pp_rng_next(&r), want[i]);
}

PP_TEST_CASE(below_stays_below_and_reaches_all)
{
    struct pp_rng r;
    pp_rng_init(&r, 3);
    for (uint32_t n = 1; n < 40; n++) {
        uint64_t seen = 0;
        for (int i = 0; i < 2000; i++) {
            uint32_t x = pp_rng_below(&r, n);
            PP_CHECK(x < n);
            seen |= 1ull << x;
        }
        PP_CHECK_EQ(seen, (1ull << n) - 1);
    }
    for (int i = 0; i < 1000; i++) {
        PP_CHECK(pp_rng_below(&r, UINT32_MAX) < UINT32_MAX);
        PP_CHECK_EQ(pp_rng_below(&r, 1), 0);
    }
}

PP_TEST_CASE(below_is_even)
{
    enum { FACES = 6, THROWS = 60000 };
    int count[FACES] = {0};
    struct pp_rng r;
    pp_rng_init(&r, 99);
    for (int i = 0; i < THROWS; i++)
        count[pp_rng_below(&r, FACES)]++;
    for (int i = 0; i < FACES; i++)
        PP_CHECK(count[i] > THROWS / FACES - 500 && count[i] < THROWS / FACES + 500);
}

/* Three quarters of 2^32: without the rejection some values would come twice as often. */
PP_TEST_CASE(below_is_even_for_large_ranges)
{
    const uint32_t n = 3u << 30;
    int low = 0;
    struct pp_rng r;
    pp_rng_init(&r, 5);
    for (int i = 0; i < 30000; i++)
        low += pp_rng_below(&r, n) < n / 3;
    PP_CHECK(low > 9500 && low < 10500);
}

PP_TEST_MAIN()
