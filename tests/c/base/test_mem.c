#include "base/mem.c"

#include "pp_test.h"

PP_TEST_CASE(zero_bytes_give_a_valid_pointer)
{
    void *a = pp_mem_alloc(0), *b = pp_mem_zalloc(0);
    PP_CHECK(a && b && a != b);
    pp_mem_free(a);
    pp_mem_free(b);
}

PP_TEST_CASE(zalloc_clears)
{
    char *p = pp_mem_zalloc(1000), *q = pp_mem_zalloc_boot(1000);
    PP_REQUIRE(p && q);
    for (int i = 0; i < 1000; i++)
        PP_CHECK(p[i] == 0 && q[i] == 0);
    pp_mem_free(p);
    pp_mem_free(q);
}

PP_TEST_CASE(dup_adds_a_nul)
{
    char *p = pp_mem_dup("abc\0def", 7);
    PP_REQUIRE(p);
    PP_CHECK_BYTES(pp_span(p, 8), "abc\0def", 8);
    pp_mem_free(p);
    p = pp_mem_dup(NULL, 0);
    PP_REQUIRE(p);
    PP_CHECK_EQ(p[0], 0);
    pp_mem_free(p);
}

PP_TEST_CASE(free_takes_null)
{
    long live_before = pp_mem_live_for_test();
    pp_mem_free(NULL);
    PP_CHECK_EQ(pp_mem_live_for_test(), live_before);
}

PP_TEST_CASE(resize_keeps_what_was_there)
{
    char *p = pp_mem_dup("hello", 5);
    PP_REQUIRE(p);
    char *q = pp_mem_resize(p, 4000);
    PP_REQUIRE(q);
    PP_CHECK_STR(pp_span(q, 5), "hello");
    q = pp_mem_resize(q, 0);
    PP_CHECK(q != NULL);
    pp_mem_free(q);
}

PP_TEST_CASE(live_counts_blocks)
{
    long before = pp_mem_live_for_test();
    char *a = pp_mem_alloc(1), *b = pp_mem_resize(NULL, 10), *c = pp_mem_dup("x", 1);
    PP_CHECK_EQ(pp_mem_live_for_test(), before + 3);
    b = pp_mem_resize(b, 100);
    PP_CHECK_EQ(pp_mem_live_for_test(), before + 3);
    pp_mem_free(a);
    pp_mem_free(b);
    pp_mem_free(c);
    PP_CHECK_EQ(pp_mem_live_for_test(), before);
}

PP_TEST_CASE(fails_from_the_nth_allocation_on)
{
    long before = pp_mem_live_for_test();
    pp_mem_fail_after_for_test(2);
    char *a = pp_mem_alloc(8), *b = pp_mem_zalloc(8);
    PP_CHECK(a && b);
    PP_CHECK(!pp_mem_alloc(8));
    PP_CHECK(!pp_mem_zalloc(8));
    PP_CHECK(!pp_mem_dup("x", 1));
    PP_CHECK(!pp_mem_resize(a, 100)); /* and <a> is still ours */
    void *boot = pp_mem_zalloc_boot(8);
    PP_CHECK(boot);
    pp_mem_fail_after_for_test(-5);
    char *c = pp_mem_alloc(8);
    PP_CHECK(c);
    pp_mem_free(a);
    pp_mem_free(b);
    pp_mem_free(c);
    pp_mem_free(boot);
    PP_CHECK_EQ(pp_mem_live_for_test(), before);
}

PP_TEST_CASE(sizes_that_cannot_be_are_refused)
{
    PP_CHECK(!pp_mem_dup("x", SIZE_MAX));
}

PP_TEST_MAIN()
