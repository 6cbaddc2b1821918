/* How much useless work an HTTP/2 peer may cause before its connection ends: one bucket of tokens
 * for each kind of flood. Useful work (streams opened, data sent) gives tokens back where honest
 * peers need many. Time comes from the caller. */
#ifndef PP_WIRE_HTTP2_FLOOD_H
#define PP_WIRE_HTTP2_FLOOD_H

#include "base/defs.h"

/* Floods, each after its attack. X(enum tail, word, tokens, tokens a second): a bucket holds so
 * many at first and at most, and gets so many back each second. Those without tokens are not
 * counted in buckets. */
#define PP_HTTP2_FLOOD_LIST(X)                                                                     \
    /* CVE-2023-44487: streams opened and reset before any answer */                               \
    X(RAPID_RESET, "rapid_reset", 200, 20)                                                         \
    /* CVE-2025-8671 (MadeYouReset): streams that the peer's errors make us reset */               \
    X(MADE_RESET, "made_you_reset", 100, 10)                                                       \
    /* CVE-2024-27316 and others: CONTINUATION frames of one head */                               \
    X(CONTINUATION, "continuation", 8, 0)                                                          \
    /* CVE-2019-9515: each SETTINGS costs an acknowledgement */                                    \
    X(SETTINGS, "settings", 50, 5)                                                                 \
    /* CVE-2019-9512: each PING costs an answer */                                                 \
    X(PING, "ping", 500, 50)                                                                       \
    /* CVE-2019-9518: frames without content that do not end anything either */                    \
    X(EMPTY, "empty_frames", 200, 20)                                                              \
    /* CVE-2016-6581 (HPACK bomb): heads that decode to many times their limit */                  \
    X(HEADER_LIST, "header_list", 0, 0)                                                            \
    /* CVE-2019-9513 and after: priorities and unknown frames instead of requests */               \
    X(PRIORITY, "priority", 500, 50)                                                               \
    X(UNKNOWN, "unknown_frames", 200, 20)                                                          \
    /* CVE-2019-9511: windows opened byte by byte, and so small that each frame of ours is tiny */ \
    X(WINDOW_UPDATE, "window_update", 1000, 100)                                                   \
    X(TINY_WINDOW, "tiny_window", 200, 20)                                                         \
    /* CVE-2019-9517 and others: answers (acknowledgements, resets) that the peer does not read */ \
    X(OUTPUT, "unread_replies", 1000, 0)

enum pp_http2_flood {
    PP_HTTP2_FLOOD_NONE = 0,
#define PP_HTTP2_FLOOD_ENUM(tail, word, tokens, rate) PP_HTTP2_FLOOD_##tail,
    PP_HTTP2_FLOOD_LIST(PP_HTTP2_FLOOD_ENUM)
#undef PP_HTTP2_FLOOD_ENUM
        PP_HTTP2_FLOOD_COUNT
};

struct pp_http2_bucket {
    uint32_t left;  /* quarters of tokens */
    uint32_t at_ms; /* when that was counted, low 32 bits */
};

struct pp_http2_floods {
    struct pp_http2_bucket bucket[PP_HTTP2_FLOOD_COUNT];
};

/* All buckets full at <now_ms>. */
void pp_http2_flood_init(struct pp_http2_floods *f, uint64_t now_ms);
/* Fill one bucket again. */
void pp_http2_flood_fill(struct pp_http2_floods *f, enum pp_http2_flood kind);
/* Take <quarters> of a token. False when the bucket does not hold so many: that is the flood. */
bool pp_http2_flood_take(struct pp_http2_floods *f, enum pp_http2_flood kind, unsigned quarters,
                         uint64_t now_ms) PP_MUST_USE;
/* Give <tokens> back, as far as there is room. */
void pp_http2_flood_refund(struct pp_http2_floods *f, enum pp_http2_flood kind, unsigned tokens);
/* Tokens that a bucket of <kind> holds at most. */
unsigned pp_http2_flood_tokens(enum pp_http2_flood kind);
/* The word of a flood for logs and counters ("rapid_reset"); "" for NONE. Static storage. */
const char *pp_http2_flood_name(enum pp_http2_flood kind);

#endif
