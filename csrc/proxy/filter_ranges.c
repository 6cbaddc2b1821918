#include "proxy/filter_ranges.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct pp_cidr *one = a, *other = b;
    int order = memcmp(one->ip, other->ip, sizeof(one->ip));
    return order != 0 ? order : (int)one->bits - (int)other->bits;
}

/* Sort, and leave out what lies in another: that one stands before it then. Returns how many are
 * left. */
static uint32_t settle(struct pp_cidr *range, uint32_t n, bool v6)
{
    uint32_t kept = 0;
    if (n > 0)
        qsort(range, n, sizeof(*range), compare);
    for (uint32_t i = 0; i < n; i++) {
        if (kept == 0 || !pp_cidr_has(&range[kept - 1], range[i].ip, v6))
            range[kept++] = range[i];
    }
    return kept;
}

int pp_filter_ranges_make(struct pp_filter_make *m, const struct pp_options *o, const char *key,
                          struct pp_filter_ranges *out)
{
    const struct pp_options *list = pp_options_get_list(o, key, &m->fault);
    struct pp_cidr *v4 = pp_arena_alloc(m->arena, list->n * sizeof(*v4));
    struct pp_cidr *v6 = pp_arena_alloc(m->arena, list->n * sizeof(*v6));
    memset(out, 0, sizeof(*out));
    if (v4 == NULL || v6 == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < list->n; i++) {
        struct pp_span text = pp_options_text(&list->as.item[i], key, &m->fault);
        struct pp_cidr range;
        if (pp_span_eq(text, PP_SPAN("unix"))) {
            out->unix_sockets = true;
            continue;
        }
        memset(&range, 0, sizeof(range)); /* what IPv4 leaves is compared, too */
        if (pp_cidr_parse(text, &range) != PP_OK)
            return pp_filter_refuse(m, "not a network:", text);
        *(range.v6 ? &v6[out->n6++] : &v4[out->n4++]) = range;
    }
    out->n4 = settle(v4, out->n4, false);
    out->n6 = settle(v6, out->n6, true);
    out->v4 = v4;
    out->v6 = v6;
    return PP_OK;
}

/* The only range that can have <ip> is the last that does not begin behind it. */
static bool find(const struct pp_cidr *range, uint32_t n, const uint8_t *ip, size_t size, bool v6)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (memcmp(range[mid].ip, ip, size) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low > 0 && pp_cidr_has(&range[low - 1], ip, v6);
}

bool pp_filter_ranges_has(const struct pp_filter_ranges *r, const struct pp_sock_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (a->family == AF_INET)
        return find(r->v4, r->n4, a->ip, 4, false);
    if (a->family == AF_UNIX)
        return r->unix_sockets;
    if (a->family != AF_INET6)
        return false;
    if (memcmp(a->ip, mapped, sizeof(mapped)) == 0)
        return find(r->v4, r->n4, a->ip + 12, 4, false);
    return find(r->v6, r->n6, a->ip, 16, true);
}
