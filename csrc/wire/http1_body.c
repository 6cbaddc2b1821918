#include "wire/http1_body.h"

#include "base/num.h"
#include "wire/http_rules.h"

/* Chunked:
 *
 *   SIZE -> [ EXT_* ] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *                           '---- size 0 ----> TRAILER -> DONE
 * The EXT states follow RFC 9112 section 7.1.1: *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted
 * ) ] ). */
enum {
    SIZE,
    EXT_SEMI,  /* white space was seen: only ";" can follow */
    EXT_NAME0, /* after ";" */
    EXT_NAME,
    EXT_EQ,     /* white space after a name: "=" or ";" */
    EXT_VALUE0, /* after "=" */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED,
    EXT_END, /* after the closing quote */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    PLAIN, /* the other kinds */
    DONE,
    FAILED
};

void pp_http1_body_init(struct pp_http1_body *b, enum pp_http_body kind, uint64_t length,
                        uint64_t limit, struct pp_http_msg *trailers)
{
    *b = (struct pp_http1_body){.limit = limit, .trailers = trailers, .kind = (uint8_t)kind};
    switch (kind) {
    case PP_HTTP_BODY_CHUNKED:
        b->state = SIZE;
        break;
    case PP_HTTP_BODY_LENGTH:
        b->left = b->total = length;
        b->state = length > 0 ? PLAIN : DONE;
        break;
    case PP_HTTP_BODY_CLOSE:
        b->left = limit;
        b->state = PLAIN;
        break;
    default:
        b->state = DONE;
    }
}

static int next_length(struct pp_http1_body *b, const char *p, size_t n, size_t *used,
                       struct pp_span *data)
{
    size_t take = n < b->left ? n : (size_t)b->left;

    if (b->total > b->limit) {
        return PP_EHTTP_BODY_BYTES;
    }
    *data = pp_span(p, take);
    *used = take;
    b->left -= take;
    if (b->left > 0) {
        return PP_EMORE;
    }
    b->state = DONE;
    return PP_EEND;
}

static int next_close(struct pp_http1_body *b, const char *p, size_t n, size_t *used,
                      struct pp_span *data)
{
    size_t take = n < b->left ? n : (size_t)b->left;

    if (n > 0 && take == 0) {
        return PP_EHTTP_BODY_BYTES;
    }
    *data = pp_span(p, take);
    *used = take;
    b->left -= take;
    b->total += take;
    return take < n ? PP_OK : PP_EMORE;
}

/* ---- chunk size and extensions, a byte at a time ---- */

static inline bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t';
}

static int step_size(struct pp_http1_body *b, unsigned char c)
{
    int digit = pp_num_hex(c);

    if (digit >= 0) {
        if (b->digits == PP_HTTP1_CHUNK_DIGITS) {
            return PP_EHTTP_CHUNK_SIZE;
        }
        b->digits++;
        b->left = b->left << 4 | (unsigned)digit;
        return PP_OK;
    }
    if (b->digits == 0) {
        return PP_EHTTP_CHUNK_SIZE;
    }
    if (c == ';') {
        b->state = EXT_NAME0;
    } else if (is_space(c)) {
        b->state = EXT_SEMI;
    } else {
        return PP_EHTTP_CHUNK_SIZE;
    }
    b->ext_bytes++;
    return PP_OK;
}

/* State after <c> in an extension, -1 when it may not stand there. */
static int ext_token_next(int state, unsigned char c)
{
    bool begun = state == EXT_NAME || state == EXT_VALUE;

    if (pp_http_tok_is(c, PP_TOK_TCHAR)) {
        return state == EXT_NAME0 || state == EXT_NAME ? EXT_NAME : EXT_VALUE;
    }
    if (is_space(c)) {
        return !begun ? state : state == EXT_NAME ? EXT_EQ : EXT_SEMI;
    }
    if (begun && c == ';') {
        return EXT_NAME0;
    }
    if (state == EXT_NAME && c == '=') {
        return EXT_VALUE0;
    }
    return state == EXT_VALUE0 && c == '"' ? EXT_QUOTED : -1;
}

static int ext_next(int state, unsigned char c)
{
    switch (state) {
    case EXT_SEMI:
        return is_space(c) ? EXT_SEMI : c == ';' ? EXT_NAME0 : -1;
    case EXT_EQ:
        return is_space(c) ? EXT_EQ : c == '=' ? EXT_VALUE0 : c == ';' ? EXT_NAME0 : -1;
    case EXT_QUOTED:
        if (c == '"') {
            return EXT_END;
        }
        return !pp_http_tok_is(c, PP_TOK_FIELD) ? -1 : c == '\\' ? EXT_ESCAPED : EXT_QUOTED;
    case EXT_ESCAPED:
        return pp_http_tok_is(c, PP_TOK_FIELD) ? EXT_QUOTED : -1;
    case EXT_END:
        return is_space(c) ? EXT_SEMI : c == ';' ? EXT_NAME0 : -1;
    default:
        return ext_token_next(state, c);
    }
}

/* One byte of a chunk's first line up to its CR. */
static int step_chunk_line(struct pp_http1_body *b, unsigned char c)
{
    int next;

    if (c == '\n') {
        return PP_EHTTP_BARE_LF;
    }
    if (c == '\r') {
        if (b->state == SIZE && b->digits > 0) {
            b->state = SIZE_LF;
            return PP_OK;
        }
        if (b->state == EXT_NAME || b->state == EXT_VALUE || b->state == EXT_END) {
            b->state = SIZE_LF;
            return PP_OK;
        }
        return b->state == SIZE ? PP_EHTTP_CHUNK_SIZE : PP_EHTTP_CHUNK_EXT;
    }
    if (b->state == SIZE) {
        if (b->ext_bytes == PP_HTTP1_CHUNK_EXT_BYTES && (c == ';' || is_space(c))) {
            return PP_EHTTP_CHUNK_EXT_BYTES;
        }
        return step_size(b, c);
    }
    if (b->ext_bytes == PP_HTTP1_CHUNK_EXT_BYTES) {
        return PP_EHTTP_CHUNK_EXT_BYTES;
    }
    b->ext_bytes++;
    next = ext_next(b->state, c);
    if (next < 0) {
        return PP_EHTTP_CHUNK_EXT;
    }
    b->state = (uint8_t)next;
    return PP_OK;
}

static int begin_chunk(struct pp_http1_body *b)
{
    if (b->left == 0) {
        b->state = TRAILER;
        pp_http1_line_init(&b->line, PP_HTTP1_LINE_FIELD);
        return PP_OK;
    }
    if (b->left > b->limit - b->total) {
        return PP_EHTTP_BODY_BYTES;
    }
    b->total += b->left;
    b->state = DATA;
    return PP_OK;
}

/* ---- trailers ---- */

/* Keep the byte for the message that wants the fields. The memory is taken once, at the first byte
 * that is not the empty line's: nearly no body has trailers. */
static int keep_trailer(struct pp_http1_body *b, char c)
{
    if (!b->trailer_mem) {
        b->trailer_mem = pp_arena_alloc(b->trailers->arena, PP_HTTP1_TRAILER_BYTES);
        if (!b->trailer_mem) {
            return PP_ENOMEM;
        }
    }
    b->trailer_mem[b->trailer_n] = c;
    return PP_OK;
}

/* The section is complete and valid: give its fields to the message. */
static int finish_trailers(struct pp_http1_body *b)
{
    static const struct pp_http1_limits limits = {
        .head_bytes = PP_HTTP1_TRAILER_BYTES,
        .line_bytes = PP_HTTP1_TRAILER_BYTES,
        .fields = UINT32_MAX,
    };
    struct pp_http1_head head;
    size_t used;

    b->state = DONE;
    if (!b->trailer_mem) {
        return PP_OK;
    }
    pp_http1_head_init(&head, PP_HTTP1_TRAILERS);
    return pp_http1_head_feed(&head, b->trailer_mem, b->trailer_n, &limits, b->trailers, &used);
}

/* A trailer line is complete. */
static int end_trailer_line(struct pp_http1_body *b)
{
    size_t n = b->line.mark;
    struct pp_span name = pp_span(b->name, PP_MIN(n, sizeof(b->name)));
    /* A longer name than is kept is no listed one, and its front tells enough. */
    enum pp_http_name id = n <= sizeof(b->name) ? pp_http_tok_name(name.p, n) : PP_NAME_OTHER;

    if (b->line.n == 2) {
        return finish_trailers(b);
    }
    b->trailer_fields++;
    pp_http1_line_init(&b->line, PP_HTTP1_LINE_FIELD);
    return pp_http_rules_may_trail(id, name) ? PP_OK : PP_EHTTP_TRAILER;
}

static int step_trailer(struct pp_http1_body *b, char c)
{
    struct pp_http1_line_limits limits = {
        .room = PP_HTTP1_TRAILER_BYTES - b->trailer_n + b->line.n,
        .line_bytes = PP_HTTP1_TRAILER_BYTES,
        .full = b->trailer_fields == PP_HTTP1_TRAILER_FIELDS,
    };
    bool empty = b->trailer_n == 0 && c == '\r';
    size_t used;
    int rc;

    if (b->line.n < sizeof(b->name)) {
        b->name[b->line.n] = c;
    }
    rc = pp_http1_line_feed(&b->line, &c, 1, &limits, &used);
    if (rc != PP_OK && rc != PP_EMORE) {
        return rc == PP_EHTTP_HEAD_BYTES ? PP_EHTTP_TRAILER_BYTES : rc;
    }
    if (b->trailers && !empty && (b->trailer_mem || b->trailer_n == 0)) {
        int kept = keep_trailer(b, c);
        if (kept != PP_OK) {
            return kept;
        }
    }
    b->trailer_n++;
    return rc == PP_OK ? end_trailer_line(b) : PP_OK;
}

/* ---- the whole ---- */

static int step_chunked(struct pp_http1_body *b, char c)
{
    switch (b->state) {
    case SIZE_LF:
        return c == '\n' ? begin_chunk(b) : PP_EHTTP_BARE_CR;
    case DATA_CR:
        b->state = DATA_LF;
        return c == '\r' ? PP_OK : PP_EHTTP_CHUNK_END;
    case DATA_LF:
        b->state = SIZE;
        b->digits = 0;
        return c == '\n' ? PP_OK : PP_EHTTP_CHUNK_END;
    case TRAILER:
        return step_trailer(b, c);
    default:
        return step_chunk_line(b, (unsigned char)c);
    }
}

static int next_chunked(struct pp_http1_body *b, const char *p, size_t n, size_t *used,
                        struct pp_span *data)
{
    size_t i = 0;
    int rc;

    while (i < n) {
        if (b->state == DATA) {
            size_t take = n - i < b->left ? n - i : (size_t)b->left;
            if (data->n > 0) {
                *used = i;
                return PP_OK;
            }
            *data = pp_span(p + i, take);
            i += take;
            b->left -= take;
            if (b->left == 0) {
                b->state = DATA_CR;
            }
            continue;
        }
        rc = step_chunked(b, p[i]);
        if (rc != PP_OK) {
            b->state = FAILED;
            b->verdict = (int16_t)rc;
            *used = i;
            return data->n > 0 ? PP_OK : rc;
        }
        i++;
        if (b->state == DONE) {
            *used = i;
            return PP_EEND;
        }
    }
    *used = n;
    return PP_EMORE;
}

int pp_http1_body_next(struct pp_http1_body *b, const char *p, size_t n, size_t *used,
                       struct pp_span *data)
{
    *used = 0;
    *data = PP_SPAN_NONE;
    if (b->state == DONE || b->state == FAILED) {
        return b->state == DONE ? PP_EEND : b->verdict;
    }
    switch (b->kind) {
    case PP_HTTP_BODY_LENGTH:
        return next_length(b, p, n, used, data);
    case PP_HTTP_BODY_CLOSE:
        return next_close(b, p, n, used, data);
    default:
        return next_chunked(b, p, n, used, data);
    }
}

int pp_http1_body_eof(struct pp_http1_body *b)
{
    if (b->state == DONE || b->kind == PP_HTTP_BODY_CLOSE) {
        b->state = DONE;
        return PP_EEND;
    }
    return PP_EHTTP_BODY_SHORT;
}
