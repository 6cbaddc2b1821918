/* Strict integers: no sign, no spaces, no leading '+', overflow refused. */
#ifndef PP_BASE_NUM_H
#define PP_BASE_NUM_H

#include "base/span.h"

#define PP_NUM_U64_CHARS 20

/* One or more decimal digits, nothing else. PP_OK, PP_EINVAL or PP_EOVERFLOW. */
int pp_num_parse_u64(struct pp_span s, uint64_t *out) PP_MUST_USE;
/* Write <v> in decimal at <dst> (room for PP_NUM_U64_CHARS); returns the number of characters. No
 * NUL. */
size_t pp_num_format_u64(char *dst, uint64_t v);
/* As above in lower-case hexadecimal (room for 16). */
size_t pp_num_format_hex(char *dst, uint64_t v);
/* Value of a hexadecimal digit, or -1. */
int pp_num_hex(unsigned char c);

#endif
