/* decompression: decode bodies that came with a content coding.
 *
 * Options {responses, requests: bool, max_ratio, max_size}. Responses are decoded for clients that
 * do not take their coding; requests always: the endpoint, and filters that run later, see what
 * they say. A request with a coding that we do not have is answered with 415 (RFC 9110 section
 * 15.5.16); such a response goes on as it came.
 *
 * Against decompression bombs, a body may become <max_size> bytes, and <max_ratio> times what came
 * of it (and PP_FILTER_DECOMPRESSION_FREE bytes, which even a small one may). What goes beyond ends
 * the exchange: a request with 413. */
#ifndef PP_PROXY_FILTER_DECOMPRESSION_H
#define PP_PROXY_FILTER_DECOMPRESSION_H

#include "proxy/filter.h"

#define PP_FILTER_DECOMPRESSION_FREE ((uint64_t)64 << 10)

extern const struct pp_filter_kind pp_filter_decompression_kind;

#endif
