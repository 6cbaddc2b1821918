/* The filter `bandwidth_limit`: bytes per second of the bodies of responses (download) and requests
 * (upload), by holding back their sources (proxy/pace.h).
 *
 * Options: download and upload {rate, burst}: bytes per second, and bytes at once; key (text): the
 * exchanges of this worker for which it renders to the same share the limits; without it, or where
 * it is empty, each exchange has its own.
 *
 * Bytes count as they come in, so before other filters have changed the body. Answers of our own
 * are not held back, nor are tunnels. */
#ifndef PP_PROXY_FILTER_BANDWIDTH_LIMIT_H
#define PP_PROXY_FILTER_BANDWIDTH_LIMIT_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_bandwidth_limit_kind;

#endif
