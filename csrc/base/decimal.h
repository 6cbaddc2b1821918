/* Decimal numbers as people write them, for comparisons: "12", "-0.5", "1700000000.25". */
#ifndef PP_BASE_DECIMAL_H
#define PP_BASE_DECIMAL_H

#include "base/err.h"
#include "base/span.h"

/* The number is <whole> + <nano> / 10^9; nano is never negative, so that both compare in order. */
struct pp_decimal {
    int64_t whole;
    uint32_t nano;
};

/* Sign, digits, and perhaps a point and more digits, of which those past the ninth are not looked
 * at. PP_OK; PP_EINVAL: not a number; PP_EOVERFLOW: more than 18 digits before the point. */
int pp_decimal_parse(struct pp_span s, struct pp_decimal *out) PP_MUST_USE;

/* Negative, 0 or positive, as <a> is less than, equal to or more than <b>. */
static inline int pp_decimal_compare(const struct pp_decimal *a, const struct pp_decimal *b)
{
    if (a->whole != b->whole)
        return a->whole < b->whole ? -1 : 1;
    return (a->nano > b->nano) - (a->nano < b->nano);
}

#endif
