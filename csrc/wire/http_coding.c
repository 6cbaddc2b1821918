#include "wire/http_coding.h"

static const struct pp_span names[PP_HTTP_CODING_COUNT] = {
    [PP_HTTP_CODING_IDENTITY] = {"identity", 8}, [PP_HTTP_CODING_GZIP] = {"gzip", 4},
    [PP_HTTP_CODING_BROTLI] = {"br", 2},         [PP_HTTP_CODING_ZSTD] = {"zstd", 4},
    [PP_HTTP_CODING_DEFLATE] = {"deflate", 7},
};

enum pp_http_coding pp_http_coding_find(struct pp_span word)
{
    for (unsigned i = 0; i < PP_HTTP_CODING_COUNT; i++) {
        if (pp_span_eq_fold(word, names[i]))
            return (enum pp_http_coding)i;
    }
    /* RFC 9110 section 8.4.1.3 */
    return pp_span_eq_fold(word, PP_SPAN("x-gzip")) ? PP_HTTP_CODING_GZIP : PP_HTTP_CODING_COUNT;
}

struct pp_span pp_http_coding_text(enum pp_http_coding coding)
{
    return coding < PP_HTTP_CODING_COUNT ? names[coding] : PP_SPAN_NONE;
}

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), RFC 9110 section 12.4.2 */
static bool parse_q(struct pp_span s, uint16_t *out)
{
    if (s.n < 1 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return false;
    unsigned q = (unsigned)(s.p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < s.n; i++, unit /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        q += (unsigned)(s.p[i] - '0') * unit;
    }
    *out = (uint16_t)q;
    return q <= 1000;
}

/* codings [ OWS ";" OWS "q=" qvalue ] */
static bool parse_member(struct pp_span item, struct pp_span *word, uint16_t *q)
{
    size_t semicolon = pp_span_find(item, ';');
    *word = pp_span_trim(pp_span(item.p, semicolon));
    *q = 1000;
    if (!pp_http_tok_is_token(*word))
        return false;
    if (semicolon == item.n)
        return true;
    struct pp_span rest = pp_span_trim(pp_span(item.p + semicolon + 1, item.n - semicolon - 1));
    if (rest.n < 2 || (rest.p[0] | 0x20) != 'q' || rest.p[1] != '=')
        return false;
    return parse_q(pp_span(rest.p + 2, rest.n - 2), q);
}

void pp_http_coding_accept(const struct pp_http_msg *request, struct pp_http_coding_accept *out)
{
    const struct pp_http_field *f = pp_http_msg_find_id(request, PP_NAME_ACCEPT_ENCODING);
    bool named[PP_HTTP_CODING_COUNT] = {false}, any = false;
    uint16_t others = 0;
    unsigned members = 0;
    *out = (struct pp_http_coding_accept){.said = f != NULL};
    for (; f != NULL; f = pp_http_msg_find_next(request, f)) {
        struct pp_span rest = pp_http_field_value(f), item, word;
        while (members < PP_HTTP_CODING_MEMBERS && pp_span_next_item(&rest, &item)) {
            uint16_t q;
            members++;
            if (!parse_member(item, &word, &q))
                continue;
            if (pp_span_eq(word, PP_SPAN("*"))) {
                others = q;
                any = true;
                continue;
            }
            enum pp_http_coding coding = pp_http_coding_find(word);
            if (coding < PP_HTTP_CODING_COUNT && !named[coding]) {
                named[coding] = true;
                out->q[coding] = q;
            }
        }
    }
    for (unsigned i = 0; i < PP_HTTP_CODING_COUNT; i++) {
        if (!named[i])
            out->q[i] = others;
    }
    out->identity_said = named[PP_HTTP_CODING_IDENTITY];
    /* Only "identity;q=0", and "*;q=0" where it is not named, exclude it. */
    if (!out->identity_said)
        out->q[PP_HTTP_CODING_IDENTITY] = any && others == 0 ? 0 : 1;
}

enum pp_http_coding pp_http_coding_choose(const struct pp_http_coding_accept *accept,
                                          const uint8_t *ours, size_t n)
{
    enum pp_http_coding best = PP_HTTP_CODING_IDENTITY;
    uint16_t q = 0;
    for (size_t i = 0; i < n; i++) {
        if (accept->q[ours[i]] > q) {
            best = (enum pp_http_coding)ours[i];
            q = accept->q[best];
        }
    }
    bool identity = accept->identity_said && accept->q[PP_HTTP_CODING_IDENTITY] > q;
    return identity ? PP_HTTP_CODING_IDENTITY : best;
}

enum pp_http_coding pp_http_coding_of(const struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_CONTENT_ENCODING);
    enum pp_http_coding found = PP_HTTP_CODING_IDENTITY;
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        struct pp_span rest = pp_http_field_value(f), item;
        while (pp_span_next_item(&rest, &item)) {
            enum pp_http_coding coding = pp_http_coding_find(item);
            if (coding == PP_HTTP_CODING_IDENTITY)
                continue;
            if (found != PP_HTTP_CODING_IDENTITY)
                return PP_HTTP_CODING_COUNT;
            found = coding;
        }
    }
    return found;
}
