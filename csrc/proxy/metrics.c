#include "proxy/metrics.h"

#include "base/mem.h"

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

/* Record of (<kind>, <name>), whose words this worker may write from now on. */
static bool find(const struct pp_metrics *m, uint32_t kind, struct pp_span name, uint32_t *base)
{
    uint32_t n;
    if (pp_statseg_find(&m->seg, kind, name, base, &n) != PP_OK ||
        n != pp_metric_words((enum pp_metric_kind)kind))
        return false;
    pp_statseg_reach(&m->seg, m->column, *base + n);
    return true;
}

int pp_metrics_init(struct pp_metrics *m, void *mem, size_t size, uint32_t column)
{
    memset(m, 0, sizeof(*m));
    if (mem == NULL)
        return init_private(m);
    int rc = pp_statseg_open(&m->seg, mem, size);
    if (rc != PP_OK)
        return rc;
    m->column = column;
    m->words = pp_statseg_words(&m->seg, column);
    if (column == PP_STATSEG_COMMON || m->words == NULL || m->seg.schema != pp_metric_schema())
        return PP_EINVAL;
    for (uint32_t kind = 0; kind < PP_METRIC_KIND_COUNT; kind++) {
        if (!find(m, kind, pp_metric_shared((enum pp_metric_kind)kind), &m->fallback[kind]))
            return PP_EINVAL;
    }
    pp_metric_clear_gauges(&m->seg, column);
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
    uint32_t base;
    if (m->seg.mem != NULL && find(m, kind, name, &base))
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
