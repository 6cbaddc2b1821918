#include "route/router.c"

#include "route/router_table.h"

PP_TEST_CASE(an_empty_router_finds_nothing)
{
    struct pp_router *r = table_router(NULL, 0);
    PP_CHECK_EQ(table_find(r, "a", "/", 1), PP_ENOENT);
    PP_CHECK_EQ(table_find(r, "", "", 1), PP_ENOENT);
    PP_CHECK_EQ(pp_router_count(r), 0);
    pp_router_free(r);
    pp_router_free(NULL);
}

PP_TEST_CASE(hosts_go_from_exact_over_longest_wildcard_to_any)
{
    static const struct row row[] = {
        {"a.b.example.com", "/x", 0, 0}, /* 100 */
        {"*.b.example.com", "/*", 0, 0}, /* 101 */
        {"*.example.com", "/*", 0, 9},   /* 102 */
        {"", "*", 0, 99},                /* 103 */
        {"*.com", "/only", 0, 0},        /* 104 */
        {"[::1]", "/*", 0, 0},           /* 105 */
    };
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    PP_CHECK_EQ(table_find(r, "a.b.example.com", "/x", 1), 100);
    PP_CHECK_EQ(table_find(r, "a.b.example.com.", "/x", 1), 100);
    PP_CHECK_EQ(table_find(r, "a.b.example.com", "/y", 1), 101);
    PP_CHECK_EQ(table_find(r, "z.a.b.example.com", "/x", 1), 101);
    PP_CHECK_EQ(table_find(r, "b.example.com", "/x", 1), 102);
    PP_CHECK_EQ(table_find(r, "example.com", "/x", 1), 103);
    PP_CHECK_EQ(table_find(r, "example.com", "/only", 1), 104);
    PP_CHECK_EQ(table_find(r, "other.example.com", "/only", 1), 102);
    PP_CHECK_EQ(table_find(r, ".example.com", "/", 1), 103);
    PP_CHECK_EQ(table_find(r, ".", "/", 1), 103);
    PP_CHECK_EQ(table_find(r, "", "/x", 1), 103);
    PP_CHECK_EQ(table_find(r, "com", "/only", 1), 103);
    PP_CHECK_EQ(table_find(r, "[::1]", "/only", 1), 105);
    PP_CHECK_EQ(table_find(r, "a.b.example.com", "*", 1), 103);
    pp_router_free(r);
}

PP_TEST_CASE(a_host_that_is_too_long_matches_no_host)
{
    static const struct row row[] = {{"*.example.com", "/*", 0, 0}, {"", "/*", 0, 0}};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    char host[1000];
    memset(host, '.', sizeof(host));
    memcpy(host + sizeof(host) - 13, ".example.com", 13);
    PP_CHECK_EQ(table_find(r, host, "/", 1), 101);
    host[sizeof(host) - 1 - PP_ROUTER_HOST_BYTES_MAX] = 'a';
    PP_CHECK_EQ(table_find(r, host + sizeof(host) - 1 - PP_ROUTER_HOST_BYTES_MAX, "/", 1), 100);
    pp_router_free(r);
}

PP_TEST_CASE(a_method_that_fits_nowhere_names_those_of_the_most_specific_set)
{
    static const struct row row[] = {
        {"h.example", "/x", 1 << 1, 0}, /* 100 */
        {"h.example", "/*", 1 << 3, 0}, /* 101 */
        {"*.example", "/x", 1 << 4, 0}, /* 102 */
        {"", "/x", 1 << 5, 0},          /* 103 */
    };
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    struct pp_router_query q = table_query("h.example", "/x", 7);
    struct pp_router_hit hit;
    pp_router_methods allowed = 0;
    PP_CHECK_EQ(pp_router_find(r, &q, &hit, &allowed), PP_EMETHOD);
    PP_CHECK_EQ(allowed, 1 << 1 | 1 << 3);
    q = table_query("i.example", "/x", 7);
    PP_CHECK_EQ(pp_router_find(r, &q, &hit, &allowed), PP_EMETHOD);
    PP_CHECK_EQ(allowed, 1 << 4);
    PP_CHECK_EQ(table_find(r, "h.example", "/x", 3), 101);
    PP_CHECK_EQ(table_find(r, "h.example", "/x", 5), 103);
    PP_CHECK_EQ(table_find(r, "h.example", "nothing", 5), PP_ENOENT);
    pp_router_free(r);
}

/* An id past the mask is one of the methods without an id. */
PP_TEST_CASE(method_ids_past_the_mask_are_other_methods)
{
    static const struct row row[] = {{"", "/x", 1, 0}, {"", "/y", 1u << 31, 0}};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    PP_CHECK_EQ(table_find(r, "", "/x", 0), 100);
    PP_CHECK_EQ(table_find(r, "", "/x", 32), 100);
    PP_CHECK_EQ(table_find(r, "", "/x", UINT32_MAX), 100);
    PP_CHECK_EQ(table_find(r, "", "/y", 31), 101);
    pp_router_free(r);
}

PP_TEST_CASE(captures_have_the_names_of_their_own_pattern)
{
    static const struct row row[] = {{"", "/u/{id}/*rest", 1 << 1, 0},
                                     {"", "/u/{user}/*", 1 << 2, 0}};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    struct pp_router_hit hit;
    pp_router_methods allowed;
    for (unsigned method = 1; method <= 2; method++) {
        struct pp_router_query q = table_query("", "/u/7/a/b", method);
        PP_REQUIRE(pp_router_find(r, &q, &hit, &allowed) == PP_OK);
        PP_REQUIRE(hit.n_capture == 2);
        PP_CHECK_STR(hit.capture[0], "7");
        PP_CHECK_STR(hit.capture[1], "a/b");
        PP_CHECK(pp_span_eq(pp_router_capture_name(r, hit.pattern, 0),
                            method == 1 ? PP_SPAN("id") : PP_SPAN("user")));
        PP_CHECK(pp_span_eq(pp_router_capture_name(r, hit.pattern, 1),
                            method == 1 ? PP_SPAN("rest") : PP_SPAN("")));
    }
    PP_CHECK_STR(pp_router_capture_name(r, 99, 0), "");
    pp_router_free(r);
}

PP_TEST_CASE(shadowed_additions_are_named)
{
    static const struct row row[] = {
        {"", "/a/{x}", 0, 0},           /* 0: takes all that 1 and 2 leave */
        {"", "/a/{y}", 0, 0},           /* 1: shadowed by 0 */
        {"", "/a/{z}", 1 << 1, 0},      /* 2: names its method, goes first */
        {"", "/a/{z}", 1 << 1, -1},     /* 3: lower priority */
        {"", "/b", 1 << 1, 0},          /* 4 */
        {"", "/b", 1 << 2, 0},          /* 5 */
        {"", "/b", 1 << 1 | 1 << 2, 0}, /* 6: between them they take both */
        {"", "/b", 1 << 1 | 1 << 3, 0}, /* 7: one is left */
        {"h", "/b", 1 << 1, 0},         /* 8: another host */
    };
    static const uint32_t want[] = {PP_ID_NONE, 0, PP_ID_NONE, 2,         PP_ID_NONE,
                                    PP_ID_NONE, 4, PP_ID_NONE, PP_ID_NONE};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    PP_CHECK_EQ(pp_router_count(r), PP_COUNT_OF(row));
    for (uint32_t i = 0; i < PP_COUNT_OF(row); i++) {
        PP_CHECK_EQ(pp_router_shadowed(r, i), want[i]);
        PP_CHECK_EQ(pp_router_route(r, i), 100 + i);
    }
    PP_CHECK_EQ(pp_router_shadowed(r, 99), PP_ID_NONE);
    PP_CHECK_EQ(pp_router_route(r, 99), PP_ID_NONE);
    pp_router_free(r);
}

/* Also the additions of one host that stand far apart, and many hosts. */
PP_TEST_CASE(thousands_of_hosts_are_told_apart)
{
    enum { HOSTS = 3000 };
    char text[64], why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    pp_router_draft_seed(d, 12345);
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < HOSTS; i++) {
            int n = snprintf(text, sizeof(text), i % 3 ? "h%u.example" : "*.w%u.example", i);
            struct pp_span path = pass ? PP_SPAN("/b") : PP_SPAN("/a");
            PP_CHECK_EQ(pp_router_draft_add(d, pp_span(text, (size_t)n), path, PP_ROUTER_ANY_METHOD,
                                            0, pass * HOSTS + i, why),
                        PP_OK);
        }
    struct pp_router *r = pp_router_new(d);
    pp_router_draft_free(d);
    PP_REQUIRE(r != NULL);
    for (uint32_t i = 0; i < HOSTS; i++) {
        snprintf(text, sizeof(text), i % 3 ? "h%u.example" : "x.w%u.example", i);
        PP_CHECK_EQ(table_find(r, text, "/a", 1), i);
        PP_CHECK_EQ(table_find(r, text, "/b", 1), HOSTS + i);
        PP_CHECK_EQ(table_find(r, text, "/c", 1), PP_ENOENT);
    }
    PP_CHECK(pp_router_bytes(r) < HOSTS * 400);
    pp_router_free(r);
}

static bool build_once(void)
{
    static const struct row row[] = {{"a.example", "/x/{y}", 0, 0},
                                     {"*.example", "/*", 0, 1},
                                     {"", "*", 0, 0},
                                     {"a.example", "/x/z", 2, 3}};
    struct pp_router *r = table_router(row, PP_COUNT_OF(row));
    if (!r)
        return false;
    PP_CHECK_EQ(table_find(r, "a.example", "/x/z", 2), 100);
    pp_router_free(r);
    return true;
}

PP_TEST_CASE(compiling_survives_every_failed_allocation)
{
    PP_CHECK_FAIL_EACH(build_once);
}

PP_TEST_MAIN()
