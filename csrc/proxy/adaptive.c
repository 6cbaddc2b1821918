#include "proxy/adaptive.h"

#include "base/mem.h"

int pp_adaptive_init(struct pp_cluster *cl)
{
    if (!pp_gradient_is_on(&cl->conf.adaptive))
        return PP_OK;
    cl->gradient = pp_mem_zalloc(sizeof(*cl->gradient));
    return cl->gradient == NULL ? PP_ENOMEM : PP_OK;
}

void pp_adaptive_fini(struct pp_cluster *cl)
{
    pp_mem_free(cl->gradient);
    cl->gradient = NULL;
}

/* Tell the state to whoever reads the counters. An upstream that shares its record has none. */
static void show(const struct pp_cluster *cl)
{
    struct pp_metrics *m = &cl->core->metrics;
    const struct pp_gradient *g = cl->gradient;
    if (m->seg.mem != NULL && cl->record == m->fallback[PP_METRIC_UPSTREAM])
        return;
    uint64_t *words = m->words + cl->record;
    words[PP_METRIC_WORD(UPSTREAM, ADAPTIVE)] = g != NULL;
    words[PP_METRIC_WORD(UPSTREAM, ADAPTIVE_LIMIT)] = g != NULL ? g->limit : 0;
    words[PP_METRIC_WORD(UPSTREAM, ADAPTIVE_MIN_RTT)] = g != NULL ? g->min_rtt_us : 0;
}

void pp_adaptive_attach(struct pp_cluster *cl, struct pp_cluster *old)
{
    const struct pp_gradient_conf *c = &cl->conf.adaptive;
    bool goes_on = old != NULL && old != cl && old->gradient != NULL;
    if (goes_on && pp_gradient_is_on(c)) {
        pp_mem_free(cl->gradient);
        cl->gradient = old->gradient;
        old->gradient = NULL;
        pp_gradient_bound(cl->gradient, c);
    } else if (cl->gradient != NULL && cl->gradient->limit == 0) {
        pp_gradient_start(cl->gradient, c, cl->core->loop.now_us);
    }
    if (cl->gradient != NULL || goes_on) {
        show(cl);
        if (cl->admission != NULL)
            pp_admission_set_limit(cl, cl->gradient != NULL ? cl->gradient->limit : 0);
    }
}

void pp_adaptive_learn(struct pp_cluster *cl, uint64_t sent_us, unsigned status)
{
    struct pp_core *core = cl->core;
    if (status >= 500)
        return;
    if (!pp_gradient_note(cl->gradient, &cl->conf.adaptive, sent_us, core->loop.now_us,
                          pp_rng_next(&core->rng)))
        return;
    pp_admission_set_limit(cl, cl->gradient->limit);
    show(cl);
}
