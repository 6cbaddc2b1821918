#include "proxy/filter.c"

#include "pp_test.h"

static struct pp_exchange x;
static char mem[256];

static void begin(size_t limit)
{
    memset(&x, 0, sizeof x);
    pp_arena_init(&x.arena, mem, sizeof mem, limit);
    pp_http_msg_init(&x.response, &x.arena);
}

PP_TEST_CASE(each_filter_has_a_state_of_its_own_zeroed_once)
{
    int a, b;
    begin(1 << 20);
    PP_CHECK(pp_filter_state_find(&x, &a) == NULL);
    uint64_t *first = pp_filter_state(&x, &a, 16), *second = pp_filter_state(&x, &b, 8);
    PP_REQUIRE(first != NULL && second != NULL && first != second);
    PP_CHECK(first[0] == 0 && first[1] == 0 && second[0] == 0);
    first[1] = 7;
    PP_CHECK(pp_filter_state(&x, &a, 16) == (void *)first && first[1] == 7);
    PP_CHECK(pp_filter_state_find(&x, &b) == (void *)second);
    pp_arena_fini(&x.arena);
}

PP_TEST_CASE(a_state_without_memory_is_none)
{
    int a;
    begin(0);
    PP_CHECK(pp_filter_state(&x, &a, 4096) == NULL);
    PP_CHECK(pp_filter_state_find(&x, &a) == NULL);
    pp_arena_fini(&x.arena);
}

PP_TEST_CASE(an_answer_is_made_or_its_failure_noted)
{
    begin(1 << 20);
    PP_CHECK_EQ(pp_filter_reply(&x, 403, PP_SPAN("text/plain"), PP_SPAN("no")), PP_REPLY);
    PP_CHECK(x.replied && x.response.status == 403);
    PP_CHECK_STR(x.reply_body, "no");
    PP_CHECK(pp_http_msg_find_id(&x.response, PP_NAME_CONTENT_TYPE) != NULL);
    PP_CHECK_EQ(pp_filter_reply(&x, 204, PP_SPAN("text/plain"), PP_SPAN_NONE), PP_REPLY);
    PP_CHECK(pp_http_msg_find_id(&x.response, PP_NAME_CONTENT_TYPE) == NULL);
    PP_CHECK(!pp_fault_is_set(&x.fault));
    pp_arena_fini(&x.arena);
    static char big[4096];
    begin(0);
    PP_CHECK_EQ(pp_filter_reply(&x, 403, PP_SPAN("text/plain"), pp_span(big, sizeof big)),
                PP_REPLY);
    PP_CHECK(!x.replied && x.fault.code == PP_FAULT_NO_MEMORY);
    pp_arena_fini(&x.arena);
}

PP_TEST_CASE(result_codes_tell_whose_trouble_it_is)
{
    begin(0);
    PP_CHECK_EQ(pp_filter_failed(&x, PP_ENOMEM), PP_REPLY);
    PP_CHECK_EQ(x.fault.code, PP_FAULT_NO_MEMORY);
    begin(0);
    PP_CHECK_EQ(pp_filter_failed(&x, PP_EINVAL), PP_REPLY);
    PP_CHECK(x.fault.code == PP_FAULT_BAD_REQUEST && x.fault.detail == PP_EINVAL);
}

PP_TEST_CASE(what_is_refused_is_quoted)
{
    struct pp_filter_make m;
    PP_CHECK_EQ(pp_filter_refuse(&m, "not a name:", PP_SPAN("a b")), PP_EINVAL);
    PP_CHECK(strcmp(m.why, "not a name: \"a b\"") == 0);
    char big[500];
    memset(big, 'x', sizeof big);
    PP_CHECK_EQ(pp_filter_refuse(&m, "long", pp_span(big, sizeof big)), PP_EINVAL);
    PP_CHECK_EQ(strlen(m.why), 5 + 82);
}

PP_TEST_MAIN()
