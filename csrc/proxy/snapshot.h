/* One compiled configuration: immutable and reference-counted. An exchange keeps the snapshot with
 * which it started, so a new one can be installed at any time.
 *
 * Everything lives in the snapshot's arena; what must be released (clusters, routers, Python
 * objects) is registered there as a clean-up. */
#ifndef PP_PROXY_SNAPSHOT_H
#define PP_PROXY_SNAPSHOT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/ids.h"
#include "base/list.h"
#include "proxy/template.h"
#include "route/cidr.h"
#include "route/names.h"
#include "route/pressure.h"
#include "route/router.h"
#include "wire/http1_head.h"
#include "wire/http2_codec.h"

/* Phases of an exchange in their order; X(PHASE, name). The names are those that filters are
 * written with. */
#define PP_PHASE_LIST(X)                                                                           \
    X(EARLY_REQUEST, "early_request")                                                              \
    X(REQUEST, "request")                                                                          \
    X(REQUEST_BODY, "request_body")                                                                \
    X(UPSTREAM_PEER, "upstream_peer")                                                              \
    X(UPSTREAM_REQUEST, "upstream_request")                                                        \
    X(CONNECTED, "connected")                                                                      \
    X(CONNECT_FAILED, "connect_failed")                                                            \
    X(UPSTREAM_RESPONSE, "upstream_response")                                                      \
    X(RESPONSE, "response")                                                                        \
    X(RESPONSE_BODY, "response_body")                                                              \
    X(RESPONSE_TRAILERS, "response_trailers")                                                      \
    X(PROXY_ERROR, "proxy_error")                                                                  \
    X(LOG, "log")

enum pp_phase {
#define PP_PHASE_ENUM(phase, name) PP_PHASE_##phase,
    PP_PHASE_LIST(PP_PHASE_ENUM)
#undef PP_PHASE_ENUM
        PP_PHASE_COUNT
};

struct pp_filter_ops; /* proxy/phase.h */

/* A filter as it stands in a chain: its kind and its own state (configuration, or the Python
 * callable). */
struct pp_filter {
    const struct pp_filter_ops *ops;
    void *self;
};

/* The filters of one route, sorted by phase: a phase that nobody defines has n = 0 and costs one
 * load. */
struct pp_chain {
    uint8_t n[PP_PHASE_COUNT];
    const struct pp_filter *filter[PP_PHASE_COUNT];
    uint32_t buffer_request; /* > 0: the request body is collected, at most so many bytes, before it
                                is sent on */
    uint32_t buffer_response; /* the same for the response body */
};

struct pp_cluster;      /* proxy/cluster.h */
struct pp_retry_policy; /* route/retry_policy.h */
struct pp_tls_conf;     /* io/tls_conf.h */

/* What is read of a connection before it begins (proxy/greet.h). */
struct pp_greet_conf {
    bool header;        /* a PROXY protocol header, from <proxies> */
    bool proxies_unix;  /* connections from unix sockets are such ones, too */
    bool others_direct; /* connections from elsewhere are served without one, not refused */
    bool server_name;   /* the server name of a TLS ClientHello chooses among <upstream> */
    uint32_t n_proxies;
    const struct pp_cidr *proxies;
    uint32_t n_name;
    const struct pp_names_row *name; /* sorted; the values are indices of <upstream> */
    struct pp_cluster *const *upstream;
};

/* What comes in at a listener. */
enum pp_listener_protocol {
    PP_LISTENER_HTTP = 0,
    PP_LISTENER_TCP = 1, /* connections that are tunnelled, whatever they speak */
    PP_LISTENER_UDP = 2  /* datagrams */
};

struct pp_listener_conf {
    struct pp_span name;
    uint8_t protocol; /* enum pp_listener_protocol */
    struct pp_http1_limits limits;
    uint64_t header_timeout_ms, idle_timeout_ms, body_timeout_ms, send_timeout_ms;
    uint64_t tunnel_idle_ms;  /* of tunnels that began as requests: without a byte; 0: never ends */
    uint64_t max_age_ms;      /* 0: none; connection age, checked between exchanges */
    uint32_t body_min_rate;   /* bytes per second, averaged; 0: none (slow-body attack) */
    uint32_t max_requests;    /* per connection; 0: no limit */
    uint32_t max_connections; /* per worker; 0: no limit */
    uint32_t n_trusted;
    const struct pp_cidr *trusted; /* whose X-Forwarded-* fields are believed */
    bool trust_unix;               /* connections from unix sockets are believed too */
    struct pp_span via;            /* "1.1 name", empty: no Via */
    struct pp_span server;         /* replaces Server in responses unless empty */
    uint32_t access_log;           /* index into logs, PP_ID_NONE: none */
    uint32_t record;               /* counters (proxy/metrics.h), set at install */
    struct pp_cluster *cluster;    /* where TCP and UDP go; NULL: of TCP <greet> must name one */
    const struct pp_greet_conf *greet; /* NULL: connections begin at once */
    struct pp_tls_conf *tls;      /* of new connections, NULL: plain; a reference of the arena's */
    bool no_http2;                /* clients that begin with its preface are refused */
    struct pp_http2_limits http2; /* 0 in a member: its default */
    uint32_t keepalive_s;         /* of both ends of a tunnel: probes after so long; 0: none */
    uint32_t max_flows;           /* of a UDP listener, per worker; 0: no limit */
    uint32_t responses; /* to each datagram: then its session ends at once; 0: any number */
};

enum pp_route_action {
    PP_ROUTE_ACTION_NONE = 0, /* a filter answers or names the address to connect to */
    PP_ROUTE_ACTION_UPSTREAM = 1,
    PP_ROUTE_ACTION_RESPOND = 2,
    PP_ROUTE_ACTION_REDIRECT = 3
};

struct pp_respond_field {
    struct pp_span name, value;
};

/* One of the upstreams of a split. */
struct pp_arm {
    struct pp_span name; /* "route/arm", as metrics call it */
    struct pp_span upstream;
    struct pp_cluster *cluster;
    uint64_t until; /* its weight and those of the arms before it */
    uint32_t record;
};

struct pp_split {
    uint32_t n;                   /* at least one has a weight */
    uint64_t total;               /* of the weights, below 2^32 */
    const struct pp_variable *by; /* what keeps a client with its arm; NULL: nothing */
    struct pp_arm *arm;
};

/* A route without access log: an index that no log has. */
#define PP_ROUTE_LOG_OFF (PP_ID_NONE - 1)

struct pp_route {
    struct pp_span name;
    struct pp_span upstream; /* its name; empty: it leads to none */
    uint8_t action;          /* enum pp_route_action */
    uint16_t status;         /* of respond and redirect */
    struct pp_cluster *cluster;
    const struct pp_split *split; /* NULL: <cluster> takes all */
    struct pp_chain chain;
    uint64_t max_body;                   /* request body bytes -> 413; UINT64_MAX: no limit */
    uint64_t total_timeout_ms;           /* 0: none */
    const struct pp_retry_policy *retry; /* NULL: that of the upstream */
    struct pp_span body;                 /* respond */
    const struct pp_respond_field *field;
    uint32_t n_field;
    const struct pp_template *location;     /* redirect */
    const struct pp_template *rewrite_path; /* NULL: as the client sent it */
    const struct pp_template *rewrite_host;
    struct pp_span upgrade; /* protocols that clients may ask for, a list as in Upgrade */
    bool takes_connect;     /* a match names CONNECT */
    bool exempt;            /* served by an overloaded worker, too */
    uint32_t access_log;    /* PP_ID_NONE: the listener's; PP_ROUTE_LOG_OFF: none */
    uint32_t record;
};

struct pp_accesslog; /* proxy/accesslog.h */
struct pp_sink;      /* io/sink.h */

struct pp_log_conf {
    const char *path; /* NULL: fd */
    int fd;
    const struct pp_accesslog *format;
    struct pp_sink *sink; /* opened by the worker at install, closed by it after the last line */
};

/* When a worker has too much to do (proxy/overload.h); zeroed: never. */
struct pp_overload_conf {
    struct pp_pressure_conf memory, lag; /* bytes; microseconds */
    bool exempts;                        /* a route is exempt */
};

struct pp_snapshot {
    uint32_t refs;
    struct pp_list in_use; /* in core->in_use from its installation until nobody uses it */
    uint32_t users; /* the worker in which it is installed, and exchanges: they write to the logs */
    struct pp_arena arena;
    struct pp_router *router;
    const struct pp_route *
        *route; /* [0]: the fallback of requests that match nothing; it has the global filters */
    uint32_t n_route;
    struct pp_listener_conf **listener;
    uint32_t n_listener;
    struct pp_log_conf **log;
    uint32_t n_log;
    struct pp_cluster **cluster;
    uint32_t n_cluster;
    struct pp_chain early; /* the global filters' early_request */
    struct pp_overload_conf overload;
};

/* Empty, with one reference. NULL when memory is out. */
struct pp_snapshot *pp_snapshot_new(void);
static inline struct pp_snapshot *pp_snapshot_ref(struct pp_snapshot *sn)
{
    sn->refs++;
    return sn;
}
/* The last one frees it. NULL is fine. */
void pp_snapshot_unref(struct pp_snapshot *sn);

/* A reference of somebody who may write to the logs; the last one to release it closes them. */
static inline struct pp_snapshot *pp_snapshot_acquire(struct pp_snapshot *sn)
{
    sn->users++;
    return pp_snapshot_ref(sn);
}
/* NULL is fine. */
void pp_snapshot_release(struct pp_snapshot *sn);
/* Close the logs that are open. */
void pp_snapshot_close_logs(struct pp_snapshot *sn);

/* Name of a phase as filters write it; and the phase of a name, or -1. */
const char *pp_snapshot_phase_name(enum pp_phase phase);
int pp_snapshot_phase_find(struct pp_span name);

#endif
