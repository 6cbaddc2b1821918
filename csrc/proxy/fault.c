#include "proxy/fault.h"

#include "wire/http_rules.h"

struct row {
    unsigned status;
    const char *word, *text;
};

static const struct row rows[PP_FAULT_COUNT] = {
#define PP_FAULT_ROW(code, status, word, text) {(status), (word), (text)},
    PP_FAULT_LIST(PP_FAULT_ROW)
#undef PP_FAULT_ROW
};

struct pp_fault pp_fault_make(enum pp_fault_code code, enum pp_side side, bool retryable,
                              int detail)
{
    struct pp_fault f = {
        .code = (uint8_t)code, .side = (uint8_t)side, .retryable = retryable, .detail = detail};
    return f;
}

enum pp_fault_code pp_fault_connect_code(int rc)
{
    switch (rc) {
    case PP_EREFUSED:
        return PP_FAULT_CONNECT_REFUSED;
    case PP_ETIMEDOUT:
        return PP_FAULT_CONNECT_TIMEOUT;
    case PP_ENOMEM:
        return PP_FAULT_NO_MEMORY;
    case PP_EHTTP_SWITCH:
        return PP_FAULT_UPSTREAM_NO_UPGRADE;
    default:
        return PP_FAULT_CONNECT_FAILED;
    }
}

unsigned pp_fault_status(const struct pp_fault *f)
{
    unsigned status = rows[f->code].status;
    return status != 0 ? status : pp_http_rules_status(f->detail);
}

/* Codes from PP_EHTTP_METHOD down are verdicts about bytes: their own word says more than
 * "bad_request". */
static bool has_verdict(const struct pp_fault *f)
{
    return (f->code == PP_FAULT_BAD_REQUEST || f->code == PP_FAULT_UPSTREAM_BAD_RESPONSE) &&
           f->detail <= PP_EHTTP_METHOD;
}

/* Why the handshake failed is worth a word of its own: certificate_expired and the like. */
static bool has_reason(const struct pp_fault *f)
{
    return f->code == PP_FAULT_UPSTREAM_TLS && f->detail <= PP_ETLS_HANDSHAKE;
}

const char *pp_fault_word(const struct pp_fault *f)
{
    if (has_reason(f))
        return pp_err_name(f->detail);
    return has_verdict(f) && f->side == PP_SIDE_DOWN ? pp_err_name(f->detail) : rows[f->code].word;
}

const char *pp_fault_text(const struct pp_fault *f)
{
    return has_verdict(f) || has_reason(f) ? pp_err_text(f->detail) : rows[f->code].text;
}
