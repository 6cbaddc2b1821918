/* Smooth weighted round robin: at each pick every usable endpoint earns its weight, the richest is
 * chosen and pays what all earned together. Weights 5, 1, 1 give a a b a c a a, not a a a a a b c.
 *
 * Endpoints of the same weight earn the same, so among them the order never changes: who was chosen
 * goes to the end of the queue. One queue for each weight, and one sum for what its members have
 * earned since they came, make a pick as long as there are distinct weights:
 *
 *   weight 5: earned 15   a(-12)              a has 3
 *   weight 1: earned  3   c(0) ─► b(-7) ─┐    c has 3, b has -4
 *              front ─────^◄─────────────┘
 */
#include "base/mem.h"
#include "route/balance.h"

struct queue {
    uint32_t weight;
    uint32_t last;   /* of a ring: next[last] is the front */
    uint64_t earned; /* by each member; wraps, as what members have paid does */
};

struct balance_rr {
    struct pp_balance base;
    uint32_t n_queue;
    uint64_t earned; /* by all at one pick */
    /* <base.n> of each: */
    struct queue *queue;
    uint64_t *credit; /* without what its queue has earned, while it is in one */
    uint32_t *next;   /* in its queue; PP_ID_NONE: in none */
    uint32_t *order;  /* scratch of update */
};

static struct pp_balance *create(const struct pp_balance_conf *conf PP_UNUSED, uint32_t n)
{
    struct balance_rr *rr;
    size_t each = sizeof(rr->queue[0]) + sizeof(rr->credit[0]) + 2 * sizeof(rr->next[0]);
    rr = pp_mem_zalloc(sizeof(*rr) + n * each);
    if (!rr)
        return NULL;
    rr->base = (struct pp_balance){&pp_balance_rr_ops, n};
    rr->queue = (struct queue *)(rr + 1);
    rr->credit = (uint64_t *)(rr->queue + n);
    rr->next = (uint32_t *)(rr->credit + n);
    rr->order = rr->next + n;
    for (uint32_t i = 0; i < n; i++)
        rr->next[i] = PP_ID_NONE;
    return &rr->base;
}

static void release(struct pp_balance *b)
{
    pp_mem_free(b);
}

/* Every endpoint into <order>: those that wait, in the order in which they do, before the others.
 * All have their whole credit then. */
static void empty_queues(struct balance_rr *rr)
{
    uint32_t n = 0;
    for (const struct queue *q = rr->queue; q < rr->queue + rr->n_queue; q++) {
        uint32_t i = q->last;
        do {
            i = rr->next[i];
            rr->credit[i] += q->earned;
            rr->order[n++] = i;
        } while (i != q->last);
    }
    for (uint32_t i = 0; i < rr->base.n; i++)
        if (rr->next[i] == PP_ID_NONE)
            rr->order[n++] = i;
    rr->n_queue = 0;
}

static void enqueue(struct balance_rr *rr, uint32_t i, uint32_t weight)
{
    /* From the back: neighbours often weigh the same. */
    struct queue *q = rr->queue + rr->n_queue;
    while (q > rr->queue && q[-1].weight != weight)
        q--;
    if (q > rr->queue) {
        q--;
        rr->next[i] = rr->next[q->last];
        rr->next[q->last] = i;
        q->last = i;
        return;
    }
    rr->next[i] = i;
    rr->queue[rr->n_queue++] = (struct queue){.weight = weight, .last = i};
}

static void update(struct pp_balance *b, const struct pp_balance_view *view)
{
    struct balance_rr *rr = (struct balance_rr *)b;
    empty_queues(rr);
    rr->earned = 0;
    for (uint32_t k = 0; k < b->n; k++) {
        uint32_t i = rr->order[k];
        rr->next[i] = PP_ID_NONE;
        /* An endpoint that is down keeps its credit: it neither saves up nor loses its place. */
        if (!view[i].usable)
            continue;
        enqueue(rr, i, view[i].weight);
        rr->earned += view[i].weight;
    }
}

/* What was tried earns nothing at this pick. */
static uint64_t pay_tried(struct balance_rr *rr, const struct pp_balance_pick *p)
{
    uint64_t less = 0;
    for (uint64_t left = p->tried; left != 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        if (i >= rr->base.n)
            break;
        if (rr->next[i] == PP_ID_NONE)
            continue;
        rr->credit[i] -= p->view[i].weight;
        less += p->view[i].weight;
    }
    return less;
}

/* Who stands before the first of <q> that may be chosen; PP_ID_NONE: none may. */
static uint32_t before_first(const struct balance_rr *rr, const struct queue *q,
                             const struct pp_balance_pick *p)
{
    uint32_t at = q->last;
    do {
        if (pp_balance_may(p, rr->next[at]))
            return at;
        at = rr->next[at];
    } while (at != q->last);
    return PP_ID_NONE;
}

/* The one behind <before>, the first of <q> that may be chosen, goes behind the others that may be.
 * Not behind those that were tried: it was chosen in their stead, and has its own turn yet. */
static void to_the_end(struct balance_rr *rr, struct queue *q, uint32_t before,
                       const struct pp_balance_pick *p)
{
    uint32_t i = rr->next[before], end = p->tried == 0 ? q->last : PP_ID_NONE;
    if (i == q->last)
        return;
    for (uint32_t at = i; p->tried != 0 && at != q->last;) {
        at = rr->next[at];
        if (pp_balance_may(p, at))
            end = at;
    }
    if (end == PP_ID_NONE)
        return;
    rr->next[before] = rr->next[i];
    rr->next[i] = rr->next[end];
    rr->next[end] = i;
    if (end == q->last)
        q->last = i;
}

static uint32_t pick_among(struct balance_rr *rr, const struct pp_balance_pick *p)
{
    struct queue *from = NULL;
    uint32_t best = PP_ID_NONE, before = PP_ID_NONE;
    int64_t most = 0;
    for (struct queue *q = rr->queue; q < rr->queue + rr->n_queue; q++) {
        uint32_t at = before_first(rr, q, p);
        if (at == PP_ID_NONE)
            continue;
        uint32_t i = rr->next[at];
        int64_t has = (int64_t)(rr->credit[i] + q->earned + q->weight);
        if (best == PP_ID_NONE || has > most || (has == most && i < best)) {
            best = i;
            before = at;
            most = has;
            from = q;
        }
    }
    if (best == PP_ID_NONE)
        return best;
    for (struct queue *q = rr->queue; q < rr->queue + rr->n_queue; q++)
        q->earned += q->weight;
    rr->credit[best] -= rr->earned - pay_tried(rr, p);
    to_the_end(rr, from, before, p);
    return best;
}

static uint32_t pick(struct pp_balance *b, struct pp_balance_pick *p)
{
    struct balance_rr *rr = (struct balance_rr *)b;
    if (rr->n_queue == 1 && p->tried == 0) { /* nobody to settle accounts with */
        struct queue *only = rr->queue;
        return only->last = rr->next[only->last];
    }
    return pick_among(rr, p);
}

const struct pp_balance_ops pp_balance_rr_ops = {"round_robin", 0, create, release, update, pick};
