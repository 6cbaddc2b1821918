#include "proxy/admission.h"

#include "base/check.h"
#include "base/mem.h"
#include "proxy/affinity.h"
#include "proxy/phase.h"

/* How often a worker looks whether others have left it a place. Not all at the same moments. */
#define LOOK_MS 2

#define SLOTS_WORD PP_METRIC_WORD(UPSTREAM, SLOTS)
#define QUEUED_WORD PP_METRIC_WORD(UPSTREAM, QUEUED)

static void on_look(struct pp_timer *t);

/* ---- life ---- */

struct pp_admission *pp_admission_new(const struct pp_admission_conf *conf)
{
    struct pp_admission *a = pp_mem_zalloc(sizeof(*a));
    if (a == NULL)
        return NULL;
    a->conf = *conf;
    a->refs = 1;
    pp_list_init(&a->waiting);
    pp_timer_init(&a->timer, on_look);
    return a;
}

void pp_admission_unref(struct pp_admission *a)
{
    if (a == NULL || --a->refs > 0)
        return;
    PP_ASSERT(pp_list_is_empty(&a->waiting) && a->held == 0);
    if (a->core != NULL)
        pp_loop_stop(&a->core->loop, &a->timer);
    pp_mem_free(a);
}

static struct pp_admission *ref(struct pp_admission *a)
{
    a->refs++;
    return a;
}

/* ---- counting ---- */

static uint64_t *word_of(const struct pp_admission *a, uint32_t word)
{
    return &a->core->metrics.words[a->record + word];
}

static uint64_t elsewhere(const struct pp_admission *a, uint32_t word)
{
    return a->common ? pp_metrics_elsewhere(&a->core->metrics, a->record, word) : 0;
}

/* One more in <word>, of which this worker has *here, if there are at most <limit> then. */
static bool claim(const struct pp_admission *a, uint32_t word, uint32_t *here, uint32_t limit)
{
    if (a->common) {
        if (!pp_metrics_claim(&a->core->metrics, a->record, word, limit))
            return false;
    } else {
        if (*here >= limit)
            return false;
        ++*word_of(a, word);
    }
    ++*here;
    return true;
}

static void give_back(const struct pp_admission *a, uint32_t word, uint32_t *here)
{
    PP_ASSERT(*here > 0);
    --*here;
    __atomic_store_n(word_of(a, word), *word_of(a, word) - 1, __ATOMIC_RELEASE);
}

static bool take_place(struct pp_admission *a)
{
    if (a->limit != 0 && a->held >= a->limit)
        return false;
    return claim(a, SLOTS_WORD, &a->held, a->conf.requests != 0 ? a->conf.requests : UINT32_MAX);
}

/* Does this worker have its share, while others wait for theirs? */
static bool has_share(const struct pp_admission *a)
{
    if (a->conf.requests == 0 || elsewhere(a, QUEUED_WORD) == 0)
        return false;
    uint32_t others = pp_metrics_others(&a->core->metrics, a->record, QUEUED_WORD);
    return a->held >= a->conf.requests / (others + 1);
}

/* ---- endpoints ---- */

#define THERE_WORD PP_METRIC_WORD(ENDPOINT, SLOTS)

static bool is_common(const struct pp_endpoint *ep)
{
    return ep->record != ep->cluster->core->metrics.fallback[PP_METRIC_ENDPOINT];
}

static uint64_t *there_word(const struct pp_endpoint *ep)
{
    return &ep->cluster->core->metrics.words[ep->record + THERE_WORD];
}

static bool take_there(struct pp_admitted *d, struct pp_endpoint *ep, uint32_t limit)
{
    if (is_common(ep)) {
        if (!pp_metrics_claim(&ep->cluster->core->metrics, ep->record, THERE_WORD, limit))
            return false;
    } else {
        if (ep->places >= limit)
            return false;
        ++*there_word(ep);
    }
    ep->places++;
    d->there = ep;
    return true;
}

static void leave_there(struct pp_admitted *d)
{
    struct pp_endpoint *ep = d->there;
    if (ep == NULL)
        return;
    d->there = NULL;
    ep->places--;
    __atomic_store_n(there_word(ep), *there_word(ep) - 1, __ATOMIC_RELEASE);
}

struct pp_endpoint *pp_admission_pick(struct pp_exchange *x)
{
    struct pp_endpoint *ep = NULL;
    /* Another worker may be faster; what it has taken is seen the next time. */
    for (int i = 0; i < 4; i++) {
        ep = pp_affinity_pick(x);
        if (ep == NULL || ep->max_requests == 0 || take_there(x->admitted, ep, ep->max_requests))
            return ep;
    }
    return NULL;
}

bool pp_admission_is_full(const struct pp_cluster *cl)
{
    for (uint32_t i = 0; i < cl->n; i++)
        if (cl->view[i].usable && pp_cluster_is_full(&cl->endpoint[i]))
            return true;
    return false;
}

/* ---- the queue ---- */

static void look_soon(struct pp_admission *a)
{
    struct pp_core *core = a->core;
    uint64_t due_ms = core->loop.now_ms + LOOK_MS + (pp_rng_next(&core->rng) & 1);
    pp_loop_no_later(&core->loop, &a->timer, due_ms);
}

/* A place may be free: see at the end of the turn, for whoever waits may do anything then. */
static void look_now(struct pp_admission *a)
{
    if (pp_list_is_empty(&a->waiting))
        return;
    if (has_share(a))
        look_soon(a);
    else
        pp_loop_no_later(&a->core->loop, &a->timer, a->core->loop.now_ms);
}

static void count_wait(struct pp_admitted *d)
{
    d->queued_us += d->x->core->loop.now_us - d->since_us;
    d->since_us = 0;
}

static void leave_queue(struct pp_admitted *d)
{
    pp_list_detach(&d->link);
    pp_loop_stop(&d->x->core->loop, &d->timer);
    give_back(d->from, QUEUED_WORD, &d->from->queued);
    count_wait(d);
}

static void forget(struct pp_admitted *d)
{
    struct pp_admission *a = d->from;
    d->from = NULL;
    pp_admission_unref(a);
}

/* The exchange goes on without a place, or ends. */
static void cancel(struct pp_task *task, struct pp_exchange *x, enum pp_park which)
{
    struct pp_admitted *d = PP_CONTAINER_OF(task, struct pp_admitted, task);
    (void)x;
    (void)which;
    leave_queue(d);
    look_now(d->from); /* the next one may want less */
    forget(d);
}

static void on_late(struct pp_timer *t)
{
    struct pp_admitted *d = PP_CONTAINER_OF(t, struct pp_admitted, timer);
    struct pp_exchange *x = d->x;
    PP_COUNT(&x->core->metrics, d->from->record, UPSTREAM, QUEUE_TIMEOUT, 1);
    x->events->failed(x, pp_fault_make(PP_FAULT_QUEUE_TIMEOUT, PP_SIDE_UP, false, PP_ETIMEDOUT));
}

/* Let those go on for whom there is a place. */
static void on_look(struct pp_timer *t)
{
    struct pp_admission *a = ref(PP_CONTAINER_OF(t, struct pp_admission, timer));
    for (bool first = true; !pp_list_is_empty(&a->waiting); first = false) {
        if ((!first && has_share(a)) || !take_place(a))
            break;
        struct pp_admitted *d = PP_CONTAINER_OF(a->waiting.next, struct pp_admitted, link);
        leave_queue(d);
        d->holds = true;
        pp_phase_resume(d->x, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        if (a->waiting.next == &d->link) /* there was no endpoint or connection for it */
            break;
    }
    /* Those of this worker say themselves when they leave. Connections come and go without. */
    if (!pp_list_is_empty(&a->waiting) &&
        (elsewhere(a, SLOTS_WORD) > 0 || a->conf.connections > 0 || a->conf.endpoints))
        look_soon(a);
    pp_admission_unref(a);
}

/* ---- one exchange ---- */

static struct pp_admitted *admitted_of(struct pp_exchange *x)
{
    if (x->admitted != NULL)
        return x->admitted;
    struct pp_admitted *d = pp_arena_alloc(&x->arena, sizeof(*d));
    if (d == NULL)
        return NULL;
    *d = (struct pp_admitted){.x = x, .task.cancel = cancel};
    pp_list_init(&d->link);
    pp_timer_init(&d->timer, on_late);
    return x->admitted = d;
}

/* Put <d> into the queue, at the <front> or at its end, and let its exchange wait. */
static void wait(struct pp_admission *a, struct pp_admitted *d, bool front)
{
    struct pp_exchange *x = d->x;
    struct pp_loop *lp = &x->core->loop;
    if (front)
        pp_list_attach(&a->waiting, &d->link);
    else
        pp_list_attach_back(&a->waiting, &d->link);
    d->since_us = lp->now_us;
    if (d->due_ms == 0) {
        d->due_ms = lp->now_ms + a->conf.queue_ms;
        PP_COUNT(&x->core->metrics, a->record, UPSTREAM, QUEUED_ALL, 1);
    }
    pp_loop_start(lp, &d->timer, d->due_ms);
    pp_exchange_enter(x, PP_EXCHANGE_QUEUE);
    x->task[PP_PARK_PHASE] = &d->task;
    x->parked = true;
    look_soon(a);
}

/* <again>: it was here before, so there are not many like it. */
static int enter_queue(struct pp_admission *a, struct pp_admitted *d, bool again)
{
    if (!claim(a, QUEUED_WORD, &a->queued, again ? UINT32_MAX : a->conf.pending)) {
        PP_COUNT(&a->core->metrics, a->record, UPSTREAM, OVERFLOW, 1);
        return PP_ELIMIT;
    }
    d->from = ref(a);
    wait(a, d, again);
    return PP_EAGAIN;
}

int pp_admission_enter(struct pp_exchange *x)
{
    struct pp_admission *a = x->cluster->admission;
    struct pp_admitted *d = admitted_of(x);
    bool again = x->attempts > 0;
    if (d == NULL)
        return PP_ENOMEM;
    if (d->holds && d->from == a) { /* it was not connected, and tries again at once */
        leave_there(d);
        return PP_OK;
    }
    pp_admission_leave(x);
    /* With a place free, who must wait does so because others were there before. */
    bool must_wait =
        !again && (!pp_list_is_empty(&a->waiting) || (a->conf.pending > 0 && has_share(a)));
    if (must_wait || !take_place(a))
        return enter_queue(a, d, again);
    d->from = ref(a);
    d->holds = true;
    return PP_OK;
}

int pp_admission_hold(struct pp_exchange *x)
{
    struct pp_admission *a = x->cluster->admission;
    struct pp_admitted *d = admitted_of(x);
    if (d == NULL)
        return PP_ENOMEM;
    d->from = ref(a);
    d->holds = claim(a, SLOTS_WORD, &a->held, UINT32_MAX);
    if (x->endpoint->max_requests != 0)
        (void)take_there(d, x->endpoint, UINT32_MAX);
    return PP_OK;
}

/* Free its places; <silent>: it is nobody's turn for that. */
static void leave_places(struct pp_admitted *d, bool silent)
{
    d->holds = false;
    leave_there(d);
    give_back(d->from, SLOTS_WORD, &d->from->held);
    if (!silent)
        look_now(d->from);
    forget(d);
}

int pp_admission_again(struct pp_exchange *x)
{
    struct pp_admitted *d = x->admitted;
    struct pp_admission *a = ref(d->from);
    leave_places(d, true);
    int rc = enter_queue(a, d, d->due_ms != 0 || x->attempts > 0);
    pp_admission_unref(a);
    return rc;
}

void pp_admission_leave(struct pp_exchange *x)
{
    if (!x->admitted->holds)
        return;
    x->admitted->due_ms = 0;
    leave_places(x->admitted, false);
}

bool pp_admission_waited(const struct pp_exchange *x, uint64_t *us)
{
    const struct pp_admitted *d = x->admitted;
    if (d == NULL)
        return false;
    *us = d->queued_us;
    return true;
}

/* ---- clusters ---- */

void pp_admission_attach(struct pp_cluster *cl, const struct pp_cluster *old)
{
    struct pp_admission *a = cl->admission, *was = old != NULL ? old->admission : NULL;
    if (a == NULL)
        return;
    if (was != NULL && was != a && was->record == cl->record) {
        was->conf = a->conf;
        pp_admission_unref(a);
        a = cl->admission = ref(was);
        look_now(a); /* there may be more room */
    }
    if (a->core != NULL) /* it counts somewhere already */
        return;
    a->core = cl->core;
    a->record = cl->record;
    a->common = cl->record != cl->core->metrics.fallback[PP_METRIC_UPSTREAM];
}

void pp_admission_set_limit(struct pp_cluster *cl, uint32_t n)
{
    struct pp_admission *a = cl->admission;
    if (a->limit == n)
        return;
    a->limit = n;
    look_now(a);
}

uint32_t pp_admission_held(const struct pp_cluster *cl)
{
    return cl->admission->held;
}

uint32_t pp_admission_queued(const struct pp_cluster *cl)
{
    return cl->admission->queued;
}
