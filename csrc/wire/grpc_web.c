#include "wire/grpc_web.h"

#define FRAME_HEAD 5
#define FRAME_TRAILERS 0x80

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
