#include "proxy/grpc.h"

#include "base/num.h"

#define TIMEOUT_DIGITS 8

bool pp_grpc_is_call(const struct pp_http_msg *m)
{
    static const struct pp_span type = {"application/grpc", 16};
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONTENT_TYPE);
    if (f == NULL || f->value_n < type.n || !pp_span_eq_fold(pp_span(f->value, type.n), type))
        return false;
    return f->value_n == type.n || f->value[type.n] == '+' || f->value[type.n] == ';';
}

bool pp_grpc_is_web_call(const struct pp_http_msg *m)
{
    static const struct pp_span type = {"application/grpc-web", 20};
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONTENT_TYPE);
    return f != NULL && f->value_n >= type.n && pp_span_eq_fold(pp_span(f->value, type.n), type);
}

enum pp_grpc_code pp_grpc_code_of(unsigned status)
{
    switch (status) {
    case 401:
        return PP_GRPC_UNAUTHENTICATED;
    case 403:
        return PP_GRPC_PERMISSION_DENIED;
    case 404:
        return PP_GRPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return PP_GRPC_UNAVAILABLE;
    default:
        return PP_GRPC_UNKNOWN;
    }
}

/* Microseconds of a unit; 0: there is none of that name. */
static uint64_t unit_us(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000);
    case 'M':
        return UINT64_C(60000000);
    case 'S':
        return UINT64_C(1000000);
    case 'm':
        return UINT64_C(1000);
    case 'u':
    case 'n': /* shorter than we can tell */
        return 1;
    default:
        return 0;
    }
}

uint64_t pp_grpc_timeout_ms(const struct pp_http_msg *request)
{
    const struct pp_http_field *f = pp_http_msg_find(request, PP_SPAN("grpc-timeout"));
    if (f == NULL || f->value_n < 2 || f->value_n > TIMEOUT_DIGITS + 1)
        return 0;
    uint64_t n = 0, us = unit_us(f->value[f->value_n - 1]);
    for (uint32_t i = 0; i + 1 < f->value_n; i++) {
        if ((unsigned)(f->value[i] - '0') > 9u)
            return 0;
        n = n * 10 + (unsigned)(f->value[i] - '0');
    }
    if (us == 0)
        return 0;
    uint64_t ms = n * us / 1000;
    return ms == 0 ? 1 : ms;
}

int pp_grpc_reply(struct pp_exchange *x)
{
    struct pp_http_msg *m = &x->response;
    bool late = x->fault.code == PP_FAULT_TOTAL_TIMEOUT;
    /* A fault speaks for itself; an answer of a filter or route has its status for a reason. Both
     * are ours and hold nothing that would need percent-encoding. */
    const char *text = pp_fault_is_set(&x->fault) ? pp_fault_text(&x->fault) : NULL;
    struct pp_span message =
        text != NULL ? pp_span(text, strlen(text)) : pp_http_tok_reason(m->status);
    char *digits = pp_arena_alloc(&x->arena, PP_NUM_U64_CHARS);
    if (digits == NULL)
        return PP_ENOMEM;
    size_t n =
        pp_num_format_u64(digits, late ? PP_GRPC_DEADLINE_EXCEEDED : pp_grpc_code_of(m->status));
    m->status = 200;
    m->reason = PP_SPAN_NONE;
    x->reply_body = PP_SPAN_NONE;
    int rc = pp_http_msg_set(m, PP_SPAN("content-type"), PP_NAME_CONTENT_TYPE,
                             x->web != NULL ? x->web->type : PP_SPAN("application/grpc"));
    if (rc == PP_OK)
        rc = pp_http_msg_set(m, PP_SPAN("grpc-status"), PP_NAME_OTHER, pp_span(digits, n));
    if (rc == PP_OK && message.n > 0)
        rc = pp_http_msg_set(m, PP_SPAN("grpc-message"), PP_NAME_OTHER, message);
    return rc;
}
