/* Writing trees: see route/radix.h for the layout of a node. */
#include "base/mem.h"
#include "route/pattern.h"
#include "route/radix_impl.h"

enum { TEXT_MAX = 255, SKIP_MAX = 255, LINE = 64 };

void pp_radix_fini(struct pp_radix *t)
{
    pp_mem_free(t->block);
    *t = (struct pp_radix){NULL, NULL, 0, 0};
}

int pp_radix_compare(const struct pp_radix_item *a, const struct pp_radix_item *b)
{
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    int rc = memcmp(a->key, b->key, PP_MIN(a->key_n, b->key_n));
    if (rc != 0)
        return rc;
    if (a->key_n != b->key_n)
        return a->key_n < b->key_n ? -1 : 1;
    if (a->entry.priority != b->entry.priority)
        return a->entry.priority > b->entry.priority ? -1 : 1;
    return (int)(a->entry.methods == UINT32_MAX) - (int)(b->entry.methods == UINT32_MAX);
}

/* Merge the sorted runs [a, mid) and [mid, end) into <out>. */
static void merge(const struct pp_radix_item *a, const struct pp_radix_item *mid,
                  const struct pp_radix_item *end, struct pp_radix_item *out)
{
    const struct pp_radix_item *b = mid;
    while (a < mid && b < end)
        *out++ = pp_radix_compare(a, b) <= 0 ? *a++ : *b++;
    while (a < mid)
        *out++ = *a++;
    while (b < end)
        *out++ = *b++;
}

/* Bottom-up merge sort: stable, no recursion, no bad case. Runs that are in order already are only
 * copied, so tables that were written in order cost one pass of compares for each doubling. */
void pp_radix_sort(struct pp_radix_item *item, struct pp_radix_item *spare, uint32_t n)
{
    struct pp_radix_item *from = item, *to = spare;
    for (uint64_t run = 1; run < n; run *= 2) {
        for (uint64_t lo = 0; lo < n; lo += 2 * run) {
            uint64_t mid = PP_MIN(lo + run, n), end = PP_MIN(lo + 2 * run, n);
            if (mid == end || pp_radix_compare(&from[mid - 1], &from[mid]) <= 0)
                memcpy(to + lo, from + lo, (size_t)(end - lo) * sizeof(*from));
            else
                merge(from + lo, from + mid, from + end, to + lo);
        }
        struct pp_radix_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != item)
        memcpy(item, from, (size_t)n * sizeof(*item));
}

static int grow(struct pp_radix *t, uint32_t n)
{
    uint64_t need = (uint64_t)t->n + n + PP_RADIX_SLACK;
    if (need <= t->cap)
        return PP_OK;
    if (need > UINT32_MAX)
        return PP_ELIMIT;
    uint64_t cap = PP_MIN(PP_MAX(need, (uint64_t)t->cap * 2), UINT32_MAX);
    char *block = pp_mem_resize(t->block, cap);
    if (!block)
        return PP_ENOMEM;
    t->mem = t->block = block;
    t->cap = (uint32_t)cap;
    return PP_OK;
}

int pp_radix_append(struct pp_radix *t, const void *p, uint32_t n, uint32_t *at)
{
    if (n > UINT32_MAX / 2)
        return PP_ELIMIT;
    int rc = grow(t, pp_radix_impl_pad4(n));
    if (rc != PP_OK)
        return rc;
    memset(t->mem + t->n, 0, pp_radix_impl_pad4(n));
    if (p)
        memcpy(t->mem + t->n, p, n);
    *at = t->n;
    t->n += pp_radix_impl_pad4(n);
    return PP_OK;
}

int pp_radix_freeze(struct pp_radix *t)
{
    uint32_t n = t->n;
    char *block = pp_mem_alloc((size_t)n + PP_RADIX_SLACK + LINE - 1);
    if (!block)
        return PP_ENOMEM;
    char *mem = block + (LINE - (uintptr_t)block % LINE) % LINE;
    memcpy(mem, t->mem, n);
    memset(mem + n, 0, PP_RADIX_SLACK);
    pp_mem_free(t->block);
    *t = (struct pp_radix){mem, block, n, n + PP_RADIX_SLACK};
    return PP_OK;
}

/* Items [lo, hi) agree on their first <depth> bytes and wait for their node; its offset goes to
 * <patch>. */
struct pending {
    uint32_t lo, hi, depth, patch;
    bool adjoins; /* its parent's skip leads to it */
};

/* The items of one node, sorted into what becomes of them. */
struct split {
    uint32_t text_n;    /* literal bytes that all have in common */
    uint32_t at;        /* depth behind them */
    uint32_t exact_end; /* [lo, exact_end) end here */
    uint32_t name_end;  /* [exact_end, name_end) go on with a {name} */
    uint32_t star_end;  /* [name_end, star_end) go on with a star */
    uint32_t n_child;   /* [star_end, hi) go on with this many different bytes */
};

static bool is_mark(char c)
{
    return (unsigned char)c <= PP_PATTERN_STAR;
}

static void split_items(const struct pp_radix_item *item, const struct pending *w, struct split *s)
{
    const struct pp_radix_item *first = &item[w->lo], *last = &item[w->hi - 1];
    uint32_t end = PP_MIN(PP_MIN(first->key_n, last->key_n), w->depth + TEXT_MAX), at = w->depth;
    /* Sorted: what the first and the last have in common, all have. */
    while (at < end && first->key[at] == last->key[at] && !is_mark(first->key[at]))
        at++;
    uint32_t i = w->lo;
    while (i < w->hi && item[i].key_n == at)
        i++;
    s->exact_end = i;
    while (i < w->hi && item[i].key[at] == PP_PATTERN_NAME)
        i++;
    s->name_end = i;
    while (i < w->hi && item[i].key[at] == PP_PATTERN_STAR)
        i++;
    s->star_end = i;
    s->text_n = at - w->depth;
    s->at = at;
    s->n_child = 0;
    for (; i < w->hi; i++)
        s->n_child += i == s->star_end || item[i].key[at] != item[i - 1].key[at];
}

static uint32_t leaf_bytes(uint32_t n)
{
    return n ? (uint32_t)sizeof(struct pp_radix_leaf) + n * (uint32_t)sizeof(struct pp_radix_entry)
             : 0;
}

static void write_leaf(char **at, const struct pp_radix_item *item, uint32_t n)
{
    if (n == 0)
        return;
    struct pp_radix_leaf *leaf = (struct pp_radix_leaf *)*at;
    leaf->n = n;
    for (uint32_t i = 0; i < n; i++)
        leaf->entry[i] = item[i].entry;
    *at += leaf_bytes(n);
}

/* Bytes of all nodes from <depth> on when no other key shares them. */
static uint32_t tail_bytes(const struct pp_radix_item *it, uint32_t depth)
{
    uint32_t total = 0, text_n = 0, at = depth;
    for (; at < it->key_n && it->key[at] != PP_PATTERN_STAR; at++) {
        text_n++;
        if (it->key[at] == PP_PATTERN_NAME) {
            total += pp_radix_impl_pad4((uint32_t)sizeof(struct pp_radix_node) + text_n - 1) + 4;
            text_n = 0;
        }
    }
    return total + pp_radix_impl_pad4((uint32_t)sizeof(struct pp_radix_node) + text_n) +
           leaf_bytes(1);
}

/* What fits in one cache line shall not lie in two: start the next line before <bytes> that would
 * cross into it. Costs a fifth more memory and spares large tables a miss or two for each lookup.
 */
static int start_line(struct pp_radix *t, uint32_t bytes)
{
    uint32_t left = LINE - t->n % LINE, at;
    if (bytes <= left || bytes > LINE)
        return PP_OK;
    return pp_radix_append(t, NULL, left, &at);
}

/* Write one node and leave its children in <stack>. */
static int write_node(struct pp_radix *t, const struct pp_radix_item *item, struct pending w,
                      struct pending *stack, uint32_t *top)
{
    struct split s;
    split_items(item, &w, &s);
    uint32_t n_exact = s.exact_end - w.lo, n_star = s.star_end - s.name_end;
    bool has_name = s.name_end > s.exact_end;
    uint32_t offsets =
        pp_radix_impl_pad4((uint32_t)sizeof(struct pp_radix_node) + s.text_n + s.n_child);
    uint64_t bytes = (uint64_t)offsets + 4 * (s.n_child + has_name) + 8 +
                     sizeof(struct pp_radix_entry) * ((uint64_t)n_exact + n_star);
    if (bytes > UINT32_MAX / 2)
        return PP_ELIMIT;
    bytes = offsets + 4 * (s.n_child + has_name) + leaf_bytes(n_exact) + leaf_bytes(n_star);
    uint32_t at;
    int rc = PP_OK;
    if (w.patch && !w.adjoins)
        rc = start_line(t, w.hi - w.lo == 1 ? tail_bytes(&item[w.lo], w.depth) : (uint32_t)bytes);
    if (rc == PP_OK)
        rc = pp_radix_append(t, NULL, (uint32_t)bytes, &at);
    if (rc != PP_OK)
        return rc;
    if (w.patch)
        memcpy(t->mem + w.patch, &at, 4);

    struct pp_radix_node *nd = (struct pp_radix_node *)(t->mem + at);
    nd->text_n = (uint8_t)s.text_n;
    nd->n_child = (uint8_t)s.n_child;
    nd->flags = (uint8_t)((has_name ? PP_RADIX_HAS_NAME : 0) | (n_exact ? PP_RADIX_HAS_EXACT : 0) |
                          (n_star ? PP_RADIX_HAS_STAR : 0));
    bool adjoins = bytes / sizeof(*nd) <= SKIP_MAX && (s.n_child == 1 || (!s.n_child && has_name));
    nd->skip = adjoins ? (uint8_t)(bytes / sizeof(*nd)) : 0;
    memcpy(nd + 1, item[w.lo].key + w.depth, s.text_n);
    char *leaf = t->mem + at + offsets + 4 * (s.n_child + has_name);
    write_leaf(&leaf, item + w.lo, n_exact);
    write_leaf(&leaf, item + s.name_end, n_star);

    /* Pushed last is written first: the first child, or else the {name} child, comes right behind
     * its parent. */
    char *first = (char *)(nd + 1) + s.text_n;
    uint32_t patch = at + offsets + 4 * s.n_child, hi = w.hi;
    if (has_name)
        stack[(*top)++] =
            (struct pending){s.exact_end, s.name_end, s.at + 1, patch, adjoins && !s.n_child};
    for (uint32_t child = s.n_child; child-- > 0;) {
        uint32_t lo = hi - 1;
        first[child] = item[lo].key[s.at];
        while (lo > s.star_end && item[lo - 1].key[s.at] == first[child])
            lo--;
        patch -= 4;
        stack[(*top)++] = (struct pending){lo, hi, s.at + 1, patch, adjoins};
        hi = lo;
    }
    return PP_OK;
}

int pp_radix_build(struct pp_radix *t, const struct pp_radix_item *item, uint32_t n)
{
    /* Waiting ranges are disjoint and not empty: <n> places are enough. */
    struct pending *stack = pp_mem_alloc((size_t)n * sizeof(*stack));
    if (!stack)
        return PP_ENOMEM;
    int rc = PP_OK;
    uint32_t top = 0;
    stack[top++] = (struct pending){0, n, 0, 0, false};
    while (top > 0 && rc == PP_OK) {
        top--;
        rc = write_node(t, item, stack[top], stack, &top);
    }
    pp_mem_free(stack);
    return rc;
}
