#include "wire/http_rules.h"

#include "base/num.h"
#include "wire/uri.h"

#define BIT(tail) (UINT64_C(1) << PP_NAME_##tail)

/* Fields of one hop whatever Connection says. */
static const uint64_t hop_names = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                  BIT(PROXY_AUTHENTICATE) | BIT(PROXY_AUTHORIZATION) | BIT(TE) |
                                  BIT(TRAILER) | BIT(TRANSFER_ENCODING) | BIT(CONTENT_LENGTH) |
                                  BIT(UPGRADE) | BIT(HTTP2_SETTINGS) | BIT(EXPECT);

/* Fields that Connection cannot name away; see also is_protected. */
static const uint64_t protected_names =
    BIT(HOST) | BIT(AUTHORIZATION) | BIT(COOKIE) | BIT(SET_COOKIE) | BIT(CACHE_CONTROL) |
    BIT(CONTENT_ENCODING) | BIT(CONTENT_TYPE) | BIT(FORWARDED) | BIT(VIA) | BIT(X_FORWARDED_FOR) |
    BIT(X_FORWARDED_HOST) | BIT(X_FORWARDED_PROTO) | BIT(X_REAL_IP) | BIT(X_REQUEST_ID);

/* RFC 9110 section 6.5.1, and what a proxy behind us might trust. */
static const uint64_t never_trailing =
    BIT(ACCEPT) | BIT(ACCEPT_ENCODING) | BIT(ACCEPT_LANGUAGE) | BIT(AGE) | BIT(ALLOW) |
    BIT(AUTHORIZATION) | BIT(CACHE_CONTROL) | BIT(CONNECTION) | BIT(CONTENT_ENCODING) |
    BIT(CONTENT_LENGTH) | BIT(CONTENT_TYPE) | BIT(COOKIE) | BIT(DATE) | BIT(EXPECT) | BIT(EXPIRES) |
    BIT(FORWARDED) | BIT(HOST) | BIT(HTTP2_SETTINGS) | BIT(IF_MODIFIED_SINCE) | BIT(IF_NONE_MATCH) |
    BIT(KEEP_ALIVE) | BIT(LOCATION) | BIT(ORIGIN) | BIT(PRAGMA) | BIT(PROXY_AUTHENTICATE) |
    BIT(PROXY_AUTHORIZATION) | BIT(PROXY_CONNECTION) | BIT(RANGE) | BIT(RETRY_AFTER) |
    BIT(SET_COOKIE) | BIT(TE) | BIT(TRAILER) | BIT(TRANSFER_ENCODING) | BIT(UPGRADE) | BIT(VARY) |
    BIT(VIA) | BIT(WWW_AUTHENTICATE) | BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_HOST) |
    BIT(X_FORWARDED_PROTO) | BIT(X_REAL_IP) | BIT(X_REQUEST_ID);

static bool has_prefix(struct pp_span s, struct pp_span prefix)
{
    return s.n >= prefix.n && pp_span_eq_fold(pp_span(s.p, prefix.n), prefix);
}

/* ---- Connection ---- */

struct options {
    bool close, keep_alive, upgrade;
};

static bool is_protected(enum pp_http_name id, struct pp_span name)
{
    if (id != PP_NAME_OTHER && (protected_names >> id & 1)) {
        return true;
    }
    return has_prefix(name, PP_SPAN("content-")) || has_prefix(name, PP_SPAN("x-forwarded-"));
}

static void mark_named(struct pp_http_msg *m, struct pp_span name)
{
    enum pp_http_name id = pp_http_tok_name(name.p, name.n);

    if (!(m->seen >> id & 1) || is_protected(id, name)) {
        return;
    }
    for (uint32_t i = 0; i < m->n_field; i++) {
        struct pp_http_field *f = &m->field[i];
        if (f->id == id && (id != PP_NAME_OTHER || pp_span_eq_fold(pp_http_field_name(f), name))) {
            f->flags |= PP_HTTP_FIELD_HOP;
        }
    }
}

static bool is_option(struct pp_span item, struct options *o)
{
    if (pp_span_eq_fold(item, PP_SPAN("keep-alive"))) {
        return o->keep_alive = true;
    }
    if (pp_span_eq_fold(item, PP_SPAN("close"))) {
        return o->close = true;
    }
    return pp_span_eq_fold(item, PP_SPAN("upgrade")) && (o->upgrade = true);
}

static int read_connection(struct pp_http_msg *m, struct options *o)
{
    struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONNECTION);
    unsigned count = 0;

    for (; f; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;

        if (is_option(rest, o)) {
            continue; /* nearly always: one word, no list */
        }
        while (pp_span_next_item(&rest, &item)) {
            if (!pp_http_tok_is_token(item) || ++count > PP_HTTP_RULES_OPTIONS) {
                return PP_EHTTP_CONNECTION;
            }
            if (!is_option(item, o)) {
                mark_named(m, item);
            }
        }
    }
    return PP_OK;
}

/* protocol = token [ "/" token ], in a list (RFC 9110 section 7.8). */
static int check_upgrade(const struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_UPGRADE);
    unsigned count = 0;

    for (; f; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;

        while (pp_span_next_item(&rest, &item)) {
            size_t slash = pp_span_find(item, '/');
            if (!pp_http_tok_is_token(pp_span(item.p, slash)) ||
                (slash < item.n &&
                 !pp_http_tok_is_token(pp_span(item.p + slash + 1, item.n - slash - 1)))) {
                return PP_EHTTP_UPGRADE;
            }
            count++;
        }
    }
    return count > 0 ? PP_OK : PP_EHTTP_UPGRADE;
}

static void mark_hops(struct pp_http_msg *m)
{
    if (!(m->seen & hop_names)) {
        return;
    }
    for (uint32_t i = 0; i < m->n_field; i++) {
        struct pp_http_field *f = &m->field[i];
        f->flags |= (hop_names >> f->id & 1) ? PP_HTTP_FIELD_HOP : 0;
    }
}

static int connection_rules(struct pp_http_msg *m)
{
    struct options o = {false, false, false};

    mark_hops(m);
    if (m->seen & BIT(CONNECTION)) {
        int rc = read_connection(m, &o);
        if (rc != PP_OK) {
            return rc;
        }
    }
    m->keep_alive = !o.close && (m->minor > 0 || o.keep_alive);
    m->upgrade = o.upgrade && m->minor > 0 && pp_http_msg_find_id(m, PP_NAME_UPGRADE);
    return m->upgrade ? check_upgrade(m) : PP_OK;
}

/* ---- framing ---- */

/* The announced framing, whether or not a body may follow: LENGTH, CHUNKED, or NONE for neither. */
static int read_framing(struct pp_http_msg *m)
{
    const struct pp_http_field *te, *cl;
    int rc;

    m->body = PP_HTTP_BODY_NONE;
    m->content_length = 0;
    if (!(m->seen & (BIT(TRANSFER_ENCODING) | BIT(CONTENT_LENGTH)))) {
        return PP_OK;
    }
    te = pp_http_msg_find_id(m, PP_NAME_TRANSFER_ENCODING);
    cl = pp_http_msg_find_id(m, PP_NAME_CONTENT_LENGTH);
    if (te && cl) {
        return PP_EHTTP_CL_TE;
    }
    if (te) {
        if (m->minor == 0 || pp_http_msg_find_next(m, te) ||
            !pp_span_eq_fold(pp_http_field_value(te), PP_SPAN("chunked"))) {
            return PP_EHTTP_TE_BAD;
        }
        m->body = PP_HTTP_BODY_CHUNKED;
        return PP_OK;
    }
    if (!cl) {
        return PP_OK;
    }
    if (pp_http_msg_find_next(m, cl)) {
        return PP_EHTTP_CL_DUP;
    }
    rc = pp_num_parse_u64(pp_http_field_value(cl), &m->content_length);
    /* Programs behind us keep lengths in signed words. */
    if (rc != PP_OK || m->content_length > INT64_MAX) {
        m->content_length = 0;
        return PP_EHTTP_CL_BAD;
    }
    m->body = PP_HTTP_BODY_LENGTH;
    return PP_OK;
}

/* ---- requests ---- */

static int split_origin(struct pp_http_msg *m)
{
    struct pp_span t = m->target;
    size_t n = pp_span_find(t, '?');

    m->path = pp_span(t.p, n);
    if (n < t.n) {
        m->query = pp_span(t.p + n + 1, t.n - n - 1);
    }
    return pp_span_find(t, '#') < t.n ? PP_EHTTP_TARGET : PP_OK;
}

static int split_absolute(struct pp_http_msg *m)
{
    struct pp_uri_split u;
    bool bare;
    int rc = pp_uri_split_absolute(m->target, &u);

    if (rc != PP_OK) {
        return rc == PP_EURI_CHAR ? PP_EHTTP_TARGET : rc;
    }
    m->scheme = u.scheme;
    m->authority = u.authority;
    m->path = u.path;
    m->query = u.query;
    /* RFC 9112 section 3.2.4: OPTIONS of a URI with neither path nor query means the server itself.
     */
    bare = u.authority.p + u.authority.n == m->target.p + m->target.n;
    if (bare && m->method_id == PP_HTTP_OPTIONS) {
        m->path = PP_SPAN("*");
    }
    return PP_OK;
}

static int split_target(struct pp_http_msg *m)
{
    m->scheme = m->authority = m->query = PP_SPAN_NONE;
    if (m->method_id == PP_HTTP_CONNECT) {
        struct pp_uri_authority a;

        m->path = PP_SPAN_NONE;
        m->authority = m->target;
        return pp_uri_authority_parse(m->target, &a) == PP_OK && a.port > 0 ? PP_OK
                                                                            : PP_EHTTP_TARGET;
    }
    if (m->target.n > 0 && m->target.p[0] == '/') {
        return split_origin(m);
    }
    if (pp_span_eq(m->target, PP_SPAN("*"))) {
        m->path = m->target;
        return m->method_id == PP_HTTP_OPTIONS ? PP_OK : PP_EHTTP_TARGET;
    }
    return split_absolute(m);
}

static uint32_t default_port(struct pp_span scheme)
{
    return scheme.n == 0   ? 0
           : scheme.n == 4 ? 80
                           : 443; /* split_absolute lets http and https through */
}

static int settle_authority(struct pp_http_msg *m)
{
    const struct pp_http_field *host = pp_http_msg_find_id(m, PP_NAME_HOST);
    struct pp_uri_authority named, asked;

    if (!host) {
        return m->minor == 0 ? PP_OK : PP_EHTTP_HOST_MISSING;
    }
    if (pp_http_msg_find_next(m, host)) {
        return PP_EHTTP_HOST_DUP;
    }
    if (pp_uri_authority_parse(pp_http_field_value(host), &named) != PP_OK) {
        return PP_EHTTP_HOST_BAD;
    }
    if (m->authority.n == 0) {
        m->authority = pp_http_field_value(host);
        return PP_OK;
    }
    if (pp_uri_authority_parse(m->authority, &asked) != PP_OK ||
        !pp_uri_authority_eq(&named, &asked, default_port(m->scheme))) {
        return PP_EHTTP_HOST_MISMATCH;
    }
    return PP_OK;
}

static int read_expect(struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_EXPECT);

    m->expect_continue = false;
    if (m->minor == 0) {
        return PP_OK;
    }
    for (; f; f = pp_http_msg_find_next(m, f)) {
        if (!pp_span_eq_fold(pp_http_field_value(f), PP_SPAN("100-continue"))) {
            return PP_EHTTP_EXPECT;
        }
        m->expect_continue = m->body == PP_HTTP_BODY_CHUNKED ||
                             (m->body == PP_HTTP_BODY_LENGTH && m->content_length > 0);
    }
    return PP_OK;
}

static void read_te(struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_TE);

    m->te_trailers = false;
    for (; f; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;

        while (pp_span_next_item(&rest, &item)) {
            m->te_trailers |= pp_span_eq_fold(item, PP_SPAN("trailers"));
        }
    }
}

int pp_http_rules_request(struct pp_http_msg *m)
{
    int rc;

    if ((rc = split_target(m)) != PP_OK || (rc = settle_authority(m)) != PP_OK ||
        (rc = read_framing(m)) != PP_OK || (rc = connection_rules(m)) != PP_OK ||
        (rc = read_expect(m)) != PP_OK) {
        return rc;
    }
    read_te(m);
    return PP_OK;
}

/* ---- responses ---- */

int pp_http_rules_response(struct pp_http_msg *m, enum pp_http_method request_method,
                           bool *declared)
{
    bool never = m->status < 200 || m->status == 204;
    bool tunnel = request_method == PP_HTTP_CONNECT && m->status / 100 == 2;
    bool announced;
    int rc;

    if ((rc = read_framing(m)) != PP_OK || (rc = connection_rules(m)) != PP_OK) {
        return rc;
    }
    *declared = m->body == PP_HTTP_BODY_LENGTH;
    announced = m->body == PP_HTTP_BODY_CHUNKED || m->content_length > 0;
    m->expect_continue = m->te_trailers = false;
    if (never || tunnel || m->status == 304 || request_method == PP_HTTP_HEAD) {
        m->body = PP_HTTP_BODY_NONE;
        if (never && announced) {
            m->keep_alive = false;
        }
    } else if (m->body == PP_HTTP_BODY_NONE) {
        m->body = PP_HTTP_BODY_CLOSE;
        m->keep_alive = false;
    }
    return PP_OK;
}

/* ---- HTTP/2 ---- */

/* Fields that have no meaning in HTTP/2 but could have one behind us (RFC 9113 section 8.2.2). */
static const uint64_t one_only = BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) |
                                 BIT(TRANSFER_ENCODING) | BIT(UPGRADE);

static int refuse_one_only(const struct pp_http_msg *m)
{
    const struct pp_http_field *te;

    if (!(m->seen & (one_only | BIT(TE)))) {
        return PP_OK;
    }
    if (m->seen & one_only) {
        return PP_EHTTP_CONNECTION;
    }
    for (te = pp_http_msg_find_id(m, PP_NAME_TE); te; te = pp_http_msg_find_next(m, te)) {
        if (!pp_span_eq_fold(pp_http_field_value(te), PP_SPAN("trailers"))) {
            return PP_EHTTP_CONNECTION;
        }
    }
    return PP_OK;
}

/* A method that is no token, and the forms of CONNECT. */
static int check_pseudo(const struct pp_http_msg *m)
{
    bool connect = m->method_id == PP_HTTP_CONNECT;

    if (!pp_http_tok_is_token(m->method) || (m->protocol.p && !connect)) {
        return PP_EHTTP_METHOD;
    }
    if (connect && !m->protocol.p) {
        return m->target.p || m->scheme.p || !m->authority.p ? PP_EHTTP_TARGET : PP_OK;
    }
    if (m->protocol.p && (!pp_http_tok_is_token(m->protocol) || !m->authority.p)) {
        return PP_EHTTP_METHOD;
    }
    if (!pp_span_eq(m->scheme, PP_SPAN("https")) && !pp_span_eq(m->scheme, PP_SPAN("http"))) {
        return PP_EURI_SCHEME;
    }
    return m->target.p ? PP_OK : PP_EHTTP_TARGET;
}

static int split_path(struct pp_http_msg *m)
{
    struct pp_span t = m->target;

    m->path = m->query = PP_SPAN_NONE;
    if (m->method_id == PP_HTTP_CONNECT && !m->protocol.p) {
        struct pp_uri_authority a;

        m->target = m->authority;
        return pp_uri_authority_parse(m->authority, &a) == PP_OK && a.port > 0 ? PP_OK
                                                                               : PP_EHTTP_TARGET;
    }
    for (size_t i = 0; i < t.n; i++) {
        if (!pp_http_tok_is((unsigned char)t.p[i], PP_TOK_TARGET)) {
            return PP_EHTTP_TARGET;
        }
    }
    if (t.n > 0 && t.p[0] == '/') {
        return split_origin(m);
    }
    m->path = t;
    return pp_span_eq(t, PP_SPAN("*")) && m->method_id == PP_HTTP_OPTIONS ? PP_OK : PP_EHTTP_TARGET;
}

static int settle_authority_2(struct pp_http_msg *m)
{
    struct pp_uri_authority a;

    if (!m->authority.p || pp_http_msg_find_id(m, PP_NAME_HOST)) {
        /* An empty :authority beside a Host that says something names another place. */
        return m->authority.p && m->authority.n == 0 ? PP_EURI_AUTHORITY : settle_authority(m);
    }
    if (pp_uri_authority_parse(m->authority, &a) != PP_OK) {
        return PP_EURI_AUTHORITY;
    }
    return pp_http_msg_add(m, PP_SPAN("host"), PP_NAME_HOST, m->authority);
}

int pp_http_rules_request_2(struct pp_http_msg *m, bool end)
{
    int rc;

    if ((rc = check_pseudo(m)) != PP_OK || (rc = split_path(m)) != PP_OK ||
        (rc = settle_authority_2(m)) != PP_OK || (rc = refuse_one_only(m)) != PP_OK ||
        (rc = read_framing(m)) != PP_OK) {
        return rc;
    }
    if (m->body == PP_HTTP_BODY_NONE) {
        m->body = end ? PP_HTTP_BODY_NONE : PP_HTTP_BODY_CHUNKED;
    } else if (end && m->content_length > 0) {
        return PP_EHTTP_BODY_SHORT;
    }
    mark_hops(m);
    m->keep_alive = true;
    m->upgrade = false;
    if ((rc = read_expect(m)) != PP_OK) {
        return rc;
    }
    read_te(m);
    return PP_OK;
}

int pp_http_rules_response_2(struct pp_http_msg *m, enum pp_http_method request_method, bool end,
                             bool *declared)
{
    bool interim = m->status < 200;
    bool tunnel = request_method == PP_HTTP_CONNECT && m->status / 100 == 2;
    int rc;

    if (m->status < 100 || m->status > 999 || m->status == 101 || (interim && end)) {
        return PP_EHTTP_STATUS;
    }
    if ((rc = refuse_one_only(m)) != PP_OK || (rc = read_framing(m)) != PP_OK) {
        return rc;
    }
    mark_hops(m);
    m->keep_alive = true;
    m->upgrade = m->expect_continue = m->te_trailers = false;
    *declared = m->body == PP_HTTP_BODY_LENGTH;
    if (tunnel) {
        m->body = PP_HTTP_BODY_CHUNKED;
    } else if (interim || m->status == 204 || m->status == 304 || request_method == PP_HTTP_HEAD) {
        m->body = PP_HTTP_BODY_NONE;
    } else if (end && m->content_length > 0) {
        return PP_EHTTP_BODY_SHORT;
    } else if (m->body == PP_HTTP_BODY_NONE) {
        m->body = end ? PP_HTTP_BODY_LENGTH : PP_HTTP_BODY_CHUNKED;
    }
    return PP_OK;
}

/* ---- tables ---- */

bool pp_http_rules_may_trail(enum pp_http_name id, struct pp_span name)
{
    static const struct pp_span others[] = {
        {"content-range", 13},
        {"max-forwards", 12},
        {"warning", 7},
        {"authentication-info", 19},
        {"if-match", 8},
        {"if-range", 8},
        {"if-unmodified-since", 19},
        {"proxy-authentication-info", 25},
    };

    if (id != PP_NAME_OTHER) {
        return !(never_trailing >> id & 1);
    }
    for (size_t i = 0; i < PP_COUNT_OF(others); i++) {
        if (pp_span_eq_fold(name, others[i])) {
            return false;
        }
    }
    return !has_prefix(name, PP_SPAN("x-forwarded-"));
}

unsigned pp_http_rules_status(int verdict)
{
    switch (verdict) {
    case PP_ETIMEDOUT:
        return 408;
    case PP_EHTTP_BODY_BYTES:
    case PP_EHTTP_BOMB:
        return 413;
    case PP_EHTTP_TARGET_BYTES:
        return 414;
    case PP_EHTTP_EXPECT:
        return 417;
    case PP_EHTTP_HEAD_BYTES:
    case PP_EHTTP_LINE_BYTES:
    case PP_EHTTP_FIELD_COUNT:
    case PP_EHTTP_TRAILER_BYTES:
        return 431;
    case PP_EHTTP_TE_BAD:
        return 501; /* RFC 9112 section 6.1: a coding that is not understood */
    case PP_EHTTP_VERSION:
        return 505;
    default:
        return 400;
    }
}
