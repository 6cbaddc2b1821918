#include "route/radix.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/check.h"
#include "base/mem.h"
#include "route/pattern.h"

struct node {
    uint8_t text_n;
    uint8_t n_child;
    uint8_t flags;
    uint8_t skip; /* in units of this struct to the only way on, 0: see its offset */
};

enum { TEXT_MAX = 255, SKIP_MAX = 255, LINE = 64 };

enum { HAS_NAME = 1 << 0, HAS_EXACT = 1 << 1, HAS_STAR = 1 << 2 };

struct leaf {
    uint32_t n;
    struct pp_radix_entry entry[];
};

PP_STATIC_ASSERT(sizeof(struct node) == 4, "child offsets must stay aligned");

static uint32_t pad4(uint32_t n)
{
    return (n + 3) & ~(uint32_t)3;
}

/* ---- building ---- */

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
    int rc = grow(t, pad4(n));
    if (rc != PP_OK)
        return rc;
    memset(t->mem + t->n, 0, pad4(n));
    if (p)
        memcpy(t->mem + t->n, p, n);
    *at = t->n;
    t->n += pad4(n);
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
    return n ? (uint32_t)sizeof(struct leaf) + n * (uint32_t)sizeof(struct pp_radix_entry) : 0;
}

static void write_leaf(char **at, const struct pp_radix_item *item, uint32_t n)
{
    if (n == 0)
        return;
    struct leaf *leaf = (struct leaf *)*at;
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
            total += pad4((uint32_t)sizeof(struct node) + text_n - 1) + 4;
            text_n = 0;
        }
    }
    return total + pad4((uint32_t)sizeof(struct node) + text_n) + leaf_bytes(1);
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
    uint32_t offsets = pad4((uint32_t)sizeof(struct node) + s.text_n + s.n_child);
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

    struct node *nd = (struct node *)(t->mem + at);
    nd->text_n = (uint8_t)s.text_n;
    nd->n_child = (uint8_t)s.n_child;
    nd->flags =
        (uint8_t)((has_name ? HAS_NAME : 0) | (n_exact ? HAS_EXACT : 0) | (n_star ? HAS_STAR : 0));
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

/* ---- finding ---- */

/* A lookup among many keys is a row of branches that nobody can predict, so the steps inside a node
 * avoid them: sixteen bytes are compared at once under a mask, whatever the length. */
enum { STRIDE = 16 };
PP_STATIC_ASSERT(PP_RADIX_SLACK >= STRIDE, "a node's text and first bytes are loaded in strides");

#define INLINE static inline __attribute__((always_inline))

/* A path under way. Strides near its end are loaded from a copy of its last bytes that zeros
 * follow:
 *
 *   path  [ ........................ last sixteen ]
 *   tail                           [ last sixteen | zeros ]  */
struct text {
    const char *p;
    uint32_t n;
    uintptr_t from[2]; /* address of offset 0 seen from the path, and as if the tail were its end */
    char tail[2 * STRIDE];
};

INLINE void set_text(struct text *path, struct pp_span s)
{
    path->p = s.p;
    path->n = (uint32_t)s.n;
    memset(path->tail, 0, sizeof(path->tail));
    if (s.n >= STRIDE)
        memcpy(path->tail, s.p + s.n - STRIDE, STRIDE);
    else if (s.n > 0)
        memcpy(path->tail + STRIDE - s.n, s.p, s.n);
    path->from[0] = (uintptr_t)s.p;
    path->from[1] = (uintptr_t)(path->tail + STRIDE) - s.n;
}

#if defined(__SSE2__)
INLINE __m128i load_node(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

INLINE __m128i load_path(const struct text *path, uint32_t at)
{
    /* A table of two instead of a choice: where the tail begins is as good as random. */
    return load_node((const char *)(path->from[path->n - at < STRIDE] + at));
}

/* Bit i: byte i of both is the same. */
INLINE uint32_t same_bytes(__m128i a, __m128i b)
{
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
}
#endif

/* Does <path> go on with the <n> bytes of a node at <p>? */
INLINE bool goes_on_with(const struct text *path, uint32_t at, const char *p, uint32_t n)
{
#if defined(__SSE2__)
    if (PP_LIKELY(n <= STRIDE)) {
        /* Behind the path are zeros, which no node has: the length needs no test. */
        uint32_t want = (1u << n) - 1;
        return (same_bytes(load_node(p), load_path(path, at)) & want) == want;
    }
#endif
    return path->n - at >= n && memcmp(path->p + at, p, n) == 0;
}

/* Index of <c> in first[0..n), or <n>. */
INLINE uint32_t find_child(const char *first, uint32_t n, char c)
{
#if defined(__SSE2__)
    __m128i want = _mm_set1_epi8(c);
    for (uint32_t i = 0; i < n; i += STRIDE) {
        uint32_t found = same_bytes(load_node(first + i), want);
        if (found)
            return PP_MIN(i + (uint32_t)__builtin_ctz(found), n);
    }
    return n;
#else
    uint32_t i = 0;
    while (i < n && first[i] != c)
        i++;
    return i;
#endif
}

/* Where the segment that <at> stands in ends. */
INLINE uint32_t segment_end(const struct text *path, uint32_t at)
{
#if defined(__SSE2__)
    __m128i slash = _mm_set1_epi8('/');
    for (; at < path->n; at += STRIDE) {
        uint32_t found = same_bytes(load_path(path, at), slash);
        if (found) {
            at += (uint32_t)__builtin_ctz(found);
            break;
        }
    }
    return PP_MIN(at, path->n);
#else
    while (at < path->n && path->p[at] != '/')
        at++;
    return at;
#endif
}

INLINE const struct leaf *leaf_after(const struct leaf *leaf)
{
    return (const struct leaf *)(const void *)(leaf->entry + leaf->n);
}

/* First entry by rank that takes the method; the methods of those before it are noted. */
INLINE const struct pp_radix_entry *choose(const struct leaf *leaf, uint32_t method,
                                           uint32_t *allowed)
{
    for (uint32_t i = 0; i < leaf->n; i++) {
        if (PP_LIKELY(leaf->entry[i].methods & method))
            return &leaf->entry[i];
        *allowed |= leaf->entry[i].methods;
    }
    return NULL;
}

/* A {name} child that may still be tried. */
struct other_way {
    uint32_t node;
    uint32_t at;
    uint32_t n_capture;
};

struct walk {
    const char *mem; /* of the trees */
    struct text path;
    struct pp_radix_hit *hit;
    uint32_t at;        /* bytes of the path behind us */
    uint32_t n_way;     /* other ways left */
    uint32_t n_capture; /* on the way to the present node */
    /* The best so far is a star's and the present node is below that star as long as n_way >=
     * floor: then what is found is more specific than it, afterwards it is less. */
    uint32_t floor;
    bool below_best;
    struct {
        uint32_t at, end;
    } capture[PP_CAPTURES_MAX];
    struct other_way way[PP_PATTERN_SEGMENTS_MAX];
};

INLINE bool is_better(const struct walk *wk, const struct pp_radix_entry *e)
{
    const struct pp_radix_entry *best = wk->hit->entry;
    return !best || e->priority > best->priority ||
           (wk->below_best && e->priority == best->priority);
}

INLINE void take_best(struct walk *wk, const struct pp_radix_entry *e)
{
    struct pp_radix_hit *hit = wk->hit;
    hit->entry = e;
    hit->n_capture = wk->n_capture;
    for (uint32_t i = 0; i < wk->n_capture; i++)
        hit->capture[i] =
            pp_span(wk->path.p + wk->capture[i].at, wk->capture[i].end - wk->capture[i].at);
}

/* A star fits here: it is the best so far, and everything below it is better. */
INLINE void take_star(struct walk *wk, const struct pp_radix_entry *e)
{
    take_best(wk, e);
    wk->hit->capture[wk->hit->n_capture++] = pp_span(wk->path.p + wk->at, wk->path.n - wk->at);
    wk->below_best = true;
    wk->floor = wk->n_way;
}

/* Take the segment at <at> as the next capture and stand behind it. */
INLINE void capture(struct walk *wk, uint32_t at)
{
    wk->at = segment_end(&wk->path, at);
    wk->capture[wk->n_capture].at = at;
    wk->capture[wk->n_capture].end = wk->at;
    wk->n_capture++;
}

INLINE const struct node *node_at(const struct walk *wk, uint32_t at)
{
    return (const struct node *)(const void *)(wk->mem + at);
}

/* Go back to the last {name} that was left aside; NULL when there is none. */
INLINE const struct node *go_back(struct walk *wk)
{
    if (wk->n_way == 0)
        return NULL;
    const struct other_way *way = &wk->way[--wk->n_way];
    if (wk->n_way < wk->floor)
        wk->below_best = false;
    wk->n_capture = way->n_capture;
    capture(wk, way->at);
    return node_at(wk, way->node);
}

/* What follows the node: the literal child that fits, else the {name} child, else a way back. A
 * single follower stands right behind the node: its address comes from bytes that are there
 * already, which halves the time of a step. */
INLINE const struct node *go_on(struct walk *wk, const struct node *nd, const char *first,
                                const uint32_t *child)
{
    uint32_t n = nd->n_child, i;
    char c = wk->path.p[wk->at];
    const struct node *literal = NULL;
    if (n == 1) {
        if (*first == c)
            literal = PP_LIKELY(nd->skip) ? nd + nd->skip : node_at(wk, child[0]);
    } else if ((i = find_child(first, n, c)) < n) {
        literal = node_at(wk, child[i]);
    }
    if ((nd->flags & HAS_NAME) && c != '/') {
        if (!literal) {
            capture(wk, wk->at);
            return n == 0 && PP_LIKELY(nd->skip) ? nd + nd->skip : node_at(wk, child[n]);
        }
        wk->way[wk->n_way++] = (struct other_way){child[n], wk->at, wk->n_capture};
    }
    if (!literal)
        return go_back(wk);
    wk->at++;
    return literal;
}

/* One body for both kinds of tree: with one priority the first fitting key in order of specificity
 * wins, so a fitting star makes every way above it needless and a fitting end stops the walk. */
INLINE int find(const char *mem, uint32_t root, struct pp_span path, uint32_t method,
                const bool mixed, struct pp_radix_hit *hit, uint32_t *allowed)
{
    /* Never handed to a function that is not part of this one, so that it can live in registers. */
    struct walk wk;
    wk.mem = mem;
    wk.hit = hit;
    wk.at = wk.n_way = wk.n_capture = wk.floor = 0;
    wk.below_best = false;
    set_text(&wk.path, path);
    hit->entry = NULL;
    const struct node *nd = node_at(&wk, root);
    do {
        const char *text = (const char *)(nd + 1), *first = text + nd->text_n;
        if (!goes_on_with(&wk.path, wk.at, text, nd->text_n)) {
            nd = go_back(&wk);
            continue;
        }
        wk.at += nd->text_n;

        uint32_t offsets = pad4((uint32_t)sizeof(*nd) + nd->text_n + nd->n_child);
        const uint32_t *child = (const uint32_t *)(const void *)((const char *)nd + offsets);
        const struct leaf *leaf =
            (const struct leaf *)(const void *)(child + nd->n_child + (nd->flags & HAS_NAME));
        const struct pp_radix_entry *e;
        if (PP_UNLIKELY(nd->flags & HAS_STAR)) {
            e = choose(nd->flags & HAS_EXACT ? leaf_after(leaf) : leaf, method, allowed);
            if (e && !mixed)
                wk.n_way = 0;
            if (e && (!mixed || is_better(&wk, e)))
                take_star(&wk, e);
        }
        if (wk.at < wk.path.n) {
            nd = go_on(&wk, nd, first, child);
            continue;
        }
        e = nd->flags & HAS_EXACT ? choose(leaf, method, allowed) : NULL;
        if (e && (!mixed || is_better(&wk, e))) {
            take_best(&wk, e);
            wk.below_best = false;
            if (!mixed)
                return PP_OK;
        }
        nd = go_back(&wk);
    } while (nd);
    return wk.hit->entry ? PP_OK : PP_ENOENT;
}

static __attribute__((noinline)) int find_mixed(const char *mem, uint32_t root, struct pp_span path,
                                                uint32_t method, struct pp_radix_hit *hit,
                                                uint32_t *allowed)
{
    return find(mem, root, path, method, true, hit, allowed);
}

int pp_radix_find(const struct pp_radix *t, uint32_t root, struct pp_span path, uint32_t method,
                  bool mixed, struct pp_radix_hit *hit, uint32_t *allowed)
{
    if (PP_UNLIKELY(path.n > UINT32_MAX))
        return PP_ENOENT;
    if (PP_UNLIKELY(mixed))
        return find_mixed(t->mem, root, path, method, hit, allowed);
    return find(t->mem, root, path, method, false, hit, allowed);
}
