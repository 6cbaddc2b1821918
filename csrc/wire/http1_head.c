/* Two parsers that agree:
 *
 *   quick_*      whole lines, by vectors, straight into the message. Takes only lines that it knows
 * to be good and leaves everything else where it is: cut off, over a limit, or bad. http1_line the
 * automaton. Gets the first line that the quick one left, finds out which it is, and keeps its
 * place when the line is not all there.
 *
 * So a head that arrives in one piece is read once, a byte of a head that arrives in many pieces is
 * read at most twice, and a verdict never depends on the cutting. */
#include "wire/http1_head.h"

#include "base/check.h"
#include "wire/http1_scan.h"

void pp_http1_head_init(struct pp_http1_head *h, enum pp_http1_head_kind kind)
{
    *h = (struct pp_http1_head){.kind = (uint8_t)kind, .start_done = kind == PP_HTTP1_TRAILERS};
}

static inline uint64_t load8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, 8);
    return v;
}

static inline uint32_t load4(const char *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The compiler must not share these: each caller's constants make a version of its own. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- start lines ---- */

/* Method at the front of [p, end): its length, with a SP behind it, or 0. */
static inline size_t quick_method(const char *p, const char *end, uint8_t *id)
{
    size_t n;

    if (memcmp(p, "GET ", 4) == 0) {
        *id = PP_HTTP_GET;
        return 3;
    }
    if (memcmp(p, "POST ", 5) == 0) {
        *id = PP_HTTP_POST;
        return 4;
    }
    n = (size_t)(pp_http1_scan_token(p, end) - p);
    if (n == 0 || n > PP_HTTP1_METHOD_BYTES || p + n == end || p[n] != ' ') {
        return 0;
    }
    *id = (uint8_t)pp_http_tok_method(pp_span(p, n));
    return n;
}

static const char *quick_request(const char *p, const char *end, uint32_t target_bytes,
                                 struct pp_http_msg *m)
{
    const char *target, *t;
    size_t n;
    uint8_t id;

    if (end - p < 16 || (n = quick_method(p, end, &id)) == 0) {
        return NULL;
    }
    target = p + n + 1;
    t = pp_http1_scan_target(target, end);
    if (t == target || (size_t)(t - target) > target_bytes || end - t < 11 ||
        load8(t) != load8(" HTTP/1.") || (t[8] & ~1) != '0' || t[9] != '\r' || t[10] != '\n') {
        return NULL;
    }
    m->method = pp_span(p, n);
    m->method_id = id;
    m->target = pp_span(target, (size_t)(t - target));
    m->minor = (uint8_t)(t[8] - '0');
    return t + 11;
}

static const char *quick_response(const char *p, const char *end, struct pp_http_msg *m)
{
    const char *r;
    unsigned d1, d2, d3;

    if (end - p < 16 || memcmp(p, "HTTP/1.", 7) != 0 || (p[7] & ~1) != '0' || p[8] != ' ' ||
        p[12] != ' ') {
        return NULL;
    }
    d1 = (unsigned)(p[9] - '1');
    d2 = (unsigned)(p[10] - '0');
    d3 = (unsigned)(p[11] - '0');
    if (d1 > 8 || d2 > 9 || d3 > 9) {
        return NULL;
    }
    r = pp_http1_scan_value(p + 13, end);
    if (end - r < 2 || r[0] != '\r' || r[1] != '\n') {
        return NULL;
    }
    m->minor = (uint8_t)(p[7] - '0');
    m->status = (uint16_t)((d1 + 1) * 100 + d2 * 10 + d3);
    m->reason = pp_span(p + 13, (size_t)(r - p - 13));
    return r + 2;
}

/* ---- field lines ---- */

/* Bytes that may be read from where a line begins. */
#define WINDOW 64
#define NAME_WINDOW 32

#ifdef __SSE2__
/* The first byte from <q> on that is no printable ASCII, where it is in the window; else q +
 * WINDOW. */
static inline const char *window_end(const char *q)
{
    uint64_t m = (uint64_t)pp_http1_scan_printable_mask(q) |
                 (uint64_t)pp_http1_scan_printable_mask(q + 16) << 16 |
                 (uint64_t)pp_http1_scan_printable_mask(q + 32) << 32 |
                 (uint64_t)pp_http1_scan_printable_mask(q + 48) << 48;

    m = ~m;
    return PP_LIKELY(m) ? q + __builtin_ctzll(m) : q + WINDOW;
}

/* The first bytes of a line, in which its name is looked for. */
struct name_window {
    const char *q;
    __m128i a, b;
};

static inline struct name_window name_window(const char *q)
{
    struct name_window w = {q, _mm_loadu_si128((const __m128i *)(const void *)q),
                            _mm_loadu_si128((const __m128i *)(const void *)(q + 16))};

    return w;
}

/* Offset of the first ':', or the window's size. */
static inline unsigned find_colon(const struct name_window *w)
{
    __m128i colon = _mm_set1_epi8(':');
    unsigned m = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(w->a, colon)) |
                 (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(w->b, colon)) << 16;

    return m ? (unsigned)__builtin_ctz(m) : NAME_WINDOW;
}

/* The listed name at the front, where the first ':' is <n> >= 3 bytes away; PP_NAME_OTHER when it
 * is none. */
static inline unsigned find_name(const struct name_window *w, unsigned n)
{
    unsigned id = pp_http_tok_slot[pp_http_tok_hash(load4(w->q + n - 3), n)];
    const __m128i *text = (const __m128i *)(const void *)pp_http_tok_names[id].text;
    const __m128i *keep = (const __m128i *)(const void *)pp_http_tok_names[id].keep;
    __m128i a = _mm_and_si128(_mm_xor_si128(w->a, text[0]), keep[0]);
    __m128i b = _mm_and_si128(_mm_xor_si128(w->b, text[1]), keep[1]);
    __m128i same = _mm_cmpeq_epi8(_mm_or_si128(a, b), _mm_setzero_si128());

    return _mm_movemask_epi8(same) == 0xffff ? id : PP_NAME_OTHER;
}

/* Bit i: byte i of <v> is a letter, a digit or '-': what nearly all names are made of. */
static inline unsigned common_mask(__m128i v)
{
    __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    __m128i is_hyphen = _mm_cmpeq_epi8(v, _mm_set1_epi8('-'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(is_letter, is_digit), is_hyphen));
}

static inline bool is_token(const struct name_window *w, unsigned n)
{
    unsigned m = common_mask(w->a) | common_mask(w->b) << 16;

    return PP_LIKELY((~m & ((1u << n) - 1)) == 0) ||
           pp_http1_scan_token(w->q, w->q + n) == w->q + n;
}
#else
struct name_window {
    const char *q;
};

static inline struct name_window name_window(const char *q)
{
    return (struct name_window){q};
}

static inline const char *window_end(const char *q)
{
    return q;
}

static inline unsigned find_colon(const struct name_window *w)
{
    const char *colon = memchr(w->q, ':', NAME_WINDOW);

    return colon ? (unsigned)(colon - w->q) : NAME_WINDOW;
}

static inline unsigned find_name(const struct name_window *w, unsigned n)
{
    return pp_http_tok_name(w->q, n);
}

static inline bool is_token(const struct name_window *w, unsigned n)
{
    return pp_http1_scan_token(w->q, w->q + n) == w->q + n;
}
#endif

/* The CR of the CRLF that ends the line at <q>, when all between may stand in a field line; else
 * NULL. */
static inline const char *line_end(const char *q, const char *end)
{
    const char *e = window_end(q);

    if (PP_UNLIKELY(end - e < 2 || memcmp(e, "\r\n", 2) != 0)) {
        /* A long line, or HTAB or obs-text in it. */
        e = e < end ? pp_http1_scan_value(e, end) : end;
        if (end - e < 2 || memcmp(e, "\r\n", 2) != 0) {
            return NULL;
        }
    }
    return e;
}

/* Names that the window is too short or too long for. As take_name. */
static PP_COLD size_t take_odd_name(const char *q, const char *e, unsigned *id)
{
    size_t n = (size_t)(pp_http1_scan_token(q, e) - q);

    if (n == 0 || n > PP_HTTP1_NAME_BYTES || q[n] != ':') {
        return 0;
    }
    *id = pp_http_tok_name(q, n);
    return n;
}

/* Length and id of the name at <q>, which has a colon behind it before <e>; 0 when there is none.
 * What lies behind <e> cannot mislead: a CR stands in no name. */
ALWAYS_INLINE size_t take_name(const char *q, const char *e, unsigned *id)
{
    struct name_window w = name_window(q);
    unsigned n = find_colon(&w);

    if (PP_UNLIKELY(n - 3 >= NAME_WINDOW - 3)) {
        return take_odd_name(q, e, id);
    }
    *id = find_name(&w, n);
    return PP_LIKELY(*id != PP_NAME_OTHER) || is_token(&w, n) ? n : 0;
}

/* Where the quick parser reads. Lines with a whole window of bytes behind their first one are read
 * where they lie; the last few are copied before zeros, which end every line, so that no read needs
 * a test.
 *
 *   | Host: a CRLF User-Agent: ... CRLF | Accept: * CRLF CRLF |          the head
 *                                       | Accept: * CRLF CRLF | 0 0 0 ... 0 |      copy  */
struct reader {
    const char *q;   /* next byte; at least a window is readable */
    const char *end; /* end of what there is */
    char copy[2 * WINDOW];
};

/* <before> bytes of the head come before r->q. */
static void read_copy(struct reader *r, size_t before)
{
    size_t left = (size_t)(r->end - r->q);

    memset(r->copy + WINDOW, 0, WINDOW);
    if (before + left >= WINDOW) {
        memcpy(r->copy, r->end - WINDOW, WINDOW);
        r->q = r->copy + WINDOW - left;
        r->end = r->copy + WINDOW;
    } else {
        memset(r->copy, 0, WINDOW);
        memcpy(r->copy, r->q, left);
        r->q = r->copy;
        r->end = r->copy + left;
    }
}

/* Where there is no more room for fields, or none is allowed. */
static inline struct pp_http_field *fields_end(const struct pp_http_msg *m,
                                               const struct pp_http1_limits *limits)
{
    return m->field + PP_MAX(m->n_field, PP_MIN(limits->fields, m->cap_field));
}

/* Take good lines until the empty one (PP_OK), one that is not good or not all there, or until
 * fewer than <least> bytes are left (PP_EMORE); or PP_ENOMEM. r->q is where it stopped. <real> is
 * where the byte at <from> really is. Inlined, so that the reader of bytes in place adds nothing to
 * its addresses. */
ALWAYS_INLINE int read_fields(struct reader *r, const char *from, const char *real, ptrdiff_t least,
                              const struct pp_http1_limits *limits, struct pp_http_msg *m)
{
    const char *q = r->q, *end = r->end;
    struct pp_http_field *f = m->field + m->n_field, *full = fields_end(m, limits);
    uint64_t seen = m->seen, twice = m->twice;
    int rc = PP_EMORE;

    while (end - q >= least) {
        const char *e = line_end(q, end), *v;
        unsigned id;
        size_t name_n;

        if (PP_UNLIKELY(!e)) {
            break;
        }
        if (PP_UNLIKELY(e == q)) {
            q = e + 2;
            rc = PP_OK;
            break;
        }
        if (PP_UNLIKELY(f == full)) {
            m->n_field = (uint32_t)(f - m->field);
            if (m->n_field == limits->fields || (rc = pp_http_msg_grow(m)) != PP_OK) {
                break;
            }
            rc = PP_EMORE;
            f = m->field + m->n_field;
            full = fields_end(m, limits);
        }
        name_n = take_name(q, e, &id);
        if (PP_UNLIKELY(name_n == 0 || (size_t)(e - q) > limits->line_bytes)) {
            break;
        }
        f->name = real + (q - from);
        v = q + name_n + 1;
        q = e + 2;
        if (PP_LIKELY(v[0] == ' ' && (unsigned char)v[1] > ' ' && (unsigned char)e[-1] > ' ')) {
            v++;
        } else {
            for (; is_space(*v); v++) {
            }
            for (; e > v && is_space(e[-1]); e--) {
            }
        }
        f->value = real + (v - from);
        f->value_n = (uint32_t)(e - v);
        f->name_n = (uint16_t)name_n;
        f->id = (uint8_t)id;
        f->flags = 0;
        f++;
        twice |= seen & UINT64_C(1) << id;
        seen |= UINT64_C(1) << id;
    }
    r->q = q;
    m->n_field = (uint32_t)(f - m->field);
    m->seen = seen;
    m->twice = twice;
    return rc;
}

/* Take good lines from offset h->line on. PP_OK: the empty line was among them. PP_EMORE: the line
 * at h->line is one for the automaton. */
static int quick_fields(struct pp_http1_head *h, const char *p, const char *end,
                        const struct pp_http1_limits *limits, struct pp_http_msg *m)
{
    struct reader r;
    int rc;

    r.q = p + h->line;
    r.end = end;
    rc = read_fields(&r, p, p, WINDOW, limits, m);
    h->line = (uint32_t)(r.q - p);
    if (rc == PP_EMORE && end - r.q < WINDOW) {
        const char *from;

        read_copy(&r, h->line);
        from = r.q;
        rc = read_fields(&r, from, p + h->line, 2, limits, m);
        h->line += (uint32_t)(r.q - from);
    }
    return rc;
}

/* ---- lines that the automaton has accepted ---- */

static void take_start(struct pp_http1_head *h, const char *line, struct pp_http_msg *m)
{
    const struct pp_http1_line *l = &h->part;

    if (h->kind == PP_HTTP1_REQUEST) {
        m->method = pp_span(line, l->mark);
        m->method_id = (uint8_t)pp_http_tok_method(m->method);
        m->target = pp_span(line + l->mark + 1, l->end - l->mark - 1);
        m->minor = (uint8_t)(line[l->end + 8] - '0');
    } else {
        m->minor = (uint8_t)(line[7] - '0');
        m->status = (uint16_t)((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
        m->reason = l->n > 15 ? pp_span(line + 13, l->n - 15) : PP_SPAN_NONE;
    }
    h->start_done = true;
}

static int take_field(const struct pp_http1_line *l, const char *line, struct pp_http_msg *m)
{
    struct pp_span name = pp_span(line, l->mark);
    struct pp_span value = pp_span(line + l->mark + 1, l->n - l->mark - 3);

    return pp_http_msg_add(m, name, pp_http_tok_name(name.p, name.n), pp_span_trim(value));
}

/* The line [line, line + h->part.n) is good. PP_OK: it was the last one; PP_EMORE: go on. */
static int take_line(struct pp_http1_head *h, const char *line, struct pp_http_msg *m)
{
    bool empty = h->part.n == 2;

    if (h->start_done) {
        int rc = empty ? PP_OK : take_field(&h->part, line, m);
        return empty || rc != PP_OK ? rc : PP_EMORE;
    }
    if (!empty) {
        take_start(h, line, m);
        return PP_EMORE;
    }
    if (h->blank_skipped) {
        return PP_EHTTP_METHOD;
    }
    h->blank_skipped = true;
    return PP_EMORE;
}

/* Let the automaton read on in the current line. PP_EMORE with h->lexed > h->line: the line is not
 * all there. */
static int feed_line(struct pp_http1_head *h, const char *p, const char *end,
                     const struct pp_http1_limits *limits, struct pp_http_msg *m)
{
    struct pp_http1_line_limits line_limits = {
        .room = limits->head_bytes - h->line,
        .line_bytes = limits->line_bytes,
        .target_bytes = limits->target_bytes,
        .full = m->n_field >= limits->fields,
    };
    size_t used = 0;
    int rc;

    if (h->lexed <= h->line) {
        pp_http1_line_init(&h->part,
                           h->start_done ? PP_HTTP1_LINE_FIELD : (enum pp_http1_line_kind)h->kind);
        h->lexed = h->line;
    }
    rc = pp_http1_line_feed(&h->part, p + h->lexed, (size_t)(end - p) - h->lexed, &line_limits,
                            &used);
    if (rc == PP_EMORE) {
        h->lexed = (uint32_t)(end - p);
        return PP_EMORE;
    }
    if (rc != PP_OK) {
        return rc;
    }
    rc = take_line(h, p + h->line, m);
    h->line = h->lexed = h->line + h->part.n;
    return rc;
}

/* Let the quick parser go on from h->line. As quick_fields. */
static int feed_quick(struct pp_http1_head *h, const char *p, const char *end,
                      const struct pp_http1_limits *limits, struct pp_http_msg *m)
{
    if (!h->start_done) {
        const char *line = p + h->line;
        const char *next = h->kind == PP_HTTP1_REQUEST
                               ? quick_request(line, end, limits->target_bytes, m)
                               : quick_response(line, end, m);
        if (!next) {
            return PP_EMORE;
        }
        h->line = (uint32_t)(next - p);
        h->start_done = true;
    }
    return quick_fields(h, p, end, limits, m);
}

int pp_http1_head_feed(struct pp_http1_head *h, const char *p, size_t n,
                       const struct pp_http1_limits *limits, struct pp_http_msg *m, size_t *used)
{
    /* The quick parser sees no byte past the limit, the automaton the one that breaks it. */
    const char *quick_end = p + PP_MIN(n, (size_t)limits->head_bytes);
    const char *line_end = p + PP_MIN(n, (size_t)limits->head_bytes + 1);
    int rc = PP_EMORE;

    if (h->base != p) {
        if (h->base && h->line > 0) {
            pp_http_msg_rebase(m, h->base, h->line, p);
        }
        h->base = p;
    }
    while (rc == PP_EMORE) {
        if (h->lexed <= h->line) {
            rc = feed_quick(h, p, quick_end, limits, m);
            if (rc != PP_EMORE) {
                break;
            }
        }
        if (p + PP_MAX(h->line, h->lexed) == line_end) {
            return PP_EMORE;
        }
        rc = feed_line(h, p, line_end, limits, m);
    }
    if (rc == PP_OK) {
        *used = h->line;
    }
    return rc;
}
