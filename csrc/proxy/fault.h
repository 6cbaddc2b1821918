/* What went wrong with an exchange: recorded once, where it is born, with the side that is to blame
 * and whether another attempt could help. Everything else (status, log word, retry) is derived from
 * it. */
#ifndef PP_PROXY_FAULT_H
#define PP_PROXY_FAULT_H

#include "base/err.h"
#include "base/ids.h"

/* X(CODE, status, word, text). <status> 0: taken from the detail (pp_http_rules_status). The word
 * is what access logs and error bodies carry. */
#define PP_FAULT_LIST(X)                                                                           \
    X(NONE, 200, "-", "")                                                                          \
    X(BAD_REQUEST, 0, "bad_request", "the request is malformed")                                   \
    X(HEADER_TIMEOUT, 408, "header_timeout", "the request head did not arrive in time")            \
    X(BODY_TIMEOUT, 408, "body_timeout", "the request body came too slowly")                       \
    X(BODY_TOO_LARGE, 413, "body_too_large", "the request body is over the limit")                 \
    X(CLIENT_ABORT, 499, "client_abort", "the client closed the connection")                       \
    X(SEND_TIMEOUT, 499, "send_timeout", "the client stopped reading")                             \
    X(NO_ROUTE, 404, "no_route", "no route matches the request")                                   \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "the route does not take this method")        \
    X(NOT_IMPLEMENTED, 501, "not_implemented", "tunnels of this kind are not offered")             \
    X(NO_ENDPOINT, 503, "no_endpoint", "no endpoint of the upstream is usable")                    \
    X(CONNECT_REFUSED, 502, "connect_refused", "the endpoint refused the connection")              \
    X(CONNECT_FAILED, 502, "connect_failed", "the endpoint could not be reached")                  \
    X(CONNECT_TIMEOUT, 504, "connect_timeout", "connecting to the endpoint took too long")         \
    X(UPSTREAM_TLS, 502, "upstream_tls", "the TLS handshake with the endpoint failed")             \
    X(UPSTREAM_RESET, 502, "upstream_reset", "the endpoint broke the connection")                  \
    X(UPSTREAM_REFUSED, 503, "upstream_refused", "the endpoint took no further request")           \
    X(UPSTREAM_WANTS_H1, 502, "http_1_1_required", "the endpoint wants HTTP/1.1 for this request") \
    X(UPSTREAM_BAD_RESPONSE, 502, "upstream_bad_response", "the endpoint's response is malformed") \
    X(UPSTREAM_BODY_TOO_LARGE, 502, "upstream_body_too_large",                                     \
      "the response is over a filter's limit")                                                     \
    X(FIRST_BYTE_TIMEOUT, 504, "first_byte_timeout", "the endpoint did not answer in time")        \
    X(READ_TIMEOUT, 504, "read_timeout", "the endpoint stopped sending")                           \
    X(UPSTREAM_SEND_TIMEOUT, 504, "upstream_send_timeout", "the endpoint stopped reading")         \
    X(TOTAL_TIMEOUT, 504, "total_timeout", "the exchange took longer than the route allows")       \
    X(FILTER_ERROR, 500, "filter_error", "a filter raised an exception")                           \
    X(FILTER_TIMEOUT, 500, "filter_timeout", "an async filter passed its deadline")                \
    X(HEAD_TOO_LARGE, 502, "head_too_large", "a message head grew over what can be sent")          \
    X(IDLE_TIMEOUT, 408, "idle_timeout", "no byte passed either way for too long")                 \
    X(NO_MEMORY, 503, "no_memory", "out of memory")                                                \
    X(SHUTDOWN, 503, "shutdown", "the worker is stopping")                                         \
    X(FLOW_LIMIT, 503, "session_limit", "the listener has more sessions than it may")              \
    X(UPSTREAM_NO_UPGRADE, 502, "upstream_no_upgrade",                                             \
      "the endpoint does not take WebSockets over HTTP/2")                                         \
    X(TRY_TIMEOUT, 504, "try_timeout", "the endpoint took longer than one attempt may")            \
    X(BREAKER_OPEN, 503, "breaker_open", "too many requests to the upstream have failed")          \
    X(OVERLOAD, 503, "overload", "the proxy has too much to do")                                   \
    X(UPSTREAM_OVERFLOW, 503, "upstream_overflow", "too many requests wait for the upstream")      \
    X(QUEUE_TIMEOUT, 503, "queue_timeout", "the upstream had no room in time")                     \
    X(NO_FILE, 404, "no_file", "there is no such file")                                            \
    X(FILE_ERROR, 500, "file_error", "a file cannot be read, or became shorter meanwhile")

enum pp_fault_code {
#define PP_FAULT_ENUM(code, status, word, text) PP_FAULT_##code,
    PP_FAULT_LIST(PP_FAULT_ENUM)
#undef PP_FAULT_ENUM
        PP_FAULT_COUNT
};

struct pp_fault {
    uint8_t code;   /* enum pp_fault_code */
    uint8_t side;   /* enum pp_side: who is to blame */
    bool retryable; /* nothing of the exchange can have been acted upon: another endpoint may be
                       tried */
    int detail;     /* PP_E code behind it, or PP_OK */
};

/* A fault of those parts; <detail> is the PP_E code behind it. */
struct pp_fault pp_fault_make(enum pp_fault_code code, enum pp_side side, bool retryable,
                              int detail);

/* Why an endpoint could not be connected to, from the PP_E code of the attempt. */
enum pp_fault_code pp_fault_connect_code(int rc);

static inline bool pp_fault_is_set(const struct pp_fault *f)
{
    return f->code != PP_FAULT_NONE;
}

/* Status with which a fault is answered when an answer is still possible. */
unsigned pp_fault_status(const struct pp_fault *f);
/* Machine-readable word: the detail's own word for malformed messages ("bare_lf"), else the code's.
 * Static. */
const char *pp_fault_word(const struct pp_fault *f);
/* One sentence for people. Static. */
const char *pp_fault_text(const struct pp_fault *f);

#endif
