/* What the files radix*.c share: not for anybody else. route/radix.h draws a node. */
#ifndef PP_ROUTE_RADIX_IMPL_H
#define PP_ROUTE_RADIX_IMPL_H

#include "base/check.h"
#include "route/radix.h"

struct pp_radix_node {
    uint8_t text_n;
    uint8_t n_child;
    uint8_t flags; /* PP_RADIX_HAS_* */
    uint8_t skip;  /* in units of this struct to the only way on, 0: see its offset */
};
PP_STATIC_ASSERT(sizeof(struct pp_radix_node) == 4, "child offsets must stay aligned");

enum {
    PP_RADIX_HAS_NAME = 1 << 0,  /* a {name} child */
    PP_RADIX_HAS_EXACT = 1 << 1, /* a leaf of the key that ends here */
    PP_RADIX_HAS_STAR = 1 << 2   /* a leaf of the star */
};

struct pp_radix_leaf {
    uint32_t n;
    struct pp_radix_entry entry[];
};

static inline uint32_t pp_radix_impl_pad4(uint32_t n)
{
    return (n + 3) & ~(uint32_t)3;
}

#endif
