#include "route/radix.c"

#include "base/mem.h"

#include "pp_test.h"

enum { ITEMS_MAX = 600, KEYS_BYTES = 1 << 16 };

/* A table under test, with memory for its keys. */
struct table {
    struct pp_radix tree;
    struct pp_radix_item item[ITEMS_MAX], spare[ITEMS_MAX];
    uint32_t n;
    bool mixed;
    char key[KEYS_BYTES];
    size_t key_n;
};

static struct table *table_new(void)
{
    uint32_t at;
    struct table *t = pp_mem_zalloc(sizeof(*t));
    PP_CHECK_EQ(pp_radix_append(&t->tree, "seed", 4, &at), PP_OK);
    return t;
}

static void table_free(struct table *t)
{
    pp_radix_fini(&t->tree);
    pp_mem_free(t);
}

static void add_rank(struct table *t, const char *pattern, uint32_t methods, int32_t priority)
{
    char *key = t->key + t->key_n;
    struct pp_radix_item *it = &t->item[t->n];
    it->key = key;
    it->key_n = (uint32_t)pp_pattern_compile(pp_span(pattern, strlen(pattern)), key);
    it->entry = (struct pp_radix_entry){methods, 100 + t->n, t->n, priority};
    t->key_n += it->key_n;
    t->n++;
    t->mixed |= priority != 0;
}

static void add(struct table *t, const char *pattern)
{
    add_rank(t, pattern, UINT32_MAX, 0);
}

static uint32_t build(struct table *t)
{
    uint32_t root = t->tree.n;
    pp_radix_sort(t->item, t->spare, t->n);
    PP_CHECK_EQ(pp_radix_build(&t->tree, t->item, t->n), PP_OK);
    PP_CHECK_EQ(pp_radix_freeze(&t->tree), PP_OK);
    return root;
}

/* Route of <path>, or the negative result. The path is copied to memory of its very size, so that
 * reading over its end shows. */
static long find_route(struct table *t, uint32_t root, const char *path, uint32_t method,
                       struct pp_span *capture, unsigned *n)
{
    static struct pp_span unused[PP_CAPTURES_MAX];
    size_t len = strlen(path);
    char *exact = pp_mem_alloc(len);
    memcpy(exact, path, len);
    struct pp_radix_hit hit = {NULL, 0, capture ? capture : unused};
    uint32_t allowed = 0;
    int rc = (t->mixed ? pp_radix_find_mixed : pp_radix_find)(&t->tree, root, pp_span(exact, len),
                                                              method, &hit, &allowed);
    for (unsigned i = 0; rc == PP_OK && capture && i < hit.n_capture; i++)
        capture[i].p = path + (capture[i].p - exact);
    if (n)
        *n = rc == PP_OK ? hit.n_capture : allowed;
    pp_mem_free(exact);
    return rc == PP_OK ? (long)hit.entry->route : rc;
}

static long route_of(struct table *t, uint32_t root, const char *path)
{
    return find_route(t, root, path, 1, NULL, NULL);
}

PP_TEST_CASE(literal_goes_before_name_before_star)
{
    struct table *t = table_new();
    add(t, "/a/{x}");   /* 100 */
    add(t, "/a/b");     /* 101 */
    add(t, "/a/*");     /* 102 */
    add(t, "/a/b*");    /* 103 */
    add(t, "/{x}/b/c"); /* 104 */
    add(t, "*");        /* 105 */
    uint32_t root = build(t);
    PP_CHECK_EQ(route_of(t, root, "/a/b"), 101);
    PP_CHECK_EQ(route_of(t, root, "/a/bc"), 103);
    PP_CHECK_EQ(route_of(t, root, "/a/b/c"), 103);
    PP_CHECK_EQ(route_of(t, root, "/a/c"), 100);
    PP_CHECK_EQ(route_of(t, root, "/a/"), 102);
    PP_CHECK_EQ(route_of(t, root, "/a/c/d"), 102);
    PP_CHECK_EQ(route_of(t, root, "/z/b/c"), 104);
    PP_CHECK_EQ(route_of(t, root, "/z/b"), 105);
    PP_CHECK_EQ(route_of(t, root, ""), 105);
    PP_CHECK_EQ(route_of(t, root, "*"), 105);
    table_free(t);
}

PP_TEST_CASE(ways_left_aside_are_tried_from_the_nearest)
{
    struct table *t = table_new();
    add(t, "/{a}/{b}/{c}/end"); /* 100 */
    add(t, "/x/{b}/{c}/fin");   /* 101 */
    add(t, "/x/y/{c}/fin");     /* 102 */
    add(t, "/x/y/z/out");       /* 103 */
    uint32_t root = build(t);
    struct pp_span cap[PP_CAPTURES_MAX];
    unsigned n;
    PP_CHECK_EQ(route_of(t, root, "/x/y/z/out"), 103);
    PP_CHECK_EQ(find_route(t, root, "/x/y/z/fin", 1, cap, &n), 102);
    PP_REQUIRE(n == 1);
    PP_CHECK_STR(cap[0], "z");
    PP_CHECK_EQ(find_route(t, root, "/x/y/z/end", 1, cap, &n), 100);
    PP_REQUIRE(n == 3);
    PP_CHECK_STR(cap[0], "x");
    PP_CHECK_STR(cap[1], "y");
    PP_CHECK_STR(cap[2], "z");
    PP_CHECK_EQ(route_of(t, root, "/x/q/z/fin"), 101);
    PP_CHECK_EQ(route_of(t, root, "/x/y/z/no"), PP_ENOENT);
    table_free(t);
}

PP_TEST_CASE(captures_are_spans_of_the_path)
{
    struct table *t = table_new();
    add(t, "/u/{id}/f/*rest");
    uint32_t root = build(t);
    struct pp_span cap[PP_CAPTURES_MAX];
    unsigned n;
    PP_CHECK_EQ(find_route(t, root, "/u/a-rather-long-identifier-of-some-user/f/x/y", 1, cap, &n),
                100);
    PP_REQUIRE(n == 2);
    PP_CHECK_STR(cap[0], "a-rather-long-identifier-of-some-user");
    PP_CHECK_STR(cap[1], "x/y");
    PP_CHECK_EQ(find_route(t, root, "/u/1/f/", 1, cap, &n), 100);
    PP_CHECK_STR(cap[1], "");
    table_free(t);
}

/* What was captured below a star, in vain, is not the star's. */
static void check_star_after_dead_end(int32_t other_priority)
{
    struct table *t = table_new();
    add(t, "/{t}/a/*");                                          /* 100 */
    add(t, "/{t}/a/{x}/{y}/c");                                  /* 101 */
    add_rank(t, "/{t}/a/{x}/q/{z}", UINT32_MAX, other_priority); /* 102 */
    uint32_t root = build(t);
    struct pp_span cap[PP_CAPTURES_MAX];
    unsigned n;
    PP_CHECK_EQ(find_route(t, root, "/one/a/two/q/", 1, cap, &n), 100);
    PP_REQUIRE(n == 2);
    PP_CHECK_STR(cap[0], "one");
    PP_CHECK_STR(cap[1], "two/q/");
    PP_CHECK_EQ(find_route(t, root, "/one/a/two/three/d", 1, cap, &n), 100);
    PP_REQUIRE(n == 2);
    PP_CHECK_STR(cap[0], "one");
    PP_CHECK_STR(cap[1], "two/three/d");
    PP_CHECK_EQ(find_route(t, root, "/one/a/two/three/c", 1, cap, &n), 101);
    PP_REQUIRE(n == 3);
    PP_CHECK_STR(cap[1], "two");
    PP_CHECK_STR(cap[2], "three");
    table_free(t);
}

PP_TEST_CASE(a_star_captures_the_rest_after_dead_ends_below_it)
{
    check_star_after_dead_end(0);
    check_star_after_dead_end(7);
}

PP_TEST_CASE(priority_outranks_specificity)
{
    struct table *t = table_new();
    add_rank(t, "/a/b", UINT32_MAX, 0);   /* 100 */
    add_rank(t, "/a/{x}", UINT32_MAX, 1); /* 101 */
    add_rank(t, "/a/*", UINT32_MAX, 1);   /* 102 */
    add_rank(t, "/*", UINT32_MAX, 2);     /* 103 */
    add_rank(t, "/*", 2, 3);              /* 104 */
    add_rank(t, "/{y}/c", UINT32_MAX, 2); /* 105 */
    uint32_t root = build(t);
    PP_CHECK_EQ(find_route(t, root, "/a/b", 2, NULL, NULL), 104);
    PP_CHECK_EQ(find_route(t, root, "/a/b", 1, NULL, NULL), 103);
    struct pp_span cap[PP_CAPTURES_MAX];
    unsigned n;
    PP_CHECK_EQ(find_route(t, root, "/a/c", 1, cap, &n),
                105); /* equal priority: more specific than the star */
    PP_REQUIRE(n == 1);
    PP_CHECK_STR(cap[0], "a");
    table_free(t);
}

/* The star of /s/ is the best so far when the way goes back above it to a {name} of the same
 * priority. */
PP_TEST_CASE(equal_priority_behind_a_star_loses_after_going_back)
{
    struct table *t = table_new();
    add_rank(t, "/s/*", UINT32_MAX, 5);     /* 100 */
    add_rank(t, "/{x}/{y}", UINT32_MAX, 5); /* 101 */
    add_rank(t, "/s/{y}/z", UINT32_MAX, 5); /* 102 */
    add_rank(t, "/s/q/z", UINT32_MAX, 1);   /* 103 */
    add_rank(t, "/{x}/q/z", UINT32_MAX, 9); /* 104 */
    uint32_t root = build(t);
    PP_CHECK_EQ(route_of(t, root, "/s/y"), 100);
    PP_CHECK_EQ(route_of(t, root, "/s/y/z"), 102);
    PP_CHECK_EQ(route_of(t, root, "/s/q/z"), 104);
    PP_CHECK_EQ(route_of(t, root, "/r/y"), 101);
    table_free(t);
}

PP_TEST_CASE(methods_choose_and_the_named_goes_first)
{
    struct table *t = table_new();
    add_rank(t, "/m", UINT32_MAX, 0); /* 100 */
    add_rank(t, "/m", 2, 0);          /* 101 */
    add_rank(t, "/m", 2 | 4, 0);      /* 102 */
    add_rank(t, "/n/x", 4, 0);        /* 103 */
    add_rank(t, "/n/{y}", 8, 0);      /* 104 */
    add_rank(t, "/n/*", 16, 0);       /* 105 */
    uint32_t root = build(t);
    unsigned allowed;
    PP_CHECK_EQ(find_route(t, root, "/m", 1, NULL, NULL), 100);
    PP_CHECK_EQ(find_route(t, root, "/m", 2, NULL, NULL), 101);
    PP_CHECK_EQ(find_route(t, root, "/m", 4, NULL, NULL), 102);
    PP_CHECK_EQ(find_route(t, root, "/n/x", 4, NULL, NULL), 103);
    PP_CHECK_EQ(find_route(t, root, "/n/x", 8, NULL, NULL), 104);
    PP_CHECK_EQ(find_route(t, root, "/n/x", 16, NULL, NULL), 105);
    PP_CHECK_EQ(find_route(t, root, "/n/x", 32, NULL, &allowed), PP_ENOENT);
    PP_CHECK_EQ(allowed, 4 | 8 | 16);
    PP_CHECK_EQ(find_route(t, root, "/q", 32, NULL, &allowed), PP_ENOENT);
    PP_CHECK_EQ(allowed, 0);
    table_free(t);
}

PP_TEST_CASE(long_texts_and_wide_nodes_are_split_and_found)
{
    struct table *t = table_new();
    char text[2000];
    for (size_t n = 240; n < 280; n++) {
        memset(text, 'l', n);
        text[0] = '/';
        text[n] = (char)('!' + (n % 60));
        text[n + 1] = 0;
        if (text[n] == '{' || text[n] == '}' || text[n] == '*')
            text[n] = 'z';
        add(t, text);
    }
    for (int c = '!'; c < 0x7f; c++) {
        if (c == '{' || c == '}' || c == '*' || c == '/')
            continue;
        snprintf(text, sizeof(text), "/w%c", c);
        add(t, text);
    }
    uint32_t root = build(t);
    for (uint32_t i = 0; i < t->n; i++) {
        size_t n = t->item[i].key_n;
        memcpy(text, t->item[i].key, n);
        text[n] = 0;
        PP_CHECK_EQ(route_of(t, root, text), t->item[i].entry.route);
        text[n] = 'x';
        text[n + 1] = 0;
        PP_CHECK_EQ(route_of(t, root, text), PP_ENOENT);
        text[n - 1] = 0;
        PP_CHECK_EQ(route_of(t, root, text), PP_ENOENT);
    }
    table_free(t);
}

/* More entries in one leaf than a node's skip can express: the child is reached through its offset.
 */
PP_TEST_CASE(a_large_leaf_does_not_hide_what_follows)
{
    struct table *t = table_new();
    for (int i = 0; i < 300; i++)
        add_rank(t, "/big", 2, 0);
    add(t, "/big/one");
    add(t, "/{only}/way");
    for (int i = 0; i < 200; i++)
        add_rank(t, "/{only}", 2, 0);
    uint32_t root = build(t);
    PP_CHECK_EQ(find_route(t, root, "/big", 2, NULL, NULL), 100);
    PP_CHECK_EQ(route_of(t, root, "/big/one"), 400);
    PP_CHECK_EQ(route_of(t, root, "/big/way"), 401);
    PP_CHECK_EQ(find_route(t, root, "/x", 2, NULL, NULL), 402);
    table_free(t);
}

static void random_path(uint64_t *state, char *out, bool pattern)
{
    static const char *const segment[] = {"a", "b", "ab", "{x}", "{y}", "aaaaaaaaaaaaaaaaaaaaaa",
                                          "c", "a"};
    size_t n = 0, segments = 1 + pp_test_random(state) % 5;
    for (size_t i = 0; i < segments; i++) {
        uint64_t pick = pp_test_random(state) % 8;
        if (pick == 3 || pick == 4)
            n += (size_t)sprintf(out + n, pattern ? "/{n%zu}" : "/d", i);
        else
            n += (size_t)sprintf(out + n, "/%s", segment[pick]);
    }
    uint64_t end = pp_test_random(state) % 4;
    if (pattern && end < 2)
        strcpy(out + n, end ? "/*" : "*");
    else if (end == 3)
        strcpy(out + n, "/");
}

/* What the header of the router says, word for word, over all items. */
static long scan(const struct table *t, const char *path, uint32_t method)
{
    struct pp_span s = pp_span(path, strlen(path));
    const struct pp_radix_item *best = NULL;
    for (uint32_t i = 0; i < t->n; i++) {
        const struct pp_radix_item *it = &t->item[i];
        if (!(it->entry.methods & method) || !pp_pattern_match(pp_span(it->key, it->key_n), s))
            continue;
        int by =
            best ? pp_pattern_compare(pp_span(it->key, it->key_n), pp_span(best->key, best->key_n))
                 : -1;
        if (!best || it->entry.priority > best->entry.priority ||
            (it->entry.priority == best->entry.priority && by < 0))
            best = it;
    }
    return best ? (long)best->entry.route : PP_ENOENT;
}

PP_TEST_CASE(random_tables_agree_with_a_scan)
{
    uint64_t state = 7;
    char text[256];
    for (int round = 0; round < 300; round++) {
        struct table *t = table_new();
        uint32_t n = 1 + (uint32_t)(pp_test_random(&state) % 60);
        bool mixed = round % 2;
        for (uint32_t i = 0; i < n; i++) {
            random_path(&state, text, true);
            uint32_t methods =
                pp_test_random(&state) % 3 ? UINT32_MAX : 1u << pp_test_random(&state) % 3;
            add_rank(t, text, methods, mixed ? (int32_t)(pp_test_random(&state) % 3) - 1 : 0);
        }
        t->mixed = mixed;
        uint32_t root =
            build(t); /* sorts the items by rank, which the scan relies on for rules 4 and 5 */
        for (int q = 0; q < 100; q++) {
            random_path(&state, text, false);
            uint32_t method = 1u << pp_test_random(&state) % 3;
            PP_CHECK_EQ(find_route(t, root, text, method, NULL, NULL), scan(t, text, method));
        }
        table_free(t);
    }
}

PP_TEST_MAIN()
