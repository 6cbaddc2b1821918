/* What both hashing policies promise. */
#ifndef PP_TEST_BALANCE_RIG_HASH_H
#define PP_TEST_BALANCE_RIG_HASH_H

#include "balance_rig.h"

#define KEYS 20000

static uint32_t home[KEYS];
static struct rig r;

static uint64_t hash_of(uint32_t key)
{
    return pp_balance_mix(0xabcdef00000000u + key);
}

static void settle_all(void)
{
    for (uint32_t k = 0; k < KEYS; k++)
        home[k] = rig_pick(&r, hash_of(k), 0);
}

/* Keys that are elsewhere now, but those whose endpoint was <gone>. */
static uint32_t moved_from_others(uint32_t gone)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < KEYS; k++)
        n += home[k] != gone && home[k] != rig_pick(&r, hash_of(k), 0);
    return n;
}

/* Shares of equal endpoints, at most <spread> of the mean away from it. */
static void check_spread(const struct pp_balance_ops *ops, uint32_t n, double spread)
{
    uint32_t got[RIG_MOST] = {0};
    rig_begin(&r, ops, NULL, n);
    rig_update(&r);
    settle_all();
    for (uint32_t k = 0; k < KEYS; k++)
        got[home[k]]++;
    double mean = (double)KEYS / n;
    for (uint32_t i = 0; i < n; i++)
        PP_CHECK(got[i] > mean * (1 - spread) && got[i] < mean * (1 + spread));
    rig_end(&r);
}

static void check_weights(const struct pp_balance_ops *ops, double spread)
{
    static const uint32_t weights[] = {1, 2, 3, 4};
    uint32_t got[4] = {0};
    rig_begin(&r, ops, NULL, 4);
    for (int i = 0; i < 4; i++)
        r.view[i].weight = weights[i];
    rig_update(&r);
    settle_all();
    for (uint32_t k = 0; k < KEYS; k++)
        got[home[k]]++;
    for (int i = 0; i < 4; i++) {
        double mean = KEYS * weights[i] / 10.0;
        PP_CHECK(got[i] > mean * (1 - spread) && got[i] < mean * (1 + spread));
    }
    rig_end(&r);
}

/* An endpoint that is not usable moves its own keys and no others, and gets them back. */
static void check_unusable(const struct pp_balance_ops *ops)
{
    uint32_t got[10] = {0};
    rig_begin(&r, ops, NULL, 10);
    rig_update(&r);
    settle_all();
    r.view[4].usable = false;
    rig_update(&r);
    PP_CHECK_EQ(moved_from_others(4), 0);
    for (uint32_t k = 0; k < KEYS; k++)
        if (home[k] == 4)
            got[rig_pick(&r, hash_of(k), 0)]++;
    for (uint32_t i = 0; i < 10; i++) /* they are spread over all that are left */
        PP_CHECK(i == 4 ? got[i] == 0 : got[i] > KEYS / 10 / 9 / 2);
    r.view[4].usable = true;
    rig_update(&r);
    PP_CHECK_EQ(moved_from_others(PP_ID_NONE), 0);
    rig_end(&r);
}

/* The configuration loses one of <n> endpoints, the one in the middle: how many keys of the others
 * move, of 1000? The order of the endpoints does not matter. */
static uint32_t moved_by_removal(const struct pp_balance_ops *ops, uint32_t n)
{
    uint64_t keys[RIG_MOST];
    uint32_t gone = n / 2, moved = 0;
    rig_begin(&r, ops, NULL, n);
    rig_update(&r);
    settle_all();
    for (uint32_t i = 0; i < n; i++)
        keys[i] = r.view[i].key;
    rig_end(&r);
    rig_begin(&r, ops, NULL, n - 1);
    for (uint32_t i = 0, k = n; i < n - 1; i++) { /* back to front */
        k -= k - 1 == gone ? 2 : 1;
        r.view[i].key = keys[k];
    }
    rig_update(&r);
    for (uint32_t k = 0; k < KEYS; k++)
        moved += home[k] != gone && keys[home[k]] != r.view[rig_pick(&r, hash_of(k), 0)].key;
    rig_end(&r);
    return moved * 1000 / KEYS;
}

/* Nobody has more than the factor times its share, however lopsided the keys are. */
static void check_bound(const struct pp_balance_ops *ops)
{
    struct pp_balance_conf conf = {.bound_percent = 125};
    rig_begin(&r, ops, &conf, 8);
    r.view[0].weight = 2;
    rig_update(&r);
    uint64_t state = 2;
    for (r.total = 0; r.total < 4000; r.total++) {
        /* Half of all requests have one and the same key. */
        uint64_t x = pp_test_random(&state);
        uint32_t i = rig_pick(&r, hash_of(x % 2 == 0 ? 1 : (uint32_t)(x >> 40)), 0);
        uint32_t share = (uint32_t)(125 * (r.total + 1) * r.view[i].weight / (9 * 100)) + 1;
        PP_CHECK(++r.view[i].active <= share);
    }
    /* A key whose endpoint has room stays there. */
    for (uint32_t i = 0; i < 8; i++)
        r.view[i].active = 0;
    r.total = 0;
    uint32_t at = rig_pick(&r, hash_of(1), 0);
    r.total = 8;
    for (uint32_t i = 0; i < 8; i++)
        r.view[i].active = 1;
    PP_CHECK_EQ(rig_pick(&r, hash_of(1), 0), at);
    /* Numbers that do not fit together: still one is chosen. */
    for (uint32_t i = 0; i < 8; i++)
        r.view[i].active = 1000;
    PP_CHECK_EQ(rig_pick(&r, hash_of(1), 0), at);
    rig_end(&r);
}

#endif
