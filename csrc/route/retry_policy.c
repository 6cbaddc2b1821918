#include "route/retry_policy.h"

#include "base/num.h"

/* What the client would be told of as 502, 503 or 504. */
#define BECOMES_5XX                                                                                \
    (PP_RETRY_ON_CONNECT | PP_RETRY_ON_RESET | PP_RETRY_ON_REFUSED | PP_RETRY_ON_TIMEOUT)

struct condition {
    const char *word;
    uint8_t on;
    uint16_t first, last; /* statuses; 0: none */
};

static const struct condition conditions[] = {
    {"connect_failure", PP_RETRY_ON_CONNECT, 0, 0},
    {"reset", PP_RETRY_ON_RESET, 0, 0},
    {"refused_stream", PP_RETRY_ON_REFUSED, 0, 0},
    {"timeout", PP_RETRY_ON_TIMEOUT, 0, 0},
    {"gateway_error", BECOMES_5XX, 502, 504},
    {"5xx", BECOMES_5XX, 500, 599},
    {"retriable_4xx", 0, 409, 409},
};

/* Codes of gRPC by which a server says that it has not done it, or not now. */
static const struct {
    const char *word;
    uint8_t code;
} codes[] = {
    {"grpc_cancelled", 1}, {"grpc_deadline_exceeded", 4}, {"grpc_resource_exhausted", 8},
    {"grpc_aborted", 10},  {"grpc_internal", 13},         {"grpc_unavailable", 14},
};

static bool is(const char *word, struct pp_span s)
{
    return pp_span_eq(pp_span(word, strlen(word)), s);
}

static void add_statuses(struct pp_retry_policy *p, unsigned first, unsigned last)
{
    for (unsigned s = first; s <= last; s++)
        p->status[(s - PP_RETRY_STATUS_MIN) / 64] |= UINT64_C(1) << (s - PP_RETRY_STATUS_MIN) % 64;
    p->on |= PP_RETRY_ON_STATUS;
}

int pp_retry_policy_add(struct pp_retry_policy *p, struct pp_span word)
{
    uint64_t status;
    for (size_t i = 0; i < PP_COUNT_OF(conditions); i++) {
        const struct condition *c = &conditions[i];
        if (!is(c->word, word))
            continue;
        p->on |= c->on;
        if (c->first != 0)
            add_statuses(p, c->first, c->last);
        return PP_OK;
    }
    for (size_t i = 0; i < PP_COUNT_OF(codes); i++) {
        if (!is(codes[i].word, word))
            continue;
        p->on |= PP_RETRY_ON_GRPC;
        p->grpc |= 1u << codes[i].code;
        return PP_OK;
    }
    if (pp_num_parse_u64(word, &status) != PP_OK || status < PP_RETRY_STATUS_MIN ||
        status > PP_RETRY_STATUS_MAX)
        return PP_EINVAL;
    add_statuses(p, (unsigned)status, (unsigned)status);
    return PP_OK;
}

bool pp_retry_policy_has_status(const struct pp_retry_policy *p, unsigned status)
{
    unsigned i = status - PP_RETRY_STATUS_MIN;
    return status >= PP_RETRY_STATUS_MIN && status <= PP_RETRY_STATUS_MAX &&
           (p->status[i / 64] >> i % 64 & 1) != 0;
}

uint64_t pp_retry_policy_backoff_ms(const struct pp_retry_policy *p, unsigned n, struct pp_rng *rng)
{
    uint64_t steps = (UINT64_C(1) << PP_MIN(n, 20u)) - 1;
    uint64_t most = PP_MIN(steps * p->base_ms, (uint64_t)p->most_ms);
    return most == 0 ? 0 : pp_rng_below(rng, (uint32_t)most);
}

bool pp_retry_policy_has_budget(const struct pp_retry_policy *p, uint64_t retrying, uint64_t active)
{
    return retrying < PP_MAX(active * p->budget_percent / 100, (uint64_t)p->budget_least);
}
