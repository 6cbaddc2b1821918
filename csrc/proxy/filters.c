#include "proxy/filters.h"

#include "proxy/filter_compression.h"
#include "proxy/filter_decompression.h"
#include "proxy/filter_headers.h"

/* By name. */
static const struct pp_filter_kind *const kinds[] = {
    &pp_filter_compression_kind,
    &pp_filter_decompression_kind,
    &pp_filter_headers_kind,
};

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
