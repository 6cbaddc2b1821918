/* Dates of fields (RFC 9110 section 5.6.7): one form is written, three are read. */
#ifndef PP_WIRE_HTTP_DATE_H
#define PP_WIRE_HTTP_DATE_H

#include "base/err.h"
#include "base/span.h"

#define PP_HTTP_DATE_CHARS 29

/* Write <s> seconds since the epoch as an IMF-fixdate at <dst> (room for PP_HTTP_DATE_CHARS):
 * "Sun, 06 Nov 1994 08:49:37 GMT". No NUL. What is before the epoch or after the year 9999 becomes
 * the nearest date within. */
void pp_http_date_format(char *dst, int64_t s);

/* Read an IMF-fixdate, or one of the obsolete forms of RFC 850 (years 70 to 99 are of the last
 * century) and of asctime. The name of the day is not compared with the date. PP_OK and *s, or
 * PP_EINVAL. */
int pp_http_date_parse(struct pp_span text, int64_t *s) PP_MUST_USE;

#endif
