/* Range requests (RFC 9110 section 14). */
#ifndef PP_WIRE_HTTP_RANGE_H
#define PP_WIRE_HTTP_RANGE_H

#include "base/err.h"
#include "base/span.h"

/* The one part of <size> bytes that the value of Range asks for: *n > 0 bytes from *first on.
 *
 * PP_OK; PP_ENOENT: none of those bytes exists (416); PP_EINVAL: answer with the whole, because the
 * value is malformed or of another unit, or because it asks for several parts, which a server may
 * do (section 14.2) and which has been used to make one do much for little. */
int pp_http_range_parse(struct pp_span value, uint64_t size, uint64_t *first, uint64_t *n)
    PP_MUST_USE;

#endif
