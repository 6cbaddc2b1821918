/* The limit of an upstream that follows how quickly it answers (route/gradient.h): each worker
 * learns one by itself, and has its requests admitted by it (pp_admission_set_limit).
 *
 * What is timed is an attempt, from its beginning to the head of the answer. An error of the
 * endpoint (from 500 on) is mostly quick and says nothing; an attempt without an answer has no
 * time. */
#ifndef PP_PROXY_ADAPTIVE_H
#define PP_PROXY_ADAPTIVE_H

#include "proxy/cluster.h"

/* Part of a cluster's making: PP_OK or PP_ENOMEM. Without pp_gradient_is_on there is no limit. */
int pp_adaptive_init(struct pp_cluster *cl) PP_MUST_USE;
void pp_adaptive_fini(struct pp_cluster *cl);
/* Part of pp_cluster_attach, after its admission: go on with what <old> (NULL: there is none) has
 * learnt, or begin. */
void pp_adaptive_attach(struct pp_cluster *cl, struct pp_cluster *old);

/* An attempt at <cl> that began at <sent_us> was answered with <status> just now. */
void pp_adaptive_learn(struct pp_cluster *cl, uint64_t sent_us, unsigned status);
static inline void pp_adaptive_note(struct pp_cluster *cl, uint64_t sent_us, unsigned status)
{
    if (PP_UNLIKELY(cl->gradient != NULL))
        pp_adaptive_learn(cl, sent_us, status);
}

#endif
