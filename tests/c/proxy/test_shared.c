#include "proxy/shared.c"

#include "pp_test.h"

static _Alignas(64) char memory[4096];
static const struct pp_hash_seed seed = {1, 2};

PP_TEST_CASE(a_segment_is_used_where_there_is_one)
{
    struct pp_shared s = {0};
    struct pp_shtable t;
    PP_CHECK_EQ(pp_shared_open(&s, memory, sizeof(memory)), PP_EINVAL); /* not formatted */
    PP_CHECK_EQ(pp_shtable_format(&t, memory, sizeof(memory), seed), PP_OK);
    PP_CHECK_EQ(pp_shared_open(&s, memory, sizeof(memory)), PP_OK);
    const struct pp_shtable *got = pp_shared_table(&s, &seed);
    PP_CHECK(got != NULL && got->mem == memory);
    pp_shared_fini(&s);
}

PP_TEST_CASE(private_memory_is_made_once_and_when_it_is_needed)
{
    long live = pp_mem_live_for_test();
    struct pp_shared s = {0};
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
    const struct pp_shtable *got = pp_shared_table(&s, &seed);
    PP_REQUIRE(got != NULL);
    PP_CHECK(pp_shared_table(&s, &seed) == got);
    PP_CHECK_EQ(pp_mem_live_for_test(), live + 1);
    PP_CHECK(got->n_bucket > 8000);
    struct pp_shtable_fill fill;
    pp_shtable_look(got, 1, &fill);
    PP_CHECK_EQ(fill.alive, 0);
    pp_shared_fini(&s);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(without_memory_there_is_no_table_until_there_is)
{
    struct pp_shared s = {0};
    pp_mem_fail_after_for_test(0);
    PP_CHECK(pp_shared_table(&s, &seed) == NULL);
    pp_mem_fail_after_for_test(-1);
    PP_CHECK(pp_shared_table(&s, &seed) != NULL);
    pp_shared_fini(&s);
}

PP_TEST_MAIN()
