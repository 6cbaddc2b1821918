#include "proxy/leases.c"

#include "pp_test.h"

#define TERM_US (PP_LEASE_TERM_NS / 1000)

/* Two workers over one table. */
struct worker {
    struct pp_loop loop;
    struct pp_shared shared;
    struct pp_leases ls;
};

static _Alignas(64) char memory[8192];
static const struct pp_hash_seed seed = {1, 2};
static struct worker one, two;

static void at(uint64_t us)
{
    one.loop.now_us = two.loop.now_us = us;
    one.loop.now_ms = two.loop.now_ms = us / 1000;
}

static void begin_one(struct worker *w)
{
    memset(w, 0, sizeof(*w));
    PP_CHECK_EQ(pp_loop_init(&w->loop, NULL), PP_OK);
    PP_CHECK_EQ(pp_shared_open(&w->shared, memory, sizeof(memory)), PP_OK);
    pp_leases_init(&w->ls, &w->loop, &w->shared, &seed);
}

static void begin(void)
{
    struct pp_shtable t;
    memset(memory, 0, sizeof(memory));
    PP_CHECK_EQ(pp_shtable_format(&t, memory, sizeof(memory), seed), PP_OK);
    begin_one(&one);
    begin_one(&two);
    at(100 * TERM_US);
}

static void end_one(struct worker *w)
{
    pp_leases_fini(&w->ls);
    pp_shared_fini(&w->shared);
    pp_loop_fini(&w->loop);
}

static struct pp_shtable_key key_of(const char *name)
{
    struct pp_shtable_key key;
    pp_shtable_hash(&two.shared.table, 1, pp_span(name, strlen(name)), &key);
    return key;
}

static struct pp_holding *take(struct worker *w, const char *name, uint32_t limit)
{
    struct pp_shtable_key key = key_of(name);
    struct pp_holding *held = NULL;
    uint32_t count = 0;
    int rc = pp_leases_take(&w->ls, &key, limit, &held, &count);
    PP_CHECK(rc == PP_OK || rc == PP_ELIMIT);
    PP_CHECK(count <= limit);
    return rc == PP_OK ? held : NULL;
}

static void tick(struct worker *w)
{
    pp_loop_stop(&w->loop, &w->ls.timer);
    on_timer(&w->ls.timer);
}

PP_TEST_CASE(two_workers_share_a_limit)
{
    long live = pp_mem_live_for_test();
    begin();
    struct pp_holding *a = take(&one, "k", 2), *b = take(&two, "k", 2);
    PP_REQUIRE(a != NULL && b != NULL);
    PP_CHECK(take(&one, "k", 2) == NULL);
    PP_CHECK(take(&two, "k", 2) == NULL);
    struct pp_holding *other = take(&two, "other", 1);
    PP_CHECK(other != NULL);
    pp_leases_give_back(&one.ls, a);
    PP_CHECK(take(&two, "k", 2) == b);
    PP_CHECK_EQ(b->lease.n, 2);
    pp_leases_give_back(&two.ls, b);
    pp_leases_give_back(&two.ls, b);
    pp_leases_give_back(&two.ls, other);
    end_one(&one);
    end_one(&two);
    PP_CHECK_EQ(pp_mem_live_for_test(), live);
}

PP_TEST_CASE(what_is_held_is_renewed_and_what_is_not_is_dropped)
{
    begin();
    struct pp_holding *a = take(&one, "k", 2), *idle = take(&one, "idle", 2);
    PP_REQUIRE(a != NULL && idle != NULL);
    pp_leases_give_back(&one.ls, idle);
    PP_CHECK(pp_timer_is_pending(&one.ls.timer));
    for (int i = 1; i <= 30; i++) {
        at(100 * TERM_US + (uint64_t)i * TERM_US / 3);
        tick(&one);
    }
    struct pp_shtable_key key = key_of("idle");
    PP_CHECK(pp_map_get(&one.ls.map, name_of(&key)) == NULL);
    PP_CHECK(take(&two, "k", 1) == NULL);
    PP_CHECK(take(&two, "k", 2) != NULL);
    pp_leases_give_back(&one.ls, a);
    tick(&one);
    PP_CHECK(pp_list_is_empty(&one.ls.all));
    PP_CHECK(!pp_timer_is_pending(&one.ls.timer));
    end_one(&one);
    end_one(&two);
}

PP_TEST_CASE(a_killed_worker_gives_back_by_itself)
{
    begin();
    PP_CHECK(take(&one, "k", 2) != NULL);
    PP_CHECK(take(&one, "k", 2) != NULL);
    PP_CHECK(take(&two, "k", 2) == NULL);
    end_one(&one); /* it does not give anything back */
    at(101 * TERM_US);
    PP_CHECK(take(&two, "k", 2) == NULL);
    at(102 * TERM_US);
    PP_CHECK(take(&two, "k", 2) != NULL);
    PP_CHECK(take(&two, "k", 2) != NULL);
    PP_CHECK(take(&two, "k", 2) == NULL);
    end_one(&two);
}

PP_TEST_CASE(without_memory_nothing_is_taken)
{
    for (long n = 0; n < 3; n++) {
        long live = pp_mem_live_for_test();
        struct pp_holding *held = NULL;
        uint32_t count;
        begin();
        struct pp_shtable_key key = key_of("k");
        pp_mem_fail_after_for_test(n);
        int rc = pp_leases_take(&one.ls, &key, 1, &held, &count);
        pp_mem_fail_after_for_test(-1);
        PP_CHECK(rc == PP_ENOMEM || rc == PP_OK);
        PP_CHECK_EQ(rc == PP_OK, held != NULL);
        if (held != NULL)
            pp_leases_give_back(&one.ls, held);
        PP_CHECK(take(&one, "k", 1) != NULL);
        end_one(&one);
        end_one(&two);
        PP_CHECK_EQ(pp_mem_live_for_test(), live);
    }
}

PP_TEST_MAIN()
