#include "proxy/filter_edits.c"

#include "base/options_text.h"
#include "pp_test.h"

/* (What edits do is followed in test_filter_headers.c, with real traffic.) */

static int make(const char *options, struct pp_filter_edits *all, struct pp_filter_make *m,
                struct pp_arena *arena)
{
    struct pp_options o;
    pp_arena_init(arena, NULL, 0, 1 << 20);
    *m = (struct pp_filter_make){.arena = arena, .name = PP_SPAN("mine")};
    return options_of(&o, arena, options) ? pp_filter_edits_make(m, &o, all) : PP_ENOMEM;
}

PP_TEST_CASE(edits_are_made_in_the_order_in_which_they_are_done)
{
    struct pp_filter_edits all;
    struct pp_filter_make m;
    struct pp_arena arena;
    PP_CHECK_EQ(make("{\"default\": {\"d\": \"4\"}, \"add\": {\"c\": [\"3\", \"3\"]},"
                     " \"set\": {\"b\": \"2\"}, \"remove\": [\"Via\"]}",
                     &all, &m, &arena),
                PP_OK);
    static const char names[] = {'V', 'b', 'c', 'c', 'd'};
    PP_REQUIRE(all.n == sizeof names);
    for (uint32_t i = 0; i < all.n; i++)
        PP_CHECK_EQ(all.edit[i].name.p[0], names[i]);
    PP_CHECK_EQ(all.edit[0].id, PP_NAME_VIA);
    pp_arena_fini(&arena);
}

PP_TEST_CASE(without_options_there_is_nothing_to_do)
{
    struct pp_filter_edits all;
    struct pp_filter_make m;
    struct pp_arena arena;
    PP_CHECK_EQ(make("{}", &all, &m, &arena), PP_OK);
    PP_CHECK_EQ(all.n, 0);
    pp_arena_fini(&arena);
}

PP_TEST_CASE(what_frames_messages_is_refused)
{
    struct pp_filter_edits all;
    struct pp_filter_make m;
    struct pp_arena arena;
    PP_CHECK_EQ(make("{\"set\": {\"transfer-encoding\": \"x\"}}", &all, &m, &arena), PP_EINVAL);
    PP_CHECK(strstr(m.why, "the proxy's own header") != NULL);
    pp_arena_fini(&arena);
}

PP_TEST_MAIN()
