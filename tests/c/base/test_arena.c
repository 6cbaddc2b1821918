/* Run twice: with the pass-through that AddressSanitizer gets, and with the real bump allocator. */
// variant: blocks -DPP_ASAN_OFF
#include "base/arena.c"

#include "pp_test.h"

static char order[20];
static size_t order_n;

static void note(void *arg)
{
    order[order_n++] = *(const char *)arg;
}

struct chain {
    struct pp_arena *arena;
    char name;
};

static void note_and_register(void *arg)
{
    static char late = 'L';
    struct chain *c = arg;
    note(&c->name);
    PP_CHECK_EQ(pp_arena_on_reset(c->arena, note, &late), PP_OK);
}

PP_TEST_CASE(pieces_are_aligned_and_apart)
{
    char first[1000 + 1];
    struct pp_arena a;
    char *pieces[400];
    uint64_t state = 4;

    pp_arena_init(&a, first + 1, 1000, 1 << 20); /* an unaligned first block */
    for (size_t i = 0; i < PP_COUNT_OF(pieces); i++) {
        size_t n = i % 7 == 6 ? 3000 : pp_test_random(&state) % 90;
        pieces[i] = pp_arena_alloc(&a, n + 4);
        PP_REQUIRE(pieces[i]);
        PP_CHECK_EQ((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)(i & 0xff), n + 4);
    }
    for (size_t i = 0; i < PP_COUNT_OF(pieces); i++)
        PP_CHECK(pieces[i][0] == (char)i && pieces[i][3] == (char)i);
    pp_arena_fini(&a);
}

PP_TEST_CASE(slow_path_aligns_to_sixteen)
{
    struct pp_arena a;
    pp_arena_init(&a, NULL, 0, 1 << 20);
    for (size_t n = 1; n < 5000; n += 117)
        PP_CHECK_EQ((uintptr_t)pp_arena_alloc_slow(&a, n) % 16, 0);
    pp_arena_fini(&a);
}

PP_TEST_CASE(nothing_is_a_piece_too)
{
    char first[64];
    struct pp_arena a;
    pp_arena_init(&a, first, sizeof(first), 1000);
    char *p = pp_arena_alloc(&a, 0), *q = pp_arena_alloc(&a, 0);
    PP_CHECK(p && q && p != q);
    pp_arena_fini(&a);
    pp_arena_init(&a, NULL, 0, 1000);
    PP_CHECK(pp_arena_alloc(&a, 0) != NULL);
    pp_arena_fini(&a);
}

PP_TEST_CASE(limit_bounds_what_comes_after_the_first_block)
{
    _Alignas(16) char first[256];
    struct pp_arena a;
    long before = pp_mem_live_for_test();

    pp_arena_init(&a, first, sizeof(first), 0);
    PP_CHECK(pp_arena_alloc(&a, 256) != NULL);
    PP_CHECK(!pp_arena_alloc(&a, 1));
    pp_arena_reset(&a);
    PP_CHECK(!pp_arena_alloc(&a, 257));
    PP_CHECK(pp_arena_alloc(&a, 256) != NULL);
    pp_arena_fini(&a);

    pp_arena_init(&a, NULL, 0, 10000);
    size_t got = 0;
    while (pp_arena_alloc(&a, 100))
        got += 100;
    PP_CHECK(got > 8000 && got <= 10000);
    PP_CHECK(a.total <= 10000);
    pp_arena_reset(&a);
    PP_CHECK_EQ(a.total, 0);
    PP_CHECK(!pp_arena_alloc(&a, 10001));
    PP_CHECK(pp_arena_alloc(&a, 9984) != NULL);
    pp_arena_fini(&a);
    PP_CHECK_EQ(pp_mem_live_for_test(), before);
}

PP_TEST_CASE(sizes_near_the_end_of_the_number_range_are_refused)
{
    char first[64];
    struct pp_arena a;
    pp_arena_init(&a, first, sizeof(first), SIZE_MAX);
    for (size_t less = 0; less < 40; less++)
        PP_CHECK(!pp_arena_alloc(&a, SIZE_MAX - less));
    struct pp_span out;
    PP_CHECK_EQ(pp_arena_dup(&a, pp_span(first, SIZE_MAX), &out), PP_ENOMEM);
    PP_CHECK(!out.p);
    pp_arena_fini(&a);
}

PP_TEST_CASE(reset_starts_again_in_the_first_block)
{
    _Alignas(16) char first[512];
    struct pp_arena a;
    long before = pp_mem_live_for_test();

    pp_arena_init(&a, first, sizeof(first), 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            PP_CHECK(pp_arena_alloc(&a, 500) != NULL);
        PP_CHECK(pp_mem_live_for_test() > before);
        pp_arena_reset(&a);
        PP_CHECK_EQ(pp_mem_live_for_test(), before);
    }
    pp_arena_fini(&a);
}

PP_TEST_CASE(cleanups_run_newest_first_and_once)
{
    char first[256], names[] = "abc";
    struct pp_arena a;

    order_n = 0;
    pp_arena_init(&a, first, sizeof(first), 4096);
    for (int i = 0; i < 3; i++)
        PP_CHECK_EQ(pp_arena_on_reset(&a, note, &names[i]), PP_OK);
    pp_arena_reset(&a);
    PP_CHECK_STR(pp_span(order, order_n), "cba");
    pp_arena_reset(&a);
    pp_arena_fini(&a);
    PP_CHECK_STR(pp_span(order, order_n), "cba");
}

PP_TEST_CASE(cleanup_may_read_the_arena_and_register_another)
{
    struct pp_arena a;
    char z = 'z';

    order_n = 0;
    pp_arena_init(&a, NULL, 0, 4096);
    struct chain *c = pp_arena_alloc(&a, sizeof(*c));
    PP_REQUIRE(c);
    *c = (struct chain){&a, 'c'};
    PP_CHECK_EQ(pp_arena_on_reset(&a, note, &z), PP_OK);
    PP_CHECK_EQ(pp_arena_on_reset(&a, note_and_register, c), PP_OK);
    pp_arena_fini(&a);
    PP_CHECK_STR(pp_span(order, order_n), "cLz");
}

PP_TEST_CASE(refused_cleanup_is_not_registered)
{
    struct pp_arena a;
    char z = 'z';
    order_n = 0;
    pp_arena_init(&a, NULL, 0, 0);
    PP_CHECK_EQ(pp_arena_on_reset(&a, note, &z), PP_ENOMEM);
    pp_arena_fini(&a);
    PP_CHECK_EQ(order_n, 0);
}

PP_TEST_CASE(dup_copies_and_ends_with_nul)
{
    char text[] = "hello";
    struct pp_arena a;
    struct pp_span s;

    pp_arena_init(&a, NULL, 0, 4096);
    PP_CHECK_EQ(pp_arena_dup(&a, pp_span(text, 5), &s), PP_OK);
    text[0] = 'J';
    PP_CHECK_STR(s, "hello");
    PP_CHECK_EQ(s.p[5], 0);
    PP_CHECK_EQ(pp_arena_dup(&a, PP_SPAN_NONE, &s), PP_OK);
    PP_CHECK(s.p && s.n == 0 && s.p[0] == '\0');
    pp_arena_fini(&a);
}

PP_TEST_CASE(zeroed_arena_can_be_finished)
{
    struct pp_arena a;
    memset(&a, 0, sizeof(a));
    pp_arena_reset(&a);
    pp_arena_fini(&a);
    PP_CHECK(!pp_arena_alloc(&a, 1)); /* limit 0, no first block */
}

static bool build_some(void)
{
    char first[128];
    struct pp_arena a;
    struct pp_span s;
    char z = 'z';
    bool ok = true;

    order_n = 0;
    pp_arena_init(&a, first, sizeof(first), 1 << 17);
    for (int i = 0; ok && i < 20; i++)
        ok = pp_arena_alloc(&a, 700) && pp_arena_alloc(&a, 3000) &&
             pp_arena_dup(&a, PP_SPAN("some text"), &s) == PP_OK &&
             (i > 2 || pp_arena_on_reset(&a, note, &z) == PP_OK);
    pp_arena_fini(&a);
    return ok;
}

PP_TEST_CASE(any_allocation_may_fail)
{
    PP_CHECK_FAIL_EACH(build_some);
}

#ifndef PP_ASAN

PP_TEST_CASE(small_pieces_follow_each_other)
{
    _Alignas(16) char first[64];
    struct pp_arena a;
    pp_arena_init(&a, first, sizeof(first), 0);
    PP_CHECK_EQ((char *)pp_arena_alloc(&a, 3) - first, 0);
    PP_CHECK_EQ((char *)pp_arena_alloc(&a, 8) - first, 8);
    PP_CHECK_EQ((char *)pp_arena_alloc(&a, 9) - first, 16);
    PP_CHECK_EQ((char *)pp_arena_alloc(&a, 32) - first, 32);
    PP_CHECK(!pp_arena_alloc(&a, 1));
    pp_arena_fini(&a);
}

PP_TEST_CASE(large_piece_leaves_the_current_block_in_use)
{
    _Alignas(16) char first[64];
    struct pp_arena a;
    long before = pp_mem_live_for_test();
    pp_arena_init(&a, first, sizeof(first), 1 << 20);
    PP_CHECK(pp_arena_alloc(&a, 8) == first);
    char *large = pp_arena_alloc(&a, 5000);
    PP_REQUIRE(large);
    memset(large, 1, 5000);
    PP_CHECK(pp_arena_alloc(&a, 8) == first + 8);
    PP_CHECK_EQ(pp_mem_live_for_test(), before + 1);
    PP_CHECK_EQ(a.total, 5008);
    pp_arena_fini(&a);
}

PP_TEST_CASE(small_pieces_share_blocks)
{
    struct pp_arena a;
    long before = pp_mem_live_for_test();
    pp_arena_init(&a, NULL, 0, 1 << 20);
    for (int i = 0; i < 1000; i++)
        PP_CHECK(pp_arena_alloc(&a, 16) != NULL);
    PP_CHECK_EQ(pp_mem_live_for_test(), before + 4);
    pp_arena_fini(&a);
    PP_CHECK_EQ(pp_mem_live_for_test(), before);
}

PP_TEST_CASE(first_block_too_small_to_align_is_ignored)
{
    char first[40];
    char *odd = first + (16 - (uintptr_t)first % 16) + 1; /* 15 bytes short of the next multiple */
    struct pp_arena a;
    pp_arena_init(&a, odd, 20, 0);
    PP_CHECK(!pp_arena_alloc(&a, 1));
    pp_arena_init(&a, odd, 0, 0);
    PP_CHECK(!pp_arena_alloc(&a, 1));
    pp_arena_fini(&a);
}

PP_TEST_CASE(last_block_is_cut_to_the_limit)
{
    struct pp_arena a;
    pp_arena_init(&a, NULL, 0, 100);
    PP_CHECK(pp_arena_alloc(&a, 90) != NULL);
    PP_CHECK_EQ(a.total, 96);
    PP_CHECK(!pp_arena_alloc(&a, 90));
    pp_arena_fini(&a);
}

#endif

PP_TEST_MAIN()
