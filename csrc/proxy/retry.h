/* May an exchange that failed be tried again? Safe only: nothing the endpoint can have acted upon
 * is sent twice (RFC 9110 section 9.2.2). */
#ifndef PP_PROXY_RETRY_H
#define PP_PROXY_RETRY_H

#include "proxy/cluster.h"
#include "proxy/exchange.h"

/* Attempts that an endpoint may send back unread (HTTP/2: REFUSED_STREAM, or above the last stream
 * of a GOAWAY; HTTP_1_1_REQUIRED where the next one can speak that); they do not count among the
 * retries that the configuration allows. */
#define PP_RETRY_REPLAYS 4

/* Is <f> such a fault? */
bool pp_retry_is_replay(const struct pp_fault *f);

/* Yes, when attempts are left, no byte of the response has reached the client, no byte of the
 * request body is gone (what HTTP/2 endpoints were sent is kept: PP_BODY_REPLAY_BYTES), and either
 * the fault says that the request was not looked at (connect failures; refused streams, whatever
 * the method, RFC 9113 section 8.7), or a reused connection died before its first response byte and
 * the method is idempotent. */
bool pp_retry_may(const struct pp_exchange *x, const struct pp_fault *f);

#endif
