#include "base/map.h"

#include "base/err.h"
#include "base/mem.h"

#define CAP_MIN 8u
#define CAP_MAX (1u << 30)

enum cell_state { CELL_FREE = 0, CELL_LIVE = 1, CELL_DEAD = 2 };

/* Dead: its entry was taken, but entries that once moved past it are found by probing on. */
struct pp_map_cell {
    char *key; /* owned while live */
    size_t key_n;
    uint64_t hash;
    void *value;
    enum cell_state state;
};

void pp_map_init(struct pp_map *m, struct pp_hash_seed seed)
{
    m->cells = NULL;
    m->cap = m->n = m->dead = 0;
    m->seed = seed;
}

void pp_map_fini(struct pp_map *m)
{
    for (uint32_t i = 0; i < m->cap; i++)
        if (m->cells[i].state == CELL_LIVE)
            pp_mem_free(m->cells[i].key);
    pp_mem_free(m->cells);
    m->cells = NULL;
    m->cap = m->n = m->dead = 0;
}

/* The live cell of <key>, or NULL. A quarter of the cells is always free, so probing ends. */
static struct pp_map_cell *find(const struct pp_map *m, struct pp_span key, uint64_t hash)
{
    uint32_t mask = m->cap - 1;

    if (m->n == 0)
        return NULL;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct pp_map_cell *c = &m->cells[i];
        if (c->state == CELL_FREE)
            return NULL;
        if (c->state == CELL_LIVE && c->hash == hash && pp_span_eq(pp_span(c->key, c->key_n), key))
            return c;
    }
}

/* The first cell where an entry with <hash> may go. */
static struct pp_map_cell *vacant(struct pp_map_cell *cells, uint32_t cap, uint64_t hash)
{
    uint32_t i = (uint32_t)hash & (cap - 1);
    while (cells[i].state == CELL_LIVE)
        i = (i + 1) & (cap - 1);
    return &cells[i];
}

/* Make room for one more; also sweeps the dead out. */
static int make_room(struct pp_map *m)
{
    uint32_t cap = PP_MAX(m->cap, CAP_MIN);

    if (m->cap && m->n + m->dead + 1 <= m->cap - m->cap / 4)
        return PP_OK;
    while (m->n + 1 > cap / 2) {
        if (cap == CAP_MAX)
            return PP_ENOMEM;
        cap *= 2;
    }
    struct pp_map_cell *cells = pp_mem_zalloc(cap * sizeof(*cells));
    if (!cells)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < m->cap; i++)
        if (m->cells[i].state == CELL_LIVE)
            *vacant(cells, cap, m->cells[i].hash) = m->cells[i];
    pp_mem_free(m->cells);
    m->cells = cells;
    m->cap = cap;
    m->dead = 0;
    return PP_OK;
}

void *pp_map_get(const struct pp_map *m, struct pp_span key)
{
    struct pp_map_cell *c = m->n ? find(m, key, pp_hash(&m->seed, key)) : NULL;
    return c ? c->value : NULL;
}

int pp_map_put(struct pp_map *m, struct pp_span key, void *value)
{
    uint64_t hash = pp_hash(&m->seed, key);
    struct pp_map_cell *c = find(m, key, hash);

    if (c) {
        c->value = value;
        return PP_OK;
    }
    char *copy = pp_mem_dup(key.p, key.n);
    if (!copy)
        return PP_ENOMEM;
    int rc = make_room(m);
    if (rc) {
        pp_mem_free(copy);
        return rc;
    }
    c = vacant(m->cells, m->cap, hash);
    if (c->state == CELL_DEAD)
        m->dead--;
    *c = (struct pp_map_cell){copy, key.n, hash, value, CELL_LIVE};
    m->n++;
    return PP_OK;
}

void *pp_map_take(struct pp_map *m, struct pp_span key)
{
    struct pp_map_cell *c = m->n ? find(m, key, pp_hash(&m->seed, key)) : NULL;
    if (!c)
        return NULL;

    void *value = c->value;
    pp_mem_free(c->key);
    *c = (struct pp_map_cell){.state = CELL_DEAD};
    m->n--;
    m->dead++;
    return value;
}

bool pp_map_next(const struct pp_map *m, uint32_t *pos, struct pp_span *key, void **value)
{
    while (*pos < m->cap) {
        const struct pp_map_cell *c = &m->cells[(*pos)++];
        if (c->state == CELL_LIVE) {
            *key = pp_span(c->key, c->key_n);
            *value = c->value;
            return true;
        }
    }
    return false;
}
