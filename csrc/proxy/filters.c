#include "proxy/filters.h"

#include "proxy/filter_bandwidth_limit.h"
#include "proxy/filter_body_limit.h"
#include "proxy/filter_compression.h"
#include "proxy/filter_concurrency_limit.h"
#include "proxy/filter_cors.h"
#include "proxy/filter_decompression.h"
#include "proxy/filter_error_pages.h"
#include "proxy/filter_fault_injection.h"
#include "proxy/filter_headers.h"
#include "proxy/filter_ip_restriction.h"
#include "proxy/filter_mirror.h"
#include "proxy/filter_rate_limit.h"
#include "proxy/filter_real_ip.h"
#include "proxy/filter_referer_restriction.h"
#include "proxy/filter_request_id.h"
#include "proxy/filter_response_rewrite.h"
#include "proxy/filter_rewrite.h"
#include "proxy/filter_static.h"
#include "proxy/filter_ua_restriction.h"

/* By name, one a line. */
/* clang-format off */
static const struct pp_filter_kind *const kinds[] = {
    &pp_filter_bandwidth_limit_kind,
    &pp_filter_body_limit_kind,
    &pp_filter_compression_kind,
    &pp_filter_concurrency_limit_kind,
    &pp_filter_cors_kind,
    &pp_filter_decompression_kind,
    &pp_filter_error_pages_kind,
    &pp_filter_fault_injection_kind,
    &pp_filter_headers_kind,
    &pp_filter_ip_restriction_kind,
    &pp_filter_mirror_kind,
    &pp_filter_rate_limit_kind,
    &pp_filter_real_ip_kind,
    &pp_filter_referer_restriction_kind,
    &pp_filter_request_id_kind,
    &pp_filter_response_rewrite_kind,
    &pp_filter_rewrite_kind,
    &pp_filter_static_kind,
    &pp_filter_ua_restriction_kind,
};
/* clang-format on */

const struct pp_filter_kind *pp_filters_at(unsigned i)
{
    return i < PP_COUNT_OF(kinds) ? kinds[i] : NULL;
}

const struct pp_filter_kind *pp_filters_find(struct pp_span name)
{
    for (size_t i = 0; i < PP_COUNT_OF(kinds); i++) {
        if (pp_span_eq(name, pp_span(kinds[i]->name, strlen(kinds[i]->name))))
            return kinds[i];
    }
    return NULL;
}
