#include "wire/grpc_web.h"

#define FRAME_HEAD 5
#define FRAME_TRAILERS 0x80

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits of a character, or -1. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One more character. Padding stands at the end of a quantum, and two at most. */
static int feed(struct pp_grpc_web_decoder *d, char c)
{
    int value = value_of(c);
    if (c == '=' && d->n >= 2) {
        d->padding++;
        value = 0;
    } else if (value < 0 || d->padding > 0) {
        return PP_EINVAL;
    }
    d->bits = d->bits << 6 | (uint32_t)value;
    d->n++;
    return PP_OK;
}

int pp_grpc_web_decode(struct pp_grpc_web_decoder *d, const char *p, size_t n, char *dst,
                       size_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = feed(d, p[i]);
        if (rc != PP_OK)
            return rc;
        if (d->n < 4)
            continue;
        for (int k = 0; k < 3 - d->padding; k++)
            dst[(*out)++] = (char)(d->bits >> (16 - 8 * k));
        memset(d, 0, sizeof(*d));
    }
    return PP_OK;
}

void pp_grpc_web_encode(char *dst, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)(unsigned char)p[i] << 16;
        if (left > 1)
            bits |= (uint32_t)(unsigned char)p[i + 1] << 8;
        if (left > 2)
            bits |= (unsigned char)p[i + 2];
        *dst++ = alphabet[bits >> 18];
        *dst++ = alphabet[bits >> 12 & 63];
        *dst++ = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        *dst++ = left > 2 ? alphabet[bits & 63] : '=';
    }
}

static bool is_sent(const struct pp_http_field *f)
{
    return pp_http_field_is_live(f) && !(f->flags & PP_HTTP_FIELD_HOP);
}

size_t pp_grpc_web_trailers_size(const struct pp_http_msg *trailers)
{
    size_t n = FRAME_HEAD;
    for (uint32_t i = 0; trailers != NULL && i < trailers->n_field; i++) {
        const struct pp_http_field *f = &trailers->field[i];
        if (is_sent(f))
            n += f->name_n + f->value_n + 4;
    }
    return n;
}

void pp_grpc_web_emit_trailers(char *dst, const struct pp_http_msg *trailers)
{
    size_t n = pp_grpc_web_trailers_size(trailers) - FRAME_HEAD;
    *dst++ = (char)FRAME_TRAILERS;
    for (int shift = 24; shift >= 0; shift -= 8)
        *dst++ = (char)(n >> shift);
    for (uint32_t i = 0; trailers != NULL && i < trailers->n_field; i++) {
        const struct pp_http_field *f = &trailers->field[i];
        if (!is_sent(f))
            continue;
        pp_span_copy_lower(dst, pp_http_field_name(f));
        dst += f->name_n;
        memcpy(dst, ": ", 2);
        if (f->value_n > 0)
            memcpy(dst + 2, f->value, f->value_n);
        dst += 2 + f->value_n;
        memcpy(dst, "\r\n", 2);
        dst += 2;
    }
}
