#include "wire/args.c"

#include "base/mem.h"
#include "pp_test.h"

static struct pp_arena arena;

static const struct pp_args *split(const char *text, bool cookies)
{
    const struct pp_args *args = NULL;
    struct pp_span s = pp_span(text, strlen(text));
    pp_arena_fini(&arena);
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    int rc =
        cookies ? pp_args_split_cookies(&arena, s, &args) : pp_args_split_query(&arena, s, &args);
    PP_CHECK_EQ(rc, PP_OK);
    return args;
}

static struct pp_span value(const struct pp_args *args, const char *name)
{
    struct pp_span s = pp_span(name, strlen(name));
    const struct pp_arg *arg = pp_args_find(args, s, pp_variable_hash(s));
    return arg != NULL ? arg->value : PP_SPAN_NONE;
}

PP_TEST_CASE(arguments_are_decoded_and_the_first_of_a_name_counts)
{
    const struct pp_args *a =
        split("name=jack&n%61me=joe&x=a+b%21&&empty=&flag&=v&bad=%zz&n=1=2", false);
    PP_CHECK_EQ(a->n, 8);
    PP_CHECK_STR(value(a, "name"), "jack");
    PP_CHECK_STR(value(a, "x"), "a b!");
    PP_CHECK(value(a, "empty").p != NULL && value(a, "empty").n == 0);
    PP_CHECK(value(a, "flag").p != NULL && value(a, "flag").n == 0);
    PP_CHECK_STR(value(a, ""), "v");
    PP_CHECK_STR(value(a, "bad"), "%zz");
    PP_CHECK_STR(value(a, "n"), "1=2");
    PP_CHECK(value(a, "Name").p == NULL);
    PP_CHECK_EQ(split("", false)->n, 0);
    PP_CHECK_STR(value(split("n%61me=joe", false), "name"), "joe");
}

PP_TEST_CASE(cookies_lose_their_quotes_and_spaces)
{
    const struct pp_args *a =
        split("sid=31d4; lang=\"en-US\" ;plus=a+b; enc=%41%3b; broken; =no; sid=2; e=; q=\"", true);
    PP_CHECK_EQ(a->n, 7);
    PP_CHECK_STR(value(a, "sid"), "31d4");
    PP_CHECK_STR(value(a, "lang"), "en-US");
    PP_CHECK_STR(value(a, "plus"), "a+b");
    PP_CHECK_STR(value(a, "enc"), "A;");
    PP_CHECK(value(a, "broken").p == NULL);
    PP_CHECK(value(a, "e").p != NULL && value(a, "e").n == 0);
    PP_CHECK_STR(value(a, "q"), "\"");
    PP_CHECK_EQ(split(";; ;", true)->n, 0);
}

PP_TEST_CASE(too_many_are_refused_and_not_cut)
{
    char text[4 * (PP_ARGS_MAX + 1)];
    const struct pp_args *args;
    for (int i = 0; i <= PP_ARGS_MAX; i++)
        memcpy(text + 4 * i, "a=b&", 4);
    pp_arena_fini(&arena);
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    PP_CHECK_EQ(pp_args_split_query(&arena, pp_span(text, 4 * PP_ARGS_MAX), &args), PP_OK);
    PP_CHECK_EQ(args->n, PP_ARGS_MAX);
    PP_CHECK_EQ(pp_args_split_query(&arena, pp_span(text, sizeof(text)), &args),
                PP_EHTTP_ARGUMENTS);
    for (size_t i = 3; i < sizeof(text); i += 4)
        text[i] = ';';
    PP_CHECK_EQ(pp_args_split_cookies(&arena, pp_span(text, sizeof(text)), &args),
                PP_EHTTP_ARGUMENTS);
    /* Separators alone are no arguments, however many. */
    memset(text, '&', sizeof(text));
    PP_CHECK_EQ(pp_args_split_query(&arena, pp_span(text, sizeof(text)), &args), PP_OK);
    PP_CHECK_EQ(args->n, 0);
    pp_arena_fini(&arena);
}

static bool split_with_little_memory(void)
{
    struct pp_arena a;
    const struct pp_args *args;
    pp_arena_init(&a, NULL, 0, 1 << 20);
    int rc = pp_args_split_query(&a, PP_SPAN("a=b&c=%41"), &args);
    PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
    pp_arena_fini(&a);
    return rc == PP_OK;
}

PP_TEST_CASE(memory_may_be_out_at_any_point)
{
    PP_CHECK_FAIL_EACH(split_with_little_memory);
}

PP_TEST_MAIN()
