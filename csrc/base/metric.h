/* The list of metrics: one record kind per thing that is counted, one word per line. The words live
 * in the shared counter segment (base/statseg.h); proxy/metrics.h writes them, the admin endpoint
 * renders them from this same list.
 *
 * X(KIND, WORD, family, type, labels, help): <family> is the Prometheus name without the `pyproxy_`
 * prefix; lines with the same family differ by <labels>. A family that begins with _ is no metric:
 * it is a word in which processes remember something. <type> is COUNTER or GAUGE; a new worker
 * clears its gauges. ROUTE and UPSTREAM records also have a latency histogram after their words. */
#ifndef PP_BASE_METRIC_H
#define PP_BASE_METRIC_H

#include "base/statseg.h"

/* X(KIND, label): <label> is the Prometheus label that holds the record's name; "" for kinds that
 * have just one record. SUPERVISOR stands in the common column: its words are written by the
 * supervisors, and outlive each of them. */
#define PP_METRIC_KINDS(X)                                                                         \
    X(WORKER, "")                                                                                  \
    X(LISTENER, "listener")                                                                        \
    X(ROUTE, "route")                                                                              \
    X(UPSTREAM, "upstream")                                                                        \
    X(ENDPOINT, "endpoint")                                                                        \
    X(SUPERVISOR, "")                                                                              \
    X(ARM, "arm")

#define PP_METRIC_LIST(X)                                                                          \
    X(WORKER, TURNS, "loop_turns_total", COUNTER, "", "Event loop turns.")                         \
    X(WORKER, EVENTS, "loop_events_total", COUNTER, "", "Readiness events handled.")               \
    X(WORKER, EXCHANGES, "exchanges_active", GAUGE, "", "Exchanges in progress.")                  \
    X(WORKER, FILTER_ERRORS, "filter_errors_total", COUNTER, "", "Filters that raised.")           \
    X(WORKER, FILTER_TIMEOUTS, "filter_timeouts_total", COUNTER, "",                               \
      "Async filters that passed their deadline.")                                                 \
    X(WORKER, LOG_LINES, "access_log_lines_total", COUNTER, "", "Access log lines written.")       \
    X(WORKER, LOG_DROPPED, "access_log_dropped_total", COUNTER, "",                                \
      "Access log lines dropped because the sink was slow.")                                       \
    X(WORKER, NO_MEMORY, "allocation_failures_total", COUNTER, "",                                 \
      "Allocations that failed at run time.")                                                      \
    X(WORKER, EXPECT_FAILED, "expectations_failed_total", COUNTER, "",                             \
      "Internal expectations that did not hold (bugs).")                                           \
    X(WORKER, OVERLOAD_MEMORY_STOP, "overload_workers", GAUGE,                                     \
      "reason=\"memory\",level=\"stop_keep_alive\"",                                               \
      "Workers that have too much to do or in memory, by what they do about it.")                  \
    X(WORKER, OVERLOAD_MEMORY_SHED, "overload_workers", GAUGE, "reason=\"memory\",level=\"shed\"", \
      "")                                                                                          \
    X(WORKER, OVERLOAD_LAG_STOP, "overload_workers", GAUGE,                                        \
      "reason=\"loop_lag\",level=\"stop_keep_alive\"", "")                                         \
    X(WORKER, OVERLOAD_LAG_SHED, "overload_workers", GAUGE, "reason=\"loop_lag\",level=\"shed\"",  \
      "")                                                                                          \
    X(WORKER, MEMORY, "overload_memory_bytes", GAUGE, "",                                          \
      "Memory of the workers that are watched for it, added up.")                                  \
    X(WORKER, LAG_US, "_overload_lag_us", GAUGE, "", "")                                           \
    X(LISTENER, CONNECTIONS, "connections_total", COUNTER, "",                                     \
      "Client connections accepted; of UDP: sessions begun.")                                      \
    X(LISTENER, ACTIVE, "connections_active", GAUGE, "",                                           \
      "Client connections open; of UDP: sessions.")                                                \
    X(LISTENER, REJECTED, "connections_rejected_total", COUNTER, "",                               \
      "Connections closed at the connection limit; UDP sessions that made room for others.")       \
    X(LISTENER, BAD_REQUESTS, "bad_requests_total", COUNTER, "",                                   \
      "Requests refused by the parser or its rules.")                                              \
    X(LISTENER, TIMEOUTS, "client_timeouts_total", COUNTER, "",                                    \
      "Connections closed by a client-side deadline.")                                             \
    X(LISTENER, BYTES_IN, "received_bytes_total", COUNTER, "", "Bytes read from clients.")         \
    X(LISTENER, BYTES_OUT, "sent_bytes_total", COUNTER, "", "Bytes written to clients.")           \
    X(LISTENER, MOVED_IN, "connections_moved_total", COUNTER, "direction=\"in\"",                  \
      "Open client connections that one worker handed to another.")                                \
    X(LISTENER, MOVED_OUT, "connections_moved_total", COUNTER, "direction=\"out\"", "")            \
    X(LISTENER, REFUSED_SOURCE, "connections_refused_total", COUNTER,                              \
      "reason=\"untrusted_proxy\"",                                                                \
      "Connections closed before they began, because of what they began with.")                    \
    X(LISTENER, REFUSED_HEADER, "connections_refused_total", COUNTER, "reason=\"proxy_header\"",   \
      "")                                                                                          \
    X(LISTENER, REFUSED_HELLO, "connections_refused_total", COUNTER, "reason=\"client_hello\"",    \
      "")                                                                                          \
    X(LISTENER, REFUSED_NAME, "connections_refused_total", COUNTER, "reason=\"server_name\"", "")  \
    X(LISTENER, TLS_FULL, "tls_handshakes_total", COUNTER, "kind=\"full\"",                        \
      "TLS handshakes with clients that succeeded.")                                               \
    X(LISTENER, TLS_RESUMED, "tls_handshakes_total", COUNTER, "kind=\"resumed\"", "")              \
    X(LISTENER, TLS_FAILURES, "tls_handshake_failures_total", COUNTER, "",                         \
      "TLS handshakes with clients that failed.")                                                  \
    X(LISTENER, HTTP2_CONNECTIONS, "http2_connections_total", COUNTER, "",                         \
      "Client connections that spoke HTTP/2.")                                                     \
    X(LISTENER, HTTP2_STREAMS, "http2_streams_total", COUNTER, "", "Streams that clients opened.") \
    X(LISTENER, HTTP2_RESETS_IN, "http2_resets_total", COUNTER, "by=\"client\"",                   \
      "Streams that were reset.")                                                                  \
    X(LISTENER, HTTP2_RESETS_OUT, "http2_resets_total", COUNTER, "by=\"proxy\"", "")               \
    X(LISTENER, HTTP2_GOAWAYS, "http2_goaways_total", COUNTER, "",                                 \
      "Connections that were told to go away in order.")                                           \
    X(LISTENER, HTTP2_ERRORS, "http2_errors_total", COUNTER, "",                                   \
      "Connections ended for a mistake of the client's.")                                          \
    X(LISTENER, HTTP2_FLOOD_RAPID_RESET, "http2_floods_total", COUNTER, "kind=\"rapid_reset\"",    \
      "Connections ended for a flood, by its kind.")                                               \
    X(LISTENER, HTTP2_FLOOD_MADE_RESET, "http2_floods_total", COUNTER, "kind=\"made_you_reset\"",  \
      "")                                                                                          \
    X(LISTENER, HTTP2_FLOOD_CONTINUATION, "http2_floods_total", COUNTER, "kind=\"continuation\"",  \
      "")                                                                                          \
    X(LISTENER, HTTP2_FLOOD_SETTINGS, "http2_floods_total", COUNTER, "kind=\"settings\"", "")      \
    X(LISTENER, HTTP2_FLOOD_PING, "http2_floods_total", COUNTER, "kind=\"ping\"", "")              \
    X(LISTENER, HTTP2_FLOOD_EMPTY, "http2_floods_total", COUNTER, "kind=\"empty_frames\"", "")     \
    X(LISTENER, HTTP2_FLOOD_HEADER_LIST, "http2_floods_total", COUNTER, "kind=\"header_list\"",    \
      "")                                                                                          \
    X(LISTENER, HTTP2_FLOOD_PRIORITY, "http2_floods_total", COUNTER, "kind=\"priority\"", "")      \
    X(LISTENER, HTTP2_FLOOD_UNKNOWN, "http2_floods_total", COUNTER, "kind=\"unknown_frames\"", "") \
    X(LISTENER, HTTP2_FLOOD_WINDOW_UPDATE, "http2_floods_total", COUNTER,                          \
      "kind=\"window_update\"", "")                                                                \
    X(LISTENER, HTTP2_FLOOD_TINY_WINDOW, "http2_floods_total", COUNTER, "kind=\"tiny_window\"",    \
      "")                                                                                          \
    X(LISTENER, HTTP2_FLOOD_OUTPUT, "http2_floods_total", COUNTER, "kind=\"unread_replies\"", "")  \
    X(LISTENER, UDP_IN, "udp_datagrams_total", COUNTER, "direction=\"in\"",                        \
      "Datagrams from (in) and to (out) clients.")                                                 \
    X(LISTENER, UDP_OUT, "udp_datagrams_total", COUNTER, "direction=\"out\"", "")                  \
    X(LISTENER, UDP_OVERFLOW, "udp_dropped_total", COUNTER, "cause=\"overflow\"",                  \
      "Datagrams dropped: no room in the socket (overflow), not whole (truncated), not taken by "  \
      "the kernel (unsent), no descriptor or memory for a session (no_room).")                     \
    X(LISTENER, UDP_TRUNCATED, "udp_dropped_total", COUNTER, "cause=\"truncated\"", "")            \
    X(LISTENER, UDP_UNSENT, "udp_dropped_total", COUNTER, "cause=\"unsent\"", "")                  \
    X(LISTENER, UDP_NO_ROOM, "udp_dropped_total", COUNTER, "cause=\"no_room\"", "")                \
    X(LISTENER, REQUESTS_SHED, "overload_requests_shed_total", COUNTER, "",                        \
      "Requests that an overloaded worker has refused.")                                           \
    X(LISTENER, OVERLOAD_CLOSED, "overload_connections_closed_total", COUNTER, "",                 \
      "Connections that an overloaded worker has ended before their client would have.")           \
    X(ROUTE, STATUS_1XX, "requests_total", COUNTER, "code=\"1xx\"", "Requests, by final status.")  \
    X(ROUTE, STATUS_2XX, "requests_total", COUNTER, "code=\"2xx\"", "")                            \
    X(ROUTE, STATUS_3XX, "requests_total", COUNTER, "code=\"3xx\"", "")                            \
    X(ROUTE, STATUS_4XX, "requests_total", COUNTER, "code=\"4xx\"", "")                            \
    X(ROUTE, STATUS_5XX, "requests_total", COUNTER, "code=\"5xx\"", "")                            \
    X(ROUTE, ACTIVE, "requests_active", GAUGE, "", "Requests in progress.")                        \
    X(ROUTE, ABORTED, "requests_aborted_total", COUNTER, "", "Requests whose client went away.")   \
    X(ROUTE, TUNNELS, "tunnels_active", GAUGE, "",                                                 \
      "Tunnels open that began as requests (WebSocket, other upgrades, CONNECT).")                 \
    X(ROUTE, RATE_LIMITED, "limited_total", COUNTER, "by=\"rate\"",                                \
      "Requests that a limit has refused; or, with dry_run, would have.")                          \
    X(ROUTE, RATE_DRY_RUN, "limited_total", COUNTER, "by=\"rate_dry_run\"", "")                    \
    X(ROUTE, CONCURRENCY_LIMITED, "limited_total", COUNTER, "by=\"concurrency\"", "")              \
    X(ROUTE, CONCURRENCY_DRY_RUN, "limited_total", COUNTER, "by=\"concurrency_dry_run\"", "")      \
    X(ROUTE, RATE_DELAYED, "limit_delays_total", COUNTER, "",                                      \
      "Requests that a rate limit has made wait; or, with dry_run, would have.")                   \
    X(ROUTE, LIMIT_FAILURES, "limit_failures_total", COUNTER, "",                                  \
      "Requests that could not be counted against a limit.")                                       \
    X(ROUTE, MIRROR_SENT, "mirror_requests_total", COUNTER, "",                                    \
      "Copies of requests that were sent to a mirror.")                                            \
    X(ROUTE, MIRROR_FAILED, "mirror_failures_total", COUNTER, "",                                  \
      "Copies of requests that got no whole answer in time.")                                      \
    X(ROUTE, MIRROR_TOO_LARGE, "mirror_dropped_total", COUNTER, "reason=\"body\"",                 \
      "Requests without a copy: the body too large (body), too many copies at work (busy), the "   \
      "body did not come or go on whole (incomplete), memory out (memory).")                       \
    X(ROUTE, MIRROR_BUSY, "mirror_dropped_total", COUNTER, "reason=\"busy\"", "")                  \
    X(ROUTE, MIRROR_INCOMPLETE, "mirror_dropped_total", COUNTER, "reason=\"incomplete\"", "")      \
    X(ROUTE, MIRROR_NO_MEMORY, "mirror_dropped_total", COUNTER, "reason=\"memory\"", "")           \
    X(ROUTE, REDIS_ASKED, "limit_redis_requests_total", COUNTER, "result=\"answered\"",            \
      "Requests whose limits are counted in Redis, by whether it has answered.")                   \
    X(ROUTE, REDIS_FAILED, "limit_redis_requests_total", COUNTER, "result=\"failed\"", "")         \
    X(ROUTE, REDIS_US, "limit_redis_microseconds_total", COUNTER, "",                              \
      "Time that these requests have waited for it.")                                              \
    X(UPSTREAM, STATUS_1XX, "upstream_responses_total", COUNTER, "code=\"1xx\"",                   \
      "Responses of origins, by status.")                                                          \
    X(UPSTREAM, STATUS_2XX, "upstream_responses_total", COUNTER, "code=\"2xx\"", "")               \
    X(UPSTREAM, STATUS_3XX, "upstream_responses_total", COUNTER, "code=\"3xx\"", "")               \
    X(UPSTREAM, STATUS_4XX, "upstream_responses_total", COUNTER, "code=\"4xx\"", "")               \
    X(UPSTREAM, STATUS_5XX, "upstream_responses_total", COUNTER, "code=\"5xx\"", "")               \
    X(UPSTREAM, CONNECTS, "upstream_connects_total", COUNTER, "",                                  \
      "Connections opened to endpoints.")                                                          \
    X(UPSTREAM, REUSES, "upstream_reuses_total", COUNTER, "",                                      \
      "Exchanges sent over a pooled connection.")                                                  \
    X(UPSTREAM, CONNECT_FAILURES, "upstream_connect_failures_total", COUNTER, "",                  \
      "Connects that failed or timed out.")                                                        \
    X(UPSTREAM, TIMEOUTS, "upstream_timeouts_total", COUNTER, "",                                  \
      "Upstream deadlines that passed.")                                                           \
    X(UPSTREAM, RESETS, "upstream_resets_total", COUNTER, "",                                      \
      "Connections that broke during an exchange.")                                                \
    X(UPSTREAM, REFUSED, "upstream_refused_total", COUNTER, "",                                    \
      "Requests that an endpoint sent back unread (HTTP/2).")                                      \
    X(UPSTREAM, RETRIES, "upstream_retries_total", COUNTER, "", "Exchanges tried again.")          \
    X(UPSTREAM, NO_ENDPOINT, "upstream_no_endpoint_total", COUNTER, "",                            \
      "Exchanges for which no endpoint was usable.")                                               \
    X(UPSTREAM, TLS_FULL, "upstream_tls_handshakes_total", COUNTER, "kind=\"full\"",               \
      "TLS handshakes with endpoints that succeeded.")                                             \
    X(UPSTREAM, TLS_RESUMED, "upstream_tls_handshakes_total", COUNTER, "kind=\"resumed\"", "")     \
    X(UPSTREAM, TLS_FAILURES, "upstream_tls_handshake_failures_total", COUNTER, "",                \
      "TLS handshakes with endpoints that failed.")                                                \
    X(UPSTREAM, ACTIVE, "upstream_connections_active", GAUGE, "",                                  \
      "Connections open to endpoints.")                                                            \
    X(UPSTREAM, IDLE, "upstream_connections_idle", GAUGE, "", "Connections waiting in the pool.")  \
    X(UPSTREAM, PANIC, "upstream_panic_total", COUNTER, "",                                        \
      "Endpoints chosen while too few were usable, so that all were used.")                        \
    X(UPSTREAM, RETRIES_ACTIVE, "upstream_retries_active", GAUGE, "",                              \
      "Exchanges in progress that a retry policy has tried again.")                                \
    X(UPSTREAM, RETRIES_REFUSED, "upstream_retries_refused_total", COUNTER, "",                    \
      "Exchanges not tried again because the budget for retries was used up.")                     \
    X(UPSTREAM, BREAKER_OPEN, "upstream_breaker_workers", GAUGE, "state=\"open\"",                 \
      "Workers in which the circuit breaker of the upstream is not closed.")                       \
    X(UPSTREAM, BREAKER_HALF_OPEN, "upstream_breaker_workers", GAUGE, "state=\"half_open\"", "")   \
    X(UPSTREAM, BREAKER_OPENS, "upstream_breaker_opens_total", COUNTER, "",                        \
      "Times that a circuit breaker has opened.")                                                  \
    X(UPSTREAM, BREAKER_REFUSED, "upstream_breaker_refused_total", COUNTER, "",                    \
      "Attempts that an open circuit breaker has refused.")                                        \
    X(UPSTREAM, SLOTS, "upstream_requests_active", GAUGE, "",                                      \
      "Requests in progress that count against the limits of the upstream.")                       \
    X(UPSTREAM, QUEUED, "upstream_requests_queued", GAUGE, "",                                     \
      "Requests that wait because of a limit of the upstream.")                                    \
    X(UPSTREAM, QUEUED_ALL, "upstream_queued_total", COUNTER, "",                                  \
      "Requests that had to wait because of a limit of the upstream.")                             \
    X(UPSTREAM, OVERFLOW, "upstream_limited_total", COUNTER, "cause=\"overflow\"",                 \
      "Requests refused because of a limit of the upstream, as nobody else could wait "            \
      "(overflow) or it took too long (queue_timeout); retries that were not begun (retries).")    \
    X(UPSTREAM, QUEUE_TIMEOUT, "upstream_limited_total", COUNTER, "cause=\"queue_timeout\"", "")   \
    X(UPSTREAM, RETRY_OVERFLOW, "upstream_limited_total", COUNTER, "cause=\"retries\"", "")        \
    X(UPSTREAM, BREAKER_LAST, "_upstream_breaker_last", GAUGE, "", "")                             \
    X(UPSTREAM, ADAPTIVE, "upstream_adaptive_workers", GAUGE, "",                                  \
      "Workers that have a limit for the upstream which follows its answers.")                     \
    X(UPSTREAM, ADAPTIVE_LIMIT, "upstream_adaptive_limit", GAUGE, "",                              \
      "Their limits of requests in progress, added up.")                                           \
    X(UPSTREAM, ADAPTIVE_MIN_RTT, "upstream_adaptive_min_rtt_microseconds", GAUGE, "",             \
      "The times of quick answers that they have measured, added up.")                             \
    X(ENDPOINT, REQUESTS, "endpoint_requests_total", COUNTER, "",                                  \
      "Exchanges sent to the endpoint.")                                                           \
    X(ENDPOINT, FAILURES, "endpoint_failures_total", COUNTER, "",                                  \
      "Exchanges that failed at the endpoint.")                                                    \
    X(ENDPOINT, ACTIVE, "endpoint_requests_active", GAUGE, "",                                     \
      "Exchanges in progress at the endpoint.")                                                    \
    X(ENDPOINT, STATE, "endpoint_state", GAUGE, "",                                                \
      "What all workers were told of the endpoint: the sum of 1 (drains), 2 (taken down), 4 "      \
      "(failed its health checks), 8 (ejected), 16 (ready, whatever the configuration says).")     \
    X(ENDPOINT, WEIGHT, "endpoint_weight", GAUGE, "",                                              \
      "Weight that the endpoint was given at run time; 0: the configuration's.")                   \
    X(ENDPOINT, HEALTH, "endpoint_health", GAUGE, "",                                              \
      "What health checks have found: 1 up, 2 down; 0 not checked.")                               \
    X(ENDPOINT, HEALTH_SINCE, "endpoint_health_since_seconds", GAUGE, "",                          \
      "Unix time since which health checks find that.")                                            \
    X(ENDPOINT, HEALTH_REASON, "_endpoint_health_reason", GAUGE, "", "")                           \
    X(ENDPOINT, CHECKS_PASSED, "endpoint_health_checks_total", COUNTER, "result=\"passed\"",       \
      "Health checks, by result.")                                                                 \
    X(ENDPOINT, CHECKS_CONNECT, "endpoint_health_checks_total", COUNTER, "result=\"connect\"", "") \
    X(ENDPOINT, CHECKS_TIMEOUT, "endpoint_health_checks_total", COUNTER, "result=\"timeout\"", "") \
    X(ENDPOINT, CHECKS_TLS, "endpoint_health_checks_total", COUNTER, "result=\"tls\"", "")         \
    X(ENDPOINT, CHECKS_ANSWER, "endpoint_health_checks_total", COUNTER, "result=\"answer\"", "")   \
    X(ENDPOINT, RESULTS_OK, "endpoint_results_total", COUNTER, "result=\"ok\"",                    \
      "Exchanges that outlier detection has judged.")                                              \
    X(ENDPOINT, RESULTS_ERROR, "endpoint_results_total", COUNTER, "result=\"error\"", "")          \
    X(ENDPOINT, EJECTIONS_5XX, "endpoint_ejections_total", COUNTER, "reason=\"consecutive_5xx\"",  \
      "Times that the endpoint was ejected for its answers.")                                      \
    X(ENDPOINT, EJECTIONS_GATEWAY, "endpoint_ejections_total", COUNTER,                            \
      "reason=\"consecutive_gateway_failures\"", "")                                               \
    X(ENDPOINT, EJECTIONS_SUCCESS_RATE, "endpoint_ejections_total", COUNTER,                       \
      "reason=\"success_rate\"", "")                                                               \
    X(ENDPOINT, EJECTIONS_PREVENTED, "endpoint_ejections_prevented_total", COUNTER, "",            \
      "Times that it would have been, but too many are already.")                                  \
    X(ENDPOINT, STREAK, "_endpoint_streak", GAUGE, "", "")                                         \
    X(ENDPOINT, EJECTION, "_endpoint_ejection", GAUGE, "", "")                                     \
    X(ENDPOINT, SLOTS, "_endpoint_slots", GAUGE, "", "")                                           \
    X(SUPERVISOR, RELOADS, "config_reloads_total", COUNTER, "", "Configurations put in force.")    \
    X(SUPERVISOR, RELOAD_FAILURES, "config_reload_failures_total", COUNTER, "",                    \
      "Configurations that were refused; the old one stayed in force.")                            \
    X(SUPERVISOR, LAST_RELOAD_SUCCESSFUL, "config_last_reload_successful", GAUGE, "",              \
      "1 when the newest configuration is the one in force, 0 when it was refused.")               \
    X(SUPERVISOR, CONFIG_GENERATION, "config_generation", GAUGE, "",                               \
      "Number of the configuration in force, from 1.")                                             \
    X(SUPERVISOR, UPGRADES, "upgrades_total", COUNTER, "",                                         \
      "Hot upgrades: a new process tree took over.")                                               \
    X(SUPERVISOR, UPGRADE_FAILURES, "upgrade_failures_total", COUNTER, "",                         \
      "Hot upgrades that failed; the old process tree stayed.")                                    \
    X(SUPERVISOR, GENERATION, "generation", GAUGE, "",                                             \
      "Number of the process tree in charge, from 1.")                                             \
    X(SUPERVISOR, WORKER_RESTARTS, "worker_restarts_total", COUNTER, "",                           \
      "Worker processes that died and were replaced.")                                             \
    X(SUPERVISOR, RECORDS_REFUSED, "metric_records_refused_total", COUNTER, "",                    \
      "Things that share the `-` record because the counter segment is full.")                     \
    X(SUPERVISOR, CERTIFICATE_RELOADS, "certificate_reloads_total", COUNTER, "",                   \
      "Times that certificates changed on disk and were put in force.")                            \
    X(SUPERVISOR, CERTIFICATE_FAILURES, "certificate_reload_failures_total", COUNTER, "",          \
      "Times that certificates changed on disk and were refused.")                                 \
    X(SUPERVISOR, ENDPOINT_CHANGES, "endpoint_changes_total", COUNTER, "",                         \
      "Times that the state or weight of an endpoint was changed at run time.")                    \
    X(ARM, STATUS_1XX, "split_requests_total", COUNTER, "code=\"1xx\"",                            \
      "Requests of routes with a split, by arm (`route/arm`) and final status.")                   \
    X(ARM, STATUS_2XX, "split_requests_total", COUNTER, "code=\"2xx\"", "")                        \
    X(ARM, STATUS_3XX, "split_requests_total", COUNTER, "code=\"3xx\"", "")                        \
    X(ARM, STATUS_4XX, "split_requests_total", COUNTER, "code=\"4xx\"", "")                        \
    X(ARM, STATUS_5XX, "split_requests_total", COUNTER, "code=\"5xx\"", "")

enum pp_metric_kind {
#define PP_METRIC_KIND_ENUM(kind, label) PP_METRIC_##kind,
    PP_METRIC_KINDS(PP_METRIC_KIND_ENUM)
#undef PP_METRIC_KIND_ENUM
        PP_METRIC_KIND_COUNT
};

/* Word numbers within a kind's record: PP_METRIC_ROUTE_STATUS_2XX and so on, each kind from 0
 * (metric.c checks). */
enum pp_metric_index {
#define PP_METRIC_INDEX_ENUM(kind, word, family, type, labels, help)                               \
    PP_METRIC_INDEX_##kind##_##word,
    PP_METRIC_LIST(PP_METRIC_INDEX_ENUM)
#undef PP_METRIC_INDEX_ENUM
        PP_METRIC_INDEX_COUNT
};
#define PP_METRIC_WORD(kind, word) (PP_METRIC_INDEX_##kind##_##word - PP_METRIC_FIRST_##kind)
#define PP_METRIC_FIRST_WORKER PP_METRIC_INDEX_WORKER_TURNS
#define PP_METRIC_FIRST_LISTENER PP_METRIC_INDEX_LISTENER_CONNECTIONS
#define PP_METRIC_FIRST_ROUTE PP_METRIC_INDEX_ROUTE_STATUS_1XX
#define PP_METRIC_FIRST_UPSTREAM PP_METRIC_INDEX_UPSTREAM_STATUS_1XX
#define PP_METRIC_FIRST_ENDPOINT PP_METRIC_INDEX_ENDPOINT_REQUESTS
#define PP_METRIC_FIRST_SUPERVISOR PP_METRIC_INDEX_SUPERVISOR_RELOADS
#define PP_METRIC_FIRST_ARM PP_METRIC_INDEX_ARM_STATUS_1XX

/* Latency histogram of routes (whole exchange) and upstreams (request sent to response head): after
 * the kind's words come PP_METRIC_BUCKETS counts (the last is +Inf; not cumulative) and the sum in
 * microseconds. */
#define PP_METRIC_BUCKETS 16
extern const uint32_t pp_metric_bucket_us[PP_METRIC_BUCKETS - 1]; /* upper bounds */
/* Bucket of <us>. */
unsigned pp_metric_bucket(uint64_t us);

/* Words of one record of <kind>, histogram included. */
uint32_t pp_metric_words(enum pp_metric_kind kind);
/* Index of the first histogram word, or PP_ID_NONE-like UINT32_MAX when the kind has none. */
uint32_t pp_metric_histogram(enum pp_metric_kind kind);

/* Row <i> of the list, for renderers; false past the end. Static storage. */
struct pp_metric_row {
    uint32_t kind, word;
    bool gauge;
    const char *kind_label, *family, *labels, *help;
};
bool pp_metric_row(unsigned i, struct pp_metric_row *out);

/* Name of the record of <kind> that everything shares that has none of its own: "-", or "" for
 * kinds that have just the one. */
struct pp_span pp_metric_shared(enum pp_metric_kind kind);
/* A number that changes whenever the list or the buckets change: segments are laid out with it as
 * their schema, and two releases share a segment only when it is the same for both. */
uint32_t pp_metric_schema(void);
/* Set every gauge of a column to zero: between two writers, when what they described is gone. Pages
 * that no writer has reached stay untouched. */
void pp_metric_clear_gauges(const struct pp_statseg *s, uint32_t column);

#endif
