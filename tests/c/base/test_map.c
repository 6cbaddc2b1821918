#include "base/map.c"

#include "pp_test.h"

static const struct pp_hash_seed seed = {0x1234, 0x5678};

PP_TEST_CASE(empty_map_finds_nothing)
{
    struct pp_map m, zeroed;
    uint32_t pos = 0;
    struct pp_span key;
    void *value;

    memset(&zeroed, 0, sizeof(zeroed));
    PP_CHECK(!pp_map_get(&zeroed, PP_SPAN("a")));
    pp_map_fini(&zeroed);
    pp_map_init(&m, seed);
    PP_CHECK(!pp_map_get(&m, PP_SPAN("a")));
    PP_CHECK(!pp_map_get(&m, PP_SPAN_NONE));
    PP_CHECK(!pp_map_take(&m, PP_SPAN("a")));
    PP_CHECK(!pp_map_next(&m, &pos, &key, &value));
    pp_map_fini(&m);
}

PP_TEST_CASE(put_get_replace_take)
{
    struct pp_map m;
    int one, two, three;
    char key[] = "host";

    pp_map_init(&m, seed);
    PP_CHECK_EQ(pp_map_put(&m, pp_span(key, 4), &one), PP_OK);
    key[0] = 'X'; /* the map has its own copy */
    PP_CHECK(pp_map_get(&m, PP_SPAN("host")) == &one);
    PP_CHECK(!pp_map_get(&m, PP_SPAN("hos")));
    PP_CHECK(!pp_map_get(&m, PP_SPAN("Host")));
    PP_CHECK_EQ(pp_map_put(&m, PP_SPAN("host"), &two), PP_OK);
    PP_CHECK_EQ(m.n, 1);
    PP_CHECK(pp_map_get(&m, PP_SPAN("host")) == &two);
    PP_CHECK_EQ(pp_map_put(&m, PP_SPAN_NONE, &three), PP_OK);
    PP_CHECK(pp_map_get(&m, PP_SPAN("")) == &three);
    PP_CHECK_EQ(pp_map_put(&m, PP_SPAN("a\0b"), &one), PP_OK);
    PP_CHECK(pp_map_get(&m, PP_SPAN("a\0b")) == &one);
    PP_CHECK(!pp_map_get(&m, PP_SPAN("a\0c")));
    PP_CHECK(pp_map_take(&m, PP_SPAN("host")) == &two);
    PP_CHECK(!pp_map_take(&m, PP_SPAN("host")));
    PP_CHECK(!pp_map_get(&m, PP_SPAN("host")));
    PP_CHECK_EQ(m.n, 2);
    pp_map_fini(&m);
}

static void check_counts(const struct pp_map *m)
{
    uint32_t n = 0, dead = 0;
    for (uint32_t i = 0; i < m->cap; i++) {
        n += m->cells[i].state == CELL_LIVE;
        dead += m->cells[i].state == CELL_DEAD;
    }
    PP_CHECK_EQ(m->n, n);
    PP_CHECK_EQ(m->dead, dead);
}

/* The map against an array of values, over keys few enough to meet often. */
PP_TEST_CASE(agrees_with_a_plain_array)
{
    enum { KEYS = 700, STEPS = 300000 };
    static char present[KEYS];
    static int values[KEYS][2];
    static void *expected[KEYS];
    struct pp_map m;
    uint64_t state = 21;
    uint32_t n = 0;

    pp_map_init(&m, seed);
    for (int i = 0; i < STEPS; i++) {
        uint64_t r = pp_test_random(&state);
        /* Phases of growth and of shrinking, so that resizes meet dead cells. */
        unsigned puts = i / 20000 % 2 ? 3 : 6;
        unsigned k = (unsigned)(r >> 32) % KEYS;
        char text[16];
        struct pp_span key = pp_span(text, (size_t)snprintf(text, sizeof(text), "key%u", k));
        if (r % 10 < puts) {
            void *value = &values[k][r >> 20 & 1];
            n += expected[k] == NULL;
            PP_CHECK_EQ(pp_map_put(&m, key, value), PP_OK);
            expected[k] = value;
        } else if (r % 10 < 9) {
            n -= expected[k] != NULL;
            PP_CHECK(pp_map_take(&m, key) == expected[k]);
            expected[k] = NULL;
        } else {
            PP_CHECK(pp_map_get(&m, key) == expected[k]);
        }
        PP_CHECK_EQ(m.n, n);
        PP_CHECK(m.cap == 0 || m.n + m.dead <= m.cap - m.cap / 4);
        if (i % 1000 == 0)
            check_counts(&m);
    }

    uint32_t pos = 0, seen = 0;
    struct pp_span key;
    void *value;
    while (pp_map_next(&m, &pos, &key, &value)) {
        unsigned k = (unsigned)strtoul(key.p + 3, NULL, 10);
        PP_REQUIRE(k < KEYS);
        PP_CHECK(value == expected[k]);
        PP_CHECK(!present[k]);
        present[k] = 1;
        seen++;
    }
    PP_CHECK_EQ(seen, n);
    pp_map_fini(&m);
}

PP_TEST_CASE(taking_and_putting_does_not_grow_the_table)
{
    struct pp_map m;
    int one;

    pp_map_init(&m, seed);
    for (int i = 0; i < 10000; i++) {
        char text[16];
        struct pp_span key = pp_span(text, (size_t)snprintf(text, sizeof(text), "%d", i));
        PP_CHECK_EQ(pp_map_put(&m, key, &one), PP_OK);
        PP_CHECK(pp_map_take(&m, key) == &one);
    }
    PP_CHECK(m.cap <= 8);
    pp_map_fini(&m);
}

static bool put_some(void)
{
    struct pp_map m;
    int one, rc = PP_OK;
    uint32_t n = 0;

    pp_map_init(&m, seed);
    while (rc == PP_OK && n < 40) {
        char text[16];
        struct pp_span key = pp_span(text, (size_t)snprintf(text, sizeof(text), "key%u", n));
        rc = pp_map_put(&m, key, &one);
        if (rc == PP_OK) {
            n++;
        } else {
            PP_CHECK_EQ(rc, PP_ENOMEM);
            PP_CHECK(!pp_map_get(&m, key));
        }
        PP_CHECK_EQ(m.n, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        char text[16];
        struct pp_span key = pp_span(text, (size_t)snprintf(text, sizeof(text), "key%u", i));
        PP_CHECK(pp_map_get(&m, key) == &one);
        PP_CHECK_EQ(pp_map_put(&m, key, &rc), PP_OK); /* replacing needs no memory */
    }
    pp_map_fini(&m);
    return rc == PP_OK;
}

PP_TEST_CASE(failed_allocation_changes_nothing)
{
    PP_CHECK_FAIL_EACH(put_some);
}

PP_TEST_MAIN()
