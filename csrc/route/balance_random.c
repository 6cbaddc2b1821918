/* A draw by weight. */
#include "base/mem.h"
#include "route/balance_draw.h"

struct balance_random {
    struct pp_balance base;
    struct pp_balance_draw draw;
};

static struct pp_balance *create(const struct pp_balance_conf *conf PP_UNUSED, uint32_t n)
{
    struct balance_random *r = pp_mem_zalloc(sizeof(*r) + PP_BALANCE_DRAW_BYTES(n));
    if (!r)
        return NULL;
    r->base = (struct pp_balance){&pp_balance_random_ops, n};
    pp_balance_draw_init(&r->draw, r + 1, n);
    return &r->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

static void update(struct pp_balance *b, const struct pp_balance_view *view)
{
    pp_balance_draw_update(&((struct balance_random *)b)->draw, view, b->n);
}

static uint32_t pick(struct pp_balance *b, struct pp_balance_pick *p)
{
    return pp_balance_draw_one(&((struct balance_random *)b)->draw, p);
}

const struct pp_balance_ops pp_balance_random_ops = {"random", 0, create, release, update, pick};
