/* What the files router*.c share: not for anybody else. */
#ifndef PP_ROUTE_ROUTER_IMPL_H
#define PP_ROUTE_ROUTER_IMPL_H

#include "route/radix.h"
#include "route/router.h"

/* One addition. Texts are offsets into the text block, host in lower case and without "*" ("" any,
 * ".suffix" wildcard: no host name begins with a dot, so one table holds both kinds). */
struct pp_router_addition {
    uint32_t host_at, path_at;
    uint16_t host_n, path_n;
    uint32_t methods;
    int32_t priority;
    uint32_t route;
    uint32_t shadowed_by;                 /* addition, or PP_ID_NONE */
    const struct pp_predicate *predicate; /* the caller's, or NULL */
};

struct pp_router_draft {
    struct pp_router_addition *addition;
    uint32_t n, cap;
    char *text;
    uint32_t text_n, text_cap;
    uint64_t seed;
};

/* The tree of one host; stands right before its root in the radix memory, with the host's text
 * between: u16 host_n | u16 kind | host text, padded | root node. */
struct pp_router_host {
    uint16_t host_n;
    uint16_t kind; /* enum pp_router_kind */
};

/* What finding in the tree of a host takes: each kind can do what those above it can. */
enum pp_router_kind {
    PP_ROUTER_PLAIN = 0,
    PP_ROUTER_MIXED = 1,  /* not all priorities are equal */
    PP_ROUTER_GUARDED = 2 /* there are predicates */
};

struct pp_router_slot {
    uint32_t tag; /* upper half of the hash */
    uint32_t at;  /* of the host record, 0: free */
};

struct pp_router {
    struct pp_radix tree;
    struct pp_router_slot
        *slot; /* open addressing, at most half full; NULL when no route names a host */
    uint32_t slot_mask;
    uint32_t any_at;     /* host record of the routes without a host, 0: none */
    uint32_t suffix_max; /* longest wildcard suffix with its dot, 0: no wildcards */
    uint32_t suffix_min;
    bool guarded; /* there are predicates */
    struct pp_router_addition *addition;
    uint32_t n;
    char *text;
    uint32_t text_n;
};

/* Who is asked whether predicates hold, and what went wrong when they could not tell. */
struct pp_router_asking {
    const struct pp_router *r;
    const struct pp_predicate_input *input;
    int rc;
};

/* Texts of addition <a>, borrowed from <r>. */
static inline struct pp_span pp_router_impl_host(const struct pp_router *r,
                                                 const struct pp_router_addition *a)
{
    return pp_span(r->text + a->host_at, a->host_n);
}

static inline struct pp_span pp_router_impl_path(const struct pp_router *r,
                                                 const struct pp_router_addition *a)
{
    return pp_span(r->text + a->path_at, a->path_n);
}

#endif
