/* The draft of a router: checks what is added and keeps it; router.c compiles it. */
#include <stdio.h>

#include "base/mem.h"
#include "route/pattern.h"
#include "route/router_impl.h"

struct pp_router_draft *pp_router_draft_new(void)
{
    struct pp_router_draft *d = pp_mem_zalloc(sizeof(*d));
    if (d)
        d->seed = 0x9e3779b97f4a7c15u;
    return d;
}

void pp_router_draft_free(struct pp_router_draft *d)
{
    if (!d)
        return;
    pp_mem_free(d->addition);
    pp_mem_free(d->text);
    pp_mem_free(d);
}

void pp_router_draft_seed(struct pp_router_draft *d, uint64_t seed)
{
    d->seed = seed;
}

static int refuse(char *why, const char *text)
{
    snprintf(why, PP_PATTERN_WHY_BYTES, "%s", text);
    return PP_EINVAL;
}

static bool is_host_byte(unsigned char c)
{
    return (unsigned)(c - 'a') < 26u || (unsigned)(c - '0') < 10u || c == '-' || c == '_' ||
           c == '.';
}

/* "[...]" of hexadecimal digits, colons and dots; that it is a good address is for those who
 * resolve it. */
static int check_address(struct pp_span host, char *why)
{
    if (host.n < 4 || host.p[host.n - 1] != ']')
        return refuse(why, "host: an IPv6 address is written [address], without port");
    for (size_t i = 1; i + 1 < host.n; i++) {
        char c = host.p[i];
        if (!((unsigned)(c - 'a') < 6u || (unsigned)(c - '0') < 10u || c == ':' || c == '.'))
            return refuse(why, "host: a character that an IPv6 address may not hold");
    }
    return PP_OK;
}

/* Labels of letters, digits, "-" and "_", none of them empty; <wild> ones begin with a dot. */
static int check_labels(struct pp_span host, bool wild, char *why)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (c == ':')
            return refuse(why, "host: routes match without port");
        if (c == '*')
            return refuse(why, "host: a star stands only at the beginning, as in *.example.com");
        if (!is_host_byte((unsigned char)c))
            return refuse(why, "host: not a character of host names (IDN is written xn--...)");
        if (c == '.' && (i + 1 == host.n || (i == 0 ? !wild : host.p[i - 1] == '.')))
            return refuse(why, "host: an empty label");
    }
    return PP_OK;
}

/* Bring <text> into the table's form at <out> (room for PP_ROUTER_HOST_BYTES_MAX + 1). */
static int fold_host(struct pp_span text, char *out, size_t *out_n, char *why)
{
    *out_n = 0;
    if (text.n == 1 && text.p[0] == '*')
        return PP_OK;
    bool wild = text.n >= 2 && text.p[0] == '*' && text.p[1] == '.';
    struct pp_span host = wild ? pp_span(text.p + 1, text.n - 1) : text;
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n > PP_ROUTER_HOST_BYTES_MAX)
        return refuse(why, "host: longer than 253 bytes");
    pp_span_copy_lower(out, host);
    *out_n = host.n;
    if (host.n > 0 && out[0] == '[')
        return check_address(pp_span(out, host.n), why);
    return check_labels(pp_span(out, host.n), wild, why);
}

/* Room for one more addition with <text_n> bytes of text. */
static int reserve(struct pp_router_draft *d, size_t text_n)
{
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : 16;
        if (cap > UINT32_MAX / sizeof(*d->addition))
            return PP_ELIMIT;
        struct pp_router_addition *p = pp_mem_resize(d->addition, cap * sizeof(*p));
        if (!p)
            return PP_ENOMEM;
        d->addition = p;
        d->cap = cap;
    }
    uint64_t need = (uint64_t)d->text_n + text_n;
    if (need <= d->text_cap)
        return PP_OK;
    if (need > UINT32_MAX / 2)
        return PP_ELIMIT;
    uint64_t cap = PP_MAX(need * 2, 1024);
    char *text = pp_mem_resize(d->text, cap);
    if (!text)
        return PP_ENOMEM;
    d->text = text;
    d->text_cap = (uint32_t)cap;
    return PP_OK;
}

static uint32_t copy_text(struct pp_router_draft *d, const char *p, size_t n)
{
    uint32_t at = d->text_n;
    if (n)
        memcpy(d->text + at, p, n);
    d->text_n += (uint32_t)n;
    return at;
}

int pp_router_draft_add(struct pp_router_draft *d, struct pp_span host, struct pp_span path,
                        pp_router_methods methods, int priority, uint32_t route, char *why)
{
    char folded[PP_ROUTER_HOST_BYTES_MAX + 1];
    size_t host_n;
    if (methods == 0)
        return refuse(why, "methods: a route without any is never taken");
    int rc = fold_host(host, folded, &host_n, why);
    if (rc == PP_OK)
        rc = pp_pattern_check(path, why);
    if (rc != PP_OK)
        return rc;
    rc = reserve(d, host_n + path.n);
    if (rc != PP_OK) {
        snprintf(why, PP_PATTERN_WHY_BYTES, "%s", pp_err_text(rc));
        return rc;
    }
    struct pp_router_addition *a = &d->addition[d->n++];
    a->host_at = copy_text(d, folded, host_n);
    a->host_n = (uint16_t)host_n;
    a->path_at = copy_text(d, path.p, path.n);
    a->path_n = (uint16_t)path.n;
    a->methods = methods;
    a->priority = priority;
    a->route = route;
    a->shadowed_by = PP_ID_NONE;
    a->predicate = NULL;
    return PP_OK;
}

void pp_router_draft_set_predicate(struct pp_router_draft *d, const struct pp_predicate *p)
{
    d->addition[d->n - 1].predicate = p;
}
