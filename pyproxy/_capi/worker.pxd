# C declarations of csrc/worker: names as in C, only what is used.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from pyproxy._capi.base cimport pp_arena, pp_bool, pp_options, pp_span
from pyproxy._capi.io cimport pp_tls_client, pp_tls_conf
from pyproxy._capi.proxy cimport (
    pp_cluster_conf,
    pp_exchange,
    pp_hook_ops,
    pp_phase,
    pp_snapshot,
)
from pyproxy._capi.route cimport pp_pressure_conf, pp_router_methods


cdef extern from "wire/http1_head.h" nogil:
    struct pp_http1_limits:
        uint32_t head_bytes
        uint32_t line_bytes
        uint32_t target_bytes
        uint32_t fields


cdef extern from "wire/http2_codec.h" nogil:
    struct pp_http2_limits:
        uint32_t max_streams
        uint32_t stream_window
        uint32_t connection_window
        uint32_t table_bytes


cdef extern from "proxy/snapshot.h" nogil:
    enum pp_listener_protocol:
        PP_LISTENER_HTTP
        PP_LISTENER_TCP
        PP_LISTENER_UDP
    struct pp_listener_conf_s "pp_listener_conf":
        pp_span name
        uint8_t protocol
        pp_http1_limits limits
        uint64_t header_timeout_ms
        uint64_t idle_timeout_ms
        uint64_t body_timeout_ms
        uint64_t send_timeout_ms
        uint64_t max_age_ms
        uint32_t body_min_rate
        uint32_t max_requests
        uint32_t max_connections
        uint32_t access_log
        uint32_t keepalive_s
        uint32_t max_flows
        uint32_t responses
        uint64_t tunnel_idle_ms
    enum pp_route_action:
        PP_ROUTE_ACTION_NONE
        PP_ROUTE_ACTION_UPSTREAM
        PP_ROUTE_ACTION_RESPOND
        PP_ROUTE_ACTION_REDIRECT
    struct pp_respond_field:
        pp_span name
        pp_span value


cdef extern from "proxy/cluster.h" nogil:
    enum:
        PP_CLUSTER_RAMP
    struct pp_cluster_balance:
        pass
    struct pp_cluster_http2:
        uint8_t protocol
        uint32_t max_streams
        uint32_t window_bytes
    struct pp_cluster_conf_s "pp_cluster_conf":
        uint64_t connect_timeout_ms
        uint64_t send_timeout_ms
        uint64_t first_byte_timeout_ms
        uint64_t read_timeout_ms
        uint64_t total_timeout_ms
        uint64_t idle_timeout_ms
        uint64_t max_age_ms
        uint32_t max_idle
        uint32_t warm
        uint32_t max_requests
        uint32_t retries
        uint8_t proxy_protocol
        pp_http1_limits limits
        pp_cluster_http2 http2
        pp_cluster_balance balance
    pp_cluster_conf_s pp_cluster_default_conf()


cdef extern from "route/retry_policy.h" nogil:
    struct pp_retry_policy:
        pp_bool non_idempotent
        uint32_t base_ms
        uint32_t most_ms
        uint32_t per_try_ms
        uint32_t after_ms
        uint32_t budget_percent
        uint32_t budget_least


cdef extern from "route/breaker.h" nogil:
    struct pp_breaker_conf:
        uint32_t in_a_row
        uint32_t percent
        uint32_t least
        uint32_t window_ms
        uint32_t open_ms
        uint32_t probes


cdef extern from "proxy/admission.h" nogil:
    struct pp_admission_conf:
        uint32_t requests
        uint32_t pending
        uint32_t queue_ms
        uint32_t connections
        uint32_t retries


cdef extern from "route/gradient.h" nogil:
    struct pp_gradient_conf:
        uint32_t least
        uint32_t most
        uint32_t percentile
        uint32_t window_ms
        uint32_t min_rtt_ms
        uint32_t requests
        uint32_t jitter_percent
        uint32_t buffer_percent


cdef extern from "worker/builder.h" nogil:
    struct pp_builder:
        pass
    struct pp_builder_route:
        pp_span name
        pp_route_action action
        uint32_t upstream
        unsigned status
        pp_span body
        pp_span location
        pp_span rewrite_path
        pp_span rewrite_host
        const pp_respond_field *field
        uint32_t n_field
        const uint32_t *filter
        uint32_t n_filter
        pp_span upgrade
        uint64_t max_body
        uint64_t total_timeout_ms
        uint32_t access_log
        pp_bool grpc_web
    pp_builder *pp_builder_new()
    void pp_builder_free(pp_builder *b)
    const char *pp_builder_why(const pp_builder *b)
    int pp_builder_add_log(pp_builder *b, pp_span path, int fd, pp_bool json, pp_span format,
                           uint32_t *id)
    int pp_builder_add_listener(pp_builder *b, pp_span name, const pp_listener_conf_s *conf,
                                pp_span via, pp_span server, uint32_t *id)
    int pp_builder_add_trusted(pp_builder *b, uint32_t listener, pp_span range)
    int pp_builder_set_tls(pp_builder *b, uint32_t listener, pp_tls_conf *tls)
    pp_listener_conf_s *pp_builder_listener(pp_builder *b, uint32_t listener)
    void pp_builder_set_http2(pp_builder *b, uint32_t listener, pp_bool enabled,
                             const pp_http2_limits *limits)
    int pp_builder_set_tunnel(pp_builder *b, uint32_t listener, uint32_t upstream)
    int pp_builder_add_server_name(pp_builder *b, uint32_t listener, pp_span name,
                                   uint32_t upstream)
    int pp_builder_add_proxy(pp_builder *b, uint32_t listener, pp_span range,
                             pp_bool others_direct)
    int pp_builder_add_upstream(pp_builder *b, pp_span name, pp_span balance,
                                const pp_cluster_conf_s *conf, uint32_t *id)
    int pp_builder_add_endpoint(pp_builder *b, uint32_t upstream, pp_span address, pp_span name,
                                uint32_t weight, uint32_t *id)
    struct pp_balance_conf:
        uint32_t points
        uint32_t bound_percent
    struct pp_builder_balance:
        pp_balance_conf policy
        pp_span key
        pp_span sticky
        pp_span attributes
        uint32_t panic_percent
        uint32_t slow_start_ms
        uint16_t ramp[32]
    int pp_builder_set_balance(pp_builder *b, uint32_t upstream, const pp_builder_balance *balance)
    void pp_builder_set_breaker(pp_builder *b, uint32_t upstream, const pp_breaker_conf *conf)
    void pp_builder_set_overload(pp_builder *b, const pp_pressure_conf *memory,
                                 const pp_pressure_conf *lag)
    void pp_builder_exempt_route(pp_builder *b, uint32_t route)
    void pp_builder_set_adaptive(pp_builder *b, uint32_t upstream, const pp_gradient_conf *conf)
    void pp_builder_set_limits(pp_builder *b, uint32_t upstream, const pp_admission_conf *conf)
    struct pp_builder_retry:
        pp_retry_policy policy
        pp_span conditions
    int pp_builder_set_retry(pp_builder *b, uint32_t upstream, const pp_builder_retry *r)
    int pp_builder_set_route_retry(pp_builder *b, uint32_t route, const pp_builder_retry *r)
    struct pp_outlier_conf:
        uint64_t interval_ms
        uint64_t base_ms
        uint64_t max_ms
        uint32_t consecutive_5xx
        uint32_t consecutive_gateway
        uint32_t min_hosts
        uint32_t min_volume
        uint32_t stdev_factor
        uint32_t max_percent
    void pp_builder_set_outlier(pp_builder *b, uint32_t upstream, const pp_outlier_conf *conf)
    void pp_builder_set_endpoint_limits(pp_builder *b, uint32_t upstream, uint32_t max_requests,
                                        uint32_t max_connections)
    void pp_builder_set_role(pp_builder *b, uint32_t upstream, uint8_t tier, pp_bool drain)
    int pp_builder_set_host(pp_builder *b, uint32_t upstream, pp_span host)
    int pp_builder_set_upstream_tls(pp_builder *b, uint32_t upstream, pp_tls_client *tls)
    void pp_builder_set_body_first(pp_builder *b, uint32_t filter, uint32_t bytes)
    int pp_builder_add_filter(pp_builder *b, pp_span name, uint32_t timeout_ms,
                              uint32_t buffer_request, uint32_t buffer_response, uint32_t *id)
    int pp_builder_bind(pp_builder *b, uint32_t filter, pp_phase phase, void *callable)
    int pp_builder_add_native(pp_builder *b, pp_span kind, pp_span name, const pp_options *o,
                              uint32_t *id)
    pp_arena *pp_builder_arena(pp_builder *b)
    int pp_builder_add_route(pp_builder *b, const pp_builder_route *r, uint32_t *id)
    int pp_builder_add_match(pp_builder *b, uint32_t route, pp_span host, pp_span path,
                             pp_router_methods methods, int priority)
    struct pp_predicate:
        pass
    int pp_builder_compile_predicate(pp_builder *b, pp_span program, void **callable,
                                     uint32_t n_callable, const pp_predicate **out)
    int pp_builder_set_when(pp_builder *b, uint32_t filter, const pp_predicate *when)
    void pp_builder_set_predicate(pp_builder *b, const pp_predicate *p)
    int pp_builder_add_arm(pp_builder *b, uint32_t route, pp_span name, uint32_t upstream,
                           uint32_t weight)
    int pp_builder_set_split_key(pp_builder *b, uint32_t route, pp_span variable)
    int pp_builder_set_early(pp_builder *b, const uint32_t *filter, uint32_t n)
    int pp_builder_finish(pp_builder *b, void (*release)(void *arg) noexcept, void *arg,
                          pp_snapshot **out)


cdef extern from "proxy/moved.h" nogil:
    enum pp_move_verdict:
        PP_MOVE_REFUSED
        PP_MOVE_TAKEN
        PP_MOVE_LATER
    struct pp_moved:
        int fd
    size_t pp_moved_size(const pp_moved *m)
    void pp_moved_pack(const pp_moved *m, char *dst)
    int pp_moved_unpack(pp_span packed, pp_moved *m)


cdef extern from "proxy/tunnel.h" nogil:
    struct pp_tunnel_moved:
        int fd[2]
    ctypedef int (*pp_tunnel_move_fn)(void *arg, const pp_tunnel_moved *m) noexcept
    size_t pp_tunnel_moved_size(const pp_tunnel_moved *m)
    void pp_tunnel_moved_pack(const pp_tunnel_moved *m, char *dst)


cdef extern from "worker/worker.h" nogil:
    struct pp_metrics:
        uint64_t *words
    struct pp_core:
        uint32_t n_down
        uint32_t n_exchange
        uint32_t n_tunnel
        uint32_t n_udp
        uint32_t n_greet
    struct pp_worker:
        pp_core core
    int pp_worker_init(pp_worker *w, void *stats, size_t stats_size, uint32_t slot, uint64_t seed)
    int pp_worker_share(pp_worker *w, void *mem, size_t size)
    void pp_worker_fini(pp_worker *w)
    void pp_worker_set_hook(pp_worker *w, const pp_hook_ops *ops, void *owner)
    void pp_worker_count_filter(pp_worker *w, pp_bool timed_out)
    int pp_worker_fd(const pp_worker *w)
    int pp_worker_run_ready(pp_worker *w)
    int pp_worker_install(pp_worker *w, pp_snapshot *sn)
    int pp_worker_listen(pp_worker *w, int fd, pp_span listener)
    int pp_worker_unlisten(pp_worker *w, int fd)
    void pp_worker_stop_listening(pp_worker *w)
    void pp_worker_drain(pp_worker *w, uint64_t spread_ms)
    void pp_worker_hand_over(pp_worker *w,
                             int (*fn)(void *arg, const pp_moved *m) noexcept,
                             void *arg)
    int pp_worker_take(pp_worker *w, const pp_moved *m)
    void pp_worker_hand_over_tunnels(pp_worker *w, pp_tunnel_move_fn fn, void *arg)
    int pp_worker_take_tunnel(pp_worker *w, const int *fd, pp_span packed)
    void pp_worker_close_connections(pp_worker *w)
    void pp_worker_close_tunnels(pp_worker *w)
    int pp_worker_replace_tls(pp_worker *w, pp_span listener, pp_tls_conf *tls)
    void pp_worker_close_flows(pp_worker *w)
    int pp_worker_reopen_logs(pp_worker *w)
    void pp_worker_flush_logs(pp_worker *w)
