/* Character classes, methods and well-known field names (RFC 9110 sections 5.1, 5.6.2, 9). */
#ifndef PP_WIRE_HTTP_TOK_H
#define PP_WIRE_HTTP_TOK_H

#include "base/span.h"

enum pp_http_method {
    PP_HTTP_OTHER = 0, /* a valid token that is not listed here */
    PP_HTTP_GET,
    PP_HTTP_HEAD,
    PP_HTTP_POST,
    PP_HTTP_PUT,
    PP_HTTP_DELETE,
    PP_HTTP_CONNECT,
    PP_HTTP_OPTIONS,
    PP_HTTP_TRACE,
    PP_HTTP_PATCH,
    PP_HTTP_METHOD_COUNT
};

/* X(enum tail, name). Below 64 names, so that a message can keep "which are present" in one word;
 * at most 31 bytes each, so that two vector loads compare one. Names that browsers send with every
 * request are listed because recognising a name also checks its syntax. */
#define PP_HTTP_NAME_LIST(X)                                                                       \
    X(ACCEPT, "accept")                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCEPT_LANGUAGE, "accept-language")                                                          \
    X(ACCEPT_RANGES, "accept-ranges")                                                              \
    X(AGE, "age")                                                                                  \
    X(ALLOW, "allow")                                                                              \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CACHE_CONTROL, "cache-control")                                                              \
    X(CONNECTION, "connection")                                                                    \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_LENGTH, "content-length")                                                            \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(COOKIE, "cookie")                                                                            \
    X(DATE, "date")                                                                                \
    X(DNT, "dnt")                                                                                  \
    X(ETAG, "etag")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(EXPIRES, "expires")                                                                          \
    X(FORWARDED, "forwarded")                                                                      \
    X(HOST, "host")                                                                                \
    X(HTTP2_SETTINGS, "http2-settings")                                                            \
    X(IF_MODIFIED_SINCE, "if-modified-since")                                                      \
    X(IF_NONE_MATCH, "if-none-match")                                                              \
    X(KEEP_ALIVE, "keep-alive")                                                                    \
    X(LAST_MODIFIED, "last-modified")                                                              \
    X(LOCATION, "location")                                                                        \
    X(ORIGIN, "origin")                                                                            \
    X(PRAGMA, "pragma")                                                                            \
    X(PRIORITY, "priority")                                                                        \
    X(PROXY_AUTHENTICATE, "proxy-authenticate")                                                    \
    X(PROXY_AUTHORIZATION, "proxy-authorization")                                                  \
    X(PROXY_CONNECTION, "proxy-connection")                                                        \
    X(RANGE, "range")                                                                              \
    X(REFERER, "referer")                                                                          \
    X(RETRY_AFTER, "retry-after")                                                                  \
    X(SEC_CH_UA, "sec-ch-ua")                                                                      \
    X(SEC_CH_UA_MOBILE, "sec-ch-ua-mobile")                                                        \
    X(SEC_CH_UA_PLATFORM, "sec-ch-ua-platform")                                                    \
    X(SEC_FETCH_DEST, "sec-fetch-dest")                                                            \
    X(SEC_FETCH_MODE, "sec-fetch-mode")                                                            \
    X(SEC_FETCH_SITE, "sec-fetch-site")                                                            \
    X(SEC_FETCH_USER, "sec-fetch-user")                                                            \
    X(SERVER, "server")                                                                            \
    X(SET_COOKIE, "set-cookie")                                                                    \
    X(TE, "te")                                                                                    \
    X(TRAILER, "trailer")                                                                          \
    X(TRANSFER_ENCODING, "transfer-encoding")                                                      \
    X(UPGRADE, "upgrade")                                                                          \
    X(UPGRADE_INSECURE_REQUESTS, "upgrade-insecure-requests")                                      \
    X(USER_AGENT, "user-agent")                                                                    \
    X(VARY, "vary")                                                                                \
    X(VIA, "via")                                                                                  \
    X(WWW_AUTHENTICATE, "www-authenticate")                                                        \
    X(X_FORWARDED_FOR, "x-forwarded-for")                                                          \
    X(X_FORWARDED_HOST, "x-forwarded-host")                                                        \
    X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                      \
    X(X_REAL_IP, "x-real-ip")                                                                      \
    X(X_REQUEST_ID, "x-request-id")

enum pp_http_name {
    PP_NAME_OTHER = 0,
#define PP_HTTP_NAME_ENUM(tail, text) PP_NAME_##tail,
    PP_HTTP_NAME_LIST(PP_HTTP_NAME_ENUM)
#undef PP_HTTP_NAME_ENUM
        PP_NAME_COUNT
};
PP_STATIC_ASSERT(PP_NAME_COUNT <= 64, "the presence mask of pp_http_msg has 64 bits");

/* Classes of a byte: bits of pp_http_tok_class[c]. */
enum {
    PP_TOK_TCHAR = 1 << 0,  /* token characters, RFC 9110 section 5.6.2 */
    PP_TOK_FIELD = 1 << 1,  /* field value: HTAB, SP, VCHAR, obs-text */
    PP_TOK_TARGET = 1 << 2, /* visible ASCII: what a request target may hold */
    PP_TOK_DIGIT = 1 << 3,
    PP_TOK_HEX = 1 << 4
};
extern const uint8_t pp_http_tok_class[256];

static inline bool pp_http_tok_is(unsigned char c, unsigned cls)
{
    return (pp_http_tok_class[c] & cls) != 0;
}

/* Is <s> a non-empty token? */
bool pp_http_tok_is_token(struct pp_span s);
/* Is every byte of <s> allowed in a field value? */
bool pp_http_tok_is_value(struct pp_span s);

/* Method tokens are case-sensitive (RFC 9110 section 9.1). */
enum pp_http_method pp_http_tok_method(struct pp_span s);
/* "" for PP_HTTP_OTHER. */
struct pp_span pp_http_tok_method_text(enum pp_http_method m);

/* The id of the field name [p, p + n) in any case, PP_NAME_OTHER when it is not a listed one.
 * Perfect hash, one compare. */
enum pp_http_name pp_http_tok_name(const char *p, size_t n);
/* Lower-case text of the listed name <id>; empty for PP_NAME_OTHER. Static storage. */
struct pp_span pp_http_tok_name_text(enum pp_http_name id);

/* Standard reason phrase of <status> (RFC 9110 section 15), or an empty span. */
struct pp_span pp_http_tok_reason(unsigned status);

/* The tables behind pp_http_tok_name, for the head parser, which compares whole vectors. A name in
 * <text> ends in ':'; bytes that differ from it only in bits that are not in <keep> are the same
 * name. Letters lose their case bit there; others must not, for `| 0x20` makes a '-' of a CR. */
#define PP_HTTP_TOK_NAME_MAX 31
struct pp_http_tok_name {
    char text[PP_HTTP_TOK_NAME_MAX + 1];
    uint8_t keep[PP_HTTP_TOK_NAME_MAX + 1];
} __attribute__((aligned(64)));
#define PP_HTTP_TOK_SLOTS 128
#define PP_HTTP_TOK_HASH_MUL 0xdff5c233u
extern const uint8_t pp_http_tok_slot[PP_HTTP_TOK_SLOTS]; /* hash -> id */
extern const struct pp_http_tok_name pp_http_tok_names[PP_NAME_COUNT];

/* Slot of a name of <n> >= 3 bytes; <last>: its last three and the colon behind it, as a
 * little-endian word. */
static inline unsigned pp_http_tok_hash(uint32_t last, size_t n)
{
    return (((last | 0x20202020u) + ((uint32_t)n << 24)) * PP_HTTP_TOK_HASH_MUL) >> 25;
}

#endif
