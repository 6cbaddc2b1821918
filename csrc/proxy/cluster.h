/* An upstream as one worker sees it: its endpoints, their live numbers, and the choice among them.
 */
#ifndef PP_PROXY_CLUSTER_H
#define PP_PROXY_CLUSTER_H

#include "io/sock.h"
#include "proxy/core.h"
#include "route/balance.h"
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

struct pp_cluster_conf {
    uint64_t connect_timeout_ms, send_timeout_ms, first_byte_timeout_ms, read_timeout_ms,
        total_timeout_ms;
    uint64_t idle_timeout_ms, max_age_ms; /* of pooled connections; age 0: none */
    uint32_t max_idle;                    /* pooled connections per endpoint and worker */
    uint32_t max_requests;                /* per connection, 0: no limit */
    uint32_t retries;
    uint8_t proxy_protocol; /* version of the header that new connections begin with; 0: none.
                               Such a connection is of one client, and never pooled */
    struct pp_http1_limits limits; /* of response heads */
    struct pp_tls_client *tls;     /* how its endpoints are spoken to; NULL: plain */
    struct pp_cluster_http2 http2;
};

struct ssl_session_st;

struct pp_endpoint {
    struct pp_cluster *cluster;
    struct pp_span name; /* address as configured: logs and metrics */
    struct pp_sock_dest dest;
    struct pp_span host;           /* what its certificate must be for: host name or IP address */
    struct ssl_session_st *ticket; /* to resume the last TLS session with; NULL: none */
    uint32_t weight, index;
    uint32_t active; /* exchanges in progress */
    uint32_t n_idle;
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
    struct pp_balance_view *view; /* scratch of pick */
    struct pp_http2_kind *http2;  /* of its HTTP/2 connections, made with the first one */
    uint32_t record;
    uint32_t refs; /* the snapshot, and every connection of the cluster */
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

/* Make it a part of this worker: finds its counters. Before the first pick. */
void pp_cluster_attach(struct pp_cluster *cl, struct pp_core *core);

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

/* Choose an endpoint; those whose bit is in <tried> are left out as long as another is there. NULL:
 * none. */
struct pp_endpoint *pp_cluster_pick(struct pp_cluster *cl, uint64_t tried, uint64_t hash);

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
