/* Words that sibling layers share: sides, protocols, plain integer ids and limits.
 *
 * An id is an index into a table of the snapshot that an exchange holds; it means nothing without
 * that snapshot, and PP_ID_NONE is never a valid index. */
#ifndef PP_BASE_IDS_H
#define PP_BASE_IDS_H

#include "base/defs.h"

/* DOWN faces the client, UP faces the origin. */
enum pp_side { PP_SIDE_DOWN = 0, PP_SIDE_UP = 1 };

enum pp_proto { PP_PROTO_HTTP1 = 0, PP_PROTO_HTTP2 = 1, PP_PROTO_TCP = 2, PP_PROTO_UDP = 3 };

#define PP_ID_NONE UINT32_MAX

/* Captures of one route pattern ({name} segments and one *rest); more is a configuration error. */
#define PP_CAPTURES_MAX 16

#endif
