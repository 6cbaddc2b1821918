/* What a worker does when it has more to do, or more memory in use, than it should.
 *
 * A timer measures, and its lateness is the lag of the loop; what that means is route/pressure.h's.
 * While there is pressure, connections end as in a drain (proxy/move.h) and freed memory goes back
 * to the system; at PP_PRESSURE_SHED new requests are refused as well (proxy/step_shed.c), which
 * look at core->overload.level. Without configuration there is no timer and the level is none. */
#ifndef PP_PROXY_OVERLOAD_H
#define PP_PROXY_OVERLOAD_H

#include "proxy/core.h"

/* How often is measured: memory; the loop's lag, a quarter of its lower threshold within these. */
#define PP_OVERLOAD_MEMORY_MS 250
#define PP_OVERLOAD_LAG_LEAST_MS 5
#define PP_OVERLOAD_LAG_MOST_MS 100
#define PP_OVERLOAD_TRIM_MS 10000

/* Go by the installed snapshot from now on. In a turn. */
void pp_overload_apply(struct pp_core *core);
/* Measure no more. */
void pp_overload_stop(struct pp_core *core);

#endif
