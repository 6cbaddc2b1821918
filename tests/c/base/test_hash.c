#include "base/hash.c"

#include "pp_test.h"

/* CPython 3.11 hashes bytes with SipHash-1-3 and, under PYTHONHASHSEED=0, with the key zero: these
 * are hash(bytes(range(n))). */
PP_TEST_CASE(agrees_with_another_implementation)
{
    static const struct {
        size_t n;
        uint64_t want;
    } rows[] = {
        {1, 0x68a914128e01e473u},  {2, 0x10bac45c41e3669u},   {7, 0x2f098ab0c751325au},
        {8, 0xead411e67ebe2eeau},  {9, 0x75927f9d95124362u},  {15, 0xf30eb725bb91c9eau},
        {16, 0x8972188433a5c5b7u}, {63, 0x385d3e39e5f37359u},
    };
    const struct pp_hash_seed zero = {0, 0};
    char text[64];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        PP_CHECK_EQ(pp_hash(&zero, pp_span(text, rows[i].n)), rows[i].want);
}

/* OpenSSL's, with size:16, c-rounds:1, d-rounds:3 and the key zero, of bytes(range(n)). */
PP_TEST_CASE(the_wide_hash_agrees_with_another_implementation)
{
    static const struct {
        size_t n;
        uint64_t want[2];
    } rows[] = {
        {0, {0x2134935d61d9b40du, 0xb91c5ed031fb3303u}},
        {1, {0x137938170a0ccf21u, 0x380942019dd8a6feu}},
        {7, {0xf3a0dc9aa6a83398u, 0x898647dc0d0ce8bcu}},
        {8, {0x8a9a193357f1e7cdu, 0x7a507cc441650c6u}},
        {15, {0xd17b440059accb51u, 0xf954bd9d934087f3u}},
        {16, {0xa835ecded469b0beu, 0xc64c3a1be5bea00bu}},
        {63, {0xcb3d0ba1720380ddu, 0xd2d852caf9274adeu}},
    };
    const struct pp_hash_seed zero = {0, 0};
    char text[64];
    uint64_t got[2];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)i;
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        pp_hash_wide(&zero, pp_span(text, rows[i].n), got);
        PP_CHECK_EQ(got[0], rows[i].want[0]);
        PP_CHECK_EQ(got[1], rows[i].want[1]);
    }
}

PP_TEST_CASE(every_seed_bit_and_every_byte_counts)
{
    const struct pp_hash_seed seed = {1, 2};
    const struct pp_hash_seed other0 = {1ull << 63 | 1, 2}, other1 = {1, 3};
    uint64_t h = pp_hash(&seed, PP_SPAN("example.com"));
    PP_CHECK(h != pp_hash(&other0, PP_SPAN("example.com")));
    PP_CHECK(h != pp_hash(&other1, PP_SPAN("example.com")));
    PP_CHECK(h != pp_hash(&seed, PP_SPAN("example.coM")));
    PP_CHECK(h != pp_hash(&seed, PP_SPAN("example.com\0")));
    PP_CHECK_EQ(h, pp_hash(&seed, PP_SPAN("example.com")));
}

PP_TEST_CASE(empty_and_unaligned_spans)
{
    const struct pp_hash_seed seed = {1, 2};
    char text[32] = "xabcdefghijklmno";
    PP_CHECK_EQ(pp_hash(&seed, PP_SPAN_NONE), pp_hash(&seed, PP_SPAN("")));
    PP_CHECK_EQ(pp_hash(&seed, pp_span(text + 1, 15)), pp_hash(&seed, PP_SPAN("abcdefghijklmno")));
}

PP_TEST_MAIN()
