/* The filter `mirror`: a copy of the request goes to another upstream, and its answer is thrown
 * away (proxy/shadow.h). The client neither waits for it nor hears of it.
 *
 *   request         is this one to be copied? A body that tells its length is not looked at if not
 *   upstream_peer   the head is copied, as later filters have left it; without a body it goes
 *   request_body    pieces are copied as they pass; with the last one it goes
 *
 * Options: upstream (name), percent, max_body (bytes; longer ones are not copied), timeout_ms (of
 * the whole copy, once its request is complete), max_concurrent (copies of a worker that are
 * collected or on their way), host_suffix (appended to the host name), headers (as
 * proxy/filter_edits.h, done to the copy). Requests that open tunnels are not copied. */
#ifndef PP_PROXY_FILTER_MIRROR_H
#define PP_PROXY_FILTER_MIRROR_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_mirror_kind;

#endif
