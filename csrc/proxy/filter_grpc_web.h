/* The bridge of gRPC-Web: calls of browsers, over HTTP/1 or HTTP/2, become calls of gRPC, and
 * answers go back in their form, binary or text. Requests of other types pass through untouched.
 *
 * It stands first among the filters of requests and last among those of responses, so that others
 * see gRPC. CORS is not its business. */
#ifndef PP_PROXY_FILTER_GRPC_WEB_H
#define PP_PROXY_FILTER_GRPC_WEB_H

#include "proxy/phase.h"

/* The filter kind; <self> is not used. Bound to request, request_body, response, response_body. */
extern const struct pp_filter_ops pp_filter_grpc_web_ops;

#endif
