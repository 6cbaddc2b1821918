/* `static`: answers with files of a folder.
 *
 *   root           absolute path of the folder
 *   strip_prefix   text: a part of the path that is not part of the files'; without a slash at its
 *                  end
 *   index          list of names that stand for the folder they are in
 *   fallback       relative path of a file for what is not found
 *   precompressed  list of codings (br, zstd, gzip) whose siblings are looked for, the best first
 *   cache_control  text: the field of that name
 *   types          map: extension -> media type, before those of wire/http_media.h
 *   default_type   text: of other files; empty: none
 *   hidden         bool: names that begin with a dot are served, too
 *   next           bool: what is not found goes on, and so do other methods
 *
 * GET and HEAD, conditional requests and ranges (RFC 9110 sections 13 and 14; who asks for several
 * ranges gets the whole). The entity tag is strong: the time of modification in nanoseconds, and
 * the size. A folder without its slash is redirected. The folder is opened when the filter is made:
 * another one of that name is not seen before the next configuration. */
#ifndef PP_PROXY_FILTER_STATIC_H
#define PP_PROXY_FILTER_STATIC_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_static_kind;

#endif
