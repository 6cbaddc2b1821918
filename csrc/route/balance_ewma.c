/* Peak EWMA: a slow answer counts at once, quick ones mend the picture with time, and what is not
 * asked any more is forgotten and asked again. */
#include "base/mem.h"
#include "route/balance_draw.h"

/* Cost of an endpoint that is being asked for the first time: one request at a time finds out. */
#define UNKNOWN_US 1e6

struct balance_ewma {
    struct pp_balance base;
    struct pp_balance_draw draw;
};

static struct pp_balance *create(const struct pp_balance_conf *conf PP_UNUSED, uint32_t n)
{
    struct balance_ewma *e = pp_mem_zalloc(sizeof(*e) + PP_BALANCE_DRAW_BYTES(n));
    if (!e)
        return NULL;
    e->base = (struct pp_balance){&pp_balance_ewma_ops, n};
    pp_balance_draw_init(&e->draw, e + 1, n);
    return &e->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

static void update(struct pp_balance *b, const struct pp_balance_view *view)
{
    pp_balance_draw_update(&((struct balance_ewma *)b)->draw, view, b->n);
}

static double cost(const struct pp_balance_view *v)
{
    double us = (double)v->ewma_us;
    if (v->ewma_us == 0)
        us = v->active == 0 ? 0 : UNKNOWN_US;
    return us * (v->active + 1.0) / v->weight;
}

static uint32_t pick(struct pp_balance *b, struct pp_balance_pick *p)
{
    const struct balance_ewma *e = (const struct balance_ewma *)b;
    uint32_t first = pp_balance_draw_one(&e->draw, p);
    uint32_t second = pp_balance_draw_other(&e->draw, p, first);
    if (second == PP_ID_NONE)
        return first;
    if (p->look) {
        p->look(p, first);
        p->look(p, second);
    }
    return cost(&p->view[first]) <= cost(&p->view[second]) ? first : second;
}

/* 2^-(elapsed/half) of 2^16, straight between the powers. */
static uint64_t rest(uint64_t elapsed_us, uint64_t half_us)
{
    uint64_t halves = elapsed_us / half_us;
    if (halves >= 16)
        return 0;
    uint64_t part = (elapsed_us % half_us * 65536) / half_us;
    return (65536 - part / 2) >> halves;
}

/* Longer than any latency: what a product may have without losing bits. */
#define VALUE_MAX ((uint64_t)1 << 47)

uint64_t pp_balance_ewma_decay(uint64_t value, uint64_t elapsed_us, uint64_t half_us)
{
    return PP_MIN(value, VALUE_MAX) * rest(elapsed_us, half_us) >> 16;
}

uint64_t pp_balance_ewma_note(uint64_t value, uint64_t elapsed_us, uint64_t half_us,
                              uint64_t sample)
{
    sample = PP_MIN(PP_MAX(sample, 1), VALUE_MAX);
    value = PP_MIN(value, VALUE_MAX);
    if (value == 0 || sample >= value)
        return sample;
    uint64_t old = rest(elapsed_us, half_us);
    return (value * old + sample * (65536 - old)) >> 16;
}

const struct pp_balance_ops pp_balance_ewma_ops = {
    "peak_ewma", PP_BALANCE_USES_ACTIVE | PP_BALANCE_USES_LATENCY, create, release, update, pick};
