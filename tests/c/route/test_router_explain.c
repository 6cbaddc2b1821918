#include "route/router_explain.c"

#include "route/router_table.h"

struct seen {
    uint32_t n, route[16];
    long chosen; /* index, or -1 */
    char reason[16][400];
};

static void note(void *arg, uint32_t route, bool chosen, const char *reason)
{
    struct seen *s = arg;
    if (chosen)
        s->chosen = s->n;
    s->route[s->n] = route;
    snprintf(s->reason[s->n++], sizeof(s->reason[0]), "%s", reason);
}

static int explain(const struct pp_router *r, const char *host, const char *path, unsigned method,
                   struct seen *s)
{
    struct pp_router_query q = table_query(host, path, method);
    memset(s, 0, sizeof(*s));
    s->chosen = -1;
    return pp_router_explain(r, &q, note, s);
}

#define CHECK_REASON(at, text) PP_CHECK_STR(pp_span(s.reason[at], strlen(s.reason[at])), text)

PP_TEST_CASE(every_rule_is_named)
{
    static const struct row row[] = {
        {"", "/a/b", 0, 50},        /* 100: rule 1 */
        {"*.h", "/a/b", 0, 0},      /* 101: rule 2 */
        {"*.h", "/a/{x}", 0, 7},    /* 102: rule 3 */
        {"*.h", "/a/b", 0, 7},      /* 103: rule 4 */
        {"*.h", "/a/b", 1 << 1, 7}, /* 104: chosen */
        {"*.h", "/a/b", 1 << 1, 7}, /* 105: rule 5 */
        {"x.h", "/a/b", 1 << 2, 7}, /* 106: method */
        {"y.h", "/a/b", 0, 7},      /* 107: no candidate */
        {"*.h", "/a/c", 0, 7},      /* 108: no candidate */
    };
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    struct seen s;
    PP_CHECK_EQ(explain(r, "x.h", "/a/b", 1, &s), PP_OK);
    PP_REQUIRE(s.n == 7);
    PP_CHECK_EQ(s.chosen, 1);
    static const uint32_t order[] = {106, 104, 105, 103, 102, 101, 100};
    for (size_t i = 0; i < PP_COUNT_OF(order); i++)
        PP_CHECK_EQ(s.route[i], order[i]);
    CHECK_REASON(0, "host x.h, path /a/b, priority 7: passed over, does not take the method");
    CHECK_REASON(1, "host *.h, path /a/b, priority 7: chosen before the next by rule 5 (order)");
    CHECK_REASON(2, "host *.h, path /a/b, priority 7: not taken, loses by rule 5 (order)");
    CHECK_REASON(3, "host *.h, path /a/b, priority 7: not taken, loses by rule 4 (named method)");
    CHECK_REASON(4, "host *.h, path /a/{x}, priority 7: not taken, loses by rule 3 (path)");
    CHECK_REASON(5, "host *.h, path /a/b, priority 0: not taken, loses by rule 2 (priority)");
    CHECK_REASON(6, "host any, path /a/b, priority 50: not taken, loses by rule 1 (host)");
    pp_router_free(r);
}

PP_TEST_CASE(nothing_chosen_is_said_too)
{
    static const struct row row[] = {{"", "/a", 1 << 1, 0}};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    struct seen s;
    PP_CHECK_EQ(explain(r, "", "/a", 2, &s), PP_EMETHOD);
    PP_REQUIRE(s.n == 1);
    PP_CHECK_EQ(s.chosen, -1);
    CHECK_REASON(0, "host any, path /a, priority 0: passed over, does not take the method");
    PP_CHECK_EQ(explain(r, "", "/b", 2, &s), PP_ENOENT);
    PP_CHECK_EQ(s.n, 0);
    PP_CHECK_EQ(explain(r, "", "/a", 1, &s), PP_OK);
    CHECK_REASON(0, "host any, path /a, priority 0: chosen, nothing else takes the request");
    pp_router_free(r);
}

PP_TEST_CASE(long_patterns_are_cut)
{
    char path[3000];
    memset(path, 'p', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = 0;
    const struct row row[] = {{"", path, 0, 0}};
    struct pp_router *r = table_router(row, 1);
    struct seen s;
    PP_CHECK_EQ(explain(r, "", path, 1, &s), PP_OK);
    PP_REQUIRE(s.n == 1);
    PP_CHECK(strstr(s.reason[0], "ppp..., priority 0: chosen") != NULL);
    pp_router_free(r);
}

static void count(void *arg, uint32_t route, bool chosen, const char *reason)
{
    ++*(uint32_t *)arg;
}

/* In debug builds explain aborts when the tree and the plain definition differ. */
PP_TEST_CASE(tree_and_definition_agree_on_random_tables)
{
    static const char *const hosts[] = {"", "a.b", "*.b", "*.a.b", "c.a.b"};
    static const char *const asked[] = {"", "a.b", "x.b", "c.a.b", "d.a.b"};
    static const char *const paths[] = {"/a",     "/{x}",   "/*",  "*",      "/a/b",
                                        "/a/{y}", "/{x}/b", "/a*", "/{x}/*", "/a/"};
    static const char *const wanted[] = {"/a",   "/b",  "/a/b", "/a/",   "/a/c",
                                         "/c/b", "/ab", "*",    "/a/b/c"};
    uint64_t state = 11;
    for (int round = 0; round < 200; round++) {
        struct row row[24];
        for (size_t i = 0; i < PP_COUNT_OF(row); i++)
            row[i] = (struct row){hosts[pp_test_random(&state) % PP_COUNT_OF(hosts)],
                                  paths[pp_test_random(&state) % PP_COUNT_OF(paths)],
                                  (uint32_t)(pp_test_random(&state) % 4),
                                  (int)(pp_test_random(&state) % 3)};
        struct pp_router *r = table_router(row, PP_COUNT_OF(row));
        PP_REQUIRE(r != NULL);
        for (size_t h = 0; h < PP_COUNT_OF(asked); h++)
            for (size_t p = 0; p < PP_COUNT_OF(wanted); p++)
                for (unsigned method = 0; method < 3; method++) {
                    struct pp_router_query q = table_query(asked[h], wanted[p], method);
                    uint32_t n = 0;
                    int rc = pp_router_explain(r, &q, count, &n);
                    PP_CHECK_EQ(rc == PP_ENOENT, n == 0);
                }
        pp_router_free(r);
    }
}

static bool explain_once(void)
{
    struct row row[40];
    for (size_t i = 0; i < PP_COUNT_OF(row); i++)
        row[i] = (struct row){"", "/*", 0, 0};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    if (!r)
        return false;
    uint32_t n = 0;
    struct pp_router_query q = table_query("", "/x", 1);
    int rc = pp_router_explain(r, &q, count, &n);
    pp_router_free(r);
    return rc == PP_OK && n == PP_COUNT_OF(row);
}

PP_TEST_CASE(explaining_survives_every_failed_allocation)
{
    PP_CHECK_FAIL_EACH(explain_once);
}

PP_TEST_MAIN()
