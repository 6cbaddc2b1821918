// links: base/mem.c base/check.c base/arena.c base/span.c base/num.c wire/http_tok.c
// links: wire/http_msg.c wire/http1_line.c wire/http1_head.c wire/http_rules.c wire/uri.c
// dict: http1.dict
/* What the rules let through: no message that two readers could frame or route differently. */
#include "fuzz.h"
#include "wire/http1_head.h"
#include "wire/http_rules.h"
#include "wire/uri.h"

static unsigned count(const struct pp_http_msg *m, enum pp_http_name id)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, id);
    unsigned n = 0;

    for (; f; f = pp_http_msg_find_next(m, f)) {
        n++;
    }
    return n;
}

static void check_fields(const struct pp_http_msg *m)
{
    for (uint32_t i = 0; i < m->n_field; i++) {
        bool hop = m->field[i].flags & PP_HTTP_FIELD_HOP;
        switch (m->field[i].id) {
        case PP_NAME_CONNECTION:
        case PP_NAME_CONTENT_LENGTH:
        case PP_NAME_TRANSFER_ENCODING:
        case PP_NAME_KEEP_ALIVE:
        case PP_NAME_TE:
        case PP_NAME_UPGRADE:
            FUZZ_CHECK(hop);
            break;
        case PP_NAME_HOST:
        case PP_NAME_COOKIE:
        case PP_NAME_AUTHORIZATION:
        case PP_NAME_X_FORWARDED_FOR:
            FUZZ_CHECK(!hop);
            break;
        default:
            break;
        }
    }
}

static void check_framing(const struct pp_http_msg *m)
{
    FUZZ_CHECK(count(m, PP_NAME_CONTENT_LENGTH) + count(m, PP_NAME_TRANSFER_ENCODING) <= 1);
    FUZZ_CHECK(m->body != PP_HTTP_BODY_CHUNKED || m->minor == 1);
    FUZZ_CHECK(m->content_length <= INT64_MAX);
    FUZZ_CHECK(m->body != PP_HTTP_BODY_CHUNKED || count(m, PP_NAME_TRANSFER_ENCODING) == 1);
}

static void check_request(const struct pp_http_msg *m)
{
    struct pp_uri_authority a;

    FUZZ_CHECK(m->body != PP_HTTP_BODY_CLOSE);
    FUZZ_CHECK(m->authority.n > 0 || m->minor == 0);
    FUZZ_CHECK(m->authority.n == 0 || pp_uri_authority_parse(m->authority, &a) == PP_OK);
    FUZZ_CHECK(count(m, PP_NAME_HOST) == 1 || (m->minor == 0 && count(m, PP_NAME_HOST) == 0));
    FUZZ_CHECK(!m->expect_continue || m->body != PP_HTTP_BODY_NONE);
    FUZZ_CHECK(memchr(m->target.p, '#', m->target.n) == NULL || m->method_id == PP_HTTP_CONNECT);
    FUZZ_CHECK((m->path.n > 0 && (m->path.p[0] == '/' || m->method_id == PP_HTTP_OPTIONS)) ||
               m->method_id == PP_HTTP_CONNECT);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const struct pp_http1_limits limits = {8192, 4096, 4096, 100};
    struct pp_arena arena;
    struct pp_http_msg m;
    struct pp_http1_head h;
    bool request, declared = false;
    size_t used;
    char *in;

    if (n < 1) {
        return 0;
    }
    request = !(bytes[0] & 1);
    in = fuzz_copy(bytes + 1, n - 1);
    pp_arena_init(&arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&m, &arena);
    pp_http1_head_init(&h, request ? PP_HTTP1_REQUEST : PP_HTTP1_RESPONSE);
    if (pp_http1_head_feed(&h, in, n - 1, &limits, &m, &used) == PP_OK) {
        enum pp_http_method method = (enum pp_http_method)(bytes[0] / 2 % PP_HTTP_METHOD_COUNT);
        int rc =
            request ? pp_http_rules_request(&m) : pp_http_rules_response(&m, method, &declared);
        unsigned status = pp_http_rules_status(rc);

        FUZZ_CHECK(status >= 400 && status <= 505);
        if (rc == PP_OK) {
            check_fields(&m);
            check_framing(&m);
        }
        if (rc == PP_OK && request) {
            check_request(&m);
        }
    }
    free(in);
    pp_arena_fini(&arena);
    return 0;
}
