/* Lists of regular expressions in the options of filters: does one of them match? */
#ifndef PP_PROXY_FILTER_PATTERNS_H
#define PP_PROXY_FILTER_PATTERNS_H

#include "base/regex.h"
#include "proxy/filter.h"

struct pp_filter_patterns {
    uint32_t n;
    struct pp_regex **regex;
};

/* One expression, freed with m->arena. PP_OK, PP_ENOMEM, or PP_EINVAL with m->why. */
int pp_filter_regex_make(struct pp_filter_make *m, struct pp_span text, struct pp_regex **out)
    PP_MUST_USE;

/* From the list <key> of <o>. Results as above. */
int pp_filter_patterns_make(struct pp_filter_make *m, const struct pp_options *o, const char *key,
                            struct pp_filter_patterns *out) PP_MUST_USE;

/* Does one of them match anywhere in <text>? PP_OK, PP_ENOENT, or PP_ENOMEM. */
int pp_filter_patterns_search(const struct pp_filter_patterns *p, struct pp_span text) PP_MUST_USE;

#endif
