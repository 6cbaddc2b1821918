#include "proxy/metrics.h"

#include "base/mem.h"

static const uint64_t nothing_told;

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
    m->told = &nothing_told;
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

static uint32_t told_word(const struct pp_metrics *m)
{
    return m->fallback[PP_METRIC_SUPERVISOR] + PP_METRIC_WORD(SUPERVISOR, ENDPOINT_CHANGES);
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
    m->told = pp_statseg_common(&m->seg, told_word(m));
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

uint64_t pp_metrics_told(const struct pp_metrics *m, uint32_t record, uint32_t word)
{
    return m->seg.mem == NULL ? 0 : pp_statseg_get(&m->seg, PP_STATSEG_COMMON, record + word);
}

bool pp_metrics_tell(const struct pp_metrics *m, uint32_t record, uint32_t word, uint64_t mask,
                     uint64_t bits)
{
    if (m->seg.mem == NULL)
        return false;
    pp_statseg_change(&m->seg, record + word, mask, bits);
    pp_statseg_add(&m->seg, told_word(m), 1);
    return true;
}

bool pp_metrics_swap(const struct pp_metrics *m, uint32_t record, uint32_t word, uint64_t old,
                     uint64_t next)
{
    return m->seg.mem != NULL && pp_statseg_swap(&m->seg, record + word, old, next);
}

uint64_t pp_metrics_elsewhere(const struct pp_metrics *m, uint32_t record, uint32_t word)
{
    if (m->seg.mem == NULL)
        return 0;
    return pp_statseg_sum(&m->seg, record + word) - m->words[record + word];
}

/* Each claims first and looks then: of two that do so at once, one sees the other at least. */
bool pp_metrics_claim(const struct pp_metrics *m, uint32_t record, uint32_t word, uint64_t limit)
{
    uint64_t *own = &m->words[record + word], had = *own;
    if (had + pp_metrics_elsewhere(m, record, word) >= limit)
        return false;
    __atomic_exchange_n(own, had + 1, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (had + 1 + pp_metrics_elsewhere(m, record, word) <= limit)
        return true;
    __atomic_store_n(own, had, __ATOMIC_RELEASE);
    return false;
}

uint32_t pp_metrics_others(const struct pp_metrics *m, uint32_t record, uint32_t word)
{
    uint32_t n = 0;
    if (m->seg.mem == NULL)
        return 0;
    for (uint32_t column = PP_STATSEG_COMMON + 1; column < m->seg.columns; column++)
        n += column != m->column && pp_statseg_get(&m->seg, column, record + word) != 0;
    return n;
}

void pp_metrics_observe(struct pp_metrics *m, enum pp_metric_kind kind, uint32_t record,
                        uint64_t us)
{
    uint64_t *h = m->words + record + pp_metric_histogram(kind);
    h[pp_metric_bucket(us)]++;
    h[PP_METRIC_BUCKETS] += us;
}
