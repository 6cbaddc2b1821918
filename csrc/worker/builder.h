/* The flat calls that build one snapshot, for Cython: plain values in, ids out. The order is logs,
 * listeners, upstreams, endpoints, filters, routes, finish. A snapshot that is not finished is
 * given back with pp_builder_free.
 *
 * Errors: PP_EINVAL leaves a sentence in <why>; PP_ENOMEM says nothing more. After an error only
 * pp_builder_free may follow. */
#ifndef PP_WORKER_BUILDER_H
#define PP_WORKER_BUILDER_H

#include "base/options.h"
#include "proxy/cluster.h"
#include "proxy/hook.h"
#include "proxy/snapshot.h"

#define PP_BUILDER_WHY 256

struct pp_builder;

/* NULL when memory is out. */
struct pp_builder *pp_builder_new(void);
/* Give up what was built; NULL is fine. */
void pp_builder_free(struct pp_builder *b);
/* The sentence about the last PP_EINVAL; "" when there is none. Borrowed. */
const char *pp_builder_why(const struct pp_builder *b);

/* <path> empty: write to <fd> (borrowed). <format> is used when <json> is false. */
int pp_builder_add_log(struct pp_builder *b, struct pp_span path, int fd, bool json,
                       struct pp_span format, uint32_t *id);

/* <conf>: every plain member; name, via (pseudonym only), server and trusted are given apart and
 * copied. */
int pp_builder_add_listener(struct pp_builder *b, struct pp_span name,
                            const struct pp_listener_conf *conf, struct pp_span via,
                            struct pp_span server, uint32_t *id);
/* A trusted address range of the listener: CIDR text, or "unix". */
int pp_builder_add_trusted(struct pp_builder *b, uint32_t listener, struct pp_span range);

/* HTTP/2 towards the clients of <listener>, or (not <enabled>) none. The limits on heads are taken
 * from the listener's own, and so is what <limits> leaves 0 from the codec's defaults. */
void pp_builder_set_http2(struct pp_builder *b, uint32_t listener, bool enabled,
                          const struct pp_http2_limits *limits);
/* <listener> goes to <upstream>: one of UDP with its datagrams; any other is made one of TCP, whose
 * connections are tunnelled there. */
int pp_builder_set_tunnel(struct pp_builder *b, uint32_t listener, uint32_t upstream);
/* Make <listener> one of TCP, whose TLS connections for the server name <name> ("a.example",
 * "*.a.example") go to <upstream>, unread. Without pp_builder_set_tunnel there are no others. That
 * a name stands twice is told by pp_builder_finish (PP_EEXIST). */
int pp_builder_add_server_name(struct pp_builder *b, uint32_t listener, struct pp_span name,
                               uint32_t upstream);
/* Connections of <listener> from the address range <range> (CIDR text, or "unix") begin with a
 * PROXY protocol header. <others_direct>: those from elsewhere are served without one, not refused.
 */
int pp_builder_add_proxy(struct pp_builder *b, uint32_t listener, struct pp_span range,
                         bool others_direct);

/* Speak <tls> on <listener>; takes a reference (builder_tls.c). */
int pp_builder_set_tls(struct pp_builder *b, uint32_t listener, struct pp_tls_conf *tls);

/* <conf> is copied; the endpoints come with pp_builder_add_endpoint, any time before finish. */
int pp_builder_add_upstream(struct pp_builder *b, struct pp_span name, struct pp_span balance,
                            const struct pp_cluster_conf *conf, uint32_t *id);
/* One more endpoint of <upstream>; *id counts from 0 in each. <name> empty: its address. */
int pp_builder_add_endpoint(struct pp_builder *b, uint32_t upstream, struct pp_span address,
                            struct pp_span name, uint32_t weight, uint32_t *id);

/* A Python filter; bind its callables with pp_builder_bind. The references are the caller's: see
 * pp_builder_finish. */
int pp_builder_add_filter(struct pp_builder *b, struct pp_span name, uint32_t timeout_ms,
                          uint32_t buffer_request, uint32_t buffer_response, uint32_t *id);
/* It wants the request's body, at most so many bytes, in its request phase: it is collected before
 * that, and a longer one is answered with 413. */
void pp_builder_set_body_first(struct pp_builder *b, uint32_t filter, uint32_t bytes);
int pp_builder_bind(struct pp_builder *b, uint32_t filter, enum pp_phase phase, void *callable);

/* A native filter of <kind> (proxy/filters.h), made of <o>: a tree in pp_builder_arena
 * (builder_native.c). <name> is what logs call it. */
int pp_builder_add_native(struct pp_builder *b, struct pp_span kind, struct pp_span name,
                          const struct pp_options *o, uint32_t *id);
/* Put the cluster of the upstream of that name, which was added before, at *at when it is there:
 * in pp_builder_finish. <at> is of pp_builder_arena. */
int pp_builder_wish(struct pp_builder *b, struct pp_span upstream, struct pp_cluster **at);
/* Let <filter> take part only in exchanges for which <when> holds (pp_builder_compile_predicate);
 * once at most, after everything is bound. */
int pp_builder_set_when(struct pp_builder *b, uint32_t filter, const struct pp_predicate *when);

/* A route without matches yet; <filters> in order. The first route added is the fallback: it takes
 * what matches nothing. */
struct pp_builder_route {
    struct pp_span name;
    enum pp_route_action action;
    uint32_t upstream; /* PP_ID_NONE */
    unsigned status;
    struct pp_span body, location, rewrite_path, rewrite_host; /* .p NULL: not given */
    const struct pp_respond_field *field;
    uint32_t n_field;
    const uint32_t *filter;
    uint32_t n_filter;
    struct pp_span upgrade; /* protocols for Upgrade, comma-separated; empty: none */
    uint64_t max_body, total_timeout_ms;
    uint32_t access_log;
    bool grpc_web; /* bridge gRPC-Web */
};
int pp_builder_add_route(struct pp_builder *b, const struct pp_builder_route *r, uint32_t *id);
/* One pattern of a route. Never called for the fallback. */
int pp_builder_add_match(struct pp_builder *b, uint32_t route, struct pp_span host,
                         struct pp_span path, pp_router_methods methods, int priority);
/* Compile the predicate <program> (route/predicate.h); it lives as long as the snapshot. The
 * callables are borrowed as those of filters are. */
int pp_builder_compile_predicate(struct pp_builder *b, struct pp_span program,
                                 void *const *callable, uint32_t n_callable,
                                 const struct pp_predicate **out);
/* The pattern that was added last takes only requests for which <p> holds. */
void pp_builder_set_predicate(struct pp_builder *b, const struct pp_predicate *p);
/* One more arm of <route>, which then leads to those and to no upstream of its own; <weight> may be
 * 0. <name> is what metrics call it. PP_ELIMIT: the weights are too much together. */
int pp_builder_add_arm(struct pp_builder *b, uint32_t route, struct pp_span name, uint32_t upstream,
                       uint32_t weight);
/* The variable that keeps clients with their arm of <route>, which has arms. */
int pp_builder_set_split_key(struct pp_builder *b, uint32_t route, struct pp_span variable);

/* The filters whose early_request runs for every request. */
int pp_builder_set_early(struct pp_builder *b, const uint32_t *filter, uint32_t n);

/* Compile. On PP_OK *out has one reference, and release(arg) will be called when the last one goes
 * (it gives up the callables). The builder is freed in either case. */
int pp_builder_finish(struct pp_builder *b, void (*release)(void *arg), void *arg,
                      struct pp_snapshot **out);
/* Speak <tls> to the endpoints of <upstream>; takes a reference (builder_tls.c). */
int pp_builder_set_upstream_tls(struct pp_builder *b, uint32_t upstream, struct pp_tls_client *tls);
/* How endpoints of <upstream> are chosen (builder_balance.c); without it as pp_cluster_default_conf
 * says. The key of hashing policies is a request variable (base/variable.h), empty: the client's
 * address; <sticky> is the name of a cookie, empty: none; what follows its value ("; Path=/") is
 * <attributes>. All is copied. */
struct pp_builder_balance {
    struct pp_balance_conf policy;
    struct pp_span key, sticky, attributes;
    uint32_t panic_percent;
    uint32_t slow_start_ms;
    uint16_t ramp[PP_CLUSTER_RAMP];
};
int pp_builder_set_balance(struct pp_builder *b, uint32_t upstream,
                           const struct pp_builder_balance *balance);
/* When <upstream> is left alone for a while (route/breaker.h). */
void pp_builder_set_breaker(struct pp_builder *b, uint32_t upstream,
                            const struct pp_breaker_conf *conf);
/* How much <upstream> takes at once (proxy/admission.h; <endpoints> is set by itself); without it
 * as much as comes. */
void pp_builder_set_limits(struct pp_builder *b, uint32_t upstream,
                           const struct pp_admission_conf *conf);
/* What is tried again at <upstream>, or of <route> whatever its upstream says (builder_retry.c):
 * <conditions> are words as pp_retry_policy_add takes them, comma-separated, beside the numbers in
 * <policy>. Copied. */
struct pp_builder_retry {
    struct pp_retry_policy policy;
    struct pp_span conditions;
};
int pp_builder_set_retry(struct pp_builder *b, uint32_t upstream, const struct pp_builder_retry *r);
int pp_builder_set_route_retry(struct pp_builder *b, uint32_t route,
                               const struct pp_builder_retry *r);
/* Let the limit of <upstream> follow its answers (proxy/adaptive.h), besides those that
 * pp_builder_set_limits has set before. */
void pp_builder_set_adaptive(struct pp_builder *b, uint32_t upstream,
                             const struct pp_gradient_conf *conf);
/* When endpoints of <upstream> are ejected for their answers (builder_outlier.c); without it never.
 */
void pp_builder_set_outlier(struct pp_builder *b, uint32_t upstream,
                            const struct pp_outlier_conf *conf);
/* When the worker has too much to do (builder_overload.c); without it never. */
void pp_builder_set_overload(struct pp_builder *b, const struct pp_pressure_conf *memory,
                             const struct pp_pressure_conf *lag);
/* Serve requests of <route> even then. */
void pp_builder_exempt_route(struct pp_builder *b, uint32_t route);
/* The endpoint that was added last to <upstream> is of <tier>, and (<drain>) gets nothing new. */
void pp_builder_set_role(struct pp_builder *b, uint32_t upstream, uint8_t tier, bool drain);
/* The endpoint that was added last to <upstream> takes so much at once and no more; 0: no limit. */
void pp_builder_set_endpoint_limits(struct pp_builder *b, uint32_t upstream, uint32_t max_requests,
                                    uint32_t max_connections);
/* The host name by which the endpoint that was added last to <upstream> was found. */
int pp_builder_set_host(struct pp_builder *b, uint32_t upstream, struct pp_span host);

/* For builder_*.c: what is being built, and its arena. */
struct pp_route *pp_builder_route(struct pp_builder *b, uint32_t route);
/* Lead the arms of <route>, if it has any, to the clusters of the upstreams, in their order. */
void pp_builder_settle_split(struct pp_builder *b, uint32_t route,
                             struct pp_cluster *const *cluster);
struct pp_listener_conf *pp_builder_listener(struct pp_builder *b, uint32_t listener);
struct pp_cluster_conf *pp_builder_upstream(struct pp_builder *b, uint32_t upstream);
struct pp_arena *pp_builder_arena(struct pp_builder *b);
struct pp_snapshot *pp_builder_snapshot(struct pp_builder *b);
/* What runs in <phase> for <filter>; .ops NULL: nothing. */
struct pp_filter *pp_builder_bound(struct pp_builder *b, uint32_t filter, enum pp_phase phase);
/* PP_EINVAL, with <what> and "<text>" as the sentence. */
int pp_builder_refuse(struct pp_builder *b, const char *what, struct pp_span text);

#endif
