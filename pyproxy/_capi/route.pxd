# C declarations of csrc/route: names as in C, only what is used.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from pyproxy._capi.base cimport PP_CAPTURES_MAX, pp_bool, pp_span, pp_variable


cdef extern from "route/predicate.h" nogil:
    struct pp_predicate:
        pass
    enum:
        PP_PREDICATE_WHY_BYTES
    struct pp_predicate_input:
        int (*get)(void *arg, const pp_variable *v, pp_span *out) noexcept
        int (*call)(void *arg, void *callable, pp_bool *holds) noexcept
        void *arg
        const uint8_t *client
        pp_bool client_v6
    int pp_predicate_new(pp_span program, void **callable, uint32_t n_callable,
                         pp_predicate **out, char *why)
    void pp_predicate_free(pp_predicate *p)


cdef extern from "route/pressure.h" nogil:
    enum pp_pressure_level:
        PP_PRESSURE_NONE
        PP_PRESSURE_STOP_KEEP_ALIVE
        PP_PRESSURE_SHED
        PP_PRESSURE_LEVELS
    struct pp_pressure_conf:
        uint64_t at[PP_PRESSURE_LEVELS]


cdef extern from "route/router.h" nogil:
    struct pp_router:
        pass
    struct pp_router_draft:
        pass
    ctypedef uint32_t pp_router_methods
    const uint32_t PP_ROUTER_ANY_METHOD
    pp_router_draft *pp_router_draft_new()
    void pp_router_draft_free(pp_router_draft *d)
    void pp_router_draft_seed(pp_router_draft *d, uint64_t seed)
    int pp_router_draft_add(pp_router_draft *d, pp_span host, pp_span path,
                            pp_router_methods methods, int priority, uint32_t route, char *why)
    void pp_router_draft_set_predicate(pp_router_draft *d, const pp_predicate *p)
    pp_router *pp_router_new(const pp_router_draft *d)
    void pp_router_free(pp_router *r)
    struct pp_router_query:
        pp_span host
        pp_span path
        unsigned method
        const pp_predicate_input *input
    struct pp_router_hit:
        uint32_t route
        uint32_t pattern
        unsigned n_capture
        pp_span capture[PP_CAPTURES_MAX]
    int pp_router_find(const pp_router *r, const pp_router_query *q, pp_router_hit *hit,
                       pp_router_methods *allowed)
    pp_span pp_router_capture_name(const pp_router *r, uint32_t pattern, unsigned i)
    uint32_t pp_router_count(const pp_router *r)
    uint32_t pp_router_route(const pp_router *r, uint32_t pattern)
    uint32_t pp_router_shadowed(const pp_router *r, uint32_t pattern)
    ctypedef void (*pp_router_explain_fn)(void *arg, uint32_t route, pp_bool chosen,
                                          const char *reason) noexcept
    int pp_router_explain(const pp_router *r, const pp_router_query *q, pp_router_explain_fn fn,
                          void *arg)
    size_t pp_router_bytes(const pp_router *r)
