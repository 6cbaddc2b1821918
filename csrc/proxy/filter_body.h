/* For filters that put another body into a response, and for those that change it on its way: what
 * becomes of the fields that are about the body (RFC 9110 section 8, RFC 9530). */
#ifndef PP_PROXY_FILTER_BODY_H
#define PP_PROXY_FILTER_BODY_H

#include "proxy/filter.h"

/* Has the filter that runs now, in the response phase, an answer of our own before it? (The other
 * ones are an endpoint's.) */
static inline bool pp_filter_is_own(const struct pp_exchange *x)
{
    return x->state == PP_EXCHANGE_REPLY;
}

/* In the response phase: the body shall be <body> (lasting as the exchange) of the media type
 * <type>. The status stays, and so do the fields that are not about the body. An endpoint's body is
 * not read any more. The verdict of run(). */
int pp_filter_body_replace(struct pp_exchange *x, struct pp_span type, struct pp_span body);

/* In the response phase: a filter will change the bytes of the body, but not what it is. Validators
 * become weak, digests and the offer of ranges go. PP_OK or PP_ENOMEM. */
int pp_filter_body_changes(struct pp_exchange *x) PP_MUST_USE;

#endif
