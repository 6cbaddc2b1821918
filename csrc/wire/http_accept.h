/* Which media types a client would rather have (RFC 9110 section 12.5.1). */
#ifndef PP_WIRE_HTTP_ACCEPT_H
#define PP_WIRE_HTTP_ACCEPT_H

#include "wire/http_msg.h"

#define PP_HTTP_ACCEPT_FULL 1000

/* The weight in thousandths of the media type <type> ("text/html", in lower case) by Accept: that
 * of the most specific range it is in, 0 when it is in none. Without the field everything is
 * welcome. Of the parameters of ranges only the weight is looked at. */
unsigned pp_http_accept_media(const struct pp_http_msg *request, struct pp_span type);

#endif
