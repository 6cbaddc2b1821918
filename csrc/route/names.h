/* Host names, exact or "*.suffix", and the number of each: which upstream a server name leads to.
 * Exact beats wildcard, the longest wildcard wins, and "*.b.example" takes one or more labels, as
 * the hosts of routes do (route/router.h). Pure; the rows are the caller's. */
#ifndef PP_ROUTE_NAMES_H
#define PP_ROUTE_NAMES_H

#include "base/err.h"
#include "base/ids.h"
#include "base/span.h"

#define PP_NAMES_BYTES 255 /* of one name: DNS has no longer ones */

struct pp_names_row {
    struct pp_span name; /* lower case; a wildcard without its "*", so that it begins with "." */
    uint32_t value;
};

/* Bring <text> to the form of a row at <dst> (PP_NAMES_BYTES): lower case, without "*" and without
 * a final dot. PP_OK, or PP_EINVAL: not a host name, nor "*." before one. */
int pp_names_normal(struct pp_span text, char *dst, size_t *n) PP_MUST_USE;
/* Sort <n> rows. PP_OK, or PP_EEXIST when two have one name. */
int pp_names_sort(struct pp_names_row *rows, uint32_t n) PP_MUST_USE;
/* The value for <name> (any case) among sorted rows, or PP_ID_NONE. */
uint32_t pp_names_find(const struct pp_names_row *rows, uint32_t n, struct pp_span name);

#endif
