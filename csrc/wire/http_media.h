/* Media types of files by the end of their names. */
#ifndef PP_WIRE_HTTP_MEDIA_H
#define PP_WIRE_HTTP_MEDIA_H

#include "base/span.h"

/* The extension of a file name, without its dot; empty when it has none (".profile" has none). */
struct pp_span pp_http_media_extension(struct pp_span name);

/* The media type of files with the extension <ext>, in any case, as a value of Content-Type: texts
 * say that they are UTF-8. Static storage; empty: not known. */
struct pp_span pp_http_media_find(struct pp_span ext);

#endif
