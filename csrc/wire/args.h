/* The arguments of a query, and cookies: split once, when somebody asks for the first of them, and
 * then found by the hash of their names.
 *
 * Names and values are decoded: percent-encodings, and in queries "+" as a space. A piece with a
 * malformed encoding stays as it came; a cookie's value loses the quotes around it (RFC 6265
 * section 4.1.1). Of equal names the first counts. An argument without "=" has an empty value. */
#ifndef PP_WIRE_ARGS_H
#define PP_WIRE_ARGS_H

#include "base/arena.h"
#include "base/err.h"

/* Most arguments of one query, and cookies of one field. More is refused and not cut, since what is
 * beyond a cut is hidden from rules but not from the endpoint. (Argument flood: thousands of names,
 * compared with those of every rule.) */
#define PP_ARGS_MAX 256

struct pp_arg {
    struct pp_span name, value;
};

struct pp_args {
    struct pp_span of; /* what was split */
    uint32_t n;
    const uint32_t *hash; /* of the names, as pp_variable_hash makes it */
    const struct pp_arg *arg;
};

/* Split a query, or the value of a Cookie field; everything of *out lies in <arena> or in <text>.
 * PP_OK, PP_EHTTP_ARGUMENTS (more than PP_ARGS_MAX) or PP_ENOMEM. */
int pp_args_split_query(struct pp_arena *arena, struct pp_span text, const struct pp_args **out)
    PP_MUST_USE;
int pp_args_split_cookies(struct pp_arena *arena, struct pp_span text, const struct pp_args **out)
    PP_MUST_USE;

/* The value of the first one with that name, whose pp_variable_hash is <hash>; NULL: none. */
const struct pp_arg *pp_args_find(const struct pp_args *args, struct pp_span name, uint32_t hash);

#endif
