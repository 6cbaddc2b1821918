/* Outlier detection: endpoints of a cluster that answer badly are ejected for a while (what that
 * means is in route/outlier.h, how it is obeyed in proxy/cluster.h).
 *
 * What is known of an endpoint stands in two words that all workers share (ENDPOINT STREAK and
 * EJECTION of base/metric.h), so that a streak is that of all workers, and a second worker does not
 * eject again. The EJECTED bit follows from the ejection: it is set by the worker whose exchange
 * was one too many, and taken away by the first one that looks when the time has come. Without a
 * record of its own, an endpoint is judged by each worker for itself. */
#ifndef PP_PROXY_CLUSTER_OUTLIER_H
#define PP_PROXY_CLUSTER_OUTLIER_H

#include "proxy/cluster.h"
#include "proxy/fault.h"

/* Make, where conf.outlier asks for it, what <cl> needs for it. PP_OK or PP_ENOMEM. */
int pp_cluster_outlier_init(struct pp_cluster *cl) PP_MUST_USE;
/* <cl> is attached: look at it from time to time, as long as it is part of the installed snapshot.
 */
void pp_cluster_outlier_attach(struct pp_cluster *cl);
void pp_cluster_outlier_fini(struct pp_cluster *cl);

/* One more result of <ep>, whose cluster has outlier detection. */
void pp_cluster_outlier_note(struct pp_endpoint *ep, enum pp_outlier_result result);
/* <ep> has answered with <status>, or (any below 500) let itself be connected to. */
static inline void pp_cluster_outlier_answer(struct pp_endpoint *ep, unsigned status)
{
    if (PP_LIKELY(ep->cluster->outlier == NULL))
        return;
    pp_cluster_outlier_note(ep, status < 500                     ? PP_OUTLIER_OK
                                : status >= 502 && status <= 504 ? PP_OUTLIER_FAILURE
                                                                 : PP_OUTLIER_ERROR);
}
/* An exchange with <ep> has failed with <f>; faults that tell nothing about the endpoint are passed
 * over. */
void pp_cluster_outlier_fault(struct pp_endpoint *ep, const struct pp_fault *f);

#endif
