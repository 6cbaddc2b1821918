/* Saying why a request takes the route it takes. Candidates are found and ordered here by the plain
 * definition of the precedence, by looking at every addition; the chosen one is what pp_router_find
 * says. So a difference between the two would show. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "route/pattern.h"
#include "route/router_impl.h"

enum { WHY_BYTES = 400 };
enum host_rank { HOST_EXACT = 0, HOST_SUFFIX = 1, HOST_ANY = 2, HOST_NO_MATCH = 3 };

struct candidate {
    uint32_t pattern;
    enum host_rank rank;
    bool takes_method;
    bool holds; /* its predicate, if it has one */
};

static bool is_taking(const struct candidate *c)
{
    return c->takes_method && c->holds;
}

struct candidates {
    const struct pp_router *r;
    struct candidate *c;
    uint32_t n;
};

static const char *const rule_text[] = {
    "",
    "rule 1 (host)",
    "rule 2 (priority)",
    "rule 3 (path)",
    "rule 4 (named method)",
    "rule 5 (order)",
};

static enum host_rank rank_host(struct pp_span want, struct pp_span host)
{
    if (want.n == 0)
        return HOST_ANY;
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    if (host.n > PP_ROUTER_HOST_BYTES_MAX)
        return HOST_NO_MATCH;
    if (want.p[0] != '.')
        return pp_span_eq(want, host) ? HOST_EXACT : HOST_NO_MATCH;
    bool ends = host.n > want.n && memcmp(host.p + host.n - want.n, want.p, want.n) == 0;
    return ends ? HOST_SUFFIX : HOST_NO_MATCH;
}

static bool is_path_match(const struct pp_router *r, const struct pp_router_addition *a,
                          struct pp_span path)
{
    char key[PP_PATTERN_BYTES_MAX];
    size_t n = pp_pattern_compile(pp_router_impl_path(r, a), key);
    return pp_pattern_match(pp_span(key, n), path);
}

static int compare_paths(const struct pp_router *r, const struct pp_router_addition *a,
                         const struct pp_router_addition *b)
{
    char key_a[PP_PATTERN_BYTES_MAX], key_b[PP_PATTERN_BYTES_MAX];
    size_t n_a = pp_pattern_compile(pp_router_impl_path(r, a), key_a);
    size_t n_b = pp_pattern_compile(pp_router_impl_path(r, b), key_b);
    return pp_pattern_compare(pp_span(key_a, n_a), pp_span(key_b, n_b));
}

/* Negative when <a> goes before <b>; *rule is the number of the rule that says so. */
static int compare(const struct pp_router *r, const struct candidate *a, const struct candidate *b,
                   unsigned *rule)
{
    const struct pp_router_addition *p = &r->addition[a->pattern], *q = &r->addition[b->pattern];
    *rule = 1;
    if (a->rank != b->rank)
        return (int)a->rank - (int)b->rank;
    if (p->host_n != q->host_n)
        return (int)q->host_n - (int)p->host_n;
    *rule = 2;
    if (p->priority != q->priority)
        return p->priority > q->priority ? -1 : 1;
    *rule = 3;
    int rc = compare_paths(r, p, q);
    if (rc != 0)
        return rc;
    *rule = 4;
    bool any_a = p->methods == PP_ROUTER_ANY_METHOD, any_b = q->methods == PP_ROUTER_ANY_METHOD;
    if (any_a != any_b)
        return any_a ? 1 : -1;
    *rule = 5;
    return a->pattern < b->pattern ? -1 : 1;
}

/* Does the predicate of <a> hold? <out> gets what decided. */
static int ask(const struct pp_router_addition *a, const struct pp_router_query *q, bool *holds,
               char *out, size_t size)
{
    *holds = a->predicate == NULL;
    out[0] = 0;
    if (a->predicate == NULL || q->input == NULL)
        return PP_OK;
    return pp_predicate_explain(a->predicate, q->input, holds, out, size);
}

/* All that match by host and path, in the order in which they were added. */
static int collect(struct candidates *all, const struct pp_router_query *q)
{
    const struct pp_router *r = all->r;
    char decided[WHY_BYTES];
    uint32_t cap = 0, bit = q->method < 32 ? 1u << q->method : 1u;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct pp_router_addition *a = &r->addition[i];
        enum host_rank rank = rank_host(pp_router_impl_host(r, a), q->host);
        if (rank == HOST_NO_MATCH || !is_path_match(r, a, q->path))
            continue;
        if (all->n == cap) {
            cap = cap ? cap * 2 : 16;
            struct candidate *c = pp_mem_resize(all->c, cap * sizeof(*c));
            if (!c)
                return PP_ENOMEM;
            all->c = c;
        }
        struct candidate *c = &all->c[all->n++];
        *c = (struct candidate){i, rank, (a->methods & bit) != 0, true};
        int rc = ask(a, q, &c->holds, decided, sizeof(decided));
        if (rc != PP_OK)
            return rc;
    }
    return PP_OK;
}

/* Shell sort: candidates are few, and with thousands it still ends soon. */
static void sort(struct candidates *all)
{
    unsigned rule;
    for (uint32_t gap = all->n / 2; gap > 0; gap /= 2) {
        for (uint32_t i = gap; i < all->n; i++) {
            struct candidate moved = all->c[i];
            uint32_t j = i;
            for (; j >= gap && compare(all->r, &moved, &all->c[j - gap], &rule) < 0; j -= gap)
                all->c[j] = all->c[j - gap];
            all->c[j] = moved;
        }
    }
}

/* "host *.example.com, path /a/{id}, priority 3: " */
static size_t describe(const struct pp_router *r, uint32_t pattern, char *out, size_t size)
{
    const struct pp_router_addition *a = &r->addition[pattern];
    struct pp_span host = pp_router_impl_host(r, a), path = pp_router_impl_path(r, a);
    bool wild = host.n > 0 && host.p[0] == '.';
    if (host.n == 0)
        host = PP_SPAN("any");
    int n =
        snprintf(out, size, "host %s%.*s, path %.*s%s, priority %d: ", wild ? "*" : "", (int)host.n,
                 host.p, (int)PP_MIN(path.n, 200), path.p, path.n > 200 ? "..." : "", a->priority);
    return n < 0 ? 0 : PP_MIN((size_t)n, size - 1);
}

/* The line about candidate <i>; <won> is the index of the chosen one, or <all->n>. */
static void give_reason(const struct candidates *all, uint32_t i, uint32_t won,
                        const struct pp_router_query *q, char *out, size_t size)
{
    char decided[WHY_BYTES];
    const struct candidate *c = &all->c[i];
    unsigned rule = 0;
    size_t n = describe(all->r, c->pattern, out, size);
    out += n;
    size -= n;
    if (!c->takes_method) {
        snprintf(out, size, "passed over, does not take the method");
    } else if (!c->holds) {
        bool holds;
        if (ask(&all->r->addition[c->pattern], q, &holds, decided, sizeof(decided)) != PP_OK)
            decided[0] = 0;
        snprintf(out, size, "passed over, %s",
                 decided[0] ? decided : "its predicate does not hold");
    } else if (i == won) {
        uint32_t second = i + 1;
        while (second < all->n && !is_taking(&all->c[second]))
            second++;
        if (second == all->n) {
            snprintf(out, size, "chosen, nothing else takes the request");
            return;
        }
        compare(all->r, c, &all->c[second], &rule);
        snprintf(out, size, "chosen before the next by %s", rule_text[rule]);
    } else if (won < all->n) {
        compare(all->r, &all->c[won], c, &rule);
        snprintf(out, size, "not taken, loses by %s", rule_text[rule]);
    } else {
        snprintf(out, size, "not taken");
    }
}

int pp_router_explain(const struct pp_router *r, const struct pp_router_query *q,
                      pp_router_explain_fn fn, void *arg)
{
    struct pp_router_hit hit;
    pp_router_methods allowed = 0;
    struct candidates all = {r, NULL, 0};
    char reason[PP_ROUTER_HOST_BYTES_MAX + 400 + WHY_BYTES];

    int rc = collect(&all, q);
    if (rc != PP_OK)
        goto out;
    sort(&all);
    rc = pp_router_find(r, q, &hit, &allowed);
    uint32_t won = all.n, first = 0;
    for (uint32_t i = 0; i < all.n && rc == PP_OK; i++)
        if (all.c[i].pattern == hit.pattern)
            won = i;
    while (first < all.n && !is_taking(&all.c[first]))
        first++;
    /* The tree and the plain definition must agree. */
    (void)PP_EXPECT(won == first);
    for (uint32_t i = 0; i < all.n; i++) {
        give_reason(&all, i, won, q, reason, sizeof(reason));
        fn(arg, r->addition[all.c[i].pattern].route, i == won, reason);
    }
out:
    pp_mem_free(all.c);
    return rc;
}
