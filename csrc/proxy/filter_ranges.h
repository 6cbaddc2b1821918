/* Sets of addresses in the options of filters: any number of ranges, found by halving. */
#ifndef PP_PROXY_FILTER_RANGES_H
#define PP_PROXY_FILTER_RANGES_H

#include "proxy/filter.h"
#include "route/cidr.h"

struct pp_filter_ranges {
    const struct pp_cidr *v4, *v6; /* sorted; none lies in another */
    uint32_t n4, n6;
    bool unix_sockets; /* "unix" is one of them */
};

/* From the list <key> of <o>: CIDR texts and "unix". PP_OK, PP_ENOMEM, or PP_EINVAL with m->why. */
int pp_filter_ranges_make(struct pp_filter_make *m, const struct pp_options *o, const char *key,
                          struct pp_filter_ranges *out) PP_MUST_USE;

static inline bool pp_filter_ranges_is_empty(const struct pp_filter_ranges *r)
{
    return r->n4 == 0 && r->n6 == 0 && !r->unix_sockets;
}

/* Is <a> in one of them? IPv4-mapped addresses are IPv4's. */
bool pp_filter_ranges_has(const struct pp_filter_ranges *r, const struct pp_sock_addr *a);

#endif
