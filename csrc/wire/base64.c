#include "wire/base64.h"

#include <string.h>

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
static int feed(struct pp_base64_decoder *d, char c)
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

int pp_base64_decode(struct pp_base64_decoder *d, const char *p, size_t n, char *dst, size_t *out)
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

void pp_base64_encode(char *dst, const char *p, size_t n)
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
