# C declarations of csrc/wire: names as in C, only what is used.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from pyproxy._capi.base cimport pp_arena, pp_bool, pp_span


cdef extern from "wire/http_tok.h" nogil:
    enum pp_http_method:
        PP_HTTP_OTHER
        PP_HTTP_GET
        PP_HTTP_METHOD_COUNT
    enum pp_http_name:
        PP_NAME_COUNT
    pp_http_method pp_http_tok_method(pp_span s)
    pp_span pp_http_tok_method_text(pp_http_method m)
    pp_bool pp_http_tok_is_token(pp_span s)


cdef extern from "wire/http_msg.h" nogil:
    struct pp_http_field:
        const char *name
        const char *value
        uint32_t value_n
        uint16_t name_n
        uint8_t id
    enum pp_http_body:
        PP_HTTP_BODY_NONE
        PP_HTTP_BODY_LENGTH
        PP_HTTP_BODY_CHUNKED
        PP_HTTP_BODY_CLOSE
    struct pp_http_msg:
        pp_http_field *field
        uint32_t n_field
        pp_span method
        pp_span target
        pp_span authority
        pp_span path
        pp_span query
        pp_span reason
        uint16_t status
        uint8_t method_id
        uint8_t major
        uint8_t minor
        uint8_t body
        pp_bool keep_alive
        uint64_t content_length
    void pp_http_msg_init(pp_http_msg *m, pp_arena *arena)
    pp_bool pp_http_field_is_live(const pp_http_field *f)


cdef extern from "wire/http_rules.h" nogil:
    int pp_http_rules_request(pp_http_msg *m)
    int pp_http_rules_response(pp_http_msg *m, pp_http_method request_method, pp_bool *declared)


cdef extern from "wire/http1_head.h" nogil:
    struct pp_http1_limits:
        uint32_t head_bytes
        uint32_t line_bytes
        uint32_t target_bytes
        uint32_t fields
    enum pp_http1_head_kind:
        PP_HTTP1_REQUEST
        PP_HTTP1_RESPONSE
    struct pp_http1_head:
        pass
    void pp_http1_head_init(pp_http1_head *h, pp_http1_head_kind kind)
    int pp_http1_head_feed(pp_http1_head *h, const char *p, size_t n, const pp_http1_limits *limits,
                           pp_http_msg *m, size_t *used)


cdef extern from "wire/http1_body.h" nogil:
    struct pp_http1_body:
        pass
    void pp_http1_body_init(pp_http1_body *b, pp_http_body kind, uint64_t length, uint64_t limit,
                            pp_http_msg *trailers)
    int pp_http1_body_next(pp_http1_body *b, const char *p, size_t n, size_t *used, pp_span *data)
    int pp_http1_body_eof(pp_http1_body *b)


cdef extern from "wire/uri.h" nogil:
    struct pp_uri_authority:
        pp_span host
        uint32_t port
    struct pp_uri_split:
        pp_span scheme
        pp_span authority
        pp_span path
        pp_span query
    int pp_uri_authority_parse(pp_span s, pp_uri_authority *out)
    int pp_uri_split_absolute(pp_span s, pp_uri_split *out)
    int pp_uri_normal_path(pp_span path, char *dst, size_t *n, pp_bool *changed)


cdef extern from "wire/proxyproto.h" nogil:
    enum:
        PP_PROXYPROTO_NONE
        PP_PROXYPROTO_IP4
        PP_PROXYPROTO_IP6
        PP_PROXYPROTO_UNIX
    struct pp_proxyproto_end:
        uint8_t ip[16]
        uint16_t port
        pp_span path
    struct pp_proxyproto:
        uint8_t version
        uint8_t family
        pp_bool local
        pp_bool datagram
        pp_proxyproto_end source
        pp_proxyproto_end destination
        pp_span tlvs
    struct pp_proxyproto_tlv:
        uint8_t type
        pp_span value
    int pp_proxyproto_decode(pp_span bytes, pp_proxyproto *out, size_t *used)
    pp_bool pp_proxyproto_next(pp_span *rest, pp_proxyproto_tlv *out)


cdef extern from "wire/clienthello.h" nogil:
    struct pp_clienthello:
        pp_span server_name
        pp_span alpn
    int pp_clienthello_decode(char *data, size_t n, pp_clienthello *out)
    pp_bool pp_clienthello_next_protocol(pp_span *rest, pp_span *out)


cdef extern from "wire/args.h" nogil:
    struct pp_arg:
        pp_span name
        pp_span value
    struct pp_args:
        uint32_t n
    int pp_args_split_query(pp_arena *arena, pp_span text, const pp_args **out)
    int pp_args_split_cookies(pp_arena *arena, pp_span text, const pp_args **out)
    const pp_arg *pp_args_find(const pp_args *args, pp_span name, uint32_t hash)
