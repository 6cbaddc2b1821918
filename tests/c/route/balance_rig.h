/* A row of endpoints and a policy over it, for the tests of the policies. */
#ifndef PP_TEST_BALANCE_RIG_H
#define PP_TEST_BALANCE_RIG_H

#include "base/mem.h"
#include "route/balance.h"

#include "pp_test.h"

#define RIG_MOST 1024

struct rig {
    struct pp_balance_view view[RIG_MOST];
    uint32_t n;
    struct pp_rng rng;
    struct pp_balance *b;
    uint64_t total;
};

static inline void rig_begin(struct rig *r, const struct pp_balance_ops *ops,
                             const struct pp_balance_conf *conf, uint32_t n)
{
    static const struct pp_balance_conf none;
    memset(r, 0, sizeof(*r));
    r->n = n;
    for (uint32_t i = 0; i < n; i++)
        r->view[i] =
            (struct pp_balance_view){.key = pp_balance_mix(1000 + i), .weight = 1, .usable = true};
    pp_rng_init(&r->rng, 7);
    r->b = ops->create(conf != NULL ? conf : &none, n);
    PP_CHECK(r->b != NULL);
}

static inline void rig_update(struct rig *r)
{
    r->b->ops->update(r->b, r->view);
}

static inline uint32_t rig_pick(struct rig *r, uint64_t hash, uint64_t tried)
{
    struct pp_balance_pick p = {.view = r->view, .hash = hash, .tried = tried, .rng = &r->rng};
    p.total = r->total;
    return r->b->ops->pick(r->b, &p);
}

static inline void rig_end(struct rig *r)
{
    const struct pp_balance_ops *ops = r->b->ops;
    ops->free(r->b);
    ops->free(NULL);
}

/* What every policy does: PP_ID_NONE without endpoints, none that is not usable or was tried,
 * and all when each of them is the last one left. */
static inline void rig_common(const struct pp_balance_ops *ops)
{
    static struct rig r;
    rig_begin(&r, ops, NULL, 0);
    rig_update(&r);
    PP_CHECK_EQ(rig_pick(&r, 1, 0), PP_ID_NONE);
    rig_end(&r);

    rig_begin(&r, ops, NULL, 5);
    PP_CHECK_EQ(rig_pick(&r, 1, 0), PP_ID_NONE); /* not updated yet */
    r.view[1].usable = r.view[3].usable = false;
    rig_update(&r);
    for (uint64_t h = 0; h < 500; h++) {
        uint32_t i = rig_pick(&r, pp_balance_mix(h), 0);
        PP_CHECK(i == 0 || i == 2 || i == 4);
        PP_CHECK_EQ(rig_pick(&r, pp_balance_mix(h), 1 << 0 | 1 << 4), 2);
        PP_CHECK_EQ(rig_pick(&r, pp_balance_mix(h), 1 << 0 | 1 << 2 | 1 << 4), PP_ID_NONE);
    }
    for (uint32_t only = 0; only < 5; only++) {
        for (uint32_t i = 0; i < 5; i++)
            r.view[i].usable = i == only;
        rig_update(&r);
        for (uint64_t h = 0; h < 20; h++)
            PP_CHECK_EQ(rig_pick(&r, pp_balance_mix(h), 0), only);
    }
    r.view[4].usable = false;
    rig_update(&r);
    PP_CHECK_EQ(rig_pick(&r, 1, 0), PP_ID_NONE);
    rig_end(&r);

    /* The largest weights, beside the smallest. */
    rig_begin(&r, ops, NULL, 3);
    r.view[0].weight = UINT32_MAX;
    rig_update(&r);
    for (uint64_t h = 0; h < 100; h++)
        PP_CHECK(rig_pick(&r, pp_balance_mix(h), 0) < 3);
    rig_end(&r);
}

/* Its share of <picks> by weight: got within <tolerance> standard deviations of a fair draw. */
static inline void rig_check_share(uint32_t got, double share, double picks, double tolerance)
{
    double mean = picks * share, off = got - mean;
    PP_CHECK(off * off <= tolerance * tolerance * (mean * (1 - share) + 1));
}

#define RIG_CREATE_FAILS(policy)                                                                   \
    static bool create_once(void)                                                                  \
    {                                                                                              \
        struct pp_balance *b = (policy).create(&(struct pp_balance_conf){0}, 4);                   \
        if (!b)                                                                                    \
            return false;                                                                          \
        b->ops->free(b);                                                                           \
        return true;                                                                               \
    }                                                                                              \
    PP_TEST_CASE(creation_survives_a_failed_allocation)                                            \
    {                                                                                              \
        PP_CHECK_FAIL_EACH(create_once);                                                           \
    }

#endif
