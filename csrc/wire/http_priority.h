/* What a client says about the order of responses (RFC 9218): the Priority field and the
 * PRIORITY_UPDATE frame. */
#ifndef PP_WIRE_HTTP_PRIORITY_H
#define PP_WIRE_HTTP_PRIORITY_H

#include "base/span.h"

#define PP_HTTP_PRIORITY_URGENCY 3 /* when nobody says another */
#define PP_HTTP_PRIORITY_LEVELS 8

/* Read `u=<0 to 7>` and `i` from the value of a Priority field. What it does not say, and what is
 * not as it should be, leaves *urgency and *incremental as they were; other members mean nothing
 * here. */
void pp_http_priority_read(struct pp_span value, uint8_t *urgency, bool *incremental);

#endif
