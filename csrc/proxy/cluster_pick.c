/* Which endpoints may be chosen, with which weights, and the choice.
 *
 * Most picks change nothing but the policy's own place: what is usable is reckoned anew only when
 * something was marked, when all workers were told something, or when a slow start has come a step
 * further. */
#include "base/check.h"
#include "proxy/adaptive.h"
#include "proxy/cluster_outlier.h"

/* Latencies count half after this time (Finagle: decay time 10 s, which is this half-life). */
#define HALF_US 7000000
/* A failed try was at least as bad as this: refusing quickly must not attract requests. */
#define FAILED_US 1000000

#define TAKEN_OUT (PP_CLUSTER_DRAIN | PP_CLUSTER_DOWN)

struct pick {
    struct pp_balance_pick base;
    struct pp_cluster *cl;
};

/* ---- what is usable ---- */

static bool has_record(const struct pp_endpoint *ep)
{
    return ep->record != ep->cluster->core->metrics.fallback[PP_METRIC_ENDPOINT];
}

/* What all workers were told of <ep>. */
static uint64_t told(const struct pp_endpoint *ep, uint32_t word)
{
    return has_record(ep) ? pp_metrics_told(&ep->cluster->core->metrics, ep->record, word) : 0;
}

/* Put together what the three places say. */
static void settle(struct pp_endpoint *ep, bool first)
{
    const struct pp_cluster *cl = ep->cluster;
    unsigned state = (unsigned)told(ep, PP_METRIC_WORD(ENDPOINT, STATE));
    unsigned out = (state & PP_CLUSTER_READY) != 0 ? 0 : ep->out_conf;
    out |= (state & ~(unsigned)PP_CLUSTER_READY) | ep->out_here;
    if (ep->out != 0 && out == 0 && !first) {
        ep->warm_ms = cl->core->loop.now_ms;
        ep->unopened = cl->conf.warm;
    }
    ep->out = (uint8_t)out;
    ep->told_weight =
        (uint32_t)PP_MIN(told(ep, PP_METRIC_WORD(ENDPOINT, WEIGHT)), (uint64_t)UINT16_MAX);
}

/* The last tier that is used, or PP_CLUSTER_TIERS when there is none that suffices. */
static unsigned last_tier(const struct pp_cluster *cl)
{
    uint32_t all[PP_CLUSTER_TIERS] = {0}, up[PP_CLUSTER_TIERS] = {0};
    for (uint32_t i = 0; i < cl->n; i++) {
        const struct pp_endpoint *ep = &cl->endpoint[i];
        all[ep->tier] += (ep->out & TAKEN_OUT) == 0;
        up[ep->tier] += ep->out == 0;
    }
    for (unsigned t = 0; t < PP_CLUSTER_TIERS; t++)
        if (up[t] > 0 && (uint64_t)up[t] * 100 >= (uint64_t)all[t] * cl->conf.balance.panic_percent)
            return t;
    return PP_CLUSTER_TIERS;
}

/* How much of its weight <ep> has now; *due_ms: when that changes, if it does sooner. */
static uint32_t share(struct pp_endpoint *ep, uint64_t *due_ms)
{
    const struct pp_cluster *cl = ep->cluster;
    const struct pp_cluster_balance *conf = &cl->conf.balance;
    uint64_t age = cl->core->loop.now_ms - ep->warm_ms;
    if (ep->warm_ms == 0)
        return PP_CLUSTER_FULL;
    if (age >= conf->slow_start_ms || pp_cluster_hashes(cl)) {
        ep->warm_ms = 0;
        return PP_CLUSTER_FULL;
    }
    uint64_t step = age * PP_CLUSTER_RAMP / conf->slow_start_ms;
    uint64_t next = ((step + 1) * conf->slow_start_ms + PP_CLUSTER_RAMP - 1) / PP_CLUSTER_RAMP;
    *due_ms = PP_MIN(*due_ms, ep->warm_ms + next);
    return PP_MAX(conf->ramp[step], 1);
}

/* Show the policy what is usable now. */
static void reckon(struct pp_cluster *cl)
{
    unsigned last = last_tier(cl);
    cl->panic = last == PP_CLUSTER_TIERS && cl->conf.balance.panic_percent > 0;
    cl->due_ms = UINT64_MAX;
    for (uint32_t i = 0; i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        struct pp_balance_view *v = &cl->view[i];
        unsigned against = cl->panic ? ep->out & TAKEN_OUT : ep->out;
        v->usable = against == 0 && ep->tier <= last;
        v->weight = (ep->told_weight != 0 ? ep->told_weight : ep->weight) * share(ep, &cl->due_ms);
    }
    cl->balance->ops->update(cl->balance, cl->view);
}

static void settle_all(struct pp_cluster *cl, bool first)
{
    cl->told_seen = __atomic_load_n(cl->told, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < cl->n; i++)
        settle(&cl->endpoint[i], first);
    reckon(cl);
}

static PP_COLD void settle_again(struct pp_cluster *cl)
{
    settle_all(cl, false);
}

static PP_COLD void reckon_again(struct pp_cluster *cl)
{
    reckon(cl);
}

/* What may be chosen is as everybody has said up to now. */
static inline void catch_up(struct pp_cluster *cl)
{
    if (PP_UNLIKELY(__atomic_load_n(cl->told, __ATOMIC_ACQUIRE) != cl->told_seen))
        settle_again(cl);
    else if (PP_UNLIKELY(cl->core->loop.now_ms >= cl->due_ms))
        reckon_again(cl);
}

void pp_cluster_catch_up(struct pp_cluster *cl)
{
    catch_up(cl);
}

void pp_cluster_mark(struct pp_endpoint *ep, unsigned bits, bool on)
{
    unsigned was = ep->out_here;
    ep->out_here = (uint8_t)(on ? was | bits : was & ~bits);
    if (ep->out_here == was)
        return;
    settle(ep, false);
    reckon(ep->cluster);
}

void pp_cluster_tell(struct pp_endpoint *ep, unsigned bits, bool on)
{
    const struct pp_metrics *m = &ep->cluster->core->metrics;
    uint32_t word = PP_METRIC_WORD(ENDPOINT, STATE);
    if (!has_record(ep) || !pp_metrics_tell(m, ep->record, word, bits, on ? bits : 0))
        pp_cluster_mark(ep, bits, on);
}

/* ---- one cluster after another ---- */

/* The <k>-th place to look at, nearest first, for what stood at <i> of about <n>: most things stay
 * where they were, or move a little. */
static uint32_t nearby(uint32_t i, uint32_t k, uint32_t n)
{
    uint32_t step = (k + 1) / 2;
    i = PP_MIN(i, n - 1);
    return (k % 2 != 0 ? i + step : i + n - step) % n;
}

struct pp_cluster *pp_cluster_namesake(const struct pp_cluster *cl, const struct pp_snapshot *sn)
{
    for (uint32_t k = 0; sn != NULL && k < sn->n_cluster; k++) {
        struct pp_cluster *old = sn->cluster[nearby(cl->index, k, sn->n_cluster)];
        if (pp_span_eq(old->name, cl->name))
            return old;
    }
    return NULL;
}

struct pp_endpoint *pp_cluster_twin(struct pp_cluster *cl, const struct pp_endpoint *ep)
{
    uint64_t key = pp_cluster_key(ep);
    for (uint32_t k = 0; k < cl->n; k++) {
        uint32_t i = nearby(ep->index, k, cl->n);
        if (cl->view[i].key == key)
            return &cl->endpoint[i];
    }
    return NULL;
}

static void inherit(struct pp_cluster *cl, struct pp_cluster *old)
{
    if (pp_breaker_is_on(&cl->conf.breaker))
        cl->breaker = old->breaker;
    for (uint32_t i = 0; i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        const struct pp_endpoint *was = pp_cluster_twin(old, ep);
        if (was == NULL) {
            ep->warm_ms = cl->core->loop.now_ms;
            continue;
        }
        ep->out_here = was->out_here;
        ep->warm_ms = was->warm_ms;
        if (was->out == 0) /* else it may be in use again now */
            ep->unopened = PP_MIN(was->unopened, cl->conf.warm);
        ep->ewma = was->ewma;
        ep->ewma_at_us = was->ewma_at_us;
    }
}

void pp_cluster_attach(struct pp_cluster *cl, struct pp_core *core)
{
    struct pp_cluster *old = pp_cluster_namesake(cl, core->snapshot);
    cl->core = core;
    cl->told = core->metrics.told;
    cl->record = pp_metrics_record(&core->metrics, PP_METRIC_UPSTREAM, cl->name);
    for (uint32_t i = 0; i < cl->n; i++) {
        cl->endpoint[i].record =
            pp_metrics_record(&core->metrics, PP_METRIC_ENDPOINT, cl->endpoint[i].name);
        if (old != cl)
            cl->endpoint[i].unopened = cl->conf.warm;
    }
    if (old != NULL && old != cl)
        inherit(cl, old);
    pp_admission_attach(cl, old);
    pp_adaptive_attach(cl, old);
    settle_all(cl, true);
    pp_cluster_outlier_attach(cl);
}

/* ---- live numbers ---- */

static void look_at(struct pp_cluster *cl, uint32_t i)
{
    struct pp_endpoint *ep = &cl->endpoint[i];
    struct pp_balance_view *v = &cl->view[i];
    const struct pp_loop *lp = &cl->core->loop;
    /* What others do is read at most once a millisecond: their counters are in their caches. */
    if (ep->others_ms != lp->now_ms) {
        ep->others_ms = lp->now_ms;
        ep->others = !has_record(ep)
                         ? 0
                         : (uint32_t)pp_metrics_elsewhere(&cl->core->metrics, ep->record,
                                                          PP_METRIC_WORD(ENDPOINT, ACTIVE));
    }
    v->active = ep->active + ep->others;
    if (pp_cluster_is_timed(cl))
        v->ewma_us = pp_balance_ewma_decay(ep->ewma, lp->now_us - ep->ewma_at_us, HALF_US) >> 8;
}

static void look(struct pp_balance_pick *p, uint32_t i)
{
    look_at(PP_CONTAINER_OF(p, struct pick, base)->cl, i);
}

/* Exchanges at all endpoints: counted once a millisecond, and with what was added since. */
static uint64_t total(struct pp_cluster *cl)
{
    if (cl->total_ms == cl->core->loop.now_ms)
        return cl->total++;
    cl->total_ms = cl->core->loop.now_ms;
    cl->total = 0;
    for (uint32_t i = 0; i < cl->n; i++) {
        look_at(cl, i);
        cl->total += cl->view[i].active;
    }
    return cl->total++;
}

void pp_cluster_observe(struct pp_endpoint *ep, uint64_t us, bool failed)
{
    struct pp_cluster *cl = ep->cluster;
    if (!pp_cluster_is_timed(cl))
        return;
    uint64_t now_us = cl->core->loop.now_us;
    if (failed)
        us = PP_MAX(us, FAILED_US);
    ep->ewma = pp_balance_ewma_note(ep->ewma, now_us - ep->ewma_at_us, HALF_US, us << 8);
    ep->ewma_at_us = now_us;
}

/* ---- the choice ---- */

static bool was_tried(uint64_t tried, uint32_t i)
{
    return i < 64 && (tried >> i & 1) != 0;
}

/* Of all tiers, the first endpoint that is usable and was not tried. */
static uint32_t any_other(const struct pp_cluster *cl, uint64_t tried)
{
    uint32_t best = PP_ID_NONE;
    for (uint32_t i = 0; i < cl->n; i++) {
        const struct pp_endpoint *ep = &cl->endpoint[i];
        if (ep->out == 0 && !was_tried(tried, i) &&
            (best == PP_ID_NONE || ep->tier < cl->endpoint[best].tier))
            best = i;
    }
    return best;
}

static PP_COLD void count_panic(struct pp_cluster *cl)
{
    PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, PANIC, 1);
}

static uint32_t choose(struct pp_cluster *cl, uint64_t tried, uint64_t hash)
{
    struct pick p = {{.view = cl->view, .hash = hash, .tried = tried}, cl};
    p.base.rng = &cl->core->rng;
    p.base.look = look;
    if (cl->conf.balance.policy.bound_percent != 0)
        p.base.total = total(cl);
    return cl->balance->ops->pick(cl->balance, &p.base);
}

static struct pp_endpoint *pick_among(struct pp_cluster *cl, uint64_t tried, uint64_t hash)
{
    uint32_t i = choose(cl, tried, hash);
    if (i == PP_ID_NONE && tried != 0)
        i = any_other(cl, tried);
    if (i == PP_ID_NONE && tried != 0)
        i = choose(cl, 0, hash);
    if (i == PP_ID_NONE)
        return NULL;
    if (PP_UNLIKELY(cl->panic))
        count_panic(cl);
    return &cl->endpoint[i];
}

bool pp_cluster_is_full(const struct pp_endpoint *ep)
{
    uint32_t word = PP_METRIC_WORD(ENDPOINT, SLOTS);
    const struct pp_metrics *m = &ep->cluster->core->metrics;
    if (ep->max_requests == 0)
        return false;
    uint64_t here = has_record(ep) ? m->words[ep->record + word] : ep->places;
    if (here < ep->max_requests && has_record(ep))
        here += pp_metrics_elsewhere(m, ep->record, word);
    return here >= ep->max_requests;
}

/* Any endpoint that is usable and has room; one that was not <tried> first. */
static struct pp_endpoint *any_with_room(struct pp_cluster *cl, uint64_t tried)
{
    struct pp_endpoint *found = NULL;
    for (uint32_t i = 0; i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        if (!cl->view[i].usable || pp_cluster_is_full(ep))
            continue;
        if (!was_tried(tried, i))
            return ep;
        found = ep;
    }
    return found;
}

struct pp_endpoint *pp_cluster_pick_with_room(struct pp_cluster *cl, uint64_t tried, uint64_t hash)
{
    uint64_t full = 0;
    catch_up(cl);
    for (uint32_t i = 0; i < PP_MIN(cl->n, 64u); i++)
        if (pp_cluster_is_full(&cl->endpoint[i]))
            full |= UINT64_C(1) << i;
    struct pp_endpoint *ep = pp_cluster_pick(cl, tried | full, hash);
    /* Bits are but a wish, and there are none from the 65th on. */
    return ep == NULL || !pp_cluster_is_full(ep) ? ep : any_with_room(cl, tried);
}

struct pp_endpoint *pp_cluster_pick(struct pp_cluster *cl, uint64_t tried, uint64_t hash)
{
    catch_up(cl);
    if (cl->n != 1)
        return pick_among(cl, tried, hash);
    /* Nothing to choose, and a retry may only go to the same one. */
    if (!cl->view[0].usable)
        return NULL;
    if (PP_UNLIKELY(cl->panic))
        count_panic(cl);
    return &cl->endpoint[0];
}

struct pp_endpoint *pp_cluster_find(struct pp_cluster *cl, uint64_t tried, uint64_t key)
{
    catch_up(cl);
    for (uint32_t i = 0; i < cl->n; i++)
        if (cl->view[i].key == key)
            return (cl->endpoint[i].out & ~(unsigned)PP_CLUSTER_DRAIN) != 0 ||
                           was_tried(tried, i) || pp_cluster_is_full(&cl->endpoint[i])
                       ? NULL
                       : &cl->endpoint[i];
    return NULL;
}
