#include "proxy/template.c"

#include "base/mem.h"
#include "pp_test.h"

static int lookup(void *arg, struct pp_span name, struct pp_span *value)
{
    if (pp_span_eq(name, PP_SPAN("host")))
        *value = PP_SPAN("example");
    else if (pp_span_eq(name, PP_SPAN("none")))
        return PP_ENOENT;
    else if (pp_span_eq(name, PP_SPAN("full")))
        return PP_ENOMEM;
    else
        *value = name;
    return PP_OK;
}

static bool renders(const char *text, const char *want)
{
    struct pp_arena arena;
    const struct pp_template *t;
    struct pp_span got;
    pp_arena_init(&arena, NULL, 0, SIZE_MAX);
    bool ok = pp_template_new(&arena, pp_span(text, strlen(text)), &t) == PP_OK &&
              pp_template_render(t, &arena, lookup, NULL, &got) == PP_OK &&
              pp_span_eq(got, pp_span(want, strlen(want)));
    pp_arena_fini(&arena);
    return ok;
}

PP_TEST_CASE(a_value_without_memory_is_no_empty_value)
{
    struct pp_arena arena;
    const struct pp_template *t;
    struct pp_span got;
    pp_arena_init(&arena, NULL, 0, SIZE_MAX);
    PP_CHECK_EQ(pp_template_new(&arena, PP_SPAN("a{full}"), &t), PP_OK);
    PP_CHECK_EQ(pp_template_render(t, &arena, lookup, NULL, &got), PP_ENOMEM);
    pp_arena_fini(&arena);
}

PP_TEST_CASE(names_are_replaced_and_doubled_braces_are_braces)
{
    PP_CHECK(renders("", ""));
    PP_CHECK(renders("plain", "plain"));
    PP_CHECK(renders("https://{host}/x", "https://example/x"));
    PP_CHECK(renders("{a}{b}", "ab"));
    PP_CHECK(renders("{none}x{none}", "x"));
    PP_CHECK(renders("{{{a}}}", "{a}"));
    PP_CHECK(renders("{{}}", "{}"));
    PP_CHECK(renders("a}}b{{c", "a}b{c"));
}

PP_TEST_CASE(unbalanced_braces_and_empty_names_are_refused)
{
    static const char *const bad[] = {"{", "}", "{a", "a}", "{}", "x{}y", "{{}", "{a}}", "}{"};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        struct pp_arena arena;
        const struct pp_template *t;
        pp_arena_init(&arena, NULL, 0, SIZE_MAX);
        PP_CHECK_EQ(pp_template_new(&arena, pp_span(bad[i], strlen(bad[i])), &t), PP_EINVAL);
        pp_arena_fini(&arena);
    }
}

static bool scenario(void)
{
    return renders("https://{host}/{path}", "https://example/path");
}

PP_TEST_CASE(memory_may_run_out)
{
    PP_CHECK_FAIL_EACH(scenario);
}

PP_TEST_MAIN()
