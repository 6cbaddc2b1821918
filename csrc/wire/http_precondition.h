/* Conditional requests (RFC 9110 section 13): what a client says about the copy that it has, or
 * about what it means to get a part of. */
#ifndef PP_WIRE_HTTP_PRECONDITION_H
#define PP_WIRE_HTTP_PRECONDITION_H

#include "wire/http_msg.h"

/* What there is. */
struct pp_http_validators {
    struct pp_span etag; /* a strong one, with its quotes */
    int64_t modified_s;  /* since the epoch */
};

/* Evaluate the preconditions of a GET or HEAD in their order (section 13.2.2): 0: answer it; 304:
 * the client has it; 412: it is not what the client means. Malformed dates count as not said. */
unsigned pp_http_precondition_check(const struct pp_http_msg *request,
                                    const struct pp_http_validators *v);

/* Is Range to be looked at: has the client no If-Range, or is that what we have (section 13.1.5)?
 */
bool pp_http_precondition_allows_range(const struct pp_http_msg *request,
                                       const struct pp_http_validators *v);

#endif
