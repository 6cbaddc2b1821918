/* Run twice: with the pass-through that AddressSanitizer gets, and with the real free list. */
// variant: list -DPP_ASAN_OFF
#include "base/slab.c"

#include "pp_test.h"

PP_TEST_CASE(objects_are_whole_and_apart)
{
    struct pp_slab s;
    char *objects[50];

    pp_slab_init(&s, 40, 8);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < PP_COUNT_OF(objects); i++) {
            objects[i] = pp_slab_get(&s);
            PP_REQUIRE(objects[i]);
            PP_CHECK_EQ((uintptr_t)objects[i] % 16, 0);
            memset(objects[i], (int)i, 40);
        }
        PP_CHECK_EQ(s.n_live, 50);
        for (size_t i = 0; i < PP_COUNT_OF(objects); i++) {
            PP_CHECK(objects[i][0] == (char)i && objects[i][39] == (char)i);
            pp_slab_put(&s, objects[i]);
        }
        PP_CHECK_EQ(s.n_live, 0);
        PP_CHECK(s.n_free <= 8);
    }
    pp_slab_fini(&s);
}

PP_TEST_CASE(tiny_objects_have_room_for_the_free_list)
{
    struct pp_slab s;
    pp_slab_init(&s, 1, 8);
    PP_CHECK(s.size >= sizeof(void *));
    pp_slab_put(&s, pp_slab_get(&s));
    pp_slab_fini(&s);
}

PP_TEST_CASE(put_takes_null)
{
    struct pp_slab s;
    pp_slab_init(&s, 16, 8);
    pp_slab_put(&s, NULL);
    PP_CHECK_EQ(s.n_live, 0);
    PP_CHECK_EQ(s.n_free, 0);
    pp_slab_fini(&s);
}

static bool get_some(void)
{
    struct pp_slab s;
    void *objects[10] = {0};
    bool ok = true;

    pp_slab_init(&s, 64, 4);
    for (int i = 0; ok && i < 10; i++) {
        objects[i] = pp_slab_get(&s);
        ok = objects[i] != NULL;
        PP_CHECK_EQ(s.n_live, (ok ? 1 : 0) + i);
    }
    for (int i = 0; i < 10; i++)
        pp_slab_put(&s, objects[i]);
    pp_slab_fini(&s);
    return ok;
}

PP_TEST_CASE(any_allocation_may_fail)
{
    PP_CHECK_FAIL_EACH(get_some);
}

#ifdef PP_ASAN

PP_TEST_CASE(sanitized_objects_are_not_kept)
{
    struct pp_slab s;
    long before = pp_mem_live_for_test();
    pp_slab_init(&s, 100, 10);
    pp_slab_put(&s, pp_slab_get(&s));
    PP_CHECK_EQ(s.n_free, 0);
    PP_CHECK_EQ(pp_mem_live_for_test(), before);
    pp_slab_fini(&s);
}

#else

PP_TEST_CASE(last_freed_is_first_reused)
{
    struct pp_slab s;
    pp_slab_init(&s, 32, 8);
    void *a = pp_slab_get(&s), *b = pp_slab_get(&s);
    pp_slab_put(&s, a);
    pp_slab_put(&s, b);
    PP_CHECK_EQ(s.n_free, 2);
    PP_CHECK(pp_slab_get(&s) == b);
    PP_CHECK(pp_slab_get(&s) == a);
    PP_CHECK_EQ(s.n_free, 0);
    pp_slab_put(&s, a);
    pp_slab_put(&s, b);
    pp_slab_fini(&s);
}

PP_TEST_CASE(more_than_keep_go_back_to_the_allocator)
{
    struct pp_slab s;
    void *objects[10];
    long before = pp_mem_live_for_test();

    pp_slab_init(&s, 32, 3);
    for (int i = 0; i < 10; i++)
        objects[i] = pp_slab_get(&s);
    for (int i = 0; i < 10; i++)
        pp_slab_put(&s, objects[i]);
    PP_CHECK_EQ(s.n_free, 3);
    PP_CHECK_EQ(pp_mem_live_for_test(), before + 3);
    pp_slab_fini(&s);
    PP_CHECK_EQ(pp_mem_live_for_test(), before);
}

#endif

PP_TEST_MAIN()
