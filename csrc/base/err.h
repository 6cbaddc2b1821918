/* The only list of result codes.
 *
 * A function that can fail returns `int`: PP_OK (0) or one negative code of this table; amounts
 * come back through out-parameters. One code has one meaning. Codes from PP_EHTTP_METHOD on are
 * verdicts about bytes that came from the network: `text` is safe to show to the peer's operator,
 * `name` is the machine-readable word that access logs carry. */
#ifndef PP_BASE_ERR_H
#define PP_BASE_ERR_H

#include "base/defs.h"

/* X(code, number, name, text) */
#define PP_ERR_LIST(X)                                                                             \
    X(PP_OK, 0, "ok", "no error")                                                                  \
    X(PP_EAGAIN, -1, "again", "would block; try again when the descriptor is ready")               \
    X(PP_EMORE, -2, "more", "the message is valid so far; more bytes are needed")                  \
    X(PP_EEND, -3, "end", "the message or iteration is complete")                                  \
    X(PP_ENOMEM, -4, "no_memory", "out of memory")                                                 \
    X(PP_EINVAL, -5, "invalid", "an argument is out of its range")                                 \
    X(PP_ELIMIT, -6, "limit", "a bounded structure is full")                                       \
    X(PP_EEOF, -7, "eof", "the other side closed in order")                                        \
    X(PP_ERESET, -8, "reset", "the other side reset the connection")                               \
    X(PP_EIO, -9, "io", "a system call failed")                                                    \
    X(PP_EREFUSED, -10, "refused", "connection refused")                                           \
    X(PP_EUNREACH, -11, "unreachable", "no path to the address")                                   \
    X(PP_ETIMEDOUT, -12, "timeout", "a deadline passed")                                           \
    X(PP_ENOENT, -13, "not_found", "no such entry")                                                \
    X(PP_EEXIST, -14, "exists", "an equal entry exists")                                           \
    X(PP_EMFILE, -15, "no_descriptors", "no free descriptor")                                      \
    X(PP_EMETHOD, -16, "method_not_allowed", "the path exists for other methods only")             \
    X(PP_ECONFLICT, -17, "conflict", "two patterns cannot stand together")                         \
    X(PP_EOVERFLOW, -18, "overflow", "the number does not fit")                                    \
    /* wire verdicts: HTTP heads (RFC 9112 sections 2-5, RFC 9110 section 5) */                    \
    X(PP_EHTTP_METHOD, -32, "bad_method", "the method is not a token")                             \
    X(PP_EHTTP_TARGET, -33, "bad_target", "the request target is malformed")                       \
    X(PP_EHTTP_VERSION, -34, "bad_version", "the HTTP version is malformed or unsupported")        \
    X(PP_EHTTP_BARE_LF, -35, "bare_lf", "a line ends in LF without CR")                            \
    X(PP_EHTTP_BARE_CR, -36, "bare_cr", "a CR is not followed by LF")                              \
    X(PP_EHTTP_FOLD, -37, "obs_fold", "a field line begins with white space (obs-fold)")           \
    X(PP_EHTTP_FIELD_NAME, -38, "bad_field_name", "a field name is not a token")                   \
    X(PP_EHTTP_SPACE_COLON, -39, "space_before_colon", "white space before a field's colon")       \
    X(PP_EHTTP_FIELD_VALUE, -40, "bad_field_value", "a control character in a field value")        \
    X(PP_EHTTP_HEAD_BYTES, -41, "head_too_large", "the message head is over its byte limit")       \
    X(PP_EHTTP_FIELD_COUNT, -42, "too_many_fields", "more field lines than the limit")             \
    X(PP_EHTTP_LINE_BYTES, -43, "line_too_long", "a field line is over its byte limit")            \
    X(PP_EHTTP_TARGET_BYTES, -44, "target_too_long", "the request target is over its byte limit")  \
    X(PP_EHTTP_STATUS, -45, "bad_status", "the status line is malformed")                          \
    X(PP_EHTTP_HOST_MISSING, -46, "host_missing", "an HTTP/1.1 request without Host")              \
    X(PP_EHTTP_HOST_DUP, -47, "host_duplicate", "more than one Host field")                        \
    X(PP_EHTTP_HOST_BAD, -48, "bad_host", "the Host field is not a valid authority")               \
    X(PP_EHTTP_HOST_MISMATCH, -49, "host_mismatch", "Host differs from the target's authority")    \
    X(PP_EHTTP_CL_BAD, -50, "bad_content_length", "Content-Length is not a plain number")          \
    X(PP_EHTTP_CL_DUP, -51, "content_length_duplicate", "more than one Content-Length")            \
    X(PP_EHTTP_CL_TE, -52, "content_length_and_transfer_encoding",                                 \
      "Content-Length together with Transfer-Encoding")                                            \
    X(PP_EHTTP_TE_BAD, -53, "bad_transfer_encoding",                                               \
      "Transfer-Encoding is not exactly `chunked`, or came with HTTP/1.0")                         \
    X(PP_EHTTP_EXPECT, -54, "bad_expect", "an expectation other than 100-continue")                \
    X(PP_EHTTP_CONNECTION, -55, "bad_connection", "the Connection field is malformed")             \
    X(PP_EHTTP_UPGRADE, -56, "bad_upgrade", "the Upgrade field is malformed")                      \
    X(PP_EHTTP_SWITCH, -57, "bad_switch", "a 101 that nobody asked for, or to another protocol")   \
    X(PP_EHTTP_INTERIM, -58, "interim_flood", "more interim responses than the limit")             \
    X(PP_EHTTP_CONTENT, -59, "unexpected_content", "a CONNECT request with content")               \
    X(PP_EHTTP_ARGUMENTS, -60, "too_many_arguments",                                               \
      "more query arguments or cookies than are looked at")                                        \
    /* wire verdicts: bodies (RFC 9112 sections 6-7) */                                            \
    X(PP_EHTTP_CHUNK_SIZE, -64, "bad_chunk_size", "a chunk size is malformed or too large")        \
    X(PP_EHTTP_CHUNK_EXT, -65, "bad_chunk_extension", "a chunk extension is malformed")            \
    X(PP_EHTTP_CHUNK_EXT_BYTES, -66, "chunk_extension_too_long",                                   \
      "chunk extensions over the limit")                                                           \
    X(PP_EHTTP_CHUNK_END, -67, "bad_chunk_end", "chunk data is not followed by CRLF")              \
    X(PP_EHTTP_TRAILER, -68, "bad_trailer", "the trailer section holds a forbidden field")         \
    X(PP_EHTTP_TRAILER_BYTES, -69, "trailers_too_large", "the trailer section is over its limit")  \
    X(PP_EHTTP_BODY_BYTES, -70, "body_too_large", "the body is over its byte limit")               \
    X(PP_EHTTP_BODY_SHORT, -71, "body_truncated", "the connection ended inside the body")          \
    X(PP_EGRPC_WEB_TEXT, -72, "bad_grpc_web_text", "a gRPC-Web body is not base64")                \
    X(PP_EHTTP_CODING, -73, "bad_content_coding", "content is not what its Content-Encoding says") \
    X(PP_EHTTP_BOMB, -74, "decompression_bomb", "compressed content grows over its limits")        \
    /* wire verdicts: URIs (RFC 3986) */                                                           \
    X(PP_EURI_CHAR, -80, "bad_uri_character", "a character that a URI may not hold")               \
    X(PP_EURI_PERCENT, -81, "bad_percent_encoding", "a malformed percent-encoding")                \
    X(PP_EURI_NUL, -82, "encoded_nul", "an encoded NUL or control character in the path")          \
    X(PP_EURI_SLASH, -83, "encoded_slash", "an encoded slash or backslash in the path")            \
    X(PP_EURI_DOTS, -84, "path_above_root", "dot segments climb above the root")                   \
    X(PP_EURI_AUTHORITY, -85, "bad_authority", "the authority is not host[:port]")                 \
    X(PP_EURI_SCHEME, -86, "bad_scheme", "a scheme other than http or https")                      \
    /* TLS handshakes */                                                                           \
    X(PP_ETLS_HANDSHAKE, -96, "tls_handshake", "the TLS handshake failed")                         \
    X(PP_ETLS_HTTP, -97, "http_to_tls", "plain HTTP was sent to a port of TLS")                    \
    X(PP_ETLS_CERTIFICATE, -98, "bad_certificate", "the peer's certificate is not acceptable")     \
    X(PP_ETLS_EXPIRED, -99, "certificate_expired", "the peer's certificate is not valid now")      \
    X(PP_ETLS_NAME, -100, "certificate_name", "the peer's certificate is for another name")        \
    X(PP_ETLS_CA, -101, "certificate_unknown_ca", "the peer's certificate is of an unknown CA")    \
    /* wire verdicts: the beginning of a connection (PROXY protocol, RFC 8446 section 4.1.2) */    \
    X(PP_EPROXY_NONE, -112, "no_proxy_header", "no PROXY protocol header")                         \
    X(PP_EPROXY_LINE, -113, "bad_proxy_line", "a malformed PROXY protocol line (version 1)")       \
    X(PP_EPROXY_BYTES, -114, "proxy_header_too_large", "a PROXY protocol header over its limit")   \
    X(PP_EPROXY_COMMAND, -115, "bad_proxy_command",                                                \
      "a version, command or address family that the PROXY protocol does not have")                \
    X(PP_EPROXY_ADDRESS, -116, "bad_proxy_address", "malformed addresses in a PROXY header")       \
    X(PP_EPROXY_TLV, -117, "bad_proxy_tlv", "a malformed type-length-value of a PROXY header")     \
    X(PP_EPROXY_CHECKSUM, -118, "bad_proxy_checksum", "the checksum of a PROXY header is wrong")   \
    X(PP_EPROXY_SOURCE, -119, "untrusted_proxy", "a connection from an address that is no proxy")  \
    X(PP_ETLS_NONE, -120, "no_tls", "no TLS handshake")                                            \
    X(PP_ETLS_HELLO, -121, "bad_client_hello", "a malformed ClientHello")                          \
    X(PP_ETLS_HELLO_BYTES, -122, "client_hello_too_large", "a ClientHello over its limit")         \
    X(PP_ETLS_SERVER_NAME, -123, "bad_server_name", "a server name that is no host name")

enum pp_err {
#define PP_ERR_ENUM(code, number, name, text) code = (number),
    PP_ERR_LIST(PP_ERR_ENUM)
#undef PP_ERR_ENUM
};

/* The machine-readable word of <code> ("bare_lf"); "unknown" for a number that is not in the table.
 * Static storage. */
const char *pp_err_name(int code);

/* One sentence about <code> for people. Static storage. */
const char *pp_err_text(int code);

/* Number of table rows, and the code of row <i> (0 <= i < count): for tools that list them. */
int pp_err_count(void);
int pp_err_code(int i);

#endif
