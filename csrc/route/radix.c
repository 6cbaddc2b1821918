/* Finding in written trees. */
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "route/pattern.h"
#include "route/radix_impl.h"

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
        return (uint32_t)__builtin_ctz(~same_bytes(load_node(p), load_path(path, at))) >= n;
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

/* The leaf of the key that ends at the node, or else the first one. */
INLINE const struct pp_radix_leaf *first_leaf(const struct pp_radix_node *nd, const uint32_t *child)
{
    return (const struct pp_radix_leaf *)(const void *)(child + nd->n_child +
                                                        (nd->flags & PP_RADIX_HAS_NAME));
}

INLINE const struct pp_radix_leaf *leaf_after(const struct pp_radix_leaf *leaf)
{
    return (const struct pp_radix_leaf *)(const void *)(leaf->entry + leaf->n);
}

/* First entry by rank that takes the method; the methods of those before it are noted. */
INLINE const struct pp_radix_entry *choose(const struct pp_radix_leaf *leaf, uint32_t method,
                                           const struct pp_radix_guard *guard, uint32_t *allowed)
{
    for (uint32_t i = 0; i < leaf->n; i++) {
        const struct pp_radix_entry *e = &leaf->entry[i];
        bool fits = (e->methods & method) != 0;
        if (guard) {
            if ((fits || guard->others) && guard->holds(guard->arg, e->pattern)) {
                if (fits)
                    return e;
                *allowed |= e->methods;
            }
            continue;
        }
        if (PP_LIKELY(fits))
            return e;
        *allowed |= e->methods;
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
    struct pp_span *capture; /* what they took: the hit's own, unless other ways may spoil it */
    uint32_t star_at;        /* where the star that is the best begins */
    struct other_way way[PP_PATTERN_SEGMENTS_MAX];
};

INLINE bool is_better(const struct walk *wk, const struct pp_radix_entry *e)
{
    const struct pp_radix_entry *best = wk->hit->entry;
    return !best || e->priority > best->priority ||
           (wk->below_best && e->priority == best->priority);
}

INLINE void take_best(struct walk *wk, const struct pp_radix_entry *e, const bool mixed)
{
    struct pp_radix_hit *hit = wk->hit;
    hit->entry = e;
    hit->n_capture = wk->n_capture;
    if (mixed)
        memcpy(hit->capture, wk->capture, wk->n_capture * sizeof(*hit->capture));
}

/* A star fits here: it is the best so far, and everything below it is better. */
INLINE void take_star(struct walk *wk, const struct pp_radix_entry *e, const bool mixed)
{
    take_best(wk, e, mixed);
    wk->star_at = wk->at;
    wk->below_best = true;
    wk->floor = wk->n_way;
}

/* The best is a star's: what it takes is its last capture. */
INLINE void capture_rest(struct walk *wk)
{
    uint32_t at = wk->star_at;
    wk->hit->capture[wk->hit->n_capture++] = pp_span(wk->path.p + at, wk->path.n - at);
}

/* Take the segment at <at> as the next capture and stand behind it. */
INLINE void capture(struct walk *wk, uint32_t at)
{
    wk->at = segment_end(&wk->path, at);
    wk->capture[wk->n_capture++] = pp_span(wk->path.p + at, wk->at - at);
}

INLINE const struct pp_radix_node *node_at(const struct walk *wk, uint32_t at)
{
    return (const struct pp_radix_node *)(const void *)(wk->mem + at);
}

/* Go back to the last {name} that was left aside; NULL when there is none. */
INLINE const struct pp_radix_node *go_back(struct walk *wk)
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
INLINE const struct pp_radix_node *go_on(struct walk *wk, const struct pp_radix_node *nd,
                                         const char *first, const uint32_t *child)
{
    uint32_t n = nd->n_child, i;
    char c = wk->path.p[wk->at];
    const struct pp_radix_node *literal = NULL;
    if (n == 1) {
        if (*first == c)
            literal = PP_LIKELY(nd->skip) ? nd + nd->skip : node_at(wk, child[0]);
    } else if ((i = find_child(first, n, c)) < n) {
        literal = node_at(wk, child[i]);
    }
    if ((nd->flags & PP_RADIX_HAS_NAME) && c != '/') {
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
                const bool mixed, const struct pp_radix_guard *guard, struct pp_span *capture,
                struct pp_radix_hit *hit, uint32_t *allowed)
{
    /* Never handed to a function that is not part of this one, so that it can live in registers. */
    struct walk wk;
    wk.mem = mem;
    wk.hit = hit;
    wk.capture = capture;
    wk.at = wk.n_way = wk.n_capture = wk.floor = 0;
    wk.below_best = false;
    set_text(&wk.path, path);
    hit->entry = NULL;
    const struct pp_radix_node *nd = node_at(&wk, root);
    do {
        const char *text = (const char *)(nd + 1), *first = text + nd->text_n;
        if (!goes_on_with(&wk.path, wk.at, text, nd->text_n)) {
            nd = go_back(&wk);
            continue;
        }
        wk.at += nd->text_n;

        uint32_t offsets = pp_radix_impl_pad4((uint32_t)sizeof(*nd) + nd->text_n + nd->n_child);
        const uint32_t *child = (const uint32_t *)(const void *)((const char *)nd + offsets);
        const struct pp_radix_entry *e;
        if (PP_UNLIKELY(nd->flags & PP_RADIX_HAS_STAR)) {
            const struct pp_radix_leaf *leaf = first_leaf(nd, child);
            e = choose(nd->flags & PP_RADIX_HAS_EXACT ? leaf_after(leaf) : leaf, method, guard,
                       allowed);
            if (e && !mixed) {
                wk.n_way = 0;
                take_star(&wk, e, mixed);
            } else if (e && is_better(&wk, e)) {
                take_star(&wk, e, mixed);
                capture_rest(&wk);
            }
        }
        if (wk.at < wk.path.n) {
            nd = go_on(&wk, nd, first, child);
            continue;
        }
        e = nd->flags & PP_RADIX_HAS_EXACT ? choose(first_leaf(nd, child), method, guard, allowed)
                                           : NULL;
        if (e && (!mixed || is_better(&wk, e))) {
            take_best(&wk, e, mixed);
            wk.below_best = false;
            if (!mixed)
                return PP_OK;
        }
        nd = go_back(&wk);
    } while (nd);
    if (!hit->entry)
        return PP_ENOENT;
    if (!mixed)
        capture_rest(&wk); /* an end would have ended the walk */
    return PP_OK;
}

int pp_radix_find(const struct pp_radix *t, uint32_t root, struct pp_span path, uint32_t method,
                  struct pp_radix_hit *hit, uint32_t *allowed)
{
    if (PP_UNLIKELY(path.n > UINT32_MAX))
        return PP_ENOENT;
    return find(t->mem, root, path, method, false, NULL, hit->capture, hit, allowed);
}

int pp_radix_find_mixed(const struct pp_radix *t, uint32_t root, struct pp_span path,
                        uint32_t method, struct pp_radix_hit *hit, uint32_t *allowed)
{
    struct pp_span capture[PP_CAPTURES_MAX];
    if (PP_UNLIKELY(path.n > UINT32_MAX))
        return PP_ENOENT;
    return find(t->mem, root, path, method, true, NULL, capture, hit, allowed);
}

int pp_radix_find_guarded(const struct pp_radix *t, uint32_t root, struct pp_span path,
                          uint32_t method, const struct pp_radix_guard *guard,
                          struct pp_radix_hit *hit, uint32_t *allowed)
{
    struct pp_span capture[PP_CAPTURES_MAX];
    if (PP_UNLIKELY(path.n > UINT32_MAX))
        return PP_ENOENT;
    return find(t->mem, root, path, method, true, guard, capture, hit, allowed);
}
