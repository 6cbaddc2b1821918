/* The only writer of the shared counters (base/metric.h lists them, base/statseg.h lays them out).
 *
 * A record is an index into this worker's words; counting is one plain add. Without a shared
 * segment the words are private memory, so callers never ask whether counting is on. */
#ifndef PP_PROXY_METRICS_H
#define PP_PROXY_METRICS_H

#include "base/err.h"
#include "base/metric.h"
#include "base/statseg.h"

struct pp_metrics {
    uint64_t *words;       /* this worker's column */
    uint64_t *own;         /* private words when there is no segment, else NULL */
    struct pp_statseg seg; /* mem NULL: no segment */
    uint32_t column;
    uint32_t fallback[PP_METRIC_KIND_COUNT]; /* record of things that have none of their own */
    /* Counts what was told to all workers (pp_metrics_tell), to be looked at with
     * __ATOMIC_ACQUIRE; without a segment it never does. */
    const uint64_t *told;
};

/* Count into <column> of the segment at <mem> (borrowed, outlives this; NULL: private words); the
 * column is this process's alone. Clears its gauges: they describe the worker that is gone. PP_OK,
 * PP_EINVAL or PP_ENOMEM. */
int pp_metrics_init(struct pp_metrics *m, void *mem, size_t size, uint32_t column) PP_MUST_USE;
void pp_metrics_fini(struct pp_metrics *m);

/* Record of (<kind>, <name>): its first word, or the kind's shared record when the segment does not
 * know it. Records may have been added since init; look again for every new configuration. */
uint32_t pp_metrics_record(const struct pp_metrics *m, enum pp_metric_kind kind,
                           struct pp_span name);

#define PP_COUNT(m, record, kind, word, n)                                                         \
    ((m)->words[(record) + PP_METRIC_WORD(kind, word)] += (uint64_t)(n))

/* Word <word> (PP_METRIC_WORD) of <record> in the column of no worker, by which something is told
 * to all of them; 0 when there is no segment. */
uint64_t pp_metrics_told(const struct pp_metrics *m, uint32_t record, uint32_t word);
/* Replace the bits of <mask> in it by <bits>, and count that in <told>. False when there is no
 * segment. */
bool pp_metrics_tell(const struct pp_metrics *m, uint32_t record, uint32_t word, uint64_t mask,
                     uint64_t bits);
/* Let it be <next> if it is <old>, without a word to anybody. False: it is another one by now, or
 * there is no segment. */
bool pp_metrics_swap(const struct pp_metrics *m, uint32_t record, uint32_t word, uint64_t old,
                     uint64_t next);
/* Word <word> of <record> added up over all other workers. */
uint64_t pp_metrics_elsewhere(const struct pp_metrics *m, uint32_t record, uint32_t word);

/* Add 1 to word <word> of <record> in the own column, if it added up over all workers is at most
 * <limit> then. Exact: when several workers claim at once, they get no more than there are; of
 * those that claim the last one, none may get it. What a worker has claimed ends with it, as all
 * gauges do. */
bool pp_metrics_claim(const struct pp_metrics *m, uint32_t record, uint32_t word, uint64_t limit);
/* How many other workers have something in word <word> of <record>. */
uint32_t pp_metrics_others(const struct pp_metrics *m, uint32_t record, uint32_t word);

/* Put <us> into the histogram of a record of <kind>. */
void pp_metrics_observe(struct pp_metrics *m, enum pp_metric_kind kind, uint32_t record,
                        uint64_t us);

#endif
