#include "worker/builder_native.c"

#include "base/options_text.h"
#include "pp_test.h"

static struct pp_builder *b;
static uint32_t id;

static int add(const char *kind, const char *options)
{
    struct pp_options o;
    if (!options_of(&o, pp_builder_arena(b), options))
        return PP_ENOMEM;
    return pp_builder_add_native(b, pp_span(kind, strlen(kind)), PP_SPAN("n"), &o, &id);
}

PP_TEST_CASE(a_kind_is_bound_to_the_phases_that_its_options_need)
{
    b = pp_builder_new();
    PP_REQUIRE(b != NULL);
    PP_CHECK_EQ(add("headers", "{\"response\": {\"remove\": [\"x\"]}}"), PP_OK);
    PP_CHECK(pp_builder_bound(b, id, PP_PHASE_REQUEST)->ops == NULL);
    PP_CHECK(pp_builder_bound(b, id, PP_PHASE_RESPONSE)->ops != NULL);
    PP_CHECK(pp_builder_bound(b, id, PP_PHASE_LOG)->ops == NULL);
    PP_CHECK_EQ(add("headers", "{}"), PP_OK);
    PP_CHECK(id == 1 && pp_builder_bound(b, id, PP_PHASE_RESPONSE)->ops == NULL);
    pp_builder_free(b);
}

PP_TEST_CASE(what_cannot_be_made_is_told_in_a_sentence)
{
    b = pp_builder_new();
    PP_REQUIRE(b != NULL);
    PP_CHECK_EQ(add("nothing", "{}"), PP_EINVAL);
    PP_CHECK(strcmp(pp_builder_why(b), "no native filter of the kind: nothing") == 0);
    PP_CHECK_EQ(add("headers", "{\"request\": 3}"), PP_EINVAL);
    PP_CHECK(strcmp(pp_builder_why(b), "the option request is not a mapping: n") == 0);
    PP_CHECK_EQ(add("headers", "{\"request\": {\"remove\": [\"te\"]}}"), PP_EINVAL);
    PP_CHECK(strstr(pp_builder_why(b), "\"te\"") != NULL);
    pp_builder_free(b);
}

PP_TEST_MAIN()
