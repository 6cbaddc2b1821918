#include "proxy/filter_bandwidth_limit.h"

#include "base/map.h"
#include "base/mem.h"
#include "proxy/filter_body.h"
#include "proxy/filter_text.h"
#include "proxy/pace.h"

/* Buckets that nobody uses and that are not full yet, at most: else a client would get a new burst
 * with each request. Beyond that the oldest are forgotten. */
#define IDLE_MAX 65536

/* What exchanges share that have the same key. */
struct common {
    struct pp_list link;             /* in limit->idle when nobody uses it */
    struct pp_pace_bucket bucket[2]; /* by enum pp_dir */
    uint32_t refs;
    struct pp_span key;
};

struct bandwidth_limit {
    uint64_t rate[2], burst[2];       /* by enum pp_dir; rate 0: no limit */
    const struct pp_filter_text *key; /* NULL: none is shared */
    struct pp_map map;                /* key -> struct common */
    struct pp_list idle;              /* longest idle first */
    uint32_t n_idle;
    bool has_map;
};

struct state {
    struct bandwidth_limit *limit;
    struct pp_exchange *x;
    struct common *common; /* NULL: <own> */
    struct pp_pace_bucket own[2];
    struct pp_pace pace[2];
    bool on[2];
};

/* ---- making ---- */

static void read_rate(struct pp_filter_make *m, const struct pp_options *o, const char *name,
                      struct bandwidth_limit *limit, enum pp_dir dir)
{
    const struct pp_options *of = pp_options_get_map(o, name, &m->fault);
    int64_t rate = 1, burst;
    if (of->n == 0)
        return;
    pp_options_get_int(of, "rate", 1, (int64_t)PP_PACE_RATE_MAX, &rate, &m->fault);
    burst = PP_MIN(rate, (int64_t)PP_PACE_BURST_MAX);
    pp_options_get_int(of, "burst", 1, (int64_t)PP_PACE_BURST_MAX, &burst, &m->fault);
    limit->rate[dir] = (uint64_t)rate;
    limit->burst[dir] = (uint64_t)burst;
}

static void drop(struct bandwidth_limit *limit, struct common *c)
{
    pp_list_detach(&c->link);
    limit->n_idle--;
    (void)pp_map_take(&limit->map, c->key);
    pp_mem_free(c);
}

/* The snapshot goes: nobody uses anything. */
static void on_gone(void *arg)
{
    struct bandwidth_limit *limit = arg;
    while (!pp_list_is_empty(&limit->idle))
        drop(limit, PP_CONTAINER_OF(limit->idle.next, struct common, link));
    pp_map_fini(&limit->map);
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct bandwidth_limit *limit = pp_arena_alloc(m->arena, sizeof(*limit));
    struct pp_span key = PP_SPAN_NONE;
    if (limit == NULL)
        return PP_ENOMEM;
    memset(limit, 0, sizeof(*limit));
    pp_list_init(&limit->idle);
    read_rate(m, o, "upload", limit, PP_DIR_REQUEST);
    read_rate(m, o, "download", limit, PP_DIR_RESPONSE);
    pp_options_get_text(o, "key", &key, &m->fault);
    if (limit->rate[PP_DIR_REQUEST] == 0)
        m->phases &= ~PP_PHASE_BIT(REQUEST);
    if (limit->rate[PP_DIR_RESPONSE] == 0)
        m->phases &= ~PP_PHASE_BIT(RESPONSE);
    *self = limit;
    int rc = key.n > 0 ? pp_filter_text_new(m, key, &limit->key) : PP_OK;
    return rc == PP_OK ? pp_arena_on_reset(m->arena, on_gone, limit) : rc;
}

/* ---- buckets ---- */

static void fill(const struct bandwidth_limit *limit, struct pp_pace_bucket *bucket)
{
    for (int dir = 0; dir < 2; dir++) {
        if (limit->rate[dir] > 0)
            pp_pace_bucket_init(&bucket[dir], limit->rate[dir], limit->burst[dir]);
    }
}

/* Those that are full again are as good as new ones. */
static void sweep(struct bandwidth_limit *limit, const struct pp_core *core)
{
    uint64_t now_ns = core->loop.now_us * 1000;
    while (!pp_list_is_empty(&limit->idle)) {
        struct common *c = PP_CONTAINER_OF(limit->idle.next, struct common, link);
        bool full = c->bucket[0].full_ns <= now_ns && c->bucket[1].full_ns <= now_ns;
        if (!full && limit->n_idle <= IDLE_MAX)
            return;
        drop(limit, c);
    }
}

static struct common *add(struct bandwidth_limit *limit, struct pp_span key)
{
    struct common *c = pp_mem_zalloc(sizeof(*c) + key.n);
    if (c == NULL)
        return NULL;
    memcpy(c + 1, key.p, key.n);
    c->key = pp_span((char *)(c + 1), key.n);
    pp_list_init(&c->link);
    fill(limit, c->bucket);
    if (pp_map_put(&limit->map, c->key, c) != PP_OK) {
        pp_mem_free(c);
        return NULL;
    }
    return c;
}

/* The buckets of <key>, one user more. NULL when memory is out. */
static struct common *acquire(struct bandwidth_limit *limit, const struct pp_core *core,
                              struct pp_span key)
{
    if (!limit->has_map)
        pp_map_init(&limit->map, core->seed);
    limit->has_map = true;
    struct common *c = pp_map_get(&limit->map, key);
    if (c == NULL)
        c = add(limit, key);
    else if (c->refs == 0) {
        pp_list_detach(&c->link);
        limit->n_idle--;
    }
    if (c != NULL)
        c->refs++;
    return c;
}

static void release(struct bandwidth_limit *limit, struct common *c, const struct pp_core *core)
{
    if (--c->refs > 0)
        return;
    pp_list_attach_back(&limit->idle, &c->link);
    limit->n_idle++;
    sweep(limit, core);
}

/* ---- exchanges ---- */

static void on_end(void *arg)
{
    struct state *s = arg;
    for (int dir = 0; dir < 2; dir++) {
        if (s->on[dir])
            pp_pace_end(&s->pace[dir]);
    }
    if (s->common != NULL)
        release(s->limit, s->common, s->x->core);
}

static int begin(struct bandwidth_limit *limit, struct pp_exchange *x, struct state **out)
{
    struct pp_span key = PP_SPAN_NONE;
    struct state *s = *out = pp_filter_state(x, limit, sizeof(*s));
    if (s == NULL)
        return PP_ENOMEM;
    if (s->limit != NULL)
        return PP_OK;
    int rc = limit->key != NULL ? pp_filter_text_render(limit->key, x, &key) : PP_OK;
    if (rc == PP_OK)
        rc = pp_arena_on_reset(&x->arena, on_end, s);
    if (rc != PP_OK)
        return rc;
    s->limit = limit;
    s->x = x;
    if (key.n > 0 && (s->common = acquire(limit, x->core, key)) == NULL)
        return PP_ENOMEM;
    fill(limit, s->own);
    return PP_OK;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    enum pp_dir dir = phase == PP_PHASE_REQUEST ? PP_DIR_REQUEST : PP_DIR_RESPONSE;
    struct state *s;
    if (dir == PP_DIR_RESPONSE && pp_filter_is_own(x))
        return PP_NEXT;
    int rc = begin(self, x, &s);
    if (rc != PP_OK)
        return pp_filter_failed(x, rc);
    if (!s->on[dir])
        pp_pace_begin(&s->pace[dir], x, dir,
                      s->common != NULL ? &s->common->bucket[dir] : &s->own[dir]);
    s->on[dir] = true;
    return PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "bandwidth_limit", .run = run};

const struct pp_filter_kind pp_filter_bandwidth_limit_kind = {
    .name = "bandwidth_limit",
    .phases = PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(RESPONSE),
    .ops = &ops,
    .make = make,
};
