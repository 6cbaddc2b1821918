#include "base/options.c"

#include "pp_test.h"

static struct pp_arena a;

/* {flag: true, n: 7, share: 0.5, name: "x", hosts: ["a", 3], fields: {"k": "v"}, gone: none} */
static struct pp_options *sample(void)
{
    static struct pp_options o;
    static const char *const keys[] = {"flag", "n", "share", "name", "hosts", "fields", "gone"};
    memset(&o, 0, sizeof o);
    PP_CHECK_EQ(pp_options_set_map(&o, &a, 7), PP_OK);
    for (uint32_t i = 0; i < 7; i++)
        PP_CHECK_EQ(pp_options_set_key(&o, &a, i, pp_span(keys[i], strlen(keys[i]))), PP_OK);
    struct pp_options_entry *e = o.as.entry;
    pp_options_set_bool(&e[0].value, true);
    pp_options_set_int(&e[1].value, 7);
    pp_options_set_real(&e[2].value, 0.5);
    PP_CHECK_EQ(pp_options_set_text(&e[3].value, &a, PP_SPAN("x")), PP_OK);
    PP_CHECK_EQ(pp_options_set_list(&e[4].value, &a, 2), PP_OK);
    PP_CHECK_EQ(pp_options_set_text(&e[4].value.as.item[0], &a, PP_SPAN("a")), PP_OK);
    pp_options_set_int(pp_options_at(&e[4].value, 1), 3);
    PP_CHECK_EQ(pp_options_set_map(&e[5].value, &a, 1), PP_OK);
    PP_CHECK_EQ(pp_options_set_key(&e[5].value, &a, 0, PP_SPAN("k")), PP_OK);
    PP_CHECK_EQ(pp_options_set_text(pp_options_at(&e[5].value, 0), &a, PP_SPAN("v")), PP_OK);
    return &o;
}

static void begin(void)
{
    pp_arena_init(&a, NULL, 0, 1 << 20);
}

PP_TEST_CASE(values_are_read_by_name_and_type)
{
    begin();
    const struct pp_options *o = sample();
    struct pp_options_fault fault = {.key = PP_SPAN_NONE};
    bool flag = false;
    int64_t n = 0;
    double share = 0, whole = 0;
    struct pp_span name = PP_SPAN_NONE;
    pp_options_get_bool(o, "flag", &flag, &fault);
    pp_options_get_int(o, "n", 0, 7, &n, &fault);
    pp_options_get_real(o, "share", &share, &fault);
    pp_options_get_real(o, "n", &whole, &fault);
    pp_options_get_text(o, "name", &name, &fault);
    PP_CHECK(flag && n == 7 && share == 0.5 && whole == 7);
    PP_CHECK_STR(name, "x");
    PP_CHECK_EQ(name.p[1], 0);
    const struct pp_options *fields = pp_options_get_map(o, "fields", &fault);
    PP_CHECK(fields->n == 1);
    PP_CHECK_STR(pp_options_text(&fields->as.entry[0].value, "fields", &fault), "v");
    PP_CHECK(fault.key.p == NULL);
    pp_arena_fini(&a);
}

PP_TEST_CASE(what_is_absent_keeps_its_default)
{
    begin();
    const struct pp_options *o = sample();
    struct pp_options_fault fault = {.key = PP_SPAN_NONE};
    int64_t n = 5;
    bool flag = true;
    struct pp_span text = PP_SPAN("d");
    pp_options_get_int(o, "gone", 0, 9, &n, &fault);
    pp_options_get_int(o, "never", 0, 9, &n, &fault);
    pp_options_get_bool(NULL, "flag", &flag, &fault);
    pp_options_get_text(o, "gone", &text, &fault);
    PP_CHECK(n == 5 && flag && fault.key.p == NULL);
    PP_CHECK_STR(text, "d");
    PP_CHECK(pp_options_get_list(o, "gone", &fault)->n == 0);
    PP_CHECK(pp_options_get_map(NULL, "x", &fault)->n == 0);
    PP_CHECK(pp_options_find(o, "gone") == NULL && pp_options_find(o, "name") != NULL);
    pp_arena_fini(&a);
}

PP_TEST_CASE(the_first_value_of_another_type_is_named)
{
    begin();
    const struct pp_options *o = sample();
    struct pp_options_fault fault = {.key = PP_SPAN_NONE};
    int64_t n = 5;
    struct pp_span text = PP_SPAN("d");
    const struct pp_options *hosts = pp_options_get_list(o, "hosts", &fault);
    PP_CHECK_STR(pp_options_text(&hosts->as.item[0], "hosts", &fault), "a");
    PP_CHECK(fault.key.p == NULL);
    PP_CHECK_STR(pp_options_text(&hosts->as.item[1], "hosts", &fault), "");
    PP_CHECK_STR(fault.key, "hosts");
    PP_CHECK(strcmp(fault.wanted, "text") == 0);
    pp_options_get_text(o, "n", &text, &fault);
    PP_CHECK_STR(fault.key, "hosts");
    PP_CHECK_STR(text, "d");
    memset(&fault, 0, sizeof fault);
    pp_options_get_int(o, "n", 8, 9, &n, &fault);
    PP_CHECK_STR(fault.key, "n");
    PP_CHECK_EQ(n, 5);
    memset(&fault, 0, sizeof fault);
    double share = 1;
    pp_options_get_real(o, "name", &share, &fault);
    PP_CHECK(fault.key.n == 4 && share == 1);
    pp_arena_fini(&a);
}

PP_TEST_CASE(a_tree_that_finds_no_memory_says_so)
{
    struct pp_options o = {0};
    pp_arena_init(&a, NULL, 0, 0);
    PP_CHECK_EQ(pp_options_set_map(&o, &a, 1000), PP_ENOMEM);
    PP_CHECK_EQ(pp_options_set_list(&o, &a, 1000), PP_ENOMEM);
    PP_CHECK_EQ(pp_options_set_text(&o, &a, PP_SPAN("x")), PP_ENOMEM);
    PP_CHECK_EQ(o.kind, PP_OPTIONS_NONE);
    pp_arena_fini(&a);
}

PP_TEST_MAIN()
