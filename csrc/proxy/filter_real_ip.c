#include "proxy/filter_real_ip.h"

#include "base/ip.h"
#include "proxy/filter_ranges.h"

struct real_ip {
    struct pp_filter_ranges trusted;
    struct pp_span header;
    bool recursive;
};

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct real_ip *r = pp_arena_alloc(m->arena, sizeof(*r));
    if (r == NULL)
        return PP_ENOMEM;
    r->header = PP_SPAN("x-forwarded-for");
    r->recursive = true;
    pp_options_get_text(o, "header", &r->header, &m->fault);
    pp_options_get_bool(o, "recursive", &r->recursive, &m->fault);
    *self = r;
    if (!pp_http_tok_is_token(r->header))
        return pp_filter_refuse(m, "not the name of a header:", r->header);
    return pp_filter_ranges_make(m, o, "trusted", &r->trusted);
}

/* The digits behind the last colon, and *s without them; 0: none. */
static uint16_t take_port(struct pp_span *s)
{
    uint32_t port = 0, scale = 1;
    size_t n = s->n;
    while (n > 0 && (unsigned)(s->p[n - 1] - '0') < 10u && s->n - n < 5) {
        port += (uint32_t)(s->p[n - 1] - '0') * scale;
        scale *= 10;
        n--;
    }
    if (n == 0 || n == s->n || s->p[n - 1] != ':' || port > UINT16_MAX)
        return 0;
    s->n = n - 1;
    return (uint16_t)port;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool parse(struct pp_span text, struct pp_sock_addr *out)
{
    memset(out, 0, sizeof(*out));
    struct pp_span bare = text;
    if (text.n > 0 && text.p[0] == '[') {
        out->port = take_port(&bare);
        if (bare.n < 2 || bare.p[bare.n - 1] != ']')
            return false;
        out->family = AF_INET6;
        return pp_ip_parse_v6(pp_span(bare.p + 1, bare.n - 2), out->ip);
    }
    out->family = AF_INET6;
    if (pp_ip_parse_v6(text, out->ip))
        return true;
    out->family = AF_INET;
    if (pp_ip_parse_v4(text, out->ip))
        return true;
    out->port = take_port(&bare);
    memset(out->ip, 0, sizeof(out->ip));
    return pp_ip_parse_v4(bare, out->ip);
}

/* Take the last item off the list *rest, without the white space around it. */
static struct pp_span take_last(struct pp_span *rest)
{
    size_t n = rest->n;
    while (n > 0 && rest->p[n - 1] != ',')
        n--;
    struct pp_span item = pp_span_trim(pp_span(rest->p + n, rest->n - n));
    rest->n = n > 0 ? n - 1 : 0;
    return item;
}

/* The field lines of that name, the last first: fills <line> and says how many, at most <most>. */
static size_t lines_of(const struct pp_http_msg *m, struct pp_span name,
                       const struct pp_http_field **line, size_t most)
{
    size_t n = 0;
    const struct pp_http_field *f = pp_http_msg_find(m, name);
    for (; f != NULL; f = pp_http_msg_find_next(m, f)) {
        if (n == most) { /* only the last ones count */
            memmove(line, line + 1, (most - 1) * sizeof(*line));
            n--;
        }
        line[n++] = f;
    }
    return n;
}

/* The client that the field names, into *out; false: it names none. */
static bool find(const struct real_ip *r, const struct pp_http_msg *m, struct pp_sock_addr *out)
{
    const struct pp_http_field *line[16];
    bool found = false;
    for (size_t i = lines_of(m, r->header, line, PP_COUNT_OF(line)); i > 0; i--) {
        struct pp_span rest = pp_http_field_value(line[i - 1]);
        while (rest.n > 0) {
            struct pp_sock_addr address;
            struct pp_span item = take_last(&rest);
            if (item.n == 0)
                continue;
            if (!parse(item, &address))
                return found;
            *out = address;
            found = true;
            if (!r->recursive || !pp_filter_ranges_has(&r->trusted, &address))
                return true;
        }
    }
    return found;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    const struct real_ip *r = self;
    struct pp_sock_addr address, *nearest;
    (void)phase;
    if (x->nearest != NULL || !pp_filter_ranges_has(&r->trusted, &x->client) ||
        !find(r, &x->request, &address))
        return PP_NEXT;
    nearest = pp_arena_alloc(&x->arena, sizeof(*nearest));
    if (nearest == NULL)
        return pp_filter_failed(x, PP_ENOMEM);
    *nearest = x->client;
    x->nearest = nearest;
    x->client = address;
    return PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "real_ip", .run = run};

const struct pp_filter_kind pp_filter_real_ip_kind = {
    .name = "real_ip",
    .phases = PP_PHASE_BIT(EARLY_REQUEST) | PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
