/* A ring of points, as many for each endpoint as its weight deserves; a key belongs to the first
 * point at or after its hash. Points are one word each, hash above and endpoint below, in order:
 *
 *   [ hash:40 | index:24 ] [ hash:40 | index:24 ] ...
 */
#include "base/check.h"
#include "base/mem.h"
#include "route/balance_bound.h"

#include <string.h>

#define INDEX_BITS 24
#define INDEX_MASK (((uint64_t)1 << INDEX_BITS) - 1)

struct balance_ring {
    struct pp_balance base;
    struct pp_balance_bound bound;
    uint64_t mark; /* of what the ring was made from */
    uint32_t each; /* points of an endpoint of mean weight */
    uint32_t n_point, cap;
    uint64_t point[]; /* <cap>, and as many again to sort them with */
};

static struct pp_balance *create(const struct pp_balance_conf *conf, uint32_t n)
{
    uint64_t each = conf->points != 0 ? conf->points : PP_BALANCE_POINTS;
    if (n > INDEX_MASK)
        return NULL;
    each = PP_MIN(each, PP_BALANCE_POINTS_MAX / PP_MAX(n, 1));
    /* One more for rounding: every endpoint has a point, be its weight ever so small. */
    uint64_t cap = n * (each + 1);
    struct balance_ring *r = pp_mem_zalloc(sizeof(*r) + 2 * cap * sizeof(r->point[0]));
    if (!r)
        return NULL;
    r->base = (struct pp_balance){&pp_balance_ring_ops, n};
    r->bound.percent = conf->bound_percent;
    r->each = (uint32_t)each;
    r->cap = (uint32_t)cap;
    return &r->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

/* By the upper 40 bits, a byte at a time; points that come together keep the order of their
 * endpoints. <spare> has room for all. */
static void sort(uint64_t *point, uint64_t *spare, uint32_t n)
{
    for (unsigned shift = INDEX_BITS; shift < 64; shift += 8) {
        uint32_t start[257] = {0};
        for (uint32_t i = 0; i < n; i++)
            start[(point[i] >> shift & 255) + 1]++;
        for (unsigned k = 1; k < 256; k++)
            start[k] += start[k - 1];
        for (uint32_t i = 0; i < n; i++)
            spare[start[point[i] >> shift & 255]++] = point[i];
        uint64_t *sorted = spare;
        spare = point;
        point = sorted;
    }
    /* Five rounds: what is in order stands in the memory of <spare> as it was given. */
    memcpy(spare, point, n * sizeof(point[0]));
}
PP_STATIC_ASSERT((64 - INDEX_BITS) / 8 % 2 == 1, "the last round leaves them in the spare memory");

static void build(struct balance_ring *r, const struct pp_balance_view *view)
{
    uint64_t sum = 0, most = (uint64_t)r->each * r->base.n;
    for (uint32_t i = 0; i < r->base.n; i++)
        sum += view[i].weight;
    r->n_point = 0;
    for (uint32_t i = 0; i < r->base.n; i++) {
        /* As many whoever else is there, if all weigh the same: who goes moves nobody's points. Of
         * two endpoints at the same address one is the other's shadow. */
        uint64_t points = PP_MAX(most * view[i].weight / sum, 1);
        uint64_t hash = view[i].key;
        for (uint64_t k = 0; k < points; k++) {
            hash = pp_balance_mix(hash + k);
            r->point[r->n_point++] = (hash & ~INDEX_MASK) | i;
        }
    }
    PP_ASSERT(r->n_point <= r->cap);
    sort(r->point, r->point + r->cap, r->n_point);
}

static void update(struct pp_balance *b, const struct pp_balance_view *view)
{
    struct balance_ring *r = (struct balance_ring *)b;
    pp_balance_bound_update(&r->bound, view, b->n);
    uint64_t mark = pp_balance_bound_mark(view, b->n);
    if (r->n_point > 0 && mark == r->mark)
        return;
    build(r, view);
    r->mark = mark;
}

/* The first point at or after <hash>; <n_point> when all stand before it. */
static uint32_t lower_bound(const struct balance_ring *r, uint64_t hash)
{
    uint32_t low = 0, n = r->n_point;
    hash &= ~INDEX_MASK;
    while (n > 0) {
        uint32_t half = n / 2;
        if (r->point[low + half] < hash) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

static uint32_t pick(struct pp_balance *b, struct pp_balance_pick *p)
{
    struct balance_ring *r = (struct balance_ring *)b;
    uint32_t at = lower_bound(r, p->hash), first = PP_ID_NONE;
    for (uint32_t k = 0; k < r->n_point; k++, at++) {
        if (at >= r->n_point)
            at = 0;
        uint32_t i = (uint32_t)(r->point[at] & INDEX_MASK);
        if (!pp_balance_may(p, i))
            continue;
        if (pp_balance_bound_has_room(&r->bound, p, i))
            return i;
        if (first == PP_ID_NONE)
            first = i;
    }
    return first;
}

const struct pp_balance_ops pp_balance_ring_ops = {
    "ring_hash", PP_BALANCE_USES_HASH, create, release, update, pick};
