#include "base/shtable.h"

#include "base/err.h"

#define MAGIC 0x454c424154485350ull /* "PSHTABLE" */
#define TIME_BITS 26
#define UNIT_BITS 31 /* of the time: 2^31 ns */
#define TIME_MASK (((uint64_t)1 << TIME_BITS) - 1)
/* What pp_shtable_look looks at: the hash spreads names evenly, so any part will do, and a part
 * that is one piece brings few pages into being. */
#define LOOK_BUCKETS 512
#define TRIES 64 /* of what can only fail when others change the same cell at once */

struct cell {
    uint64_t word; /* tag and expiry; 0: never used */
    uint64_t value;
};

struct pp_shtable_bucket {
    struct cell cell[PP_SHTABLE_CELLS];
};
PP_STATIC_ASSERT(sizeof(struct pp_shtable_bucket) == PP_SHTABLE_BUCKET, "two cache lines");

struct header {
    uint64_t magic; /* stored last by format */
    uint32_t layout, n_bucket;
    uint64_t k0, k1;
    uint64_t reserved[4];
    uint64_t evictions; /* in a line of its own */
    uint64_t reserved_too[7];
};
PP_STATIC_ASSERT(sizeof(struct header) == PP_SHTABLE_BUCKET, "buckets stay aligned");

/* What put finds in a cell. */
enum claim {
    FOUND = 0,  /* the name */
    UNUSED = 1, /* a cell that was never used */
    GIVES = 2   /* another name, which gives way */
};

#define READ(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_ACQUIRE)

/* Replace the 16 bytes at <c> if they are still as expected. A full barrier. */
#if defined(__x86_64__)
static inline bool exchange(struct cell *c, uint64_t word, uint64_t value, struct cell to)
{
    bool done;
    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(done), "+m"(*c), "+a"(word), "+d"(value)
                     : "b"(to.word), "c"(to.value)
                     : "memory");
    return done;
}
#else
static inline bool exchange(struct cell *c, uint64_t word, uint64_t value, struct cell to)
{
    __extension__ typedef unsigned __int128 both;
    struct cell from = {word, value};
    both old, new;
    memcpy(&old, &from, sizeof(old));
    memcpy(&new, &to, sizeof(new));
    return __sync_bool_compare_and_swap((both *)(void *)c, old, new);
}
#endif

static inline uint32_t unit_of(uint64_t ns)
{
    return (uint32_t)(ns >> UNIT_BITS);
}

/* Units from <now> to the end of what <word> says; at most 0: it has expired. */
static inline int32_t left_of(uint64_t word, uint32_t now)
{
    uint32_t ahead = ((uint32_t)word - now) << (32 - TIME_BITS);
    return (int32_t)ahead >> (32 - TIME_BITS);
}

static inline struct header *header(const struct pp_shtable *t)
{
    return t->mem;
}

static void fill_in(struct pp_shtable *t, void *mem, uint32_t n_bucket, struct pp_hash_seed seed)
{
    char *first = (char *)mem + sizeof(struct header);
    *t = (struct pp_shtable){mem, (struct pp_shtable_bucket *)first, n_bucket, seed};
}

static bool fits(const void *mem, size_t size)
{
    return mem != NULL && (uintptr_t)mem % 64 == 0 &&
           size >= sizeof(struct header) + PP_SHTABLE_BUCKET;
}

int pp_shtable_format(struct pp_shtable *t, void *mem, size_t size, struct pp_hash_seed seed)
{
    if (!fits(mem, size))
        return PP_EINVAL;
    size_t n = (size - sizeof(struct header)) / PP_SHTABLE_BUCKET;
    struct header *h = mem;
    fill_in(t, mem, (uint32_t)PP_MIN(n, UINT32_MAX), seed);
    h->layout = PP_SHTABLE_LAYOUT;
    h->n_bucket = t->n_bucket;
    h->k0 = seed.k0;
    h->k1 = seed.k1;
    __atomic_store_n(&h->magic, MAGIC, __ATOMIC_RELEASE);
    return PP_OK;
}

int pp_shtable_open(struct pp_shtable *t, void *mem, size_t size)
{
    struct header *h = mem;
    if (!fits(mem, size) || READ(h->magic) != MAGIC || READ(h->layout) != PP_SHTABLE_LAYOUT)
        return PP_EINVAL;
    uint32_t n = READ(h->n_bucket);
    if (n == 0 || n > (size - sizeof(*h)) / PP_SHTABLE_BUCKET)
        return PP_EINVAL;
    fill_in(t, mem, n, (struct pp_hash_seed){READ(h->k0), READ(h->k1)});
    return PP_OK;
}

void pp_shtable_hash(const struct pp_shtable *t, uint64_t space, struct pp_span name,
                     struct pp_shtable_key *key)
{
    struct pp_hash_seed seed = {t->seed.k0 ^ space, t->seed.k1 + space};
    pp_hash_wide(&seed, name, key->hash);
}

static inline struct pp_shtable_bucket *bucket_of(const struct pp_shtable *t, uint64_t hash)
{
    return &t->bucket[((hash >> 32) * t->n_bucket) >> 32];
}

static inline uint64_t tag_of(const struct pp_shtable_key *key)
{
    uint64_t tag = key->hash[1] & ~TIME_MASK;
    return tag != 0 ? tag : TIME_MASK + 1; /* 0 is a cell that was never used */
}

/* The bytes of a cell at one moment: while the word stays, the value is its. A cell that does not
 * hold still is another one by the time of a put, which fails. */
static inline struct cell read_cell(struct cell *c)
{
    struct cell got = {0, 0};
    for (int i = 0; i < TRIES; i++) {
        got.word = READ(c->word);
        got.value = READ(c->value);
        if (PP_LIKELY(READ(c->word) == got.word))
            break;
    }
    return got;
}

/* Nothing in the bucket is free: the cell that ends first. */
static PP_COLD struct cell *first_to_end(struct pp_shtable_bucket *b, uint32_t now)
{
    struct cell *first = &b->cell[0];
    int32_t left = INT32_MAX;
    for (int i = 0; i < PP_SHTABLE_CELLS; i++) {
        int32_t l = left_of(READ(b->cell[i].word), now);
        if (l < left) {
            left = l;
            first = &b->cell[i];
        }
    }
    return first;
}

/* The name has no cell: one that was never used (the cells behind it were not either), or the one
 * that gives way. */
static uint64_t no_cell(struct pp_shtable_bucket *b, struct cell *unused,
                        struct pp_shtable_ref *ref)
{
    struct cell *c = unused != NULL ? unused : first_to_end(b, ref->now);
    struct cell got = unused != NULL ? (struct cell){0, 0} : read_cell(c);
    ref->cell = &c->word;
    ref->word = got.word;
    ref->value = got.value;
    ref->claim = unused != NULL ? UNUSED : GIVES;
    return 0;
}

uint64_t pp_shtable_get(const struct pp_shtable *t, const struct pp_shtable_key *key,
                        uint64_t now_ns, struct pp_shtable_ref *ref)
{
    struct pp_shtable_bucket *b = bucket_of(t, key->hash[0]);
    uint64_t tag = tag_of(key);
    ref->tag = tag;
    ref->now = unit_of(now_ns);
    ref->claim = FOUND;
    ref->cell = NULL;
    for (int i = 0; i < PP_SHTABLE_CELLS; i++) {
        struct cell *c = &b->cell[i];
        uint64_t word = READ(c->word);
        if (word == 0)
            return ref->cell != NULL ? 0 : no_cell(b, c, ref);
        if (PP_LIKELY((word & ~TIME_MASK) != tag))
            continue;
        struct cell got = read_cell(c);
        bool alive = left_of(got.word, ref->now) > 0;
        if ((got.word & ~TIME_MASK) != tag || (!alive && ref->cell != NULL))
            continue;
        ref->cell = &c->word;
        ref->word = got.word;
        ref->value = got.value;
        if (PP_LIKELY(alive))
            return got.value;
    }
    return ref->cell != NULL ? 0 : no_cell(b, NULL, ref);
}

/* The name stands alive in another cell of the bucket, too. */
static bool is_twice(const struct pp_shtable *t, const struct pp_shtable_ref *ref)
{
    size_t offset = (size_t)((char *)ref->cell - (char *)t->bucket);
    struct pp_shtable_bucket *b = &t->bucket[offset / PP_SHTABLE_BUCKET];
    for (int i = 0; i < PP_SHTABLE_CELLS; i++) {
        uint64_t word = READ(b->cell[i].word);
        if (&b->cell[i].word != ref->cell && (word & ~TIME_MASK) == ref->tag &&
            left_of(word, ref->now) > 0)
            return true;
    }
    return false;
}

/* A cell that another name has given up is ours. True: it stays so. */
static PP_COLD bool settle(const struct pp_shtable *t, const struct pp_shtable_ref *ref,
                           struct cell mine)
{
    struct cell *c = (struct cell *)(void *)ref->cell;
    if (left_of(ref->word, ref->now) > 0)
        __atomic_fetch_add(&header(t)->evictions, 1, __ATOMIC_RELAXED);
    if (!is_twice(t, ref))
        return true;
    struct cell over = {ref->tag | ((ref->now - 1) & TIME_MASK), 0};
    for (int i = 0; i < TRIES; i++) { /* others may be changing it */
        if (exchange(c, mine.word, mine.value, over))
            break;
        mine = read_cell(c);
        if ((mine.word & ~TIME_MASK) != ref->tag)
            break;
    }
    return false;
}

bool pp_shtable_put(const struct pp_shtable *t, const struct pp_shtable_ref *ref, uint64_t value,
                    uint64_t expires_ns)
{
    struct cell *c = (struct cell *)(void *)ref->cell;
    /* The last unit is counted whole; a time that is past already still lasts that long. */
    uint32_t end = PP_MAX(unit_of(expires_ns), ref->now) + 1;
    if (end - ref->now > PP_SHTABLE_LIFE_MAX >> UNIT_BITS)
        end = ref->now + (uint32_t)(PP_SHTABLE_LIFE_MAX >> UNIT_BITS);
    struct cell to = {ref->tag | (end & TIME_MASK), value};
    if (!exchange(c, ref->word, ref->value, to))
        return false;
    return PP_LIKELY(ref->claim != GIVES) || settle(t, ref, to);
}

void pp_shtable_look(const struct pp_shtable *t, uint64_t now_ns, struct pp_shtable_fill *fill)
{
    uint32_t now = unit_of(now_ns), n = PP_MIN(t->n_bucket, LOOK_BUCKETS);
    *fill = (struct pp_shtable_fill){
        .cells = (uint64_t)t->n_bucket * PP_SHTABLE_CELLS,
        .seen = (uint64_t)n * PP_SHTABLE_CELLS,
        .evictions = __atomic_load_n(&header(t)->evictions, __ATOMIC_RELAXED),
    };
    for (uint32_t i = 0; i < n; i++) {
        for (int k = 0; k < PP_SHTABLE_CELLS; k++) {
            uint64_t word = READ(t->bucket[i].cell[k].word);
            fill->alive += word != 0 && left_of(word, now) > 0;
        }
    }
}
