/* The C half of Python filters: a filter kind whose work is done by a table of calls that Cython
 * fills.
 *
 * A synchronous Python filter is called straight from its phase. An async one makes <run> answer
 * PP_PARK; the exchange then waits while the worker serves others, and pp_phase_resume continues
 * it.
 * The deadline of an async filter is kept by the Python side, which resumes with PP_REPLY and a
 * FILTER_TIMEOUT fault. */
#ifndef PP_PROXY_HOOK_H
#define PP_PROXY_HOOK_H

#include "proxy/phase.h"

/* One Python filter bound to one phase. */
struct pp_hook {
    void *callable; /* borrowed: the snapshot's clean-up releases it */
    uint32_t timeout_ms;
    struct pp_span name;
};

struct pp_hook_ops {
    /* Results are verdicts. Never raise, never block. */
    int (*run)(void *owner, struct pp_exchange *x, const struct pp_hook *hook, enum pp_phase phase);
    int (*body)(void *owner, struct pp_exchange *x, const struct pp_hook *hook, enum pp_phase phase,
                struct pp_span piece, bool last, struct pp_span *out);
    /* Does the predicate <callable> hold for <x>? PP_OK and *holds, or PP_EIO: it raised. */
    int (*test)(void *owner, struct pp_exchange *x, void *callable, bool *holds);
    /* The exchange is over, and what ran is cancelled: empty the view. */
    void (*end)(void *owner, struct pp_exchange *x);
    /* A client has shown a certificate: say what endpoints are told of it
     * (pp_client_tls_set_forwarded). PP_OK, or the error that ends its connection. */
    int (*client)(void *owner, struct pp_client_tls *ct);
    /* The worker's memory (bytes) or the lag of its loop (<lag>; microseconds) is <value>, and
     * therefore <level> now. NULL: nobody wants to know. */
    void (*pressed)(void *owner, bool lag, enum pp_pressure_level level, uint64_t value);
};

/* The filter kind; <self> is a struct pp_hook. */
extern const struct pp_filter_ops pp_hook_filter_ops;

/* Part of every exchange's end: cancel what is waited for, and let go of the view. */
void pp_hook_end(struct pp_exchange *x);

/* Once a connection: taking its client's certificate apart, if there is one, is Python's. PP_OK, or
 * the error that ends it. */
int pp_hook_name_client(struct pp_core *core, struct pp_client_tls *ct) PP_MUST_USE;

#endif
