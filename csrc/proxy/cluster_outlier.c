#include "proxy/cluster_outlier.h"

#include "base/mem.h"

enum word { STREAK, EJECTION, WORDS };

static const uint32_t shared_word[WORDS] = {
    [STREAK] = PP_METRIC_WORD(ENDPOINT, STREAK),
    [EJECTION] = PP_METRIC_WORD(ENDPOINT, EJECTION),
};

/* Of one endpoint, beside what is shared. */
struct place {
    uint64_t own[WORDS]; /* its words when it has no record */
    uint64_t ok, errors; /* counted until the last interval ended */
};

struct pp_cluster_outlier {
    struct pp_cluster *cl;
    struct pp_timer timer;
    uint64_t interval_ends_ms;
    struct pp_outlier_sample *sample;
    struct place place[];
};

/* ---- words ---- */

static const struct pp_metrics *metrics_of(const struct pp_endpoint *ep)
{
    return &ep->cluster->core->metrics;
}

static bool is_shared(const struct pp_endpoint *ep)
{
    const struct pp_metrics *m = metrics_of(ep);
    return m->seg.mem != NULL && ep->record != m->fallback[PP_METRIC_ENDPOINT];
}

static uint64_t get(const struct pp_endpoint *ep, enum word w)
{
    return is_shared(ep) ? pp_metrics_told(metrics_of(ep), ep->record, shared_word[w])
                         : ep->cluster->outlier->place[ep->index].own[w];
}

/* Let a word that was <old> be <next>. False: it is another one by now. */
static bool swap(const struct pp_endpoint *ep, enum word w, uint64_t old, uint64_t next)
{
    if (is_shared(ep))
        return pp_metrics_swap(metrics_of(ep), ep->record, shared_word[w], old, next);
    ep->cluster->outlier->place[ep->index].own[w] = next;
    return true;
}

static bool is_marked(const struct pp_endpoint *ep)
{
    uint64_t state = 0;
    if (is_shared(ep))
        state = pp_metrics_told(metrics_of(ep), ep->record, PP_METRIC_WORD(ENDPOINT, STATE));
    return ((state | ep->out_here) & PP_CLUSTER_EJECTED) != 0;
}

static uint64_t now_of(const struct pp_cluster *cl)
{
    return cl->core->loop.now_ms;
}

static bool is_ejected(const struct pp_endpoint *ep)
{
    return pp_outlier_is_ejected(get(ep, EJECTION), now_of(ep->cluster));
}

/* Addresses of one name share a record, and stand together: only the first one counts. */
static bool is_alias(const struct pp_cluster *cl, uint32_t i)
{
    const struct pp_endpoint *ep = &cl->endpoint[i];
    return i > 0 && is_shared(ep) && ep[-1].record == ep->record;
}

/* ---- in and out ---- */

/* End ejections whose time has come. */
static void release(struct pp_cluster *cl)
{
    for (uint32_t i = 0; i < cl->n; i++) {
        struct pp_endpoint *ep = &cl->endpoint[i];
        if (!is_marked(ep) || is_ejected(ep))
            continue;
        pp_cluster_tell(ep, PP_CLUSTER_EJECTED, false);
        /* Another worker may have ejected it again just before: its word was first, and stands. */
        if (is_ejected(ep))
            pp_cluster_tell(ep, PP_CLUSTER_EJECTED, true);
    }
}

/* Endpoints, and those of them that are out because of their answers. */
static void count(const struct pp_cluster *cl, uint32_t *all, uint32_t *out)
{
    *all = *out = 0;
    for (uint32_t i = 0; i < cl->n; i++) {
        const struct pp_endpoint *ep = &cl->endpoint[i];
        if (is_alias(cl, i))
            continue;
        *all += 1;
        *out += is_ejected(ep) || is_marked(ep);
    }
}

static void count_prevented(const struct pp_endpoint *ep)
{
    PP_COUNT(&ep->cluster->core->metrics, ep->record, ENDPOINT, EJECTIONS_PREVENTED, 1);
}

static void count_ejection(const struct pp_endpoint *ep, enum pp_outlier_reason why)
{
    static const uint32_t word[PP_OUTLIER_REASON_COUNT] = {
        [PP_OUTLIER_5XX] = PP_METRIC_WORD(ENDPOINT, EJECTIONS_5XX),
        [PP_OUTLIER_GATEWAY] = PP_METRIC_WORD(ENDPOINT, EJECTIONS_GATEWAY),
        [PP_OUTLIER_SUCCESS_RATE] = PP_METRIC_WORD(ENDPOINT, EJECTIONS_SUCCESS_RATE),
    };
    ep->cluster->core->metrics.words[ep->record + word[why]]++;
}

static PP_COLD void eject(struct pp_endpoint *ep, enum pp_outlier_reason why)
{
    struct pp_cluster *cl = ep->cluster;
    const struct pp_outlier_conf *conf = &cl->conf.outlier;
    uint32_t all, out;
    release(cl);
    if (is_ejected(ep))
        return;
    count(cl, &all, &out);
    uint32_t cap = pp_outlier_cap(conf, all);
    if (out >= cap) {
        count_prevented(ep);
        return;
    }
    uint64_t old = get(ep, EJECTION);
    uint64_t next = pp_outlier_eject(conf, old, now_of(cl), why);
    if (!swap(ep, EJECTION, old, next)) /* another worker was quicker */
        return;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* of two workers, one at least sees the other */
    count(cl, &all, &out);
    if (out > cap && swap(ep, EJECTION, next, old)) { /* it has ejected another endpoint */
        count_prevented(ep);
        return;
    }
    swap(ep, STREAK, get(ep, STREAK), 0);
    count_ejection(ep, why);
    pp_cluster_tell(ep, PP_CLUSTER_EJECTED, true);
    pp_loop_no_later(&cl->core->loop, &cl->outlier->timer, pp_outlier_until(next));
}

void pp_cluster_outlier_note(struct pp_endpoint *ep, enum pp_outlier_result result)
{
    struct pp_metrics *m = &ep->cluster->core->metrics;
    uint64_t old = get(ep, STREAK);
    if (result == PP_OUTLIER_OK) {
        PP_COUNT(m, ep->record, ENDPOINT, RESULTS_OK, 1);
        if (old != 0) /* if another worker has changed it: what came first is open */
            swap(ep, STREAK, old, 0);
        return;
    }
    PP_COUNT(m, ep->record, ENDPOINT, RESULTS_ERROR, 1);
    uint64_t next = pp_outlier_streak(old, result);
    while (!swap(ep, STREAK, old, next)) {
        old = get(ep, STREAK);
        next = pp_outlier_streak(old, result);
    }
    enum pp_outlier_reason why = pp_outlier_judge(&ep->cluster->conf.outlier, next);
    if (why != PP_OUTLIER_NONE)
        eject(ep, why);
}

void pp_cluster_outlier_fault(struct pp_endpoint *ep, const struct pp_fault *f)
{
    if (PP_LIKELY(ep->cluster->outlier == NULL))
        return;
    switch (f->code) {
    case PP_FAULT_CONNECT_REFUSED:
    case PP_FAULT_CONNECT_FAILED:
    case PP_FAULT_CONNECT_TIMEOUT:
    case PP_FAULT_UPSTREAM_TLS:
    case PP_FAULT_UPSTREAM_RESET:
    case PP_FAULT_UPSTREAM_BAD_RESPONSE:
    case PP_FAULT_FIRST_BYTE_TIMEOUT:
    case PP_FAULT_READ_TIMEOUT:
    case PP_FAULT_UPSTREAM_SEND_TIMEOUT:
    case PP_FAULT_TOTAL_TIMEOUT:
        pp_cluster_outlier_note(ep, PP_OUTLIER_FAILURE);
        break;
    default: /* sent back unread, ours, or the client's */
        break;
    }
}

/* ---- from time to time ---- */

static uint64_t sum(const struct pp_endpoint *ep, uint32_t word)
{
    const struct pp_metrics *m = metrics_of(ep);
    return m->words[ep->record + word] + pp_metrics_elsewhere(m, ep->record, word);
}

/* What all workers have seen of each endpoint since the last interval ended. */
static void take_samples(struct pp_cluster *cl)
{
    struct pp_cluster_outlier *o = cl->outlier;
    for (uint32_t i = 0; i < cl->n; i++) {
        const struct pp_endpoint *ep = &cl->endpoint[i];
        struct place *p = &o->place[i];
        o->sample[i] = (struct pp_outlier_sample){0};
        if (!is_shared(ep) || is_alias(cl, i))
            continue;
        uint64_t ok = sum(ep, PP_METRIC_WORD(ENDPOINT, RESULTS_OK));
        uint64_t errors = sum(ep, PP_METRIC_WORD(ENDPOINT, RESULTS_ERROR));
        if (!is_marked(ep)) /* of one that is out, nothing is asked but in panic */
            o->sample[i] = (struct pp_outlier_sample){ok - p->ok, ok - p->ok + errors - p->errors};
        p->ok = ok;
        p->errors = errors;
    }
}

static void compare(struct pp_cluster *cl)
{
    const struct pp_outlier_conf *conf = &cl->conf.outlier;
    const struct pp_outlier_sample *sample = cl->outlier->sample;
    uint32_t least;
    take_samples(cl);
    if (!pp_outlier_compare(conf, sample, cl->n, &least))
        return;
    for (uint32_t i = 0; i < cl->n; i++)
        if (pp_outlier_is_below(conf, &sample[i], least))
            eject(&cl->endpoint[i], PP_OUTLIER_SUCCESS_RATE);
}

/* When to look again: at the end of the interval, or of an ejection before that. */
static uint64_t next_look(const struct pp_cluster *cl)
{
    uint64_t due = cl->outlier->interval_ends_ms;
    for (uint32_t i = 0; i < cl->n; i++) {
        uint64_t until = pp_outlier_until(get(&cl->endpoint[i], EJECTION));
        if (until > now_of(cl))
            due = PP_MIN(due, until);
    }
    return due;
}

static bool is_installed(const struct pp_cluster *cl)
{
    const struct pp_snapshot *sn = cl->core->snapshot;
    return sn == NULL || (cl->index < sn->n_cluster && sn->cluster[cl->index] == cl);
}

static void on_timer(struct pp_timer *t)
{
    struct pp_cluster_outlier *o = PP_CONTAINER_OF(t, struct pp_cluster_outlier, timer);
    struct pp_cluster *cl = o->cl;
    if (!is_installed(cl)) /* its successor looks after the endpoints */
        return;
    release(cl);
    if (now_of(cl) >= o->interval_ends_ms) {
        compare(cl);
        o->interval_ends_ms = now_of(cl) + cl->conf.outlier.interval_ms;
    }
    pp_loop_no_later(&cl->core->loop, t, next_look(cl));
}

/* ---- life ---- */

int pp_cluster_outlier_init(struct pp_cluster *cl)
{
    if (cl->conf.outlier.interval_ms == 0)
        return PP_OK;
    struct pp_cluster_outlier *o =
        pp_mem_zalloc(sizeof(*o) + cl->n * (sizeof(o->place[0]) + sizeof(o->sample[0])));
    if (o == NULL)
        return PP_ENOMEM;
    o->cl = cl;
    o->sample = (struct pp_outlier_sample *)(void *)&o->place[cl->n];
    pp_timer_init(&o->timer, on_timer);
    cl->outlier = o;
    return PP_OK;
}

void pp_cluster_outlier_attach(struct pp_cluster *cl)
{
    struct pp_cluster_outlier *o = cl->outlier;
    if (o == NULL)
        return;
    take_samples(cl);
    o->interval_ends_ms = now_of(cl) + cl->conf.outlier.interval_ms;
    pp_loop_no_later(&cl->core->loop, &o->timer, next_look(cl));
}

void pp_cluster_outlier_fini(struct pp_cluster *cl)
{
    struct pp_cluster_outlier *o = cl->outlier;
    if (o != NULL && pp_timer_is_pending(&o->timer))
        pp_loop_stop(&cl->core->loop, &o->timer);
    pp_mem_free(o);
}
