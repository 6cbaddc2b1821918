#include "proxy/metrics.h"

#include "base/mem.h"

static void clear_gauges(struct pp_metrics *m)
{
    uint32_t pos = 0, kind, base, n;
    struct pp_span name;
    while (pp_statseg_next(&m->seg, &pos, &kind, &name, &base, &n)) {
        struct pp_metric_row row;
        for (unsigned i = 0; pp_metric_row(i, &row); i++) {
            if (row.kind == kind && row.gauge && row.word < n)
                m->words[base + row.word] = 0;
        }
    }
}

/* No segment: every kind has just its shared record, one after the other in private memory. */
static int init_private(struct pp_metrics *m)
{
    uint32_t n = 0;
    for (int kind = 0; kind < PP_METRIC_KIND_COUNT; kind++) {
        m->fallback[kind] = n;
        n += pp_metric_words((enum pp_metric_kind)kind);
    }
    m->own = pp_mem_zalloc(n * sizeof(uint64_t));
    m->words = m->own;
    return m->own == NULL ? PP_ENOMEM : PP_OK;
}

int pp_metrics_init(struct pp_metrics *m, void *mem, size_t size, uint32_t slot)
{
    memset(m, 0, sizeof(*m));
    if (mem == NULL)
        return init_private(m);
    int rc = pp_statseg_open(&m->seg, mem, size);
    if (rc != PP_OK)
        return rc;
    m->words = pp_statseg_words(&m->seg, slot);
    if (m->words == NULL)
        return PP_EINVAL;
    for (uint32_t kind = 0; kind < PP_METRIC_KIND_COUNT; kind++) {
        uint32_t n;
        struct pp_span name = kind == PP_METRIC_WORKER ? PP_SPAN("") : PP_SPAN("-");
        rc = pp_statseg_find(&m->seg, kind, name, &m->fallback[kind], &n);
        if (rc != PP_OK || n != pp_metric_words((enum pp_metric_kind)kind))
            return PP_EINVAL;
    }
    clear_gauges(m);
    return PP_OK;
}

void pp_metrics_fini(struct pp_metrics *m)
{
    pp_mem_free(m->own);
    m->own = m->words = NULL;
}

uint32_t pp_metrics_record(const struct pp_metrics *m, enum pp_metric_kind kind,
                           struct pp_span name)
{
    uint32_t base, n;
    if (m->seg.mem != NULL && pp_statseg_find(&m->seg, kind, name, &base, &n) == PP_OK &&
        n == pp_metric_words(kind))
        return base;
    return m->fallback[kind];
}

void pp_metrics_observe(struct pp_metrics *m, enum pp_metric_kind kind, uint32_t record,
                        uint64_t us)
{
    uint64_t *h = m->words + record + pp_metric_histogram(kind);
    h[pp_metric_bucket(us)]++;
    h[PP_METRIC_BUCKETS] += us;
}
