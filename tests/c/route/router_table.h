/* Shared by the tests of the router: tables written as rows. */
#ifndef ROUTER_TABLE_H
#define ROUTER_TABLE_H

#include "pp_test.h"
#include "route/router.h"

struct row {
    const char *host, *path;
    uint32_t methods; /* 0: any */
    int priority;
};

/* Router of <n> rows; routes are 100, 101, ... in order. NULL when memory is out. */
static inline struct pp_router *table_router(const struct row *row, uint32_t n)
{
    char why[160] = "";
    struct pp_router *r = NULL;
    struct pp_router_draft *d = pp_router_draft_new();
    int rc = d ? PP_OK : PP_ENOMEM;
    for (uint32_t i = 0; i < n && rc == PP_OK; i++) {
        uint32_t methods = row[i].methods ? row[i].methods : PP_ROUTER_ANY_METHOD;
        rc = pp_router_draft_add(d, pp_span(row[i].host, strlen(row[i].host)),
                                 pp_span(row[i].path, strlen(row[i].path)), methods,
                                 row[i].priority, 100 + i, why);
        PP_CHECK(rc == PP_OK || rc == PP_ENOMEM);
    }
    if (rc == PP_OK)
        r = pp_router_new(d);
    pp_router_draft_free(d);
    return r;
}

static inline struct pp_router_query table_query(const char *host, const char *path,
                                                 unsigned method)
{
    struct pp_router_query q = {pp_span(host, strlen(host)), pp_span(path, strlen(path)), method,
                                NULL};
    return q;
}

/* Route id, or the negative result. */
static inline long table_find(const struct pp_router *r, const char *host, const char *path,
                              unsigned method)
{
    struct pp_router_query q = table_query(host, path, method);
    struct pp_router_hit hit;
    pp_router_methods allowed = 0;
    int rc = pp_router_find(r, &q, &hit, &allowed);
    return rc == PP_OK ? (long)hit.route : rc;
}

#endif
