#include "base/statseg.h"

#include "base/err.h"

#define MAGIC 0x4745535441545350ull /* "PSTATSEG"; magic and layout never move */
#define LINE 64                     /* cache line: regions of different writers share none */

struct header {
    uint64_t magic; /* stored last by format */
    uint32_t layout, schema;
    uint32_t columns, words, dir_bytes;
    uint32_t dir_used; /* stored with release: what stands before it is whole */
    /* The definer's alone: words given out, and where the newest record stands. */
    uint32_t words_used, newest;
    uint32_t columns_reached; /* no column from this one on was ever written */
    uint32_t reserved[5];
};
PP_STATIC_ASSERT(sizeof(struct header) == LINE, "the header fills one cache line");

/* One for each column, behind the header: so that whoever adds words up leaves alone the pages that
 * nobody has written. A page of shared memory exists from its first reading on. */
struct column {
    uint32_t owner;   /* 0: free */
    uint32_t reached; /* no word from this one on was ever written */
};

/* <next> is 1 + offset / 8 within the directory; 0 ends the chain. Newer records are put in front,
 * so along a chain offsets only fall: a reader that insists on it cannot be led in a ring. */
struct record {
    uint32_t next;
    uint32_t hash;
    uint32_t kind;
    uint32_t base;
    uint32_t n;
    uint32_t name_n;
    char name[];
};
PP_STATIC_ASSERT(PP_STATSEG_RECORD_BYTES(0) == sizeof(struct record), "size given in the contract");

/* What a reader took from a record, each word read once. */
struct entry {
    uint32_t bytes, next, hash, kind, base, n;
    struct pp_span name;
};

#define READ(lvalue) __atomic_load_n(&(lvalue), __ATOMIC_RELAXED)

/* One chain for about eight records with names of usual length, for chains are spread over pages
 * that a small configuration would touch; a power of two. */
static uint32_t chain_count(uint32_t dir_bytes)
{
    uint32_t wanted = dir_bytes / 512;
    return wanted < 2 ? 2 : 1u << (31 - __builtin_clz(wanted));
}

static size_t chains_offset(uint32_t columns)
{
    return sizeof(struct header) + columns * sizeof(struct column);
}

static size_t dir_offset(uint32_t columns, uint32_t dir_bytes)
{
    return chains_offset(columns) + (size_t)chain_count(dir_bytes) * sizeof(uint32_t);
}

static size_t columns_offset(uint32_t columns, uint32_t dir_bytes)
{
    return (dir_offset(columns, dir_bytes) + dir_bytes + LINE - 1) & ~(size_t)(LINE - 1);
}

static size_t column_bytes(uint32_t words)
{
    return ((size_t)words * sizeof(uint64_t) + LINE - 1) & ~(size_t)(LINE - 1);
}

static inline struct header *header(const struct pp_statseg *s)
{
    return s->mem;
}

static inline uint32_t *chain(const struct pp_statseg *s, uint32_t hash)
{
    uint32_t *chains = (uint32_t *)((char *)s->mem + chains_offset(s->columns));
    return &chains[hash & (chain_count(s->dir_bytes) - 1)];
}

static inline struct record *record_at(const struct pp_statseg *s, uint32_t offset)
{
    return (struct record *)((char *)s->mem + dir_offset(s->columns, s->dir_bytes) + offset);
}

static inline struct column *column_at(const struct pp_statseg *s, uint32_t column)
{
    return (struct column *)((char *)s->mem + sizeof(struct header)) + column;
}

/* FNV-1a with a final mix, because chains are chosen by the low bits. Names come from the
 * operator's configuration: no key is needed. */
static uint32_t name_hash(uint32_t kind, struct pp_span name)
{
    uint32_t h = 2166136261u ^ kind;

    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * 16777619u;
    h ^= h >> 16;
    h *= 0x7feb352du;
    return h ^ h >> 15;
}

size_t pp_statseg_size(uint32_t columns, uint32_t words, uint32_t dir_bytes)
{
    size_t bytes;

    if (__builtin_mul_overflow(column_bytes(words), (size_t)columns, &bytes) ||
        __builtin_add_overflow(bytes, columns_offset(columns, dir_bytes), &bytes))
        return SIZE_MAX;
    return bytes;
}

static bool fits(const void *mem, size_t size, uint32_t columns, uint32_t words, uint32_t dir_bytes)
{
    size_t need = pp_statseg_size(columns, words, dir_bytes);
    return mem && (uintptr_t)mem % sizeof(uint64_t) == 0 && columns && words && need != SIZE_MAX &&
           need <= size;
}

int pp_statseg_format(struct pp_statseg *s, void *mem, size_t size, uint32_t columns,
                      uint32_t words, uint32_t dir_bytes, uint32_t schema)
{
    if (!fits(mem, size, columns, words, dir_bytes))
        return PP_EINVAL;
    *s = (struct pp_statseg){mem, size, columns, words, dir_bytes, schema};
    struct header *h = header(s);
    *h = (struct header){
        .layout = PP_STATSEG_LAYOUT,
        .schema = schema,
        .columns = columns,
        .words = words,
        .dir_bytes = dir_bytes,
    };
    __atomic_store_n(&h->magic, MAGIC, __ATOMIC_RELEASE);
    return PP_OK;
}

uint32_t pp_statseg_layout(const void *mem, size_t size)
{
    const struct header *h = mem;

    if (!mem || (uintptr_t)mem % sizeof(uint64_t) || size < sizeof(*h) ||
        __atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != MAGIC)
        return 0;
    return READ(h->layout);
}

int pp_statseg_open(struct pp_statseg *s, void *mem, size_t size)
{
    struct header *h = mem;

    if (pp_statseg_layout(mem, size) != PP_STATSEG_LAYOUT)
        return PP_EINVAL;
    struct pp_statseg seg = {
        mem, size, READ(h->columns), READ(h->words), READ(h->dir_bytes), READ(h->schema)};
    if (!fits(mem, size, seg.columns, seg.words, seg.dir_bytes))
        return PP_EINVAL;
    *s = seg;
    return PP_OK;
}

/* Directory bytes that hold whole records, never more than there are. */
static uint32_t dir_used(const struct pp_statseg *s)
{
    uint32_t used = __atomic_load_n(&header(s)->dir_used, __ATOMIC_ACQUIRE);
    return PP_MIN(used, s->dir_bytes);
}

/* Take the record at <offset>; false when it does not lie within the first <used> directory bytes.
 * <base> and <n> are still as found: see has_words. */
static bool take_entry(const struct pp_statseg *s, uint32_t offset, uint32_t used, struct entry *e)
{
    if (offset % 8 || offset > used || used - offset < sizeof(struct record))
        return false;
    const struct record *r = record_at(s, offset);
    uint32_t name_n = READ(r->name_n);
    if (name_n > used || PP_STATSEG_RECORD_BYTES(name_n) > used - offset)
        return false;
    e->bytes = (uint32_t)PP_STATSEG_RECORD_BYTES(name_n);
    e->next = READ(r->next);
    e->hash = READ(r->hash);
    e->kind = READ(r->kind);
    e->base = READ(r->base);
    e->n = READ(r->n);
    e->name = pp_span(r->name, name_n);
    return true;
}

static bool has_words(const struct pp_statseg *s, const struct entry *e)
{
    return e->n && e->base < s->words && e->n <= s->words - e->base;
}

int pp_statseg_find(const struct pp_statseg *s, uint32_t kind, struct pp_span name, uint32_t *base,
                    uint32_t *n)
{
    uint32_t hash = name_hash(kind, name);
    uint32_t link = __atomic_load_n(chain(s, hash), __ATOMIC_ACQUIRE);
    uint32_t used = dir_used(s);
    struct entry e;

    while (link && (link - 1) <= used / 8 && take_entry(s, (link - 1) * 8, used, &e)) {
        if (e.hash == hash && e.kind == kind && pp_span_eq(e.name, name)) {
            if (!has_words(s, &e))
                return PP_ENOENT;
            *base = e.base;
            *n = e.n;
            return PP_OK;
        }
        if (e.next >= link)
            return PP_ENOENT;
        link = e.next;
    }
    return PP_ENOENT;
}

/* A definer that died between its last two stores left a record that is listed but not found; it
 * can only be the newest. */
static void link_newest(const struct pp_statseg *s)
{
    uint32_t offset = READ(header(s)->newest);
    struct entry e;

    if (!take_entry(s, offset, dir_used(s), &e))
        return;
    uint32_t *front = chain(s, e.hash);
    if (READ(*front) == e.next)
        __atomic_store_n(front, offset / 8 + 1, __ATOMIC_RELEASE);
}

int pp_statseg_define(struct pp_statseg *s, uint32_t kind, struct pp_span name, uint32_t n,
                      uint32_t *base)
{
    struct header *h = header(s);
    uint32_t used = dir_used(s), first = READ(h->words_used), had;

    if (n == 0)
        return PP_EINVAL;
    link_newest(s);
    if (pp_statseg_find(s, kind, name, base, &had) == PP_OK)
        return had == n ? PP_OK : PP_EINVAL;
    if (name.n > s->dir_bytes || PP_STATSEG_RECORD_BYTES(name.n) > s->dir_bytes - used ||
        used % 8 || first > s->words || n > s->words - first)
        return PP_ELIMIT;

    uint32_t hash = name_hash(kind, name);
    uint32_t *front = chain(s, hash);
    struct record *r = record_at(s, used);
    r->next = READ(*front);
    r->hash = hash;
    r->kind = kind;
    r->base = first;
    r->n = n;
    r->name_n = (uint32_t)name.n;
    if (name.n)
        memcpy(r->name, name.p, name.n);
    /* Words first: should this process die between the stores, they are lost, not given out twice.
     */
    h->words_used = first + n;
    h->newest = used;
    __atomic_store_n(&h->dir_used, used + (uint32_t)PP_STATSEG_RECORD_BYTES(name.n),
                     __ATOMIC_RELEASE);
    __atomic_store_n(front, used / 8 + 1, __ATOMIC_RELEASE);
    *base = first;
    return PP_OK;
}

uint64_t *pp_statseg_words(const struct pp_statseg *s, uint32_t column)
{
    if (column >= s->columns)
        return NULL;
    return (uint64_t *)((char *)s->mem + columns_offset(s->columns, s->dir_bytes) +
                        (size_t)column * column_bytes(s->words));
}

static void raise_to(uint32_t *mark, uint32_t n)
{
    uint32_t now = READ(*mark);
    while (now < n &&
           !__atomic_compare_exchange_n(mark, &now, n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

void pp_statseg_reach(const struct pp_statseg *s, uint32_t column, uint32_t end)
{
    if (column >= s->columns || end > s->words)
        return;
    raise_to(&column_at(s, column)->reached, end);
    raise_to(&header(s)->columns_reached, column + 1);
}

uint32_t pp_statseg_reached(const struct pp_statseg *s, uint32_t column)
{
    return column < s->columns ? PP_MIN(READ(column_at(s, column)->reached), s->words) : 0;
}

uint64_t pp_statseg_get(const struct pp_statseg *s, uint32_t column, uint32_t index)
{
    return index < pp_statseg_reached(s, column) ? READ(pp_statseg_words(s, column)[index]) : 0;
}

uint64_t pp_statseg_sum(const struct pp_statseg *s, uint32_t index)
{
    uint32_t columns = READ(header(s)->columns_reached);
    uint64_t sum = 0;

    columns = PP_MIN(columns, s->columns);
    for (uint32_t column = 0; column < columns; column++)
        sum += pp_statseg_get(s, column, index);
    return sum;
}

void pp_statseg_add(const struct pp_statseg *s, uint32_t index, uint64_t n)
{
    if (index >= s->words)
        return;
    pp_statseg_reach(s, PP_STATSEG_COMMON, index + 1);
    __atomic_fetch_add(&pp_statseg_words(s, PP_STATSEG_COMMON)[index], n, __ATOMIC_RELEASE);
}

void pp_statseg_change(const struct pp_statseg *s, uint32_t index, uint64_t mask, uint64_t bits)
{
    if (index >= s->words)
        return;
    pp_statseg_reach(s, PP_STATSEG_COMMON, index + 1);
    uint64_t *word = &pp_statseg_words(s, PP_STATSEG_COMMON)[index];
    uint64_t old = READ(*word);
    while (!__atomic_compare_exchange_n(word, &old, (old & ~mask) | (bits & mask), true,
                                        __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        ;
}

bool pp_statseg_swap(const struct pp_statseg *s, uint32_t index, uint64_t old, uint64_t next)
{
    if (index >= s->words)
        return false;
    pp_statseg_reach(s, PP_STATSEG_COMMON, index + 1);
    return __atomic_compare_exchange_n(&pp_statseg_words(s, PP_STATSEG_COMMON)[index], &old, next,
                                       false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

const uint64_t *pp_statseg_common(const struct pp_statseg *s, uint32_t index)
{
    return index < s->words ? &pp_statseg_words(s, PP_STATSEG_COMMON)[index] : NULL;
}

void pp_statseg_set(const struct pp_statseg *s, uint32_t index, uint64_t value)
{
    if (index >= s->words)
        return;
    pp_statseg_reach(s, PP_STATSEG_COMMON, index + 1);
    __atomic_store_n(&pp_statseg_words(s, PP_STATSEG_COMMON)[index], value, __ATOMIC_RELAXED);
}

int pp_statseg_take(const struct pp_statseg *s, uint32_t owner, uint32_t *column)
{
    if (owner == 0)
        return PP_EINVAL;
    for (uint32_t i = PP_STATSEG_COMMON + 1; i < s->columns; i++) {
        uint32_t nobody = 0;
        if (READ(column_at(s, i)->owner) == 0 &&
            __atomic_compare_exchange_n(&column_at(s, i)->owner, &nobody, owner, false,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            *column = i;
            return PP_OK;
        }
    }
    return PP_ELIMIT;
}

uint32_t pp_statseg_owner(const struct pp_statseg *s, uint32_t column)
{
    return column < s->columns ? READ(column_at(s, column)->owner) : 0;
}

void pp_statseg_release(const struct pp_statseg *s, uint32_t column)
{
    if (column < s->columns)
        __atomic_store_n(&column_at(s, column)->owner, 0, __ATOMIC_RELEASE);
}

bool pp_statseg_next(const struct pp_statseg *s, uint32_t *pos, uint32_t *kind,
                     struct pp_span *name, uint32_t *base, uint32_t *n)
{
    uint32_t used = dir_used(s);
    struct entry e;

    while (take_entry(s, *pos, used, &e)) {
        *pos += e.bytes;
        if (!has_words(s, &e))
            continue;
        *kind = e.kind;
        *name = e.name;
        *base = e.base;
        *n = e.n;
        return true;
    }
    return false;
}
