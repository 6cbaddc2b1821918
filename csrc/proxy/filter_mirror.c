#include "proxy/filter_mirror.h"

#include "base/mem.h"
#include "proxy/filter_edits.h"
#include "proxy/shadow.h"

/* Chances are counted in parts of a million. */
#define CERTAIN 1000000u

struct mirror {
    struct pp_cluster *cluster; /* there when the snapshot is finished */
    uint32_t chance, max_body, max_concurrent;
    uint64_t timeout_ms;
    struct pp_span host_suffix;
    struct pp_filter_edits headers;
    uint32_t active; /* copies in this worker, of this configuration */
};

enum stage {
    STAGE_OFF = 0,  /* no copy, or it has gone */
    STAGE_DUE = 1,  /* to be copied when the head is as it goes on */
    STAGE_BODY = 2, /* the body is missing */
};

/* What one exchange has of its copy. */
struct state {
    struct mirror *mirror;
    struct pp_exchange *x, *copy; /* <copy>: in STAGE_BODY */
    char *body;
    uint32_t n, cap;
    uint8_t stage; /* enum stage */
};

#define COUNT(x, word) PP_COUNT(&(x)->core->metrics, (x)->route->record, ROUTE, word, 1)

/* ---- making ---- */

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct mirror *mirror = pp_arena_alloc(m->arena, sizeof(*mirror));
    int64_t max_body = 65536, max_concurrent = 100, timeout_ms = 10000;
    double percent = 100;
    if (mirror == NULL)
        return PP_ENOMEM;
    memset(mirror, 0, sizeof(*mirror));
    pp_options_get_text(o, "upstream", &m->upstream, &m->fault);
    pp_options_get_real(o, "percent", &percent, &m->fault);
    pp_options_get_int(o, "max_body", 0, INT32_MAX, &max_body, &m->fault);
    pp_options_get_int(o, "max_concurrent", 1, INT32_MAX, &max_concurrent, &m->fault);
    pp_options_get_int(o, "timeout_ms", 1, INT32_MAX, &timeout_ms, &m->fault);
    pp_options_get_text(o, "host_suffix", &mirror->host_suffix, &m->fault);
    mirror->chance = percent >= 100 ? CERTAIN
                     : percent > 0  ? (uint32_t)(percent * (CERTAIN / 100))
                                    : 0;
    mirror->max_body = (uint32_t)max_body;
    mirror->max_concurrent = (uint32_t)max_concurrent;
    mirror->timeout_ms = (uint64_t)timeout_ms;
    m->cluster = &mirror->cluster;
    *self = mirror;
    return pp_filter_edits_make(m, pp_options_get_map(o, "headers", &m->fault), &mirror->headers);
}

/* ---- one copy ---- */

static void forget_body(struct state *s)
{
    pp_mem_free(s->body);
    s->body = NULL;
    s->n = s->cap = 0;
}

/* There will be no copy, although it was begun. */
static void give_up(struct state *s)
{
    s->stage = STAGE_OFF;
    s->mirror->active--;
    pp_shadow_drop(s->copy);
    forget_body(s);
}

/* The exchange is over. */
static void on_end(void *arg)
{
    struct state *s = arg;
    if (s->stage != STAGE_BODY)
        return;
    COUNT(s->x, MIRROR_INCOMPLETE);
    give_up(s);
}

static void on_ended(void *arg, const struct pp_exchange *copy)
{
    struct mirror *mirror = arg;
    mirror->active--;
    if (pp_fault_is_set(&copy->fault))
        COUNT(copy, MIRROR_FAILED);
}

static void depart(struct state *s)
{
    struct pp_shadow_plan plan = {
        .timeout_ms = s->mirror->timeout_ms, .ended = on_ended, .arg = s->mirror};
    COUNT(s->x, MIRROR_SENT);
    pp_shadow_start(s->copy, &plan, s->body, s->n);
    s->stage = STAGE_OFF;
    s->body = NULL;
}

/* "a.example:8080" -> "a.example-shadow:8080" */
static int add_suffix(struct pp_exchange *copy, struct pp_span suffix)
{
    struct pp_span host = copy->up_host;
    size_t n = host.n;
    if (suffix.n == 0 || n == 0)
        return PP_OK;
    while (n > 0 && (unsigned)(host.p[n - 1] - '0') < 10u)
        n--;
    n = n > 0 && host.p[n - 1] == ':' ? n - 1 : host.n;
    char *p = pp_arena_alloc(&copy->arena, host.n + suffix.n);
    if (p == NULL)
        return PP_ENOMEM;
    memcpy(p, host.p, n);
    memcpy(p + n, suffix.p, suffix.n);
    memcpy(p + n + suffix.n, host.p + n, host.n - n);
    copy->up_host = pp_span(p, host.n + suffix.n);
    return PP_OK;
}

static bool opens_tunnel(const struct pp_exchange *x)
{
    return x->wants_tunnel || x->extended || x->offer.n > 0;
}

/* The head is as it goes on: copy it. */
static void begin(struct state *s, struct pp_exchange *x)
{
    struct mirror *mirror = s->mirror;
    s->stage = STAGE_OFF;
    if (opens_tunnel(x))
        return;
    if (mirror->active >= mirror->max_concurrent) {
        COUNT(x, MIRROR_BUSY);
        return;
    }
    if (pp_shadow_new(x, mirror->cluster, &s->copy) != PP_OK) {
        COUNT(x, MIRROR_NO_MEMORY);
        return;
    }
    s->stage = STAGE_BODY;
    mirror->active++;
    if (add_suffix(s->copy, mirror->host_suffix) == PP_OK &&
        pp_filter_edits_apply(&mirror->headers, s->copy, &s->copy->request) == PP_OK)
        return;
    COUNT(x, MIRROR_NO_MEMORY);
    give_up(s);
}

/* PP_OK, PP_ELIMIT or PP_ENOMEM. */
static int add_piece(struct state *s, struct pp_span piece)
{
    if (piece.n > s->mirror->max_body - s->n)
        return PP_ELIMIT;
    if (piece.n > s->cap - s->n) {
        size_t cap = PP_MIN(PP_MAX((size_t)s->cap * 2, s->n + piece.n), s->mirror->max_body);
        char *p = pp_mem_resize(s->body, cap);
        if (p == NULL)
            return PP_ENOMEM;
        s->body = p;
        s->cap = (uint32_t)cap;
    }
    if (piece.n > 0)
        memcpy(s->body + s->n, piece.p, piece.n);
    s->n += (uint32_t)piece.n;
    return PP_OK;
}

/* ---- phases ---- */

/* Is there to be a copy? */
static bool is_wanted(struct mirror *mirror, struct pp_exchange *x)
{
    if (x->request.method_id == PP_HTTP_CONNECT ||
        (mirror->chance < CERTAIN && pp_rng_below(&x->core->rng, CERTAIN) >= mirror->chance))
        return false;
    if (x->request.body == PP_HTTP_BODY_LENGTH && x->request.content_length > mirror->max_body) {
        COUNT(x, MIRROR_TOO_LARGE);
        return false;
    }
    struct state *s = pp_filter_state(x, mirror, sizeof(*s));
    if (s == NULL || pp_arena_on_reset(&x->arena, on_end, s) != PP_OK) {
        COUNT(x, MIRROR_NO_MEMORY);
        return false;
    }
    *s = (struct state){.mirror = mirror, .x = x, .stage = STAGE_DUE};
    return true;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    struct mirror *mirror = self;
    if (phase == PP_PHASE_REQUEST) {
        if (is_wanted(mirror, x))
            pp_filter_look_on(x, PP_DIR_REQUEST);
        else
            pp_filter_stand_by(x, PP_DIR_REQUEST);
        return PP_NEXT;
    }
    struct state *s = pp_filter_state_find(x, mirror);
    if (s == NULL || s->stage != STAGE_DUE) /* another attempt; or the body was collected before */
        return PP_NEXT;
    begin(s, x);
    const struct pp_flow *flow = &x->flow[PP_DIR_REQUEST];
    if (s->stage == STAGE_BODY &&
        (x->request.body == PP_HTTP_BODY_NONE || (flow->source_ended && flow->hold == 0)))
        depart(s);
    return PP_NEXT;
}

static int body(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out)
{
    struct state *s = pp_filter_state_find(x, self);
    (void)phase;
    *out = piece;
    if (s == NULL)
        return PP_NEXT;
    if (s->stage == STAGE_DUE) /* it was collected */
        begin(s, x);
    if (s->stage != STAGE_BODY)
        return PP_NEXT;
    int rc = add_piece(s, piece);
    if (rc == PP_ELIMIT)
        COUNT(x, MIRROR_TOO_LARGE);
    else if (rc != PP_OK)
        COUNT(x, MIRROR_NO_MEMORY);
    if (rc != PP_OK)
        give_up(s);
    else if (last)
        depart(s);
    return PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "mirror", .run = run, .body = body};

const struct pp_filter_kind pp_filter_mirror_kind = {
    .name = "mirror",
    .phases = PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(REQUEST_BODY) | PP_PHASE_BIT(UPSTREAM_PEER),
    .ops = &ops,
    .make = make,
};
