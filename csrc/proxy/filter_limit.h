/* What the filters that limit have in common: the answer to those that are refused, the name under
 * which a key is counted, and what happens when it cannot be counted. */
#ifndef PP_PROXY_FILTER_LIMIT_H
#define PP_PROXY_FILTER_LIMIT_H

#include "base/shtable.h"
#include "proxy/filter_text.h"

/* Most limits of one filter. */
#define PP_FILTER_LIMIT_MAX 8

struct pp_filter_limit {
    uint16_t status;
    struct pp_span message, type;
    bool dry_run;         /* what would be refused is counted, and passes */
    bool refuse_missing;  /* a request without the key is refused, not let through */
    bool refuse_on_error; /* the same where it cannot be counted */
};

/* Read `status`, `message`, `content_type`, `dry_run`, `missing_key` and `on_error` of <o>. */
void pp_filter_limit_read(struct pp_filter_make *m, const struct pp_options *o,
                          struct pp_filter_limit *l);

/* The names of one limit, <kind> at <place> (of the configuration) with <name>, are apart from
 * those of all others. The same after a reload, and in the next release. */
uint64_t pp_filter_limit_space(const char *kind, struct pp_span place, struct pp_span name);

/* The hash of <x>'s key. PP_OK; PP_ENOENT: it has none; or what a request is refused for. */
int pp_filter_limit_key(const struct pp_shtable *t, const struct pp_filter_text *text,
                        uint64_t space, struct pp_exchange *x, struct pp_shtable_key *key)
    PP_MUST_USE;

/* Refuse, with Retry-After unless <retry_ns> is 0. PP_REPLY. */
int pp_filter_limit_refuse(const struct pp_filter_limit *l, struct pp_exchange *x,
                           uint64_t retry_ns);

/* What can become of a request, for those who count from outside of C. */
enum pp_filter_limit_event {
    PP_FILTER_LIMIT_REFUSED = 0,
    PP_FILTER_LIMIT_DRY_RUN = 1,
    PP_FILTER_LIMIT_DELAYED = 2,
    PP_FILTER_LIMIT_ANSWERED = 3, /* by Redis */
    PP_FILTER_LIMIT_UNANSWERED = 4
};
/* Count one for the route of <x>, and <us> that it has waited for Redis. */
void pp_filter_limit_count(struct pp_exchange *x, enum pp_filter_limit_event event, uint64_t us);

/* Whole seconds, rounded up. */
static inline uint64_t pp_filter_limit_seconds(uint64_t ns)
{
    return (ns + 999999999) / 1000000000;
}

#endif
