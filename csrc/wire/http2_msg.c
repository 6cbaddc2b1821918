#include "wire/http2_msg.h"

#include "wire/http1_scan.h"
#include "wire/http_rules.h"

/* Arena memory is taken in pieces of at least so many bytes; what is left of the last goes back. */
#define PIECE 512

enum {
    METHOD = 1 << 0,
    SCHEME = 1 << 1,
    AUTHORITY = 1 << 2,
    PATH = 1 << 3,
    PROTOCOL = 1 << 4,
    STATUS = 1 << 5
};

void pp_http2_msg_begin(struct pp_http2_section *c, enum pp_http2_section_kind kind,
                        struct pp_http_msg *m, const struct pp_http2_section_limits *limits)
{
    *c = (struct pp_http2_section){.m = m, .limits = limits, .kind = (uint8_t)kind};
    if (m) {
        m->major = 2;
        m->minor = 1;
    }
}

/* Give back what is left of the piece in use. */
static void close_piece(struct pp_http2_section *c)
{
    if (c->piece) {
        pp_arena_trim(c->m->arena, c->piece, (size_t)(c->text_end - c->piece),
                      (size_t)(c->text - c->piece));
    }
    c->piece = c->text = c->text_end = NULL;
}

void pp_http2_msg_forget(struct pp_http2_section *c)
{
    c->m = NULL;
    c->piece = c->text = c->text_end = NULL;
}

/* <n> bytes that stay, or NULL with a verdict. */
static char *room(struct pp_http2_section *c, size_t n)
{
    char *p = c->text;

    if (PP_UNLIKELY(n > (size_t)(c->text_end - p))) {
        size_t size = PP_MAX(n, (size_t)PIECE);

        close_piece(c);
        if (!(p = pp_arena_alloc(c->m->arena, size))) {
            c->verdict = PP_ENOMEM;
            return NULL;
        }
        c->piece = p;
        c->text_end = p + size;
    }
    c->text = p + n;
    return p;
}

static bool is_value(struct pp_span v)
{
    if (v.n == 0) {
        return true;
    }
    /* RFC 9113 section 8.2.1: no white space at either end. */
    return v.p[0] != ' ' && v.p[0] != '\t' && v.p[v.n - 1] != ' ' && v.p[v.n - 1] != '\t' &&
           pp_http1_scan_value(v.p, v.p + v.n) == v.p + v.n;
}

static struct pp_span keep(struct pp_http2_section *c, struct pp_span v)
{
    char *p = room(c, v.n + 1); /* never no bytes: p == NULL means "did not come" */

    if (!p) {
        return PP_SPAN_NONE;
    }
    if (v.n > 0) {
        memcpy(p, v.p, v.n);
    }
    p[v.n] = '\0';
    return pp_span(p, v.n);
}

/* ---- pseudo-fields (RFC 9113 section 8.3) ---- */

static unsigned pseudo_of(const struct pp_http2_section *c, struct pp_span name)
{
    static const struct {
        struct pp_span name;
        unsigned bit;
    } known[] = {
        {{":method", 7}, METHOD},        {{":path", 5}, PATH},     {{":scheme", 7}, SCHEME},
        {{":authority", 10}, AUTHORITY}, {{":status", 7}, STATUS}, {{":protocol", 9}, PROTOCOL},
    };
    unsigned allowed = c->kind == PP_HTTP2_REQUEST ? METHOD | PATH | SCHEME | AUTHORITY | PROTOCOL
                       : c->kind == PP_HTTP2_RESPONSE ? STATUS
                                                      : 0;

    for (size_t i = 0; i < PP_COUNT_OF(known); i++) {
        if (pp_span_eq(name, known[i].name)) {
            return known[i].bit & allowed;
        }
    }
    return 0;
}

static int take_status(struct pp_http_msg *m, struct pp_span v)
{
    if (v.n != 3 || v.p[0] < '1' || v.p[0] > '9' || v.p[1] < '0' || v.p[1] > '9' || v.p[2] < '0' ||
        v.p[2] > '9') {
        return PP_EHTTP_STATUS;
    }
    m->status = (uint16_t)((v.p[0] - '0') * 100 + (v.p[1] - '0') * 10 + v.p[2] - '0');
    return PP_OK;
}

static int take_method(struct pp_http2_section *c, struct pp_span v)
{
    enum pp_http_method id =
        v.n == 3 && memcmp(v.p, "GET", 3) == 0 ? PP_HTTP_GET : pp_http_tok_method(v);

    c->m->method_id = (uint8_t)id;
    c->m->method = id != PP_HTTP_OTHER ? pp_http_tok_method_text(id) : keep(c, v);
    return PP_OK;
}

static int take_pseudo(struct pp_http2_section *c, struct pp_span name, struct pp_span v)
{
    unsigned bit = pseudo_of(c, name);
    struct pp_http_msg *m = c->m;

    if (!bit || (c->pseudo & bit) || c->regular || !is_value(v)) {
        return PP_EHTTP_FIELD_NAME;
    }
    c->pseudo |= (uint8_t)bit;
    switch (bit) {
    case METHOD:
        return take_method(c, v);
    case PATH:
        if (v.n > c->limits->target_bytes) {
            return PP_EHTTP_TARGET_BYTES;
        }
        m->target = keep(c, v);
        return PP_OK;
    case SCHEME:
        m->scheme = pp_span_eq(v, PP_SPAN("https"))  ? PP_SPAN("https")
                    : pp_span_eq(v, PP_SPAN("http")) ? PP_SPAN("http")
                                                     : keep(c, v);
        return PP_OK;
    case AUTHORITY:
        m->authority = keep(c, v);
        return PP_OK;
    case PROTOCOL:
        m->protocol = keep(c, v);
        return PP_OK;
    default:
        return take_status(m, v);
    }
}

/* ---- fields ---- */

/* The listed name that is <name>, byte for byte. */
static enum pp_http_name listed_name(struct pp_span name)
{
    const struct pp_http_tok_name *known;
    uint32_t last;
    unsigned id;

    if (name.n < 3 || name.n > PP_HTTP_TOK_NAME_MAX) {
        return pp_span_eq(name, PP_SPAN("te")) ? PP_NAME_TE : PP_NAME_OTHER;
    }
    last = (uint32_t)(unsigned char)name.p[name.n - 3] |
           (uint32_t)(unsigned char)name.p[name.n - 2] << 8 |
           (uint32_t)(unsigned char)name.p[name.n - 1] << 16 | (uint32_t)':' << 24;
    id = pp_http_tok_slot[pp_http_tok_hash(last, name.n)];
    known = &pp_http_tok_names[id];
    return known->text[name.n] == ':' && memcmp(known->text, name.p, name.n) == 0
               ? (enum pp_http_name)id
               : PP_NAME_OTHER;
}

/* The id of a name; PP_EHTTP_FIELD_NAME when it is no token in lower case (RFC 9113 section 8.2.1).
 */
static int check_name(struct pp_span name, enum pp_http_name *id)
{
    *id = listed_name(name);
    if (PP_LIKELY(*id != PP_NAME_OTHER)) {
        return PP_OK;
    }
    if (name.n > UINT16_MAX || !pp_http_tok_is_token(name)) {
        return PP_EHTTP_FIELD_NAME;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] >= 'A' && name.p[i] <= 'Z') {
            return PP_EHTTP_FIELD_NAME;
        }
    }
    return PP_OK;
}

static int take_field(struct pp_http2_section *c, struct pp_span name, struct pp_span v,
                      bool secret)
{
    enum pp_http_name id;
    char *p;
    int rc = check_name(name, &id);

    if (rc != PP_OK) {
        return rc;
    }
    if (!is_value(v)) {
        return PP_EHTTP_FIELD_VALUE;
    }
    if (c->kind == PP_HTTP2_TRAILER_SECTION && !pp_http_rules_may_trail(id, name)) {
        return PP_OK;
    }
    if (!c->m) {
        return PP_OK;
    }
    if (!(p = room(c, name.n + v.n + 4))) {
        return PP_ENOMEM;
    }
    memcpy(p, name.p, name.n);
    p[name.n] = ':';
    p[name.n + 1] = ' ';
    if (v.n > 0) {
        memcpy(p + name.n + 2, v.p, v.n);
    }
    p[name.n + 2 + v.n] = '\r';
    p[name.n + 3 + v.n] = '\n';
    rc = pp_http_msg_add(c->m, pp_span(p, name.n), id, pp_span(p + name.n + 2, v.n));
    if (rc == PP_OK && secret) {
        c->m->field[c->m->n_field - 1].flags |= PP_HTTP_FIELD_SECRET;
    }
    return rc;
}

void pp_http2_msg_field(struct pp_http2_section *c, struct pp_span name, struct pp_span value,
                        bool secret)
{
    int rc;

    c->bytes += name.n + value.n + 32;
    c->fields++;
    if (c->verdict != PP_OK) {
        return;
    }
    if (c->bytes > c->limits->bytes) {
        c->verdict = PP_EHTTP_HEAD_BYTES;
        return;
    }
    if (name.n > 0 && name.p[0] == ':') {
        rc = take_pseudo(c, name, value);
    } else {
        c->regular = true;
        rc = c->fields > c->limits->fields ? PP_EHTTP_FIELD_COUNT
                                           : take_field(c, name, value, secret);
    }
    if (c->verdict == PP_OK) {
        c->verdict = rc;
    }
}

/* ---- the end ---- */

/* Cookie crumbs become one field (RFC 9113 section 8.2.3). */
static int join_cookies(struct pp_http_msg *m)
{
    struct pp_http_field *first = pp_http_msg_find_id(m, PP_NAME_COOKIE), *f;
    size_t n = 0;
    char *text, *p;

    for (f = first; f; f = pp_http_msg_find_next(m, f)) {
        n += (size_t)f->value_n + 2;
    }
    if (!first || !(text = p = pp_arena_alloc(m->arena, n))) {
        return first ? PP_ENOMEM : PP_OK;
    }
    for (f = first; f; f = pp_http_msg_find_next(m, f)) {
        if (f != first) {
            *p++ = ';';
            *p++ = ' ';
            first->flags |= f->flags & PP_HTTP_FIELD_SECRET;
            f->flags |= PP_HTTP_FIELD_REMOVED;
        }
        memcpy(p, f->value, f->value_n);
        p += f->value_n;
    }
    first->value = text;
    first->value_n = (uint32_t)(p - text);
    return PP_OK;
}

int pp_http2_msg_end(struct pp_http2_section *c, bool end, enum pp_http_method request_method,
                     bool *declared)
{
    int rc;

    *declared = false;
    if (c->m) {
        close_piece(c);
    }
    if (c->verdict != PP_OK) {
        return c->verdict;
    }
    if (c->kind == PP_HTTP2_TRAILER_SECTION) {
        return end ? PP_OK : PP_EHTTP_TRAILER;
    }
    if (c->kind == PP_HTTP2_RESPONSE) {
        return c->pseudo & STATUS ? pp_http_rules_response_2(c->m, request_method, end, declared)
                                  : PP_EHTTP_STATUS;
    }
    if (c->m->twice >> PP_NAME_COOKIE & 1 && (rc = join_cookies(c->m)) != PP_OK) {
        return rc;
    }
    return pp_http_rules_request_2(c->m, end);
}

bool pp_http2_msg_is_limit(int verdict)
{
    return verdict == PP_EHTTP_HEAD_BYTES || verdict == PP_EHTTP_FIELD_COUNT ||
           verdict == PP_EHTTP_TARGET_BYTES;
}
