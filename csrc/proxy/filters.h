/* Every kind of native filter, by the word that the configuration uses. */
#ifndef PP_PROXY_FILTERS_H
#define PP_PROXY_FILTERS_H

#include "proxy/filter.h"

/* The kind called <name>, or NULL. */
const struct pp_filter_kind *pp_filters_find(struct pp_span name);
/* The <i>th kind, in the order of the table; NULL behind the last. */
const struct pp_filter_kind *pp_filters_at(unsigned i);

#endif
