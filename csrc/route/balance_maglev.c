/* A table that endpoints fill in turn; a key belongs to who has its slot. */
#include "base/mem.h"
#include "route/balance_bound.h"

#define SLOTS PP_BALANCE_MAGLEV_SLOTS
/* Hashes of a key that are tried before all endpoints are looked at in turn. */
#define HASHES 64

/* One endpoint while the table is filled. */
struct filler {
    uint64_t due;        /* its next turn, in weights of the heaviest */
    uint32_t slot, skip; /* where its permutation stands, and its step */
};

struct balance_maglev {
    struct pp_balance base;
    struct pp_balance_bound bound;
    uint64_t mark; /* of what the table was made from */
    bool filled;
    uint32_t slot[SLOTS];
    struct filler filler[];
};

static struct pp_balance *create(const struct pp_balance_conf *conf, uint32_t n)
{
    struct balance_maglev *m = pp_mem_zalloc(sizeof(*m) + n * sizeof(m->filler[0]));
    if (!m)
        return NULL;
    m->base = (struct pp_balance){&pp_balance_maglev_ops, n};
    m->bound.percent = conf->bound_percent;
    return &m->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

/* The next free slot of <f>'s permutation: there is one, for its step is prime to the size. */
static void take_slot(struct balance_maglev *m, struct filler *f, uint32_t i)
{
    while (m->slot[f->slot] != PP_ID_NONE)
        f->slot = (f->slot + f->skip) % SLOTS;
    m->slot[f->slot] = i;
}

/* Round after round each endpoint takes a slot, a light one not in every round (the paper, section
 * 3.4). */
static void fill(struct balance_maglev *m, const struct pp_balance_view *view)
{
    uint32_t n = m->base.n, left = SLOTS;
    uint64_t heaviest = 1;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t h = pp_balance_mix(view[i].key);
        m->filler[i] = (struct filler){.slot = (uint32_t)(h % SLOTS),
                                       .skip = (uint32_t)(pp_balance_mix(h) % (SLOTS - 1)) + 1};
        heaviest = PP_MAX(heaviest, view[i].weight);
    }
    for (uint32_t k = 0; k < SLOTS; k++)
        m->slot[k] = PP_ID_NONE;
    for (uint64_t round = 1; left > 0; round++) {
        for (uint32_t i = 0; i < n && left > 0; i++) {
            struct filler *f = &m->filler[i];
            if (round * view[i].weight < f->due)
                continue;
            f->due += heaviest;
            take_slot(m, f, i);
            left--;
        }
    }
}

static void update(struct pp_balance *b, const struct pp_balance_view *view)
{
    struct balance_maglev *m = (struct balance_maglev *)b;
    pp_balance_bound_update(&m->bound, view, b->n);
    uint64_t mark = pp_balance_bound_mark(view, b->n);
    if (b->n > 0 && !(m->filled && mark == m->mark)) {
        fill(m, view);
        m->mark = mark;
        m->filled = true;
    }
}

/* May endpoint <i> be it? *first: the first one that may but for the bound, if there was one. */
static bool fits(const struct balance_maglev *m, struct pp_balance_pick *p, uint32_t i,
                 uint32_t *first)
{
    if (!pp_balance_may(p, i))
        return false;
    if (*first == PP_ID_NONE)
        *first = i;
    return pp_balance_bound_has_room(&m->bound, p, i);
}

static uint32_t pick(struct pp_balance *b, struct pp_balance_pick *p)
{
    struct balance_maglev *m = (struct balance_maglev *)b;
    uint32_t first = PP_ID_NONE;
    uint64_t hash = p->hash;
    if (!m->filled)
        return PP_ID_NONE;
    for (int k = 0; k < HASHES; k++, hash = pp_balance_mix(hash)) {
        uint32_t i = m->slot[hash % SLOTS];
        if (fits(m, p, i, &first))
            return i;
    }
    for (uint32_t k = 0, i = (uint32_t)(hash % b->n); k < b->n; k++, i = (i + 1) % b->n) {
        if (fits(m, p, i, &first))
            return i;
    }
    return first;
}

const struct pp_balance_ops pp_balance_maglev_ops = {
    "maglev", PP_BALANCE_USES_HASH, create, release, update, pick};
