#include "wire/http1_line.h"

#include "wire/http1_scan.h"

/* Request line:  METHOD0 - METHOD -SP- TARGET0 - TARGET -SP- VERSION - VERSION_END
 * Status line:   SVERSION -SP- STATUS1 - STATUS2 - STATUS3 - STATUS_END -SP- REASON
 * Field line:    NAME0 - NAME -':'- VALUE        NAME -SP- NAME_SPACE: only to tell the verdicts
 * apart Any of them leaves through CR, and CR through LF. */
enum {
    METHOD0,
    METHOD,
    TARGET0,
    TARGET,
    VERSION,
    VERSION_END,
    SVERSION,
    STATUS1,
    STATUS2,
    STATUS3,
    STATUS_END,
    REASON,
    NAME0,
    NAME,
    NAME_SPACE,
    VALUE,
    CR,
    STATE_COUNT
};

/* What a line is that ends (CRLF) in this state. A status line without the last SP is accepted
 * although RFC 9112 section 4 wants it: servers in use leave it out, and nothing else can be meant.
 */
static const int8_t end_verdict[STATE_COUNT] = {
    [METHOD0] = PP_OK, /* an empty line */
    [METHOD] = PP_EHTTP_TARGET,
    [TARGET0] = PP_EHTTP_TARGET,
    [TARGET] = PP_EHTTP_VERSION,
    [VERSION] = PP_EHTTP_VERSION,
    [VERSION_END] = PP_OK,
    [SVERSION] = PP_EHTTP_VERSION,
    [STATUS1] = PP_EHTTP_STATUS,
    [STATUS2] = PP_EHTTP_STATUS,
    [STATUS3] = PP_EHTTP_STATUS,
    [STATUS_END] = PP_OK,
    [REASON] = PP_OK,
    [NAME0] = PP_OK, /* an empty line */
    [NAME] = PP_EHTTP_FIELD_NAME,
    [NAME_SPACE] = PP_EHTTP_FIELD_NAME,
    [VALUE] = PP_OK,
};

void pp_http1_line_init(struct pp_http1_line *l, enum pp_http1_line_kind kind)
{
    static const uint8_t first[] = {METHOD0, SVERSION, NAME0};

    *l = (struct pp_http1_line){.state = first[kind]};
}

static inline bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* The byte at offset <at> of "HTTP/1.0" or "HTTP/1.1". */
static bool is_version_byte(unsigned char c, uint32_t at)
{
    return at < 7 ? c == (unsigned char)"HTTP/1."[at] : (c == '0' || c == '1');
}

static int step_request(struct pp_http1_line *l, unsigned char c, uint32_t target_bytes)
{
    switch (l->state) {
    case METHOD0:
    case METHOD:
        if (c == ' ' && l->state == METHOD) {
            l->mark = l->n;
            l->state = TARGET0;
            return PP_OK;
        }
        l->state = METHOD;
        return pp_http_tok_is(c, PP_TOK_TCHAR) && l->n < PP_HTTP1_METHOD_BYTES ? PP_OK
                                                                               : PP_EHTTP_METHOD;
    case TARGET0:
    case TARGET:
        if (c == ' ' && l->state == TARGET) {
            l->end = l->n;
            l->state = VERSION;
            return PP_OK;
        }
        l->state = TARGET;
        if (!pp_http_tok_is(c, PP_TOK_TARGET)) {
            return PP_EHTTP_TARGET;
        }
        return l->n - l->mark - 1 < target_bytes ? PP_OK : PP_EHTTP_TARGET_BYTES;
    case VERSION: {
        uint32_t at = l->n - l->end - 1;
        if (at == 7) {
            l->state = VERSION_END;
        }
        return is_version_byte(c, at) ? PP_OK : PP_EHTTP_VERSION;
    }
    default:
        return PP_EHTTP_VERSION;
    }
}

static int step_status(struct pp_http1_line *l, unsigned char c)
{
    switch (l->state) {
    case SVERSION:
        if (l->n == 8) {
            l->state = STATUS1;
            return c == ' ' ? PP_OK : PP_EHTTP_VERSION;
        }
        return is_version_byte(c, l->n) ? PP_OK : PP_EHTTP_VERSION;
    case STATUS1:
        l->state = STATUS2;
        return c >= '1' && c <= '9' ? PP_OK : PP_EHTTP_STATUS;
    case STATUS2:
    case STATUS3:
        l->state++;
        return pp_http_tok_is(c, PP_TOK_DIGIT) ? PP_OK : PP_EHTTP_STATUS;
    case STATUS_END:
        l->state = REASON;
        return c == ' ' ? PP_OK : PP_EHTTP_STATUS;
    default:
        return pp_http_tok_is(c, PP_TOK_FIELD) ? PP_OK : PP_EHTTP_STATUS;
    }
}

static int step_field(struct pp_http1_line *l, unsigned char c,
                      const struct pp_http1_line_limits *limits)
{
    if (l->state == NAME0) {
        if (is_space(c)) {
            return PP_EHTTP_FOLD;
        }
        if (limits->full) {
            return PP_EHTTP_FIELD_COUNT;
        }
    }
    if (l->n >= limits->line_bytes || (l->state == NAME && l->n > PP_HTTP1_NAME_BYTES)) {
        return PP_EHTTP_LINE_BYTES;
    }
    switch (l->state) {
    case NAME0:
        l->state = NAME;
        return pp_http_tok_is(c, PP_TOK_TCHAR) ? PP_OK : PP_EHTTP_FIELD_NAME;
    case NAME:
        if (c == ':') {
            l->mark = l->n;
            l->state = VALUE;
            return PP_OK;
        }
        if (is_space(c)) {
            l->state = NAME_SPACE;
            return PP_OK;
        }
        return pp_http_tok_is(c, PP_TOK_TCHAR) ? PP_OK : PP_EHTTP_FIELD_NAME;
    case NAME_SPACE:
        return is_space(c) ? PP_OK : c == ':' ? PP_EHTTP_SPACE_COLON : PP_EHTTP_FIELD_NAME;
    default:
        return pp_http_tok_is(c, PP_TOK_FIELD) ? PP_OK : PP_EHTTP_FIELD_VALUE;
    }
}

/* Bytes of [p, p + n) that a value takes without a verdict: the long stretches go by vector. */
static size_t skip_value(const struct pp_http1_line *l, const char *p, size_t n,
                         const struct pp_http1_line_limits *limits)
{
    uint32_t most = PP_MIN(limits->line_bytes, limits->room);
    size_t room = most > l->n ? most - l->n : 0;

    return (size_t)(pp_http1_scan_value(p, p + PP_MIN(n, room)) - p);
}

int pp_http1_line_feed(struct pp_http1_line *l, const char *p, size_t n,
                       const struct pp_http1_line_limits *limits, size_t *used)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        int rc;

        if (l->n >= limits->room) {
            return PP_EHTTP_HEAD_BYTES;
        }
        if (l->state == CR) {
            if (c != '\n') {
                return PP_EHTTP_BARE_CR;
            }
            l->n++;
            *used = i + 1;
            return end_verdict[l->before_cr];
        }
        if (c == '\n') {
            return PP_EHTTP_BARE_LF;
        }
        if (c == '\r') {
            l->before_cr = l->state;
            l->state = CR;
            rc = PP_OK;
        } else if (l->state >= NAME0) {
            rc = step_field(l, c, limits);
        } else if (l->state >= SVERSION) {
            rc = step_status(l, c);
        } else {
            rc = step_request(l, c, limits->target_bytes);
        }
        if (rc != PP_OK) {
            return rc;
        }
        l->n++;
        if (l->state == VALUE) {
            size_t more = skip_value(l, p + i + 1, n - i - 1, limits);
            l->n += (uint32_t)more;
            i += more;
        }
    }
    return PP_EMORE;
}
