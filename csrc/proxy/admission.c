#include "proxy/admission.h"

#include "base/check.h"
#include "base/mem.h"
#include "proxy/cluster.h"
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
    }
    /* Those of this worker say themselves when they leave. */
    if (!pp_list_is_empty(&a->waiting) && elsewhere(a, SLOTS_WORD) > 0)
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
    pp_loop_start(lp, &d->timer, lp->now_ms + a->conf.queue_ms);
    PP_COUNT(&x->core->metrics, a->record, UPSTREAM, QUEUED_ALL, 1);
    pp_exchange_enter(x, PP_EXCHANGE_QUEUE);
    x->task[PP_PARK_PHASE] = &d->task;
    x->parked = true;
    look_soon(a);
}

int pp_admission_enter(struct pp_exchange *x)
{
    struct pp_admission *a = x->cluster->admission;
    struct pp_admitted *d = admitted_of(x);
    bool again = x->attempts > 0;
    if (d == NULL)
        return PP_ENOMEM;
    if (d->holds && d->from == a) /* it was not connected, and tries again at once */
        return PP_OK;
    pp_admission_leave(x);
    /* With a place free, who must wait does so because others were there before. */
    bool must_wait =
        !again && (!pp_list_is_empty(&a->waiting) || (a->conf.pending > 0 && has_share(a)));
    if (!must_wait && take_place(a)) {
        d->from = ref(a);
        d->holds = true;
        return PP_OK;
    }
    /* A retry is one of those that had a place: there are not many. */
    if (!claim(a, QUEUED_WORD, &a->queued, again ? UINT32_MAX : a->conf.pending)) {
        PP_COUNT(&x->core->metrics, a->record, UPSTREAM, OVERFLOW, 1);
        return PP_ELIMIT;
    }
    d->from = ref(a);
    wait(a, d, again);
    return PP_EAGAIN;
}

void pp_admission_leave(struct pp_exchange *x)
{
    struct pp_admitted *d = x->admitted;
    if (!d->holds)
        return;
    d->holds = false;
    give_back(d->from, SLOTS_WORD, &d->from->held);
    look_now(d->from);
    forget(d);
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
