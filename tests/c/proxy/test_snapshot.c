#include "proxy/snapshot.c"

#include "proxy/rig.h"

static unsigned released;

static void release(void *arg)
{
    released++;
}

PP_TEST_CASE(the_last_reference_runs_the_clean_ups)
{
    long live = pp_mem_live_for_test();
    struct pp_snapshot *sn = pp_snapshot_new();
    PP_REQUIRE(sn != NULL);
    PP_CHECK_EQ(pp_arena_on_reset(&sn->arena, release, NULL), PP_OK);
    PP_CHECK(pp_snapshot_ref(sn) == sn);
    pp_snapshot_unref(sn);
    PP_CHECK_EQ(released, 0);
    pp_snapshot_unref(sn);
    PP_CHECK_EQ(released, 1);
    pp_snapshot_unref(NULL);
    pp_snapshot_release(NULL);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(phases_have_their_names)
{
    for (int phase = 0; phase < PP_PHASE_COUNT; phase++)
        PP_CHECK_EQ(pp_snapshot_phase_find(rig_span(pp_snapshot_phase_name((enum pp_phase)phase))),
                    phase);
    PP_CHECK_EQ(pp_snapshot_phase_find(PP_SPAN("early_request")), PP_PHASE_EARLY_REQUEST);
    PP_CHECK_EQ(pp_snapshot_phase_find(PP_SPAN("nothing")), -1);
    PP_CHECK_EQ(pp_snapshot_phase_find(PP_SPAN_NONE), -1);
}

static bool scenario(void)
{
    struct pp_snapshot *sn = pp_snapshot_new();
    pp_snapshot_unref(sn);
    return sn != NULL;
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_MAIN()
