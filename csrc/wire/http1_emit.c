#include "wire/http1_emit.h"

#include "base/num.h"

#define BIT(tail) (UINT64_C(1) << PP_NAME_##tail)

/* Written from the framing, or not at all, whoever put them into the message. */
static const uint64_t framing_names =
    BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) | BIT(KEEP_ALIVE) |
    BIT(PROXY_CONNECTION) | BIT(TE) | BIT(UPGRADE) | BIT(HTTP2_SETTINGS);

/* Where to write, and the end of the room. */
struct out {
    char *d;
    char *end;
};

/* Copy <n> bytes when they fit. Short pieces, which most are, go as two overlapping words. */
static inline bool put(struct out *o, const char *p, size_t n)
{
    char *d = o->d;

    if (PP_UNLIKELY(n > (size_t)(o->end - d))) {
        return false;
    }
    o->d = d + n;
    if (n > 16) {
        memcpy(d, p, n);
    } else if (n >= 8) {
        uint64_t a, b;
        memcpy(&a, p, 8);
        memcpy(&b, p + n - 8, 8);
        memcpy(d, &a, 8);
        memcpy(d + n - 8, &b, 8);
    } else if (n >= 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        memcpy(d, &a, 4);
        memcpy(d + n - 4, &b, 4);
    } else {
        for (size_t i = 0; i < n; i++) {
            d[i] = p[i];
        }
    }
    return true;
}

static inline bool put_span(struct out *o, struct pp_span s)
{
    return put(o, s.p, s.n);
}

#define PUT(o, literal) put(o, literal, sizeof(literal) - 1)

/* Does the value stand behind its name in memory just as it is written, "name: value"? Then the two
 * bytes between are readable, whatever they are. */
static inline bool is_as_written(const struct pp_http_field *f)
{
    const char *gap = f->name + f->name_n;

    return f->value == gap + 2 && gap[0] == ':' && gap[1] == ' ';
}

static bool put_field(struct out *o, const struct pp_http_field *f)
{
    return put(o, f->name, f->name_n) && PUT(o, ": ") && put(o, f->value, f->value_n) &&
           PUT(o, "\r\n");
}

static inline bool is_skipped(const struct pp_http_field *f, uint64_t skip)
{
    return (f->flags & (PP_HTTP_FIELD_REMOVED | PP_HTTP_FIELD_HOP)) || (skip >> f->id & 1);
}

/* Fields in order, without those in <skip>. Received heads are mostly already as we would write
 * them: a run of fields that lie line after line in memory, each in the form "name: value CRLF", is
 * one copy.
 *
 *   Accept: a CRLF Cookie: b CRLF Connection: close CRLF DNT: 1 CRLF
 *   '------------- one run -----'                        '- next -'       */
static bool put_fields(struct out *o, const struct pp_http_msg *m, uint64_t skip)
{
    const struct pp_http_field *f = m->field, *end = f + m->n_field;

    while (f < end) {
        const char *from = f->name, *to;

        if (is_skipped(f, skip)) {
            f++;
            continue;
        }
        if (!is_as_written(f)) {
            if (!put_field(o, f)) {
                return false;
            }
            f++;
            continue;
        }
        to = f->value + f->value_n;
        for (f++; f < end && f->name == to + 2; f++) {
            if (to[0] != '\r' || to[1] != '\n' || is_skipped(f, skip) || !is_as_written(f)) {
                break;
            }
            to = f->value + f->value_n;
        }
        if (!put(o, from, (size_t)(to - from)) || !PUT(o, "\r\n")) {
            return false;
        }
    }
    return true;
}

static bool put_upgrade(struct out *o, const struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_UPGRADE);

    for (; f; f = pp_http_msg_find_next(m, f)) {
        if (!put_field(o, f)) {
            return false;
        }
    }
    return true;
}

static bool put_connection(struct out *o, const struct pp_http1_framing *fr)
{
    const struct {
        bool on;
        struct pp_span text;
    } options[] = {
        {fr->close, PP_SPAN("close")},
        {fr->keep_alive && !fr->close, PP_SPAN("keep-alive")},
        {fr->upgrade, PP_SPAN("upgrade")},
        {fr->te_trailers, PP_SPAN("TE")},
    };
    bool first = true;

    for (size_t i = 0; i < PP_COUNT_OF(options); i++) {
        if (!options[i].on) {
            continue;
        }
        if (!(first ? PUT(o, "Connection: ") : PUT(o, ", ")) || !put_span(o, options[i].text)) {
            return false;
        }
        first = false;
    }
    return PUT(o, "\r\n");
}

static bool put_length(struct out *o, uint64_t n)
{
    char digits[PP_NUM_U64_CHARS];

    return PUT(o, "Content-Length: ") && put(o, digits, pp_num_format_u64(digits, n)) &&
           PUT(o, "\r\n");
}

/* Everything after the message's own fields, the empty line included. */
static bool put_framing(struct out *o, const struct pp_http_msg *m,
                        const struct pp_http1_framing *fr, bool body_allowed)
{
    if (body_allowed && fr->body == PP_HTTP_BODY_LENGTH && !put_length(o, fr->content_length)) {
        return false;
    }
    if (body_allowed && fr->body == PP_HTTP_BODY_CHUNKED &&
        !PUT(o, "Transfer-Encoding: chunked\r\n")) {
        return false;
    }
    if (fr->te_trailers && !PUT(o, "TE: trailers\r\n")) {
        return false;
    }
    if (fr->upgrade && !put_upgrade(o, m)) {
        return false;
    }
    if ((fr->close || fr->keep_alive || fr->upgrade || fr->te_trailers) && !put_connection(o, fr)) {
        return false;
    }
    return PUT(o, "\r\n");
}

int pp_http1_emit_request(char *dst, size_t cap, const struct pp_http_msg *m, struct pp_span target,
                          struct pp_span host, const struct pp_http1_framing *fr, size_t *n)
{
    struct out o = {dst, dst + cap};

    if (!put_span(&o, m->method) || !PUT(&o, " ") || !put_span(&o, target) ||
        !PUT(&o, " HTTP/1.1\r\nHost: ") || !put_span(&o, host) || !PUT(&o, "\r\n") ||
        !put_fields(&o, m, framing_names | BIT(HOST)) || !put_framing(&o, m, fr, true)) {
        return PP_ELIMIT;
    }
    *n = (size_t)(o.d - dst);
    return PP_OK;
}

static bool put_status_line(struct out *o, const struct pp_http_msg *m)
{
    struct pp_span reason = m->reason.n > 0 ? m->reason : pp_http_tok_reason(m->status);
    char status[4] = {(char)('0' + m->status / 100 % 10), (char)('0' + m->status / 10 % 10),
                      (char)('0' + m->status % 10), ' '};

    if (m->status == 200 && reason.n == 2 && memcmp(reason.p, "OK", 2) == 0) {
        return PUT(o, "HTTP/1.1 200 OK\r\n");
    }
    return PUT(o, "HTTP/1.1 ") && put(o, status, 4) && put_span(o, reason) && PUT(o, "\r\n");
}

int pp_http1_emit_response(char *dst, size_t cap, const struct pp_http_msg *m,
                           const struct pp_http1_framing *fr, size_t *n)
{
    struct out o = {dst, dst + cap};
    bool body_allowed = m->status >= 200 && m->status != 204;

    if (!put_status_line(&o, m) || !put_fields(&o, m, framing_names) ||
        !put_framing(&o, m, fr, body_allowed)) {
        return PP_ELIMIT;
    }
    *n = (size_t)(o.d - dst);
    return PP_OK;
}

size_t pp_http1_emit_chunk_head(char *dst, uint64_t size)
{
    size_t n = pp_num_format_hex(dst, size);

    dst[n] = '\r';
    dst[n + 1] = '\n';
    return n + 2;
}

int pp_http1_emit_last_chunk(char *dst, size_t cap, const struct pp_http_msg *trailers, size_t *n)
{
    struct out o = {dst, dst + cap};

    if (!PUT(&o, "0\r\n") || (trailers && !put_fields(&o, trailers, framing_names | BIT(HOST))) ||
        !PUT(&o, "\r\n")) {
        return PP_ELIMIT;
    }
    *n = (size_t)(o.d - dst);
    return PP_OK;
}
