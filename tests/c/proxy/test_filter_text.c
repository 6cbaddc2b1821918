#include "proxy/filter_text.c"

#include "pp_test.h"
#include "wire/http_tok.h"

static struct pp_exchange x;
static struct pp_arena arena;
static struct pp_filter_make m;

static void begin(void)
{
    memset(&x, 0, sizeof x);
    memset(&m, 0, sizeof m);
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    pp_arena_init(&x.arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&x.request, &x.arena);
    m.arena = &arena;
    x.path = PP_SPAN("/a");
    x.request.method = PP_SPAN("GET");
    PP_CHECK_EQ(pp_http_msg_add(&x.request, PP_SPAN("X-Bad"), PP_NAME_OTHER, PP_SPAN("a\nb")),
                PP_OK);
}

static void end(void)
{
    pp_arena_fini(&x.arena);
    pp_arena_fini(&arena);
}

static struct pp_span rendered(struct pp_span text)
{
    const struct pp_filter_text *t;
    struct pp_span out = PP_SPAN_NONE;
    PP_CHECK_EQ(pp_filter_text_new(&m, text, &t), PP_OK);
    PP_CHECK_EQ(pp_filter_text_render(t, &x, &out), PP_OK);
    return out;
}

PP_TEST_CASE(variables_become_their_values)
{
    begin();
    PP_CHECK_STR(rendered(PP_SPAN("{method} {path}!")), "GET /a!");
    PP_CHECK_STR(rendered(PP_SPAN("{path}")), "/a");
    PP_CHECK_STR(rendered(PP_SPAN("<{header.x-none}>")), "<>");
    PP_CHECK_STR(rendered(PP_SPAN("{header.x-none}")), "");
    PP_CHECK_STR(rendered(PP_SPAN("{{{method}}}")), "{GET}");
    end();
}

PP_TEST_CASE(a_text_without_variables_is_made_once)
{
    begin();
    const struct pp_filter_text *t;
    struct pp_span a, b;
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN("a {{b}} c"), &t), PP_OK);
    PP_CHECK(pp_filter_text_is_constant(t));
    PP_CHECK_EQ(pp_filter_text_render(t, &x, &a), PP_OK);
    PP_CHECK_EQ(pp_filter_text_render(t, &x, &b), PP_OK);
    PP_CHECK_STR(a, "a {b} c");
    PP_CHECK(a.p == b.p);
    PP_CHECK_STR(rendered(PP_SPAN("")), "");
    end();
}

PP_TEST_CASE(what_no_field_can_hold_is_nothing_in_a_field)
{
    begin();
    const struct pp_filter_text *t;
    struct pp_span out;
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN("x {header.x-bad}"), &t), PP_OK);
    PP_CHECK_EQ(pp_filter_text_value(t, &x, &out), PP_OK);
    PP_CHECK_STR(out, "");
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN(" {path} "), &t), PP_OK);
    PP_CHECK_EQ(pp_filter_text_value(t, &x, &out), PP_OK);
    PP_CHECK_STR(out, "/a");
    end();
}

PP_TEST_CASE(what_is_wrong_is_said)
{
    begin();
    const struct pp_filter_text *t;
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN("a {b"), &t), PP_EINVAL);
    PP_CHECK(strcmp(m.why, "unbalanced braces in \"a {b\"") == 0);
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN("{nonsense}"), &t), PP_EINVAL);
    PP_CHECK(strcmp(m.why, "there is no variable \"nonsense\"") == 0);
    char many[7 * (PP_FILTER_TEXT_PARTS + 1)];
    for (size_t i = 0; i < sizeof many; i += 7)
        memcpy(many + i, "{path} ", 7);
    PP_CHECK_EQ(pp_filter_text_new(&m, pp_span(many, sizeof many), &t), PP_EINVAL);
    end();
}

PP_TEST_CASE(no_memory_is_told)
{
    begin();
    const struct pp_filter_text *t;
    struct pp_span out;
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN("{method} {path}"), &t), PP_OK);
    pp_arena_fini(&x.arena);
    pp_arena_init(&x.arena, NULL, 0, 0);
    pp_http_msg_init(&x.request, &x.arena);
    PP_CHECK_EQ(pp_filter_text_render(t, &x, &out), PP_ENOMEM);
    pp_arena_fini(&arena);
    pp_arena_init(&arena, NULL, 0, 0);
    PP_CHECK_EQ(pp_filter_text_new(&m, PP_SPAN("a"), &t), PP_ENOMEM);
    end();
}

PP_TEST_MAIN()
