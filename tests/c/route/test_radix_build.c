#include "route/radix_build.c"

#include "pp_test.h"

enum { ITEMS = 500, KEY_BYTES = 32 };

struct table {
    struct pp_radix_item item[ITEMS], spare[ITEMS];
    uint32_t n;
    char key[ITEMS][KEY_BYTES];
};

static void add(struct table *t, const char *pattern)
{
    struct pp_radix_item *it = &t->item[t->n];
    it->key = t->key[t->n];
    it->key_n = (uint32_t)pp_pattern_compile(pp_span(pattern, strlen(pattern)), t->key[t->n]);
    it->entry = (struct pp_radix_entry){UINT32_MAX, 100 + t->n, t->n, 0};
    t->n++;
}

/* Write the tree of the table behind <before> bytes of something else. */
static int write_tree(struct table *t, struct pp_radix *tree, uint32_t before)
{
    uint32_t at;
    pp_radix_sort(t->item, t->spare, t->n);
    int rc = pp_radix_append(tree, NULL, before, &at);
    if (rc == PP_OK)
        rc = pp_radix_build(tree, t->item, t->n);
    return rc == PP_OK ? pp_radix_freeze(tree) : rc;
}

PP_TEST_CASE(sorting_is_stable_and_complete)
{
    uint64_t state = 3;
    struct table *t = pp_mem_zalloc(sizeof(*t));
    for (uint32_t i = 0; i < ITEMS; i++) {
        char text[KEY_BYTES];
        snprintf(text, sizeof(text), "/%u", (unsigned)(pp_test_random(&state) % 50));
        add(t, text);
    }
    pp_radix_sort(t->item, t->spare, t->n);
    for (uint32_t i = 1; i < t->n; i++) {
        int order = pp_radix_compare(&t->item[i - 1], &t->item[i]);
        PP_CHECK(order < 0 ||
                 (order == 0 && t->item[i - 1].entry.pattern < t->item[i].entry.pattern));
    }
    pp_mem_free(t);
}

PP_TEST_CASE(an_only_child_stands_right_behind_its_parent)
{
    struct table *t = pp_mem_zalloc(sizeof(*t));
    struct pp_radix tree = {0};
    add(t, "/a");
    add(t, "/a/b");
    PP_REQUIRE(write_tree(t, &tree, 8) == PP_OK);
    PP_CHECK_EQ((uintptr_t)tree.mem % LINE, 0);
    const struct pp_radix_node *nd = (const void *)(tree.mem + 8);
    PP_CHECK_EQ(nd->text_n, 2);
    PP_CHECK_EQ(nd->n_child, 1);
    PP_CHECK_EQ(nd->flags, PP_RADIX_HAS_EXACT);
    PP_CHECK_EQ(memcmp(nd + 1, "/a/", 3), 0);
    PP_REQUIRE(nd->skip > 0);
    const struct pp_radix_node *child = nd + nd->skip;
    PP_CHECK_EQ(child->text_n, 1);
    PP_CHECK_EQ(memcmp(child + 1, "b", 1), 0);
    PP_CHECK_EQ(child->skip, 0);
    pp_radix_fini(&tree);
    pp_mem_free(t);
}

static bool build_once(void)
{
    struct pp_radix tree = {0};
    struct table *t = pp_mem_zalloc(sizeof(*t));
    if (!t)
        return false;
    add(t, "/a/{b}/c");
    add(t, "/a/d");
    add(t, "*");
    bool ok = write_tree(t, &tree, 8) == PP_OK;
    pp_radix_fini(&tree);
    pp_mem_free(t);
    return ok;
}

PP_TEST_CASE(building_survives_every_failed_allocation)
{
    PP_CHECK_FAIL_EACH(build_once);
}

PP_TEST_MAIN()
