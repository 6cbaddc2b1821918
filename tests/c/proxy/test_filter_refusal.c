#include "proxy/filter_refusal.c"

#include "base/options_text.h"
#include "pp_test.h"

PP_TEST_CASE(what_is_not_said_has_a_default)
{
    struct pp_arena arena;
    struct pp_options o;
    struct pp_filter_make m = {.arena = &arena};
    struct pp_filter_refusal r;
    pp_arena_init(&arena, NULL, 0, 1 << 16);
    PP_REQUIRE(options_of(&o, &arena, "{}"));
    pp_filter_refusal_make(&m, &o, 403, PP_SPAN("no"), &r);
    PP_CHECK_EQ(r.status, 403);
    PP_CHECK_STR(r.message, "no");
    PP_REQUIRE(options_of(&o, &arena, "{\"status\": 404, \"message\": \"\"}"));
    pp_filter_refusal_make(&m, &o, 403, PP_SPAN("no"), &r);
    PP_CHECK(r.status == 404 && r.message.n == 0 && m.fault.key.p == NULL);
    PP_REQUIRE(options_of(&o, &arena, "{\"status\": 700}"));
    pp_filter_refusal_make(&m, &o, 403, PP_SPAN("no"), &r);
    PP_CHECK_STR(m.fault.key, "status");
    pp_arena_fini(&arena);
}

PP_TEST_MAIN()
