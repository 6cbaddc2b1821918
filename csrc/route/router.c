#include "base/mem.h"
#include "route/pattern.h"
#include "route/router_impl.h"

/* ---- host table ---- */

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Eight bytes a step, each folded in with a full multiplication. Keyed by the seed that stands in
 * the tree's first bytes. */
static inline uint64_t hash_host(uint64_t seed, const char *p, size_t n)
{
    uint64_t h = seed ^ (n * 0xa0761d6478bd642fu), v;
    for (; n >= 8; n -= 8, p += 8) {
        memcpy(&v, p, 8);
        h = mix(h ^ v, 0xe7037ed1a0b428dbu);
    }
    if (n >= 4) {
        uint32_t lo, hi;
        memcpy(&lo, p, 4);
        memcpy(&hi, p + n - 4, 4);
        v = (uint64_t)lo << 32 | hi;
    } else {
        v = n ? (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n >> 1] << 8 |
                    (unsigned char)p[n - 1]
              : 0;
    }
    return mix(h ^ v, 0x8ebc6af09c88c6e3u);
}

/* Equality of short texts without a call: overlapping loads cover any length. */
static inline bool is_same(const char *a, const char *b, size_t n)
{
    uint64_t x, y, differ = 0;
    if (n < 8)
        return memcmp(a, b, n) == 0;
    for (size_t i = 0; i + 8 < n; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        differ |= x ^ y;
    }
    memcpy(&x, a + n - 8, 8);
    memcpy(&y, b + n - 8, 8);
    return (differ | (x ^ y)) == 0;
}

static inline uint64_t seed_of(const struct pp_router *r)
{
    uint64_t seed;
    memcpy(&seed, r->tree.mem, sizeof(seed));
    return seed;
}

static inline const struct pp_router_host *host_at(const struct pp_router *r, uint32_t at)
{
    return (const struct pp_router_host *)(const void *)(r->tree.mem + at);
}

static inline uint32_t root_behind(const struct pp_router *r, uint32_t at)
{
    return at +
           (((uint32_t)sizeof(struct pp_router_host) + host_at(r, at)->host_n + 3) & ~(uint32_t)3);
}

/* host record of exactly this text, or 0. */
static inline uint32_t find_host(const struct pp_router *r, struct pp_span host)
{
    uint64_t h = hash_host(seed_of(r), host.p, host.n);
    for (uint32_t i = (uint32_t)h & r->slot_mask;; i = (i + 1) & r->slot_mask) {
        const struct pp_router_slot *s = &r->slot[i];
        if (s->at == 0)
            return 0;
        if (s->tag != (uint32_t)(h >> 32))
            continue;
        const struct pp_router_host *head = host_at(r, s->at);
        if (head->host_n == host.n && is_same((const char *)(head + 1), host.p, host.n))
            return s->at;
    }
}

static void put_host(struct pp_router *r, struct pp_span host, uint32_t at)
{
    uint64_t h = hash_host(seed_of(r), host.p, host.n);
    uint32_t i = (uint32_t)h & r->slot_mask;
    while (r->slot[i].at != 0)
        i = (i + 1) & r->slot_mask;
    r->slot[i] = (struct pp_router_slot){(uint32_t)(h >> 32), at};
    if (host.p[0] == '.') {
        r->suffix_max = PP_MAX(r->suffix_max, (uint32_t)host.n);
        r->suffix_min = PP_MIN(r->suffix_min, (uint32_t)host.n);
    }
}

/* ---- compiling ---- */

/* What compiling needs and a router does not keep. */
struct bench {
    struct pp_radix_item *item, *spare;
    char *key;
    uint32_t *group; /* open addressing over the additions: 1 + the first one with that host */
    uint32_t group_mask;
    uint32_t n_host; /* different hosts, the empty one not counted */
};

static void clear_bench(struct bench *b)
{
    pp_mem_free(b->item);
    pp_mem_free(b->spare);
    pp_mem_free(b->key);
    pp_mem_free(b->group);
}

/* Power of two that leaves at least half of the places free for <n>. */
static uint32_t table_size(uint32_t n)
{
    uint32_t size = 4;
    while (size / 2 < n)
        size *= 2;
    return size;
}

static int set_bench(struct bench *b, const struct pp_router_draft *d)
{
    uint32_t size = table_size(d->n);
    if (d->n > UINT32_MAX / 4 / sizeof(*b->item))
        return PP_ELIMIT;
    b->item = pp_mem_alloc(d->n * sizeof(*b->item));
    b->spare = pp_mem_alloc(d->n * sizeof(*b->spare));
    b->key = pp_mem_alloc(d->text_n);
    b->group = pp_mem_zalloc(size * sizeof(*b->group));
    b->group_mask = size - 1;
    return b->item && b->spare && b->key && b->group ? PP_OK : PP_ENOMEM;
}

/* The first addition with the same host as <a>: names the group. */
static uint32_t group_of(const struct pp_router *r, struct bench *b, uint32_t a)
{
    struct pp_span host = pp_router_impl_host(r, &r->addition[a]);
    uint32_t i = (uint32_t)hash_host(seed_of(r), host.p, host.n) & b->group_mask;
    for (;; i = (i + 1) & b->group_mask) {
        if (b->group[i] == 0) {
            b->group[i] = a + 1;
            b->n_host += host.n > 0;
            return a;
        }
        if (pp_span_eq(host, pp_router_impl_host(r, &r->addition[b->group[i] - 1])))
            return b->group[i] - 1;
    }
}

static void fill_items(const struct pp_router *r, struct bench *b)
{
    char *key = b->key;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct pp_router_addition *a = &r->addition[i];
        struct pp_radix_item *it = &b->item[i];
        it->key = key;
        it->key_n = (uint32_t)pp_pattern_compile(pp_router_impl_path(r, a), key);
        it->group = group_of(r, b, i);
        it->entry = (struct pp_radix_entry){a->methods, a->route, i, a->priority};
        key += it->key_n;
    }
}

/* The index of <v> among the variables of keys, a new one when there is room; else PP_ID_NONE. */
static uint32_t index_variable(struct pp_router *r, const struct pp_variable *v)
{
    for (uint32_t i = 0; i < r->n_key_variable; i++)
        if (r->key_variable[i]->kind == v->kind && pp_span_eq(r->key_variable[i]->name, v->name))
            return i;
    if (r->n_key_variable == PP_ROUTER_KEYS_MAX)
        return PP_ID_NONE;
    r->key_variable[r->n_key_variable] = v;
    return r->n_key_variable++;
}

static int set_keys(struct pp_router *r)
{
    for (uint32_t i = 0; i < r->n; i++)
        r->guarded |= r->addition[i].predicate != NULL;
    if (!r->guarded)
        return PP_OK;
    r->key = pp_mem_alloc(r->n * sizeof(*r->key));
    if (!r->key)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct pp_predicate *p = r->addition[i].predicate;
        struct pp_router_key *key = &r->key[i];
        const struct pp_variable *v = p ? pp_predicate_key(p, &key->hash) : NULL;
        key->variable = v ? index_variable(r, v) : PP_ID_NONE;
        key->predicate = p;
    }
    return PP_OK;
}

/* Within items of one host and one key, in order of rank: which are never reached, and whose fault
 * is it? */
static void mark_shadowed(struct pp_router *r, const struct pp_radix_item *item, uint32_t n)
{
    uint32_t taken = 0, by[32];
    for (uint32_t i = 0; i < n; i++) {
        const struct pp_radix_entry *e = &item[i].entry;
        bool same = i > 0 && item[i].group == item[i - 1].group &&
                    pp_span_eq(pp_span(item[i].key, item[i].key_n),
                               pp_span(item[i - 1].key, item[i - 1].key_n));
        if (!same)
            taken = 0;
        uint32_t fresh = e->methods & ~taken;
        if (fresh == 0)
            r->addition[e->pattern].shadowed_by = by[__builtin_ctz(e->methods)];
        if (r->addition[e->pattern].predicate)
            continue; /* what it passes over, others take */
        taken |= fresh;
        for (; fresh; fresh &= fresh - 1)
            by[__builtin_ctz(fresh)] = e->pattern;
    }
}

/* Head, text and tree of one host, the items' own. */
static int write_host(struct pp_router *r, const struct pp_radix_item *item, uint32_t n,
                      uint32_t *at)
{
    struct pp_span host = pp_router_impl_host(r, &r->addition[item->group]);
    char mem[sizeof(struct pp_router_host) + PP_ROUTER_HOST_BYTES_MAX + 1];
    struct pp_router_host head = {(uint16_t)host.n, 0};
    for (uint32_t i = 0; i < n; i++) {
        if (r->addition[item[i].entry.pattern].predicate)
            head.kind = PP_ROUTER_GUARDED;
        else if (item[i].entry.priority != item[0].entry.priority)
            head.kind = PP_MAX(head.kind, PP_ROUTER_MIXED);
    }
    memcpy(mem, &head, sizeof(head));
    memcpy(mem + sizeof(head), host.p, host.n);
    int rc = pp_radix_append(&r->tree, mem, (uint32_t)(sizeof(head) + host.n), at);
    return rc == PP_OK ? pp_radix_build(&r->tree, item, n) : rc;
}

static int write_hosts(struct pp_router *r, const struct bench *b)
{
    if (b->n_host) {
        uint32_t size = table_size(b->n_host);
        r->slot = pp_mem_zalloc(size * sizeof(*r->slot));
        if (!r->slot)
            return PP_ENOMEM;
        r->slot_mask = size - 1;
    }
    for (uint32_t i = 0, end; i < r->n; i = end) {
        for (end = i + 1; end < r->n && b->item[end].group == b->item[i].group; end++)
            ;
        struct pp_span host = pp_router_impl_host(r, &r->addition[b->item[i].group]);
        uint32_t at;
        int rc = write_host(r, &b->item[i], end - i, &at);
        if (rc != PP_OK)
            return rc;
        if (host.n)
            put_host(r, host, at);
        else
            r->any_at = at;
    }
    return pp_radix_freeze(&r->tree);
}

/* The router's own copies of the draft. */
static int copy_draft(struct pp_router *r, const struct pp_router_draft *d)
{
    uint32_t at;
    r->n = d->n;
    r->text_n = d->text_n;
    r->suffix_min = UINT32_MAX;
    r->addition = pp_mem_alloc(d->n * sizeof(*r->addition));
    r->text = pp_mem_alloc(d->text_n);
    if (!r->addition || !r->text)
        return PP_ENOMEM;
    if (d->n) {
        memcpy(r->addition, d->addition, d->n * sizeof(*r->addition));
        memcpy(r->text, d->text, d->text_n);
    }
    /* The seed takes the first bytes, so that no offset that means something is 0. */
    return pp_radix_append(&r->tree, &d->seed, sizeof(d->seed), &at);
}

struct pp_router *pp_router_new(const struct pp_router_draft *d)
{
    struct bench b = {0};
    struct pp_router *r = pp_mem_zalloc(sizeof(*r));
    if (!r)
        return NULL;
    int rc = copy_draft(r, d);
    if (rc == PP_OK)
        rc = set_bench(&b, d);
    if (rc == PP_OK)
        rc = set_keys(r);
    if (rc == PP_OK) {
        fill_items(r, &b);
        pp_radix_sort(b.item, b.spare, r->n);
        mark_shadowed(r, b.item, r->n);
        rc = write_hosts(r, &b);
    }
    clear_bench(&b);
    if (rc == PP_OK)
        return r;
    pp_router_free(r);
    return NULL;
}

void pp_router_free(struct pp_router *r)
{
    if (!r)
        return;
    pp_radix_fini(&r->tree);
    pp_mem_free(r->slot);
    pp_mem_free(r->key);
    pp_mem_free(r->addition);
    pp_mem_free(r->text);
    pp_mem_free(r);
}

/* ---- finding ---- */

/* Walks the host sets of a query, most specific first. */
struct host_walk {
    struct pp_span host;
    size_t next; /* offset at which to look for the next suffix's dot; past the end: only "any" is
                    left */
    enum { STEP_EXACT, STEP_SUFFIX, STEP_ANY, STEP_END } step;
};

static inline void start_hosts(struct host_walk *w, const struct pp_router *r, struct pp_span host)
{
    *w = (struct host_walk){.host = host, .step = STEP_ANY};
    if (!r->slot)
        return;
    if (w->host.n > 1 && w->host.p[w->host.n - 1] == '.')
        w->host.n--;
    if (w->host.n > 0 && w->host.n <= PP_ROUTER_HOST_BYTES_MAX)
        w->step = STEP_EXACT;
}

/* The next suffix of the host that is a wildcard of the table, or 0. */
static uint32_t next_suffix(struct host_walk *w, const struct pp_router *r)
{
    while (w->next < w->host.n) {
        size_t at = w->next;
        w->next++;
        if (w->host.p[at] != '.' || w->host.n - at < r->suffix_min)
            continue;
        uint32_t found = find_host(r, pp_span(w->host.p + at, w->host.n - at));
        if (found)
            return found;
    }
    return 0;
}

/* host record of the next set, 0 at the end. */
static inline uint32_t next_host(struct host_walk *w, const struct pp_router *r)
{
    uint32_t at = 0;
    if (w->step == STEP_EXACT) {
        w->step = r->suffix_max ? STEP_SUFFIX : STEP_ANY;
        /* The first label is never empty; shorter suffixes than the longest wildcard need no look.
         */
        w->next = w->host.n > r->suffix_max ? PP_MAX(w->host.n - r->suffix_max, 1) : 1;
        at = w->host.p[0] == '.' ? 0 : find_host(r, w->host);
        if (at)
            return at;
    }
    if (w->step == STEP_SUFFIX) {
        at = next_suffix(w, r);
        if (at)
            return at;
        w->step = STEP_ANY;
    }
    if (w->step == STEP_ANY) {
        w->step = STEP_END;
        return r->any_at;
    }
    return 0;
}

/* Can the predicate with that key hold? False, too, when its variable cannot be had. */
static bool fits_key(struct pp_router_asking *asking, const struct pp_router_key *key)
{
    struct pp_span value;
    if (key->variable != asking->variable) {
        const struct pp_predicate_input *in = asking->input;
        int rc = in->get(in->arg, asking->r->key_variable[key->variable], &value);
        if (rc != PP_OK && rc != PP_ENOENT)
            asking->rc = rc;
        asking->variable = key->variable;
        asking->has_value = rc == PP_OK;
        asking->hash = rc == PP_OK ? pp_predicate_hash(value) : 0;
    }
    return asking->has_value && asking->hash == key->hash;
}

static bool holds(void *arg, uint32_t pattern)
{
    struct pp_router_asking *asking = arg;
    const struct pp_router_key *key = &asking->r->key[pattern];
    if (key->variable != PP_ID_NONE && asking->input != NULL && !fits_key(asking, key))
        return false;
    const struct pp_predicate *p = key->predicate;
    bool yes = p == NULL;
    if (p != NULL && asking->input != NULL && asking->rc == PP_OK)
        asking->rc = pp_predicate_eval(p, asking->input, &yes);
    return yes && asking->rc == PP_OK;
}

/* In the tree of a host that is not plain. */
static __attribute__((noinline)) int find_special(const struct pp_router *r, uint32_t at,
                                                  const struct pp_router_query *q, uint32_t method,
                                                  struct pp_radix_hit *found, uint32_t *allowed)
{
    struct pp_router_asking asking = {
        .r = r, .input = q->input, .rc = PP_OK, .variable = PP_ID_NONE};
    struct pp_radix_guard guard = {holds, &asking, method == 0};
    if (host_at(r, at)->kind == PP_ROUTER_MIXED)
        return pp_radix_find_mixed(&r->tree, root_behind(r, at), q->path, method, found, allowed);
    int rc = pp_radix_find_guarded(&r->tree, root_behind(r, at), q->path, method, &guard, found,
                                   allowed);
    return asking.rc != PP_OK ? asking.rc : rc;
}

/* The methods that would have done, when there are predicates: once more from the start, for no
 * method, so that a request that finds its route does not pay for this. */
static PP_COLD int find_allowed(const struct pp_router *r, const struct pp_router_query *q,
                                struct pp_span *capture, uint32_t *allowed)
{
    struct pp_radix_hit found = {.capture = capture};
    struct host_walk w;
    uint32_t at;
    start_hosts(&w, r, q->host);
    *allowed = 0;
    while (*allowed == 0 && (at = next_host(&w, r)) != 0) {
        int rc = host_at(r, at)->kind == PP_ROUTER_PLAIN
                     ? pp_radix_find(&r->tree, root_behind(r, at), q->path, 0, &found, allowed)
                     : find_special(r, at, q, 0, &found, allowed);
        if (rc != PP_ENOENT)
            return rc;
    }
    return PP_OK;
}

int pp_router_find(const struct pp_router *r, const struct pp_router_query *q,
                   struct pp_router_hit *hit, pp_router_methods *allowed)
{
    uint32_t method = q->method < 32 ? 1u << q->method : 1u;
    struct pp_radix_hit found;
    struct host_walk w;
    uint32_t at, would = 0;
    found.capture = hit->capture;
    start_hosts(&w, r, q->host);
    while ((at = next_host(&w, r)) != 0) {
        uint32_t here = 0;
        int rc = PP_LIKELY(host_at(r, at)->kind == PP_ROUTER_PLAIN)
                     ? pp_radix_find(&r->tree, root_behind(r, at), q->path, method, &found, &here)
                     : find_special(r, at, q, method, &found, &here);
        if (PP_LIKELY(rc == PP_OK)) {
            hit->route = found.entry->route;
            hit->pattern = found.entry->pattern;
            hit->n_capture = found.n_capture;
            return PP_OK;
        }
        if (PP_UNLIKELY(rc != PP_ENOENT))
            return rc;
        if (!would)
            would = here;
    }
    if (PP_UNLIKELY(r->guarded)) {
        int rc = find_allowed(r, q, hit->capture, &would);
        if (rc != PP_OK)
            return rc;
    }
    if (!would)
        return PP_ENOENT;
    *allowed = would;
    return PP_EMETHOD;
}

/* ---- looking in ---- */

struct pp_span pp_router_capture_name(const struct pp_router *r, uint32_t pattern, unsigned i)
{
    if (pattern >= r->n)
        return PP_SPAN("");
    return pp_pattern_capture_name(pp_router_impl_path(r, &r->addition[pattern]), i);
}

uint32_t pp_router_count(const struct pp_router *r)
{
    return r->n;
}

uint32_t pp_router_route(const struct pp_router *r, uint32_t pattern)
{
    return pattern < r->n ? r->addition[pattern].route : PP_ID_NONE;
}

uint32_t pp_router_shadowed(const struct pp_router *r, uint32_t pattern)
{
    return pattern < r->n ? r->addition[pattern].shadowed_by : PP_ID_NONE;
}

size_t pp_router_bytes(const struct pp_router *r)
{
    return sizeof(*r) + r->tree.cap +
           (r->slot ? (r->slot_mask + (size_t)1) * sizeof(*r->slot) : 0) +
           (r->key ? r->n * sizeof(*r->key) : 0) + r->n * sizeof(*r->addition) + r->text_n;
}
