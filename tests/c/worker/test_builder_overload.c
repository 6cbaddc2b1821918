#include "worker/builder_overload.c"

#include "pp_test.h"

static void release(void *arg)
{
}

PP_TEST_CASE(thresholds_and_exempt_routes_are_the_snapshots)
{
    const struct pp_pressure_conf memory = {{0, 1, 2}}, lag = {{0, 3, 4}};
    struct pp_builder_route route = {
        .name = PP_SPAN("-"), .upstream = PP_ID_NONE, .access_log = PP_ID_NONE};
    struct pp_builder *b = pp_builder_new();
    struct pp_snapshot *sn = NULL;
    uint32_t id;
    PP_REQUIRE(b != NULL);
    pp_builder_set_overload(b, &memory, &lag);
    PP_REQUIRE(pp_builder_add_route(b, &route, &id) == PP_OK);
    route.name = PP_SPAN("health");
    PP_REQUIRE(pp_builder_add_route(b, &route, &id) == PP_OK);
    pp_builder_exempt_route(b, id);
    PP_REQUIRE(pp_builder_finish(b, release, NULL, &sn) == PP_OK);
    PP_CHECK_EQ(sn->overload.memory.at[PP_PRESSURE_SHED], 2);
    PP_CHECK_EQ(sn->overload.lag.at[PP_PRESSURE_STOP_KEEP_ALIVE], 3);
    PP_CHECK(sn->overload.exempts);
    PP_CHECK(sn->route[1]->exempt && !sn->route[0]->exempt);
    pp_snapshot_unref(sn);
}

PP_TEST_MAIN()
