#include "proxy/leases.h"

#include "base/err.h"
#include "base/mem.h"

/* Each lease is renewed three times a term: one turn that takes long does no harm. */
#define RENEW_MS (PP_LEASE_TERM_NS / 3 / 1000000)
/* Attempts, each of which fails only because somebody else's succeeded. */
#define TRIES 1000

static inline uint64_t now_ns(const struct pp_leases *ls)
{
    return ls->loop->now_us * 1000;
}

static struct pp_span name_of(const struct pp_shtable_key *key)
{
    return pp_span((const char *)key->hash, sizeof(key->hash));
}

static void drop(struct pp_leases *ls, struct pp_holding *h)
{
    (void)pp_map_take(&ls->map, name_of(&h->key));
    pp_list_detach(&h->link);
    pp_mem_free(h);
}

static void renew(struct pp_leases *ls, const struct pp_shtable *t, struct pp_holding *h)
{
    struct pp_shtable_ref ref;
    struct pp_lease_step step;
    uint64_t now = now_ns(ls);
    for (int i = 0; i < TRIES; i++) {
        uint64_t word = pp_shtable_get(t, &h->key, now, &ref);
        pp_lease_renew(word, h->lease, now, &step);
        if (pp_shtable_put(t, &ref, step.word, pp_lease_expires(now))) {
            h->lease = step.held;
            return;
        }
    }
}

static void on_timer(struct pp_timer *timer)
{
    struct pp_leases *ls = PP_CONTAINER_OF(timer, struct pp_leases, timer);
    const struct pp_shtable *t = pp_shared_table(ls->shared, ls->seed);
    struct pp_list *next;
    for (struct pp_list *at = ls->all.next; at != &ls->all; at = next) {
        struct pp_holding *h = PP_CONTAINER_OF(at, struct pp_holding, link);
        next = at->next;
        if (h->lease.n == 0) /* kept until now, for it is often wanted again at once */
            drop(ls, h);
        else if (t != NULL)
            renew(ls, t, h);
    }
    if (!pp_list_is_empty(&ls->all))
        pp_loop_start(ls->loop, &ls->timer, ls->loop->now_ms + RENEW_MS);
}

void pp_leases_init(struct pp_leases *ls, struct pp_loop *loop, struct pp_shared *shared,
                    const struct pp_hash_seed *seed)
{
    pp_map_init(&ls->map, *seed);
    pp_list_init(&ls->all);
    pp_timer_init(&ls->timer, on_timer);
    ls->loop = loop;
    ls->shared = shared;
    ls->seed = seed;
}

void pp_leases_fini(struct pp_leases *ls)
{
    if (ls->loop == NULL)
        return;
    pp_loop_stop(ls->loop, &ls->timer);
    while (!pp_list_is_empty(&ls->all))
        drop(ls, PP_CONTAINER_OF(ls->all.next, struct pp_holding, link));
    pp_map_fini(&ls->map);
}

/* The holding of <key>, new when there is none. NULL: memory is out. */
static struct pp_holding *find(struct pp_leases *ls, const struct pp_shtable_key *key)
{
    struct pp_holding *h = pp_map_get(&ls->map, name_of(key));
    if (h != NULL)
        return h;
    h = pp_mem_zalloc(sizeof(*h));
    if (h == NULL)
        return NULL;
    h->key = *key;
    if (pp_map_put(&ls->map, name_of(key), h) != PP_OK) {
        pp_mem_free(h);
        return NULL;
    }
    pp_list_attach(&ls->all, &h->link);
    pp_loop_no_later(ls->loop, &ls->timer, ls->loop->now_ms + RENEW_MS);
    return h;
}

int pp_leases_take(struct pp_leases *ls, const struct pp_shtable_key *key, uint32_t limit,
                   struct pp_holding **held, uint32_t *count)
{
    const struct pp_shtable *t = pp_shared_table(ls->shared, ls->seed);
    struct pp_holding *h = t != NULL ? find(ls, key) : NULL;
    struct pp_shtable_ref ref;
    struct pp_lease_step step;
    uint64_t now = now_ns(ls);
    if (h == NULL)
        return PP_ENOMEM;
    for (int i = 0; i < TRIES; i++) {
        uint64_t word = pp_shtable_get(t, key, now, &ref);
        bool granted = pp_lease_take(word, h->lease, now, limit, &step);
        *count = step.count;
        if (!granted)
            return PP_ELIMIT;
        if (pp_shtable_put(t, &ref, step.word, pp_lease_expires(now))) {
            h->lease = step.held;
            *held = h;
            return PP_OK;
        }
    }
    return PP_EAGAIN;
}

void pp_leases_give_back(struct pp_leases *ls, struct pp_holding *h)
{
    const struct pp_shtable *t = pp_shared_table(ls->shared, ls->seed);
    struct pp_shtable_ref ref;
    struct pp_lease_step step;
    uint64_t now = now_ns(ls);
    for (int i = 0; t != NULL && i < TRIES; i++) {
        uint64_t word = pp_shtable_get(t, &h->key, now, &ref);
        pp_lease_give_back(word, h->lease, now, &step);
        if (pp_shtable_put(t, &ref, step.word, pp_lease_expires(now))) {
            h->lease = step.held;
            return;
        }
    }
    h->lease.n--; /* the count is right again after a term */
}
