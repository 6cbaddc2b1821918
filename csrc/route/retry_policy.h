/* What is worth another try, how long to wait before it, and how many may be under way: arithmetic
 * over numbers that the caller has counted. Pure.
 *
 * Backoff as Envoy's: before retry n a time drawn evenly from 0 to (2^n - 1) * base, at most <most>
 * (10 * base where nobody says otherwise). The draw keeps clients that failed together from coming
 * back together (Brooker, "Exponential Backoff And Jitter", 2015).
 *
 * Budget as Envoy's and Finagle's: a share of the requests that are under way, but a few always.
 * Retries can then add that share to the load of endpoints that fail, and not multiply it. */
#ifndef PP_ROUTE_RETRY_POLICY_H
#define PP_ROUTE_RETRY_POLICY_H

#include "base/err.h"
#include "base/rng.h"
#include "base/span.h"

/* What may happen to an attempt: bits. */
enum pp_retry_on {
    PP_RETRY_ON_CONNECT = 1, /* not connected, or no TLS */
    PP_RETRY_ON_RESET = 2,   /* the connection broke before the head of an answer */
    PP_RETRY_ON_REFUSED = 4, /* sent back unread (HTTP/2) */
    PP_RETRY_ON_TIMEOUT = 8, /* no answer in time */
    PP_RETRY_ON_STATUS = 16, /* <status> has a member */
    PP_RETRY_ON_GRPC = 32    /* <grpc> has a member */
};

#define PP_RETRY_STATUS_MIN 400
#define PP_RETRY_STATUS_MAX 599
#define PP_RETRY_STATUS_WORDS 4

/* All zero: nothing but what is safe in any case (proxy/retry.h). */
struct pp_retry_policy {
    uint8_t on;          /* enum pp_retry_on */
    bool non_idempotent; /* also requests that may have been acted upon: POST and others */
    uint32_t grpc;       /* bit per code of gRPC */
    uint64_t status[PP_RETRY_STATUS_WORDS]; /* bit per status, from PP_RETRY_STATUS_MIN on */
    uint32_t base_ms, most_ms;              /* backoff */
    uint32_t per_try_ms; /* until the head of an answer; 0: no limit of its own */
    uint32_t after_ms;   /* Retry-After is obeyed up to that; 0: not at all */
    uint32_t budget_percent, budget_least;
};

/* One more condition, by its word: "connect_failure", "reset", "refused_stream", "timeout",
 * "gateway_error" (502 to 504, and whatever becomes one: the four before), "5xx" (any of them, and
 * likewise), "retriable_4xx" (409), a status in digits, "grpc_unavailable" and so on. PP_OK or
 * PP_EINVAL. */
int pp_retry_policy_add(struct pp_retry_policy *p, struct pp_span word) PP_MUST_USE;

/* Is an answer with <status> worth another try? */
bool pp_retry_policy_has_status(const struct pp_retry_policy *p, unsigned status);

/* How long to wait before retry <n>, from 1. */
uint64_t pp_retry_policy_backoff_ms(const struct pp_retry_policy *p, unsigned n,
                                    struct pp_rng *rng);

/* May one more retry begin beside <retrying> others, with <active> requests under way? */
bool pp_retry_policy_has_budget(const struct pp_retry_policy *p, uint64_t retrying,
                                uint64_t active);

#endif
