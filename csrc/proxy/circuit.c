#include "proxy/circuit.h"

/* Tell the state to whoever reads the counters. An upstream that shares its record has none. */
static void show(const struct pp_cluster *cl)
{
    struct pp_metrics *m = &cl->core->metrics;
    if (m->seg.mem != NULL && cl->record == m->fallback[PP_METRIC_UPSTREAM])
        return;
    uint64_t *words = m->words + cl->record;
    words[PP_METRIC_WORD(UPSTREAM, BREAKER_OPEN)] = cl->breaker.state == PP_BREAKER_OPEN;
    words[PP_METRIC_WORD(UPSTREAM, BREAKER_HALF_OPEN)] = cl->breaker.state == PP_BREAKER_HALF_OPEN;
}

/* Leave word for all of the last opening in any worker: { until (56 bits, ms), why (8) }. */
static void tell(const struct pp_cluster *cl)
{
    const struct pp_metrics *m = &cl->core->metrics;
    const uint32_t word = PP_METRIC_WORD(UPSTREAM, BREAKER_LAST);
    if (cl->record != m->fallback[PP_METRIC_UPSTREAM]) /* that of another worker does as well */
        (void)pp_metrics_swap(m, cl->record, word, pp_metrics_told(m, cl->record, word),
                              cl->breaker.until_ms << 8 | cl->breaker.why);
}

bool pp_circuit_admit(struct pp_cluster *cl, uint32_t *after_s)
{
    uint64_t now = cl->core->loop.now_ms;
    uint8_t was = cl->breaker.state;
    bool admitted = pp_breaker_admit(&cl->breaker, &cl->conf.breaker, now);
    if (cl->breaker.state != was)
        show(cl);
    if (!admitted) {
        PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, BREAKER_REFUSED, 1);
        *after_s = (uint32_t)((cl->breaker.until_ms - now + 999) / 1000);
    }
    return admitted;
}

void pp_circuit_note_slowly(struct pp_cluster *cl, bool failed)
{
    uint8_t was = cl->breaker.state;
    if (pp_breaker_note(&cl->breaker, &cl->conf.breaker, cl->core->loop.now_ms, failed)) {
        PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, BREAKER_OPENS, 1);
        tell(cl);
    }
    if (cl->breaker.state != was)
        show(cl);
}
