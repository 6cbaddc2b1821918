/* Version-independent validity of messages, and their framing: Host, Content-Length x
 * Transfer-Encoding, hop-by-hop fields (RFC 9110 sections 6.4, 7.2, 7.6.1, 8.6, 10.1; RFC 9112
 * sections 3.2, 6). Marks, never edits.
 *
 * After PP_OK the message's body, content_length, keep_alive, expect_continue, upgrade and
 * te_trailers are set, and every hop-by-hop field carries PP_HTTP_FIELD_HOP: Connection and every
 * field it names, Keep-Alive, Proxy-Connection, Proxy-Authenticate, Proxy-Authorization, TE,
 * Trailer, Transfer-Encoding, Content-Length (written anew by the emitter), Upgrade,
 * HTTP2-Settings, Expect.
 *
 * A Connection field cannot name end-to-end fields away to attack what stands behind
 * (CVE-2022-31813 style): Host, Authorization, Cookie, Set-Cookie, Cache-Control, Content-*,
 * Forwarded, Via, X-Forwarded-*, X-Real-IP and X-Request-ID are ignored there. A Connection field
 * of more than PP_HTTP_RULES_OPTIONS names is refused, because every name costs a look at every
 * field. */
#ifndef PP_WIRE_HTTP_RULES_H
#define PP_WIRE_HTTP_RULES_H

#include "wire/http_msg.h"

#define PP_HTTP_RULES_OPTIONS 32

/* Request: splits the target (origin-, absolute-, authority- (CONNECT) and asterisk-form (OPTIONS))
 * into scheme, path and query, and settles the authority: HTTP/1.1 needs exactly one valid,
 * non-empty Host; HTTP/1.0 may have none, and then authority is empty; the authority of an
 * absolute-form or authority-form target must name the same host and port (the scheme's default
 * port may be left out; else PP_EHTTP_HOST_MISMATCH), and is then the effective one. A '#' in the
 * target is PP_EHTTP_TARGET; an absolute form that is not http(s)://host[:port]... a PP_EURI_*
 * verdict. The characters of the path are the business of pp_uri_normal_path.
 *
 * Framing: CL and TE together, TE with HTTP/1.0, TE other than exactly one `chunked`, two CL fields
 * or a list, and more than 2^63 - 1 bytes: verdicts. Expect is ignored in HTTP/1.0, and
 * 100-continue where no body follows; Upgrade is ignored in HTTP/1.0 (RFC 9110 section 7.8). */
int pp_http_rules_request(struct pp_http_msg *m) PP_MUST_USE;

/* Response to a request with method <request_method>: framing by RFC 9112 section 6.3 (none for
 * HEAD, 1xx, 204, 304 and a 2xx to CONNECT). For those, content_length still holds what
 * Content-Length said, and *declared tells whether there was one. Verdicts as for requests: CL and
 * TE together, TE in HTTP/1.0, TE other than `chunked`, repeated or malformed CL. A 1xx or 204 with
 * a body announced (RFC 9110 section 8.6 forbids it) has none, but the connection is not to be
 * kept: nobody knows what follows. */
int pp_http_rules_response(struct pp_http_msg *m, enum pp_http_method request_method,
                           bool *declared) PP_MUST_USE;

/* A request of HTTP/2 (RFC 9113 section 8.3): its method, scheme, authority, target (:path) and
 * protocol are set as they came, with p == NULL for what did not come, and its fields added. Does
 * for it what pp_http_rules_request does: path, query and authority are split and settled (a
 * request without :authority needs Host, one with it gets a Host field; both must agree), method
 * and path are checked, :protocol only with CONNECT (RFC 8441), which else names an authority with
 * a port and nothing more (target is it then). <end>: no body follows; a body without
 * Content-Length is CHUNKED. Fields of HTTP/1 connections are PP_EHTTP_CONNECTION (RFC 9113 section
 * 8.2.2), and so is TE but for `trailers`; a length that does not fit <end> is
 * PP_EHTTP_BODY_SHORT. */
int pp_http_rules_request_2(struct pp_http_msg *m, bool end) PP_MUST_USE;

/* A response of HTTP/2, as pp_http_rules_response; m->status is set. PP_EHTTP_STATUS for 101 and
 * for a 1xx that ends the stream. A body that ends with the head has LENGTH 0; a 2xx to
 * CONNECT has what flows through the tunnel as its body, CHUNKED. */
int pp_http_rules_response_2(struct pp_http_msg *m, enum pp_http_method request_method, bool end,
                             bool *declared) PP_MUST_USE;

/* May the field <name> with id <id> stand in a trailer section (RFC 9110 section 6.5.1)? Not what
 * frames, routes, authenticates, controls caches or says how to read the content. <name> may be cut
 * to its first 32 bytes. */
bool pp_http_rules_may_trail(enum pp_http_name id, struct pp_span name);

/* HTTP status that answers a verdict about a request: 400, 408, 413, 414, 417, 431, 501 or 505. */
unsigned pp_http_rules_status(int verdict);

#endif
