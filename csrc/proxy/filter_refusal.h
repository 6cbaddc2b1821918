/* The answer of filters that turn requests away: options `status` and `message` of several kinds.
 */
#ifndef PP_PROXY_FILTER_REFUSAL_H
#define PP_PROXY_FILTER_REFUSAL_H

#include "proxy/filter.h"

struct pp_filter_refusal {
    uint16_t status;
    struct pp_span message; /* sent as text; empty: nothing */
};

/* Read them from <o>; what is absent is <status> and <message>. */
void pp_filter_refusal_make(struct pp_filter_make *m, const struct pp_options *o, uint16_t status,
                            struct pp_span message, struct pp_filter_refusal *out);

/* Answer with it. PP_REPLY. */
int pp_filter_refusal_send(const struct pp_filter_refusal *r, struct pp_exchange *x);

#endif
