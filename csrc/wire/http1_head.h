/* HTTP/1 message heads: bytes -> pp_http_msg (RFC 9112 sections 2 to 5). Incremental, strict, no
 * allocation but for fields past the message's inline ones.
 *
 * Rejects and never repairs: bare LF, bare CR, obs-fold, white space before a colon, empty or
 * non-token names, control characters, anything but HTTP/1.0 and HTTP/1.1, extra spaces in the
 * start line. Three things that are not in the grammar's centre are accepted, because they have one
 * meaning only: one empty line before a request line (RFC 9112 section 2.2), a status line that
 * ends right after its status, and obs-text (0x80 to 0xff) in values and reasons. */
#ifndef PP_WIRE_HTTP1_HEAD_H
#define PP_WIRE_HTTP1_HEAD_H

#include "wire/http1_line.h"
#include "wire/http_msg.h"

struct pp_http1_limits {
    uint32_t head_bytes; /* slow-drip and memory: whole head, start line included ->
                            PP_EHTTP_HEAD_BYTES */
    uint32_t line_bytes; /* oversized cookies and the like: one field line -> PP_EHTTP_LINE_BYTES */
    uint32_t target_bytes; /* -> PP_EHTTP_TARGET_BYTES */
    uint32_t fields;       /* hash and scan cost: field lines -> PP_EHTTP_FIELD_COUNT */
};

enum pp_http1_head_kind { PP_HTTP1_REQUEST = 0, PP_HTTP1_RESPONSE = 1, PP_HTTP1_TRAILERS = 2 };

/* Parser state between two feeds.
 *
 *   p            line                lexed      n
 *   | in the message | taken by <part> | new bytes |
 */
struct pp_http1_head {
    const char *base; /* where the bytes were at the last feed */
    uint32_t line;    /* offset of the line being parsed: everything before it is in the message */
    uint32_t lexed;   /* offset up to which <part> has seen the current line; > line: it is begun */
    struct pp_http1_line part; /* the current line, when it came in pieces */
    uint8_t kind;              /* enum pp_http1_head_kind */
    bool start_done;           /* the start line is in the message */
    bool blank_skipped;
};

/* Ready for the first feed of a head of <kind>. */
void pp_http1_head_init(struct pp_http1_head *h, enum pp_http1_head_kind kind);

/* Parse the head that begins at <p>, of which <n> bytes are there: always the whole head from its
 * first byte, more of it at each call. When <p> differs from the last call, the spans of <m> are
 * rebased. <m> is freshly initialised before the first call. <limits> stays the same for one head.
 * Work over all calls for one head is linear in its length.
 *
 * PP_OK: complete; *used is its length with the final CRLF, <m> holds start line and fields.
 * PP_EMORE: valid so far. Otherwise a PP_EHTTP_* verdict (or PP_ENOMEM), final for this head; it
 * depends on the bytes up to the first offending one only, not on how they were cut into feeds. */
int pp_http1_head_feed(struct pp_http1_head *h, const char *p, size_t n,
                       const struct pp_http1_limits *limits, struct pp_http_msg *m, size_t *used)
    PP_MUST_USE;

#endif
