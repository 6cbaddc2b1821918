/* request_id: a name for every request, which endpoint, client and logs get.
 *
 * Options {header, format: "uuid4" or "uuid7", trust: "never", "trusted" or "always", response:
 * bool}. The client's own is kept from whom <trust> says: those whose X-Forwarded-* fields the
 * listener believes, nobody, or everybody; and only if it is 1 to 128 letters, digits and
 * "-._~:+/=". Otherwise a new one replaces it.
 *
 * The random numbers are the worker's, which are not for secrets: an id names, it does not prove.
 */
#ifndef PP_PROXY_FILTER_REQUEST_ID_H
#define PP_PROXY_FILTER_REQUEST_ID_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_request_id_kind;

#endif
