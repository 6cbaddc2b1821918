/* An upstream as one worker sees it: its endpoints, their live numbers, and the choice among them.
 */
#ifndef PP_PROXY_CLUSTER_H
#define PP_PROXY_CLUSTER_H

#include "base/variable.h"
#include "io/sock.h"
#include "proxy/admission.h"
#include "proxy/core.h"
#include "route/balance.h"
#include "route/breaker.h"
#include "route/gradient.h"
#include "route/outlier.h"
#include "route/retry_policy.h"
#include "wire/http2_codec.h"

/* What is spoken to endpoints. */
enum pp_cluster_protocol {
    PP_CLUSTER_AUTO = 0, /* as agreed by ALPN; HTTP/1 without TLS */
    PP_CLUSTER_H1 = 1,
    PP_CLUSTER_H2 = 2, /* HTTP/2, agreed by ALPN */
    PP_CLUSTER_H2C = 3 /* HTTP/2 without TLS, by prior knowledge */
};

struct pp_cluster_http2 {
    uint8_t protocol;      /* enum pp_cluster_protocol */
    uint32_t max_streams;  /* of one connection, if the endpoint allows as many */
    uint32_t window_bytes; /* of a response body that the client has not taken */
};

/* Steps in which the weight of an endpoint that begins slowly grows. */
#define PP_CLUSTER_RAMP 32
#define PP_CLUSTER_FULL 1000 /* a whole weight, in a ramp */
#define PP_CLUSTER_TIERS 16

/* How an endpoint is chosen. The spans are borrowed from the snapshot. */
struct pp_cluster_balance {
    struct pp_balance_conf policy;
    struct pp_variable key;    /* what is hashed; by default the client's address */
    struct pp_variable sticky; /* the cookie that names the endpoint; without a name: none */
    struct pp_span attributes; /* what follows that cookie's value: "; Path=/" */
    uint32_t panic_percent;    /* fewer usable endpoints than that, and all are used; 0: never */
    uint32_t slow_start_ms;    /* how long an endpoint that has become usable gets less; 0: none */
    uint16_t ramp[PP_CLUSTER_RAMP]; /* how much, in PP_CLUSTER_FULL parts of its weight */
};

struct pp_cluster_conf {
    uint64_t connect_timeout_ms, send_timeout_ms, first_byte_timeout_ms, read_timeout_ms,
        total_timeout_ms;
    uint64_t idle_timeout_ms, max_age_ms; /* of pooled connections; age 0: none */
    uint32_t max_idle;                    /* pooled connections per endpoint and worker */
    uint32_t warm;         /* of them, opened ahead to an endpoint that is new or in use again */
    uint32_t max_requests; /* per connection, 0: no limit */
    uint32_t retries;
    uint8_t proxy_protocol; /* version of the header that new connections begin with; 0: none.
                               Such a connection is of one client, and never pooled */
    struct pp_http1_limits limits; /* of response heads */
    struct pp_tls_client *tls;     /* how its endpoints are spoken to; NULL: plain */
    struct pp_cluster_http2 http2;
    struct pp_cluster_balance balance;
    struct pp_retry_policy retry;
    struct pp_breaker_conf breaker;
    struct pp_admission_conf admission;
    struct pp_gradient_conf adaptive;
    struct pp_outlier_conf outlier; /* interval 0: endpoints are not judged by their answers */
};

/* Why an endpoint gets nothing new: bits, because one reason does not end another. Each has one
 * author, who sets and clears it; an endpoint without any is usable.
 *
 *   DRAIN      operator      finish what is there; only clients that stick to it may come back
 *   DOWN       operator      nobody
 *   UNHEALTHY  health checks nobody, unless in panic
 *   EJECTED    its answers   nobody, unless in panic
 *
 * They come from three places: the configuration (DRAIN alone), the word that all workers share
 * (ENDPOINT STATE of base/metric.h), and this worker. READY is no reason: it stands in the shared
 * word alone, and overrules the configuration. */
enum pp_cluster_out {
    PP_CLUSTER_DRAIN = 1,
    PP_CLUSTER_DOWN = 2,
    PP_CLUSTER_UNHEALTHY = 4,
    PP_CLUSTER_EJECTED = 8,
    PP_CLUSTER_READY = 16
};

struct ssl_session_st;
struct pp_cluster_outlier; /* proxy/cluster_outlier.h */

struct pp_endpoint {
    struct pp_cluster *cluster;
    struct pp_span name; /* address as configured: logs and metrics */
    struct pp_sock_dest dest;
    struct pp_span host;           /* what its certificate must be for: host name or IP address */
    struct ssl_session_st *ticket; /* to resume the last TLS session with; NULL: none */
    uint32_t weight, index;
    uint32_t active;            /* exchanges in progress */
    uint32_t max_requests;      /* in progress, over all workers; 0: no limit */
    uint32_t max_connections;   /* open at once, of this worker; 0: no limit */
    uint32_t places;            /* exchanges of this worker that count against max_requests */
    uint32_t open;              /* connections */
    uint32_t told_weight;       /* given at run time, instead of <weight>; 0: none */
    uint8_t tier;               /* the lower, the earlier it is used */
    uint8_t out;                /* enum pp_cluster_out, from all places: 0 is usable */
    uint8_t out_conf, out_here; /* of it: what the configuration and this worker say */
    uint64_t warm_ms;           /* since when it begins slowly; 0: it does not */
    uint64_t others_ms;         /* when <others> was looked at */
    uint32_t others;            /* exchanges in progress in other workers */
    uint64_t ewma, ewma_at_us;  /* latency (pp_balance_ewma_note), and when it was noted last */
    uint32_t n_idle;
    uint32_t unopened;    /* connections still to be opened ahead (proxy/up_warm.h) */
    uint8_t speaks;       /* enum pp_cluster_protocol that it chose last (ALPN); AUTO: not known */
    bool extended;        /* its last SETTINGS allowed extended CONNECT */
    bool wants_h1;        /* it has said so over HTTP/2: no longer offered that */
    struct pp_list idle;  /* pooled connections, last used first (proxy/pool.h) */
    struct pp_list multi; /* those of HTTP/2 that take further streams (proxy/up_h2.h) */
    uint32_t record;      /* counters */
};

struct pp_cluster {
    struct pp_core *core;
    struct pp_span name;
    struct pp_cluster_conf conf;
    struct pp_balance *balance;
    struct pp_balance_view *view; /* what the policy sees; up to date but for live numbers */
    const uint64_t *told;         /* counts what all workers are told (proxy/metrics.h) */
    uint64_t told_seen;
    uint32_t open;                      /* connections of this worker */
    uint64_t due_ms;                    /* when a weight changes by itself */
    uint64_t total;                     /* exchanges in progress, for bounded load */
    uint64_t total_ms;                  /* when they were counted */
    bool panic;                         /* too few are usable: all are used */
    struct pp_cluster_outlier *outlier; /* NULL: endpoints are not judged by their answers */
    struct pp_breaker breaker;          /* proxy/circuit.h */
    struct pp_admission *admission;     /* NULL: there are no limits */
    struct pp_gradient *gradient;       /* proxy/adaptive.h; NULL: no limit follows its answers */
    struct pp_http2_kind *http2;        /* of its HTTP/2 connections, made with the first one */
    uint32_t record;
    uint32_t refs;  /* the snapshot, and every connection of the cluster */
    uint32_t index; /* in its snapshot */
    bool replaced;  /* its snapshot is not the installed one any more (proxy/up_carry.h) */
    uint32_t n;
    struct pp_endpoint endpoint[];
};

/* <conf> is copied, with a reference of its own to conf->tls. A cluster of <n> endpoints that the
 * caller fills (dest, name, weight) before the first pick. Names are copied by
 * pp_cluster_set_endpoint. NULL when memory is out. */
struct pp_cluster *pp_cluster_new(struct pp_span name, const struct pp_cluster_conf *conf,
                                  const struct pp_balance_ops *balance, uint32_t n);
/* PP_OK, PP_EINVAL (address) or PP_ENOMEM. */
int pp_cluster_set_endpoint(struct pp_cluster *cl, uint32_t i, struct pp_span address,
                            struct pp_span name, uint32_t weight) PP_MUST_USE;
/* The host name by which endpoint <i> was found; without one its certificate must be for its IP
 * address. PP_OK or PP_ENOMEM. */
int pp_cluster_set_host(struct pp_cluster *cl, uint32_t i, struct pp_span host) PP_MUST_USE;

/* Endpoint <i> is used when those of the tiers before <tier> (< PP_CLUSTER_TIERS) do not suffice;
 * <drain>: not before somebody says so at run time. Before attach. */
void pp_cluster_set_role(struct pp_cluster *cl, uint32_t i, uint8_t tier, bool drain);

/* So much at once and no more (0: no limit), which is looked at when conf.admission.endpoints.
 * Before attach. */
void pp_cluster_set_limits(struct pp_cluster *cl, uint32_t i, uint32_t max_requests,
                           uint32_t max_connections);

/* Make it a part of this worker: finds its counters, and takes over what was known of the same
 * endpoints from the cluster of the same name in core->snapshot, which is about to be replaced.
 * Before the first pick. */
void pp_cluster_attach(struct pp_cluster *cl, struct pp_core *core);

/* The cluster of <sn> that is called like <cl>, and the endpoint of <cl> that has the address of
 * <ep>; NULL: there is none. */
struct pp_cluster *pp_cluster_namesake(const struct pp_cluster *cl, const struct pp_snapshot *sn);
struct pp_endpoint *pp_cluster_twin(struct pp_cluster *cl, const struct pp_endpoint *ep);

static inline void pp_cluster_ref(struct pp_cluster *cl)
{
    cl->refs++;
}
/* The last one frees it; its pools must be empty by then, because every connection holds a
 * reference. */
void pp_cluster_unref(struct pp_cluster *cl);

/* Let *at be <ep> from now on, which is counted as active and holds a reference to its cluster;
 * what was there is not any more. Either may be NULL: none. For tunnels and UDP sessions. */
void pp_cluster_use(struct pp_endpoint **at, struct pp_endpoint *ep);
/* Who used <ep> (NULL: nobody) is done with it: it is not counted any more. The reference stays,
 * for a last line in the log, and is the caller's to give back. */
void pp_cluster_unuse(struct pp_endpoint *ep);

/* <n> more (or less) connections to <ep> are open. */
void pp_cluster_count_open(struct pp_endpoint *ep, int n);

/* Does <ep> have as many requests as it may? */
bool pp_cluster_is_full(const struct pp_endpoint *ep);

/* Choose an endpoint; those whose bit is in <tried> are left out as long as another is there.
 * <hash> matters where pp_cluster_hashes(). NULL: none is usable.
 *
 * Tiers are used in order, down to the first one of which at least conf.balance.panic_percent are
 * usable. When there is no such tier, all endpoints of all tiers are used but those that an
 * operator has taken out (panic): that is better than to break the few that are left. */
struct pp_endpoint *pp_cluster_pick(struct pp_cluster *cl, uint64_t tried, uint64_t hash);
/* The same without those that are full. */
struct pp_endpoint *pp_cluster_pick_with_room(struct pp_cluster *cl, uint64_t tried, uint64_t hash);
/* The endpoint that a client sticks to: it has that <key> (pp_balance_view), was not tried, and is
 * usable or drains. Else NULL. */
struct pp_endpoint *pp_cluster_find(struct pp_cluster *cl, uint64_t tried, uint64_t key);
/* See what was said of the endpoints of <cl> up to now, as a pick does. */
void pp_cluster_catch_up(struct pp_cluster *cl);
static inline uint64_t pp_cluster_key(const struct pp_endpoint *ep)
{
    return ep->cluster->view[ep->index].key;
}
static inline bool pp_cluster_is_timed(const struct pp_cluster *cl)
{
    return (cl->balance->ops->uses & PP_BALANCE_USES_LATENCY) != 0;
}
static inline bool pp_cluster_hashes(const struct pp_cluster *cl)
{
    return (cl->balance->ops->uses & PP_BALANCE_USES_HASH) != 0;
}

/* This worker (it alone) says that <bits> of enum pp_cluster_out do, or do not, keep <ep> from
 * being used. The next pick obeys. */
void pp_cluster_mark(struct pp_endpoint *ep, unsigned bits, bool on);
/* The same for all workers, by the shared word: they see it at their next pick. Without a segment,
 * or a record of its own, it is as pp_cluster_mark. */
void pp_cluster_tell(struct pp_endpoint *ep, unsigned bits, bool on);

/* <ep> took <us> until its answer began, or (<failed>) failed after that time. Does nothing unless
 * pp_cluster_is_timed(). */
void pp_cluster_observe(struct pp_endpoint *ep, uint64_t us, bool failed);

#define PP_CLUSTER_ADDRESSES 1024
/* The one-endpoint cluster of an address that a filter has named, spoken to as <conf> says (NULL:
 * the defaults; another conf->tls is another cluster), made at first use and kept by the worker (at
 * most PP_CLUSTER_ADDRESSES; idle ones are dropped to make room). NULL: address malformed, memory
 * out, or all busy; *rc tells. */
struct pp_cluster *pp_cluster_of_address(struct pp_core *core, struct pp_span address,
                                         const struct pp_cluster_conf *conf, int *rc);
/* Forget all of those. */
void pp_cluster_forget_addresses(struct pp_core *core);

/* What an operator gets who says nothing. */
struct pp_cluster_conf pp_cluster_default_conf(void);

#endif
