#include "proxy/filter_replace.c"

#include "base/options_text.h"
#include "pp_test.h"
#include "proxy/core.h"

/* (With requests and their variables: test_filter_response_rewrite.c.) */

static struct pp_exchange x;
static struct pp_arena arena;
static struct pp_filter_make m;
static const struct pp_filter_replace *rules;
static char made[1 << 20];
static size_t n_made;

static int make(const char *json, size_t limit)
{
    struct pp_options o;
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    m = (struct pp_filter_make){.arena = &arena, .name = PP_SPAN("mine")};
    return options_of(&o, &arena, json) ? pp_filter_replace_new(&m, &o, limit, &rules) : PP_ENOMEM;
}

/* What the rules make of <body>, which comes in pieces of <step> bytes. */
static int run(struct pp_span body, size_t step)
{
    int rc = PP_OK;
    n_made = 0;
    memset(&x, 0, offsetof(struct pp_exchange, arena_mem));
    pp_arena_init(&x.arena, NULL, 0, 1 << 20);
    struct pp_filter_replace_state *s = pp_filter_replace_begin(rules, &x, PP_PAGE_TEXT);
    PP_CHECK(s != NULL);
    for (size_t at = 0; rc == PP_OK && s != NULL; at += step) {
        bool last = at + step >= body.n;
        size_t n = PP_MIN(step, body.n - at);
        /* A copy of just these bytes, so that reading past them shows. */
        char *copy = pp_mem_dup(body.p + at, n);
        struct pp_span out;
        rc = pp_filter_replace_piece(s, &x, pp_span(copy, n), last, &out);
        if (rc == PP_OK && out.n <= sizeof made - n_made) {
            memcpy(made + n_made, out.n > 0 ? out.p : "", out.n);
            n_made += out.n;
        }
        pp_mem_free(copy);
        if (last)
            break;
    }
    pp_arena_fini(&x.arena);
    return rc;
}

static void check(const char *json, const char *body, const char *wanted)
{
    long live = pp_mem_live_for_test();
    PP_CHECK_EQ(make(json, 1 << 20), PP_OK);
    for (size_t step = 1; step <= strlen(body) + 1; step++) {
        PP_CHECK_EQ(run(pp_span(body, strlen(body)), step), PP_OK);
        pp_test_bytes(pp_span(made, n_made), pp_span(wanted, strlen(wanted)), json, __FILE__,
                      __LINE__);
    }
    pp_arena_fini(&arena);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(texts_are_replaced_wherever_pieces_end)
{
    const char *one = "[{\"text\": \"abab\", \"with\": \"<>\"}]";
    check(one, "abab ababab xababababy aba", "<> <>ab x<><>y aba");
    check(one, "aaabbbab", "aaabbbab");
    check(one, "", "");
    check("[{\"text\": \"a\"}]", "banana", "bnn");
    check("[{\"text\": \"aab\", \"with\": \"\\\\1\"}]", "aaaab", "aa\\1");
}

PP_TEST_CASE(rules_follow_each_other)
{
    check("[{\"text\": \"a\", \"with\": \"bc\"}, {\"text\": \"none\", \"with\": \"x\"},"
          " {\"text\": \"cb\", \"with\": \"-\"}]",
          "aaa nonnone cb", "b--c nonx -");
}

PP_TEST_CASE(matches_are_replaced_in_whole_bodies)
{
    check("[{\"regex\": \"<!--(.*?)-->\", \"with\": \"[\\\\1|\\\\0|\\\\\\\\]\"}]",
          "a<!--b--><!---->c<!--", "a[b|<!--b-->|\\][|<!---->|\\]c<!--");
    check("[{\"regex\": \"^a\", \"with\": \"x\"}]", "aaa", "xaa");
    check("[{\"regex\": \"b*\", \"with\": \"-\"}]", "abbc", "-a--c-");
    check("[{\"regex\": \"(a)|(b)\", \"with\": \"\\\\2\"}]", "ab", "b");
    check("[{\"regex\": \"a\", \"with\": \"bb\"}, {\"text\": \"bbb\", \"with\": \"c\"}]", "aba",
          "cbb");
    check("[{\"regex\": \"x\", \"with\": \"y\"}]", "", "");
}

PP_TEST_CASE(bodies_and_what_is_made_of_them_are_bounded)
{
    PP_CHECK_EQ(make("[{\"regex\": \"a\"}]", 10), PP_OK);
    PP_CHECK_EQ(pp_filter_replace_limit(rules), 10);
    PP_CHECK_EQ(run(PP_SPAN("0123456789"), 3), PP_OK);
    PP_CHECK_EQ(run(PP_SPAN("0123456789a"), 3), PP_ELIMIT);
    pp_arena_fini(&arena);
    /* 64 KiB of "a", each replaced by 300 bytes. */
    static char json[512], body[65536];
    memset(body, 'a', sizeof body);
    snprintf(json, sizeof json, "[{\"text\": \"a\", \"with\": \"%0300d\"}]", 7);
    PP_CHECK_EQ(make(json, 10), PP_OK);
    PP_CHECK_EQ(pp_filter_replace_limit(rules), SIZE_MAX);
    PP_CHECK_EQ(run(pp_span(body, sizeof body), sizeof body), PP_ELIMIT);
    PP_CHECK_EQ(run(pp_span(body, 4096), 4096), PP_OK);
    pp_arena_fini(&arena);
}

PP_TEST_CASE(without_memory_nothing_is_lost_or_leaked)
{
    long live = pp_mem_live_for_test();
    PP_CHECK_EQ(
        make("[{\"text\": \"ab\", \"with\": \"c\"}, {\"text\": \"ca\", \"with\": \"d\"}]", 10),
        PP_OK);
    for (long n = 0; n < 30; n++) {
        struct pp_span out;
        int rc = PP_ENOMEM;
        memset(&x, 0, offsetof(struct pp_exchange, arena_mem));
        pp_arena_init(&x.arena, NULL, 0, 1 << 20);
        pp_mem_fail_after_for_test(n);
        struct pp_filter_replace_state *s = pp_filter_replace_begin(rules, &x, PP_PAGE_TEXT);
        if (s != NULL)
            rc = pp_filter_replace_piece(s, &x, PP_SPAN("aba"), false, &out);
        if (rc == PP_OK)
            rc = pp_filter_replace_piece(s, &x, PP_SPAN("ba"), true, &out);
        pp_mem_fail_after_for_test(-1);
        PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
        pp_arena_fini(&x.arena);
    }
    pp_arena_fini(&arena);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(rules_that_make_no_sense_are_refused)
{
    static const struct {
        const char *json, *why;
    } rows[] = {
        {"[{\"text\": \"\"}]", "not a text that can be looked for: \"\""},
        {"[{}]", "not a text that can be looked for: \"\""},
        {"[{\"regex\": \"(\"}]", "not a regular expression"},
        {"[{\"regex\": \"(a)\", \"with\": \"\\\\2\"}]", "no group of the expression is meant"},
        {"[{\"regex\": \"(a)\", \"with\": \"a\\\\\"}]", "no group of the expression is meant"},
        {"[{\"regex\": \"(a)\", \"with\": \"\\\\n\"}]", "no group of the expression is meant"},
    };
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        PP_CHECK_EQ(make(rows[i].json, 10), PP_EINVAL);
        PP_CHECK(strncmp(m.why, rows[i].why, strlen(rows[i].why)) == 0);
        pp_arena_fini(&arena);
    }
}

PP_TEST_MAIN()
