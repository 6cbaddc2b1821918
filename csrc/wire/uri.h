/* URIs as a proxy needs them (RFC 3986): split, validate, and one normal form of the path on which
 * routing, filters and logs agree. */
#ifndef PP_WIRE_URI_H
#define PP_WIRE_URI_H

#include "base/err.h"
#include "base/span.h"

struct pp_uri_authority {
    struct pp_span host; /* as written; an IPv6 address keeps its brackets */
    uint32_t port;       /* 1 to 65535; 0: none given */
};

/* host[:port]. host: an IPv4 address, a bracketed IPv6 address (no zone), or a non-empty reg-name
 * of unreserved, sub-delims and percent-encoded octets. port: 1 to 5 digits, 1 to 65535 ("host:" is
 * refused: readers differ on it). No userinfo. Spans of *out point into <s>. PP_OK or
 * PP_EURI_AUTHORITY. */
int pp_uri_authority_parse(struct pp_span s, struct pp_uri_authority *out) PP_MUST_USE;

/* Do <a> and <b> name the same place: equal hosts (any case) and equal ports, where an absent port
 * means <default_port> (0: only an absent one equals an absent one)? */
bool pp_uri_authority_eq(const struct pp_uri_authority *a, const struct pp_uri_authority *b,
                         uint32_t default_port);

struct pp_uri_split {
    struct pp_span scheme,
        authority;        /* as written; authority is checked by pp_uri_authority_parse */
    struct pp_span path;  /* begins with "/"; a static "/" when the URI has none */
    struct pp_span query; /* without '?'; query.p is NULL when there is no '?' */
};

/* Absolute form "scheme://authority[/path][?query]" (RFC 9112 section 3.2.2). http and https only,
 * in any case. Spans of *out point into <s>. PP_OK, PP_EURI_SCHEME, PP_EURI_AUTHORITY (userinfo
 * too), or PP_EURI_CHAR for a fragment. Path and query are split, not checked. */
int pp_uri_split_absolute(struct pp_span s, struct pp_uri_split *out) PP_MUST_USE;

/* Normal form of a path at <dst> (room for path.n bytes; may be path.p itself). Percent-encodings
 * of unreserved characters are decoded, once; all others stay encoded, with upper-case digits; dot
 * segments are removed (section 5.2.4), also those that were encoded; empty segments stay.
 *
 * Refused, because two readers could disagree: a malformed percent-encoding (PP_EURI_PERCENT),
 * encoded controls and NUL (PP_EURI_NUL), %2F, %5C and a raw backslash (PP_EURI_SLASH), a climb
 * above the root (PP_EURI_DOTS), raw bytes outside visible ASCII, '#', '?' and a path that does not
 * begin with "/" (PP_EURI_CHAR).
 *
 * PP_OK with *n (1 <= *n <= path.n), and *changed telling whether the result differs from the
 * input; or one of the verdicts above, and then the bytes at <dst> are undefined. The result is a
 * fixed point: normalising it again changes nothing. */
int pp_uri_normal_path(struct pp_span path, char *dst, size_t *n, bool *changed) PP_MUST_USE;

/* True when <path> certainly is in normal form: begins with "/", holds nothing but unreserved,
 * sub-delims, ":", "@" and "/", and no "/." (where a dot segment could begin). False only means:
 * ask pp_uri_normal_path. This is the quick way of nearly every request. */
bool pp_uri_is_plain_path(struct pp_span path);

/* Decode percent-encodings, once, and with <plus> '+' as a space, at <dst> (room for s.n bytes; may
 * be s.p itself). Any octet may come out, NUL too. PP_OK and *n, or PP_EURI_PERCENT. */
int pp_uri_decode(struct pp_span s, bool plus, char *dst, size_t *n) PP_MUST_USE;

/* Write <s> at <dst> (room for 3 * s.n bytes) with everything but unreserved characters (section
 * 2.3) percent-encoded: one piece of a path or query, whatever is in it. The bytes written. */
size_t pp_uri_encode(struct pp_span s, char *dst);

/* Take the next name[=value] off the front of the query string *rest, still encoded; value->p is
 * NULL when there is no '='. Empty pieces ("&&") are skipped; a piece "=x" has an empty name. false
 * at the end. */
bool pp_uri_next_arg(struct pp_span *rest, struct pp_span *name, struct pp_span *value);

#endif
