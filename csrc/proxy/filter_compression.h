/* compression: compress responses for clients that take it (RFC 9110 sections 8.4 and 12.5.3).
 *
 * Options {codings: ["zstd", "br", "gzip"], types: [text], min_length, gzip: {level, window}, br,
 * zstd}. A type is a media type, and may begin or end with '*'. Of the codings that the client
 * likes best, the first in the list is taken.
 *
 * Compressed is what has one of the types and at least <min_length> bytes, or is of unknown length;
 * not what is encoded already, what is part of something (206), and what must not be changed
 * (no-transform). Such answers vary with Accept-Encoding, for whichever client; their strong entity
 * tags become weak, and ranges of them are not offered.
 *
 * A body of unknown length is passed on, as far as it has come, whenever its source pauses: events
 * of a stream do not wait for the next. */
#ifndef PP_PROXY_FILTER_COMPRESSION_H
#define PP_PROXY_FILTER_COMPRESSION_H

#include "proxy/filter.h"

extern const struct pp_filter_kind pp_filter_compression_kind;

#endif
