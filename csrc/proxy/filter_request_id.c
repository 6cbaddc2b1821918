#include "proxy/filter_request_id.h"

#include <endian.h>

#include "proxy/forward.h"

#define UUID_CHARS 36
#define KEPT_MAX 128 /* bytes of a client's own */

enum trust { TRUST_NEVER, TRUST_TRUSTED, TRUST_ALWAYS };

struct request_id {
    struct pp_span header;
    uint8_t id;    /* enum pp_http_name */
    uint8_t trust; /* enum trust */
    bool by_time;  /* version 7 */
    bool response;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct request_id *r = pp_arena_alloc(m->arena, sizeof(*r));
    struct pp_span format = PP_SPAN("uuid4"), trust = PP_SPAN("trusted");
    if (r == NULL)
        return PP_ENOMEM;
    *r = (struct request_id){.header = PP_SPAN("x-request-id"), .response = true};
    pp_options_get_text(o, "header", &r->header, &m->fault);
    pp_options_get_text(o, "format", &format, &m->fault);
    pp_options_get_text(o, "trust", &trust, &m->fault);
    pp_options_get_bool(o, "response", &r->response, &m->fault);
    r->id = (uint8_t)pp_http_tok_name(r->header.p, r->header.n);
    if (!pp_http_tok_is_token(r->header) || r->id == PP_NAME_HOST ||
        !pp_exchange_may_write((enum pp_http_name)r->id))
        return pp_filter_refuse(m, "not a header for an id:", r->header);
    r->by_time = pp_span_eq(format, PP_SPAN("uuid7"));
    if (!r->by_time && !pp_span_eq(format, PP_SPAN("uuid4")))
        return pp_filter_refuse(m, "not a format of ids:", format);
    r->trust = pp_span_eq(trust, PP_SPAN("never"))    ? TRUST_NEVER
               : pp_span_eq(trust, PP_SPAN("always")) ? TRUST_ALWAYS
                                                      : TRUST_TRUSTED;
    if (r->trust == TRUST_TRUSTED && !pp_span_eq(trust, PP_SPAN("trusted")))
        return pp_filter_refuse(m, "not a degree of trust:", trust);
    if (!r->response)
        m->phases &= ~PP_PHASE_BIT(RESPONSE);
    *self = r;
    return PP_OK;
}

/* The 16 hexadecimal digits of <word>, eight at a time: every nibble becomes a byte, the first
 * digit the highest one; then the values of 10 and above are moved on to the letters. */
static void write_hex(uint64_t word, char dst[16])
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    for (unsigned half = 0; half < 2; half++, word <<= 32, dst += 8) {
        uint64_t v = word >> 32;
        v = (v | v << 16) & UINT64_C(0x0000ffff0000ffff);
        v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
        v = (v | v << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
        uint64_t letters = (v + 6 * each) >> 4 & each;
        v = htobe64(v + '0' * each + letters * ('a' - '9' - 1));
        memcpy(dst, &v, 8);
    }
}

/* RFC 9562 sections 5.4 and 5.7. */
static void write_uuid(const struct request_id *r, struct pp_core *core, char *dst)
{
    static const uint8_t group[] = {8, 4, 4, 4, 12};
    char digits[32], *at = digits;
    uint64_t high = pp_rng_next(&core->rng), low = pp_rng_next(&core->rng);
    if (r->by_time)
        high = (core->loop.wall_s * 1000 + core->loop.wall_ms) << 16 | (high & 0xfff);
    high = (high & ~UINT64_C(0xf000)) | (r->by_time ? UINT64_C(0x7000) : UINT64_C(0x4000));
    low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
    write_hex(high, digits);
    write_hex(low, digits + 16);
    for (unsigned i = 0; i < PP_COUNT_OF(group); at += group[i], i++) {
        if (i > 0)
            *dst++ = '-';
        memcpy(dst, at, group[i]);
        dst += group[i];
    }
}

static bool is_usable(struct pp_span id)
{
    if (id.n == 0 || id.n > KEPT_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        unsigned char c = (unsigned char)id.p[i];
        bool word = (unsigned)((c | 0x20) - 'a') < 26u || (unsigned)(c - '0') < 10u;
        if (!word && memchr("-._~:+/=", c, 8) == NULL)
            return false;
    }
    return true;
}

/* What the client calls it, if that may be kept. */
static struct pp_span kept(const struct request_id *r, const struct pp_exchange *x)
{
    const struct pp_http_msg *m = &x->request;
    if (r->trust == TRUST_NEVER || (r->trust == TRUST_TRUSTED && !pp_forward_is_trusted(x)))
        return PP_SPAN_NONE;
    const struct pp_http_field *f = r->id != PP_NAME_OTHER
                                        ? pp_http_msg_find_id(m, (enum pp_http_name)r->id)
                                        : pp_http_msg_find(m, r->header);
    if (f == NULL || !is_usable(pp_http_field_value(f)))
        return PP_SPAN_NONE;
    return pp_http_field_value(f);
}

/* Settle x->request_id, once. PP_OK or PP_ENOMEM. */
static int settle(const struct request_id *r, struct pp_exchange *x)
{
    struct pp_span id = kept(r, x);
    char uuid[UUID_CHARS];
    if (id.n == 0) {
        write_uuid(r, x->core, uuid);
        id = pp_span(uuid, sizeof(uuid));
    }
    return pp_arena_dup(&x->arena, id, &x->request_id);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct request_id *r = self;
    struct pp_http_msg *m = phase == PP_PHASE_RESPONSE ? &x->response : &x->request;
    /* A filter of all routes has been here before the request was routed. */
    int rc = x->request_id.n == 0 ? settle(r, x) : PP_OK;
    if (rc == PP_OK)
        rc = pp_http_msg_set(m, r->header, (enum pp_http_name)r->id, x->request_id);
    return rc == PP_OK ? PP_NEXT : pp_filter_failed(x, rc);
}

static const struct pp_filter_ops ops = {.name = "request_id", .run = run};

const struct pp_filter_kind pp_filter_request_id_kind = {
    .name = "request_id",
    .phases = PP_PHASE_BIT(EARLY_REQUEST) | PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(RESPONSE),
    .ops = &ops,
    .make = make,
};
