# C declarations of csrc/proxy: names as in C, only what is used.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from pyproxy._capi.base cimport pp_arena, pp_bool, pp_span, pp_variable
from pyproxy._capi.route cimport pp_pressure_level, pp_router, pp_router_hit
from pyproxy._capi.wire cimport pp_proxyproto


cdef extern from "wire/http_msg.h" nogil:
    struct pp_http_field:
        const char *name
        const char *value
        uint32_t value_n
        uint16_t name_n
    struct pp_http_msg:
        pp_http_field *field
        uint32_t n_field
        pp_span method
        pp_span target
        pp_span authority
        pp_span path
        pp_span query
        pp_span reason
        uint16_t status
        uint8_t major, minor
        uint8_t body
        uint64_t content_length
    pp_http_field *pp_http_msg_find(const pp_http_msg *m, pp_span name)
    pp_http_field *pp_http_msg_find_next(const pp_http_msg *m, const pp_http_field *f)
    unsigned pp_http_msg_remove(pp_http_msg *m, pp_span name, int id)
    pp_bool pp_http_field_is_live(const pp_http_field *f)


cdef extern from "wire/http_tok.h" nogil:
    int pp_http_tok_name(const char *p, size_t n)
    pp_span pp_http_tok_reason(unsigned status)


cdef extern from "io/sock.h" nogil:
    enum:
        PP_SOCK_TEXT
    struct pp_sock_addr:
        uint16_t port
    size_t pp_sock_ip_text(const pp_sock_addr *a, char *dst)


cdef extern from "proxy/announced.h" nogil:
    struct pp_announced:
        pp_span raw
        pp_proxyproto header


cdef extern from "proxy/fault.h" nogil:
    enum pp_fault_code:
        PP_FAULT_NONE
        PP_FAULT_FILTER_ERROR
        PP_FAULT_FILTER_TIMEOUT
    struct pp_fault:
        uint8_t code
        uint8_t side
    pp_fault pp_fault_make(pp_fault_code code, int side, pp_bool retryable, int detail)
    const char *pp_fault_word(const pp_fault *f)


cdef extern from "proxy/snapshot.h" nogil:
    enum pp_phase:
        PP_PHASE_REQUEST_BODY
        PP_PHASE_UPSTREAM_PEER
        PP_PHASE_RESPONSE_BODY
        PP_PHASE_COUNT
    const char *pp_snapshot_phase_name(pp_phase phase)
    int pp_snapshot_phase_find(pp_span name)
    const uint32_t PP_ROUTE_LOG_OFF
    struct pp_route:
        pp_span name
    struct pp_listener_conf:
        pp_span name
    struct pp_snapshot:
        pp_router *router
    void pp_snapshot_unref(pp_snapshot *sn)


cdef extern from "proxy/cluster.h" nogil:
    struct pp_endpoint:
        pp_span name
    struct pp_cluster:
        pp_span name
    struct pp_cluster_conf:
        uint64_t connect_timeout_ms
        uint64_t send_timeout_ms
        uint64_t first_byte_timeout_ms
        uint64_t read_timeout_ms
        uint64_t total_timeout_ms
        uint64_t idle_timeout_ms
        uint64_t max_age_ms
        uint32_t max_idle
        uint32_t max_requests
        uint32_t retries


cdef extern from "proxy/client_tls.h" nogil:
    struct pp_chan_tls_facts:
        pp_span version
        pp_span cipher
        pp_span group
        pp_span sni
        pp_span alpn
        pp_span by
        pp_bool resumed
    struct pp_client_tls:
        pp_chan_tls_facts facts
        pp_span der
    int pp_client_tls_set_forwarded(pp_client_tls *ct, pp_span text)


cdef extern from "proxy/exchange.h" nogil:
    enum pp_exchange_state:
        PP_EXCHANGE_UPSTREAM_RESPONSE
        PP_EXCHANGE_BODY
    enum pp_park:
        PP_PARK_PHASE
        PP_PARK_REQUEST_BODY
        PP_PARK_RESPONSE_BODY
        PP_PARK_COUNT
    struct pp_task:
        void (*cancel)(pp_task *t, pp_exchange *x, pp_park which) noexcept
    struct pp_flow:
        uint64_t bytes
        pp_bool head_sent
        pp_http_msg *trailers
        char *held
        uint32_t held_n, hold
    struct pp_exchange_times:
        uint64_t start
        uint64_t connect
        uint64_t connected
        uint64_t sent
        uint64_t first_byte
    struct pp_exchange:
        pp_snapshot *snapshot
        const pp_listener_conf *listener
        const pp_route *route
        pp_bool replied
        uint8_t attempts
        uint16_t status
        uint16_t upstream_status
        uint64_t id
        pp_fault fault
        pp_fault last_fault
        pp_exchange_times t
        pp_flow flow[2]
        pp_sock_addr client
        pp_client_tls *tls
        pp_announced *announced
        pp_span host
        pp_span path
        pp_span reply_body
        pp_router_hit hit
        pp_bool forwarded
        pp_cluster *cluster
        pp_endpoint *endpoint
        pp_span peer
        void *view
        pp_task *task[3]
        pp_http_msg request
        pp_http_msg response
        pp_arena arena
        uint8_t state
    pp_span pp_exchange_scheme(const pp_exchange *x)
    void pp_exchange_fault(pp_exchange *x, pp_fault f)
    int pp_exchange_reply(pp_exchange *x, unsigned status, pp_span body)
    int pp_exchange_add_field(pp_exchange *x, pp_http_msg *m, pp_span name, pp_span value)
    int pp_exchange_set_field(pp_exchange *x, pp_http_msg *m, pp_span name, pp_span value)
    pp_bool pp_exchange_may_write(int id)
    int pp_exchange_set_path(pp_exchange *x, pp_span path)
    int pp_exchange_set_query(pp_exchange *x, pp_span query)


cdef extern from "proxy/variable.h" nogil:
    int pp_variable_compile(pp_span text, pp_variable *out)
    int pp_variable_get(pp_exchange *x, const pp_variable *v, pp_span *out)


cdef extern from "proxy/filter_limit.h" nogil:
    enum pp_filter_limit_event:
        PP_FILTER_LIMIT_REFUSED
        PP_FILTER_LIMIT_UNANSWERED
    void pp_filter_limit_count(pp_exchange *x, pp_filter_limit_event event, uint64_t us)


cdef extern from "base/arena.h" nogil:
    int pp_arena_dup(pp_arena *a, pp_span s, pp_span *out)


cdef extern from "proxy/phase.h" nogil:
    enum:
        PP_NEXT
        PP_PARK
        PP_REPLY
    void pp_phase_resume(pp_exchange *x, pp_park which, int verdict, pp_span piece)


cdef extern from "proxy/hook.h" nogil:
    struct pp_hook:
        void *callable
        uint32_t timeout_ms
        pp_span name
    struct pp_hook_ops:
        int (*run)(void *owner, pp_exchange *x, const pp_hook *hook, pp_phase phase) noexcept
        int (*body)(void *owner, pp_exchange *x, const pp_hook *hook, pp_phase phase,
                    pp_span piece, pp_bool last, pp_span *out) noexcept
        int (*test)(void *owner, pp_exchange *x, void *callable, pp_bool *holds) noexcept
        void (*end)(void *owner, pp_exchange *x) noexcept
        int (*client)(void *owner, pp_client_tls *ct) noexcept
        void (*pressed)(void *owner, pp_bool lag, pp_pressure_level level, uint64_t value) noexcept
