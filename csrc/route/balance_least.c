/* Of two endpoints that are drawn, the one that has less to do. */
#include "base/mem.h"
#include "route/balance_draw.h"

struct balance_least {
    struct pp_balance base;
    struct pp_balance_draw draw;
};

static struct pp_balance *create(const struct pp_balance_conf *conf PP_UNUSED, uint32_t n)
{
    struct balance_least *l = pp_mem_zalloc(sizeof(*l) + PP_BALANCE_DRAW_BYTES(n));
    if (!l)
        return NULL;
    l->base = (struct pp_balance){&pp_balance_least_ops, n};
    pp_balance_draw_init(&l->draw, l + 1, n);
    return &l->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

static void update(struct pp_balance *b, const struct pp_balance_view *view)
{
    pp_balance_draw_update(&((struct balance_least *)b)->draw, view, b->n);
}

static uint32_t pick(struct pp_balance *b, struct pp_balance_pick *p)
{
    const struct balance_least *l = (const struct balance_least *)b;
    uint32_t first = pp_balance_draw_one(&l->draw, p);
    uint32_t second = pp_balance_draw_other(&l->draw, p, first);
    if (second == PP_ID_NONE)
        return first;
    if (p->look) {
        p->look(p, first);
        p->look(p, second);
    }
    const struct pp_balance_view *x = &p->view[first], *y = &p->view[second];
    if (x->active == 0 && y->active == 0)
        return first;
    /* (active + 1) / weight, without dividing */
    return (uint64_t)(x->active + 1) * y->weight <= (uint64_t)(y->active + 1) * x->weight ? first
                                                                                          : second;
}

const struct pp_balance_ops pp_balance_least_ops = {
    "least_request", PP_BALANCE_USES_ACTIVE, create, release, update, pick};
