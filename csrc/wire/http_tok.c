#include "wire/http_tok.h"

#include "wire/http1_scan.h"

/* RFC 9110 section 5.6.2: DIGIT, ALPHA and !#$%&'*+-.^_`|~ */
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALPHA(c) (((c) >= 'a' && (c) <= 'z') || ((c) >= 'A' && (c) <= 'Z'))
#define IS_MARK(c)                                                                                 \
    ((c) == '!' || ((c) >= '#' && (c) <= '\'') || (c) == '*' || (c) == '+' || (c) == '-' ||        \
     (c) == '.' || (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_HEX(c) (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))

#define C1(c)                                                                                      \
    ((IS_DIGIT(c) || IS_ALPHA(c) || IS_MARK(c) ? PP_TOK_TCHAR : 0) |                               \
     ((c) == '\t' || ((c) >= 0x20 && (c) != 0x7f) ? PP_TOK_FIELD : 0) |                            \
     ((c) > 0x20 && (c) < 0x7f ? PP_TOK_TARGET : 0) | (IS_DIGIT(c) ? PP_TOK_DIGIT : 0) |           \
     (IS_HEX(c) ? PP_TOK_HEX : 0))
#define C4(c) C1(c), C1((c) + 1), C1((c) + 2), C1((c) + 3)
#define C16(c) C4(c), C4((c) + 4), C4((c) + 8), C4((c) + 12)
#define C64(c) C16(c), C16((c) + 16), C16((c) + 32), C16((c) + 48)

const uint8_t pp_http_tok_class[256] = {C64(0), C64(64), C64(128), C64(192)};

bool pp_http_tok_is_token(struct pp_span s)
{
    unsigned all = s.n > 0 ? PP_TOK_TCHAR : 0;

    for (size_t i = 0; i < s.n; i++) {
        all &= pp_http_tok_class[(unsigned char)s.p[i]];
    }
    return all != 0;
}

bool pp_http_tok_is_value(struct pp_span s)
{
    size_t i = 0;

#ifdef __SSE2__
    if (s.n >= 16) {
        /* The last 16 bytes overlap those before: no byte is left for a look at it alone. */
        for (; i + 16 < s.n; i += 16) {
            if (pp_http1_scan_value_mask(s.p + i)) {
                return false;
            }
        }
        return pp_http1_scan_value_mask(s.p + s.n - 16) == 0;
    }
#endif
    for (; i < s.n; i++) {
        if (!pp_http_tok_is((unsigned char)s.p[i], PP_TOK_FIELD)) {
            return false;
        }
    }
    return true;
}

static const struct pp_span method_text[PP_HTTP_METHOD_COUNT] = {
    [PP_HTTP_OTHER] = {"", 0},          [PP_HTTP_GET] = {"GET", 3},
    [PP_HTTP_HEAD] = {"HEAD", 4},       [PP_HTTP_POST] = {"POST", 4},
    [PP_HTTP_PUT] = {"PUT", 3},         [PP_HTTP_DELETE] = {"DELETE", 6},
    [PP_HTTP_CONNECT] = {"CONNECT", 7}, [PP_HTTP_OPTIONS] = {"OPTIONS", 7},
    [PP_HTTP_TRACE] = {"TRACE", 5},     [PP_HTTP_PATCH] = {"PATCH", 5},
};

enum pp_http_method pp_http_tok_method(struct pp_span s)
{
    for (int m = PP_HTTP_GET; m < PP_HTTP_METHOD_COUNT; m++) {
        if (pp_span_eq(s, method_text[m])) {
            return (enum pp_http_method)m;
        }
    }
    return PP_HTTP_OTHER;
}

struct pp_span pp_http_tok_method_text(enum pp_http_method m)
{
    return (unsigned)m < PP_HTTP_METHOD_COUNT ? method_text[m] : method_text[PP_HTTP_OTHER];
}

/* Byte <i> of what counts when names are compared: not the case of letters, nothing behind the
 * colon. */
#define AT(text, i) ((i) < sizeof(text) - 1 ? (text)[(i) < sizeof(text) - 1 ? (i) : 0] : 0)
#define K1(text, i)                                                                                \
    (AT(text, i) >= 'a' && AT(text, i) <= 'z' ? 0xdf : (i) < sizeof(text) ? 0xff : 0)
#define K4(text, i) K1(text, i), K1(text, (i) + 1), K1(text, (i) + 2), K1(text, (i) + 3)
#define K16(text, i) K4(text, i), K4(text, (i) + 4), K4(text, (i) + 8), K4(text, (i) + 12)

const struct pp_http_tok_name pp_http_tok_names[PP_NAME_COUNT] = {
#define NAME_ENTRY(tail, text) [PP_NAME_##tail] = {text ":", {K16(text, 0), K16(text, 16)}},
    PP_HTTP_NAME_LIST(NAME_ENTRY)
#undef NAME_ENTRY
};

static const uint8_t name_len[PP_NAME_COUNT] = {
#define NAME_LEN(tail, text) [PP_NAME_##tail] = sizeof(text) - 1,
    PP_HTTP_NAME_LIST(NAME_LEN)
#undef NAME_LEN
};

#define NAME_FITS(tail, text)                                                                      \
    PP_STATIC_ASSERT((sizeof(text) - 1 >= 3 || PP_NAME_##tail == PP_NAME_TE) &&                    \
                         sizeof(text) - 1 <= PP_HTTP_TOK_NAME_MAX,                                 \
                     text);
PP_HTTP_NAME_LIST(NAME_FITS)
#undef NAME_FITS

/* Collision-free for PP_HTTP_TOK_HASH_MUL. When the list changes, tests/c/wire/test_http_tok.c
 * fails and prints a multiplier and this table anew. */
const uint8_t pp_http_tok_slot[PP_HTTP_TOK_SLOTS] = {
    [0] = PP_NAME_AUTHORIZATION,
    [1] = PP_NAME_LOCATION,
    [8] = PP_NAME_SEC_FETCH_MODE,
    [10] = PP_NAME_PRAGMA,
    [11] = PP_NAME_ETAG,
    [12] = PP_NAME_SEC_FETCH_DEST,
    [13] = PP_NAME_ORIGIN,
    [15] = PP_NAME_REFERER,
    [17] = PP_NAME_ACCEPT_ENCODING,
    [18] = PP_NAME_EXPECT,
    [19] = PP_NAME_PRIORITY,
    [22] = PP_NAME_SEC_FETCH_SITE,
    [24] = PP_NAME_DATE,
    [25] = PP_NAME_PROXY_AUTHORIZATION,
    [29] = PP_NAME_DNT,
    [31] = PP_NAME_X_FORWARDED_HOST,
    [35] = PP_NAME_RANGE,
    [38] = PP_NAME_KEEP_ALIVE,
    [42] = PP_NAME_CONTENT_ENCODING,
    [46] = PP_NAME_CACHE_CONTROL,
    [47] = PP_NAME_SEC_CH_UA_PLATFORM,
    [49] = PP_NAME_SEC_FETCH_USER,
    [52] = PP_NAME_CONNECTION,
    [53] = PP_NAME_SERVER,
    [54] = PP_NAME_UPGRADE,
    [56] = PP_NAME_VARY,
    [57] = PP_NAME_ACCEPT_RANGES,
    [61] = PP_NAME_X_REAL_IP,
    [64] = PP_NAME_USER_AGENT,
    [65] = PP_NAME_AGE,
    [68] = PP_NAME_TRANSFER_ENCODING,
    [71] = PP_NAME_IF_NONE_MATCH,
    [73] = PP_NAME_SET_COOKIE,
    [74] = PP_NAME_WWW_AUTHENTICATE,
    [77] = PP_NAME_PROXY_CONNECTION,
    [78] = PP_NAME_X_FORWARDED_PROTO,
    [79] = PP_NAME_SEC_CH_UA,
    [80] = PP_NAME_ACCEPT,
    [83] = PP_NAME_FORWARDED,
    [85] = PP_NAME_RETRY_AFTER,
    [88] = PP_NAME_HTTP2_SETTINGS,
    [90] = PP_NAME_CONTENT_LENGTH,
    [94] = PP_NAME_UPGRADE_INSECURE_REQUESTS,
    [98] = PP_NAME_VIA,
    [99] = PP_NAME_COOKIE,
    [104] = PP_NAME_X_FORWARDED_FOR,
    [105] = PP_NAME_LAST_MODIFIED,
    [106] = PP_NAME_IF_MODIFIED_SINCE,
    [109] = PP_NAME_HOST,
    [110] = PP_NAME_ALLOW,
    [111] = PP_NAME_TRAILER,
    [112] = PP_NAME_EXPIRES,
    [114] = PP_NAME_SEC_CH_UA_MOBILE,
    [115] = PP_NAME_ACCEPT_LANGUAGE,
    [120] = PP_NAME_CONTENT_TYPE,
    [124] = PP_NAME_X_REQUEST_ID,
    [125] = PP_NAME_PROXY_AUTHENTICATE,
};

enum pp_http_name pp_http_tok_name(const char *p, size_t n)
{
    const struct pp_http_tok_name *name;
    uint32_t last;
    unsigned id;

    if (n < 3 || n > PP_HTTP_TOK_NAME_MAX) {
        /* TE is too short for the hash. */
        return n == 2 && (p[0] | 0x20) == 't' && (p[1] | 0x20) == 'e' ? PP_NAME_TE : PP_NAME_OTHER;
    }
    last = (uint32_t)(unsigned char)p[n - 3] | (uint32_t)(unsigned char)p[n - 2] << 8 |
           (uint32_t)(unsigned char)p[n - 1] << 16 | (uint32_t)':' << 24;
    id = pp_http_tok_slot[pp_http_tok_hash(last, n)];
    name = &pp_http_tok_names[id];
    if (name->text[n] != ':') {
        return PP_NAME_OTHER;
    }
    for (size_t i = 0; i < n; i++) {
        if ((p[i] ^ name->text[i]) & name->keep[i]) {
            return PP_NAME_OTHER;
        }
    }
    return (enum pp_http_name)id;
}

struct pp_span pp_http_tok_name_text(enum pp_http_name id)
{
    if ((unsigned)id >= PP_NAME_COUNT) {
        id = PP_NAME_OTHER;
    }
    return pp_span(pp_http_tok_names[id].text, name_len[id]);
}

/* In order of status. IANA registry of HTTP status codes. */
static const struct {
    uint16_t status;
    char text[34];
} reason_text[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

struct pp_span pp_http_tok_reason(unsigned status)
{
    size_t lo = 0, hi = PP_COUNT_OF(reason_text);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (reason_text[mid].status < status) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == PP_COUNT_OF(reason_text) || reason_text[lo].status != status) {
        return PP_SPAN_NONE;
    }
    return pp_span(reason_text[lo].text, strlen(reason_text[lo].text));
}
