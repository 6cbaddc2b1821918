/* The names of what is known about a request: one list, for the predicates of routes, for templates
 * and keys of filters and of balancing. Values come from proxy/variable.h. */
#ifndef PP_BASE_VARIABLE_H
#define PP_BASE_VARIABLE_H

#include "base/err.h"
#include "base/span.h"

/* X(VARIABLE, name, meaning). A name that ends in "." goes on with a name of the request's:
 * "header." stands for header.NAME. */
#define PP_VARIABLE_LIST(X)                                                                        \
    X(HOST, "host", "The host, in lower case and without port.")                                   \
    X(AUTHORITY, "authority", "The host as the client sent it, with its port.")                    \
    X(PATH, "path", "The path in normal form.")                                                    \
    X(QUERY, "query", "The query as the client sent it, without its question mark.")               \
    X(METHOD, "method", "The method.")                                                             \
    X(SCHEME, "scheme", "`http` or `https`.")                                                      \
    X(PROTOCOL, "protocol", "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.")                               \
    X(CLIENT_ADDRESS, "client.address", "The client's address.")                                   \
    X(CLIENT_PORT, "client.port", "The client's port.")                                            \
    X(SERVER_ADDRESS, "server.address", "The address that the client has connected to.")           \
    X(SERVER_PORT, "server.port", "The port that the client has connected to.")                    \
    X(TLS_VERSION, "tls.version",                                                                  \
      "Such as `TLSv1.3`; absent on plain connections, as all of TLS.")                            \
    X(TLS_CIPHER, "tls.cipher", "The cipher suite.")                                               \
    X(TLS_SNI, "tls.sni", "The server name that the client asked for.")                            \
    X(TLS_ALPN, "tls.alpn", "The protocol that was agreed on.")                                    \
    X(TLS_CLIENT, "tls.client", "The client's certificate, as X-Forwarded-Client-Cert tells it.")  \
    X(LISTENER, "listener", "The name of the listener.")                                           \
    X(ROUTE, "route", "The name of the route, once there is one.")                                 \
    X(UPSTREAM, "upstream", "The name of the upstream that the route leads to.")                   \
    X(REQUEST_ID, "request.id", "Its name by the filter `request_id`, else its worker's number.")  \
    X(TIME, "time", "Seconds since 1970.")                                                         \
    X(HEADER, "header.", "A header; several of one name are joined with commas.")                  \
    X(ARGUMENT, "query.", "The first argument of that name in the query, decoded.")                \
    X(COOKIE, "cookie.", "The first cookie of that name, decoded.")                                \
    X(PARAM, "param.", "What the path of the route has captured under that name.")

enum pp_variable_kind {
#define PP_VARIABLE_ENUM(kind, name, meaning) PP_VARIABLE_##kind,
    PP_VARIABLE_LIST(PP_VARIABLE_ENUM)
#undef PP_VARIABLE_ENUM
        PP_VARIABLE_KIND_COUNT
};

struct pp_variable {
    uint8_t kind;        /* enum pp_variable_kind */
    uint8_t field;       /* of a header: its id in wire/http_tok.h, 0: none, or not looked up */
    uint32_t hash;       /* of <name> (pp_variable_hash), for looking it up among many */
    struct pp_span name; /* of header, argument, cookie and capture; else empty */
};

/* Hash of an argument's or a cookie's name. Not keyed: it only saves comparisons. */
uint32_t pp_variable_hash(struct pp_span name);

/* Read a name ("header.x-user"); spans of *out point into <text>. Names of headers are tokens and
 * any case fits. PP_OK, or PP_EINVAL: there is no such variable. */
int pp_variable_parse(struct pp_span text, struct pp_variable *out) PP_MUST_USE;

/* Row <i> of the list: name and meaning; false past the end. Static storage. */
bool pp_variable_row(unsigned i, struct pp_span *name, struct pp_span *meaning);

#endif
