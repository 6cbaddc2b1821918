/* The circuit breaker of an upstream (route/breaker.h), one in each worker: it sees what this
 * worker sees, and needs no word from the others to open. Over HTTP only. */
#ifndef PP_PROXY_CIRCUIT_H
#define PP_PROXY_CIRCUIT_H

#include "proxy/cluster.h"

/* Would none be admitted now? */
static inline bool pp_circuit_is_open(const struct pp_cluster *cl)
{
    return cl->breaker.state == PP_BREAKER_OPEN && cl->core->loop.now_ms < cl->breaker.until_ms;
}
/* May an attempt at an endpoint of <cl> begin? *after_s: if not, when to come again. */
bool pp_circuit_admit(struct pp_cluster *cl, uint32_t *after_s);
/* An attempt has had its answer, or (<failed>) none that is of use. Cheap without a breaker. */
void pp_circuit_note_slowly(struct pp_cluster *cl, bool failed);
static inline void pp_circuit_note(struct pp_cluster *cl, bool failed)
{
    if (PP_UNLIKELY(pp_breaker_is_on(&cl->conf.breaker)))
        pp_circuit_note_slowly(cl, failed);
}

#endif
