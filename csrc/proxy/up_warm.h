/* Connections that are opened ahead, so that the first requests to an endpoint that is new, or in
 * use again, do not wait for handshakes.
 *
 * Which endpoints want how many is known to the cluster (endpoint->unopened). A timer of the worker
 * opens them, a few at a time; they wait in the pool like those that were used, and age out like
 * those. Over HTTP/2 one connection is enough. What fails is counted, and tried no more often than
 * there are connections to open. Without an upstream that wants this there is no timer. */
#ifndef PP_PROXY_UP_WARM_H
#define PP_PROXY_UP_WARM_H

#include "proxy/up.h"

/* How often connections are opened, how many then, and how many may be connecting. */
#define PP_UP_WARM_EVERY_MS 100
#define PP_UP_WARM_AT_A_TIME 4
#define PP_UP_WARM_CONNECTING 16

/* A snapshot was installed in <core>: open what it wants, from now on until the worker drains. */
void pp_up_warm_begin(struct pp_core *core);
/* Open no more, and close what is connecting. Idempotent. */
void pp_up_warm_end(struct pp_core *core);

#endif
