#include "proxy/udp_table.h"

#include "base/check.h"
#include "base/mem.h"

#define FIRST_BUCKETS 64
#define MOST_BUCKETS (1u << 24)

void pp_udp_table_init(struct pp_udp_table *t, struct pp_hash_seed seed)
{
    *t = (struct pp_udp_table){.seed = seed};
}

void pp_udp_table_fini(struct pp_udp_table *t)
{
    PP_ASSERT(t->n == 0);
    pp_mem_free(t->bucket);
    t->bucket = NULL;
}

uint64_t pp_udp_table_hash(const struct pp_udp_table *t, const struct pp_dgram_path *path)
{
    return pp_hash(&t->seed, pp_span((const char *)path, sizeof(*path)));
}

static struct pp_udp_node **bucket_of(const struct pp_udp_table *t, uint64_t hash)
{
    return &t->bucket[hash & (t->cap - 1)];
}

struct pp_udp_node *pp_udp_table_find(const struct pp_udp_table *t,
                                      const struct pp_dgram_path *path, uint64_t hash)
{
    if (t->n == 0)
        return NULL;
    struct pp_udp_node *node = *bucket_of(t, hash);
    while (node != NULL && (node->hash != hash || !pp_dgram_path_eq(&node->path, path)))
        node = node->next;
    return node;
}

static void link_node(struct pp_udp_table *t, struct pp_udp_node *node)
{
    struct pp_udp_node **at = bucket_of(t, node->hash);
    node->next = *at;
    *at = node;
}

/* Twice the buckets. */
static int grow(struct pp_udp_table *t)
{
    struct pp_udp_table old = *t;
    uint32_t cap = old.cap == 0 ? FIRST_BUCKETS : old.cap * 2;
    struct pp_udp_node **bucket = pp_mem_zalloc(cap * sizeof(bucket[0]));
    if (bucket == NULL)
        return PP_ENOMEM;
    t->bucket = bucket;
    t->cap = cap;
    for (uint32_t i = 0; i < old.cap; i++) {
        struct pp_udp_node *next;
        for (struct pp_udp_node *node = old.bucket[i]; node != NULL; node = next) {
            next = node->next;
            link_node(t, node);
        }
    }
    pp_mem_free(old.bucket);
    return PP_OK;
}

int pp_udp_table_put(struct pp_udp_table *t, struct pp_udp_node *node)
{
    /* Without memory for more buckets the chains get longer; without any there is no table. */
    if (t->n >= t->cap && t->cap < MOST_BUCKETS && grow(t) != PP_OK && t->cap == 0)
        return PP_ENOMEM;
    link_node(t, node);
    t->n++;
    return PP_OK;
}

void pp_udp_table_take(struct pp_udp_table *t, struct pp_udp_node *node)
{
    struct pp_udp_node **at = bucket_of(t, node->hash);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    t->n--;
}
