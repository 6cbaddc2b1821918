#include "proxy/core.c"

#include "proxy/rig.h"

static const struct pp_core_sizes sizes = {.down = 100, .exchange = 100, .up = 100, .tunnel = 100};

static bool scenario(void)
{
    static struct pp_core core;
    if (pp_core_init(&core, &sizes, NULL, 0, 0, 1) != PP_OK)
        return false;
    PP_CHECK(core.scratch != NULL && core.bulk != NULL);
    PP_CHECK(pp_list_is_empty(&core.downs));
    pp_core_fini(&core);
    return true;
}

PP_TEST_CASE(memory_may_run_out_at_the_start)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_CASE(a_bad_segment_or_no_descriptors_leave_nothing_behind)
{
    static struct pp_core core;
    static _Alignas(8) char mem[64];
    struct rlimit old, tight;
    long live = pp_mem_live_for_test();
    int before = dup(0);
    PP_CHECK_EQ(pp_core_init(&core, &sizes, mem, sizeof mem, 0, 1), PP_EINVAL);
    getrlimit(RLIMIT_NOFILE, &old);
    for (rlim_t more = 1; more < 4; more++) {
        tight = old;
        tight.rlim_cur = (rlim_t)before + more;
        setrlimit(RLIMIT_NOFILE, &tight);
        PP_CHECK_EQ(pp_core_init(&core, &sizes, NULL, 0, 0, 1), PP_EMFILE);
        setrlimit(RLIMIT_NOFILE, &old);
    }
    int after = dup(0);
    PP_CHECK_EQ(after, before + 1);
    close(before);
    close(after);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_MAIN()
