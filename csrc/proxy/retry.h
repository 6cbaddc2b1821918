/* May an exchange that failed be tried again, and when?
 *
 * Without a policy, safe only: nothing the endpoint can have acted upon is sent twice (RFC 9110
 * section 9.2.2), and the next attempt begins at once. With one (route/retry_policy.h; the route's,
 * else the upstream's), more is tried again: what its conditions name, of methods that may be
 * repeated, or of all where the operator has said so. Such an attempt waits for its backoff in
 * PP_EXCHANGE_PAUSE, counts against the budget of the upstream, and may have a time limit of its
 * own. All of it stays within the total timeout. */
#ifndef PP_PROXY_RETRY_H
#define PP_PROXY_RETRY_H

#include "proxy/cluster.h"
#include "proxy/exchange.h"

/* Attempts that an endpoint may send back unread (HTTP/2: REFUSED_STREAM, or above the last stream
 * of a GOAWAY; HTTP_1_1_REQUIRED where the next one can speak that); they do not count among the
 * retries that the configuration allows. */
#define PP_RETRY_REPLAYS 4

/* The policy of <x>, which has a cluster. */
static inline const struct pp_retry_policy *pp_retry_policy_of(const struct pp_exchange *x)
{
    return x->route->retry != NULL ? x->route->retry : &x->cluster->conf.retry;
}

/* Is <f> such a fault? */
bool pp_retry_is_replay(const struct pp_fault *f);

/* Yes, when attempts are left, no byte of the response has reached the client, no byte of the
 * request body is gone (what was sent is kept: PP_BODY_REPLAY_BYTES), and one of these: the fault
 * says that the request was not looked at (connect failures; refused streams, whatever the method,
 * RFC 9113 section 8.7); a reused connection died before its first response byte and the method is
 * idempotent; or the policy has a condition for it. */
bool pp_retry_may(const struct pp_exchange *x, const struct pp_fault *f);

/* Is the answer in x->response, whose head has just come, one to be tried again? *after_ms: how
 * long the endpoint wants to be left alone. */
bool pp_retry_wants(const struct pp_exchange *x, uint64_t *after_ms);
/* Can no answer be? Then there is no need to ask. */
static inline bool pp_retry_heeds_answers(const struct pp_exchange *x)
{
    return (pp_retry_policy_of(x)->on & (PP_RETRY_ON_STATUS | PP_RETRY_ON_GRPC)) != 0;
}
/* Is what is sent of the body kept, whatever protocol the endpoint speaks? */
static inline bool pp_retry_keeps_body(const struct pp_exchange *x)
{
    return pp_retry_policy_of(x)->on != 0;
}

/* Another attempt of <x> is to begin at *due_ms: after its backoff, but at least <after_ms> from
 * now. It counts among the retries of its upstream from now on to its end. PP_OK. PP_ELIMIT: the
 * budget is used up. PP_ETIMEDOUT: the total timeout comes first. PP_ENOMEM. */
int pp_retry_plan(struct pp_exchange *x, uint64_t after_ms, uint64_t *due_ms) PP_MUST_USE;
/* The same for one that begins at once, which has no budget: only conf.admission.retries of the
 * upstream limits those. PP_OK, PP_ELIMIT or PP_ENOMEM. */
int pp_retry_count(struct pp_exchange *x) PP_MUST_USE;
/* Let <x>, for which that was planned, wait in PP_EXCHANGE_PAUSE until then: it is parked. */
void pp_retry_pause(struct pp_exchange *x, uint64_t due_ms);

/* An attempt begins, which has policy->per_try_ms: after that the exchange fails with TRY_TIMEOUT.
 * PP_OK or PP_ENOMEM. */
int pp_retry_time(struct pp_exchange *x) PP_MUST_USE;
/* It has ended, or has its answer. */
void pp_retry_untime(struct pp_exchange *x);

#endif
