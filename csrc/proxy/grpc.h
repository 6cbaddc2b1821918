/* What the proxy knows of gRPC over HTTP/2 (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md): calls
 * pass through as the streams they are; only their deadlines are kept, and answers of our own are
 * put into words that gRPC clients understand. */
#ifndef PP_PROXY_GRPC_H
#define PP_PROXY_GRPC_H

#include "proxy/exchange.h"
#include "wire/base64.h"
#include "wire/grpc_web.h"

/* Status codes of gRPC that we give. */
enum pp_grpc_code {
    PP_GRPC_UNKNOWN = 2,
    PP_GRPC_DEADLINE_EXCEEDED = 4,
    PP_GRPC_PERMISSION_DENIED = 7,
    PP_GRPC_UNIMPLEMENTED = 12,
    PP_GRPC_UNAVAILABLE = 14,
    PP_GRPC_UNAUTHENTICATED = 16
};

/* An exchange that came as gRPC-Web (proxy/filter_grpc_web.h); in its arena. */
struct pp_grpc_web {
    struct pp_span type; /* Content-Type as the client sent it */
    struct pp_base64_decoder decoder;
    struct pp_grpc_web_piece {
        char *mem;
        size_t cap;
    } piece[2]; /* by enum pp_dir: the one in hand, in its other form */
    bool text;
    bool bridges; /* the response is one of gRPC */
};

/* Is the message one of gRPC: Content-Type application/grpc, with or without +suffix? (gRPC-Web is
 * something else.) */
bool pp_grpc_is_call(const struct pp_http_msg *m);
/* Is it one of gRPC-Web, before the bridge has seen it? */
bool pp_grpc_is_web_call(const struct pp_http_msg *m);

/* The code for an HTTP <status> that is no answer of gRPC. */
enum pp_grpc_code pp_grpc_code_of(unsigned status);

/* How long the caller is willing to wait, by grpc-timeout; 0: as long as it takes. A field that
 * cannot be read counts as none: the endpoint judges it. At least 1 otherwise. */
uint64_t pp_grpc_timeout_ms(const struct pp_http_msg *request);

/* Turn x->response, an answer of our own with an error status, into one of gRPC: 200 without a
 * body, and the code in the head (Trailers-Only). Other fields stay. PP_OK or PP_ENOMEM. */
int pp_grpc_reply(struct pp_exchange *x) PP_MUST_USE;

#endif
