#include "proxy/filter_rate_limit.h"

#include "base/num.h"
#include "proxy/filter_limit.h"
#include "route/budget.h"

#define SECOND ((uint64_t)1000000000)
/* Attempts, each of which fails only because another worker's succeeded. */
#define TRIES 1000
/* Longest name of a policy, and what one policy takes in a field besides its name. */
#define NAME_BYTES 64
#define ITEM_BYTES (16 + 2 * PP_NUM_U64_CHARS)

struct limit {
    struct pp_budget budget;
    const struct pp_filter_text *key;
    uint64_t space;
    struct pp_span name; /* a string of RFC 8941, quotes included */
};

struct rate_limit {
    struct pp_filter_limit common;
    bool headers;
    uint32_t n;
    struct limit *limit;
    struct pp_span policy; /* the value of RateLimit-Policy */
};

/* What one request has taken of one limit. */
struct share {
    bool taken; /* or looked at: <left> and <reset_ns> are set */
    uint64_t left, reset_ns;
    struct pp_shtable_key key;
};

struct state {
    struct pp_task task; /* parked until its time has come */
    struct pp_timer timer;
    struct pp_exchange *x;
    struct share share[];
};

/* ---- making ---- */

/* "<name>", of what a string of RFC 8941 may hold. */
static int quote(struct pp_filter_make *m, struct pp_span name, uint32_t i, struct pp_span *out)
{
    char *p = pp_arena_alloc(m->arena, NAME_BYTES + 4 + PP_NUM_U64_CHARS), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    bool own = name.n > 0;
    if (!own)
        name = m->name;
    *at++ = '"';
    for (size_t k = 0; k < name.n && k < NAME_BYTES; k++) {
        char c = name.p[k];
        *at++ = c < ' ' || c > '~' || c == '"' || c == '\\' ? '_' : c;
    }
    if (!own && i > 0) {
        *at++ = '-';
        at += pp_num_format_u64(at, i + 1);
    }
    *at++ = '"';
    *out = pp_span(p, (size_t)(at - p));
    return PP_OK;
}

static uint8_t kind_of(struct pp_filter_make *m, struct pp_span word)
{
    static const char *const words[] = {"token_bucket", "sliding_window", "fixed_window"};
    for (uint8_t i = 0; i < PP_COUNT_OF(words); i++) {
        if (pp_span_eq(word, pp_span(words[i], strlen(words[i]))))
            return i;
    }
    if (m->fault.key.p == NULL)
        m->fault = (struct pp_options_fault){PP_SPAN("algorithm"), "one of its words"};
    return 0;
}

static int make_limit(struct pp_filter_make *m, const struct pp_options *o, struct pp_span place,
                      uint32_t i, struct limit *l)
{
    struct pp_span word = PP_SPAN("token_bucket"), key = PP_SPAN_NONE, name = PP_SPAN_NONE;
    int64_t count = 0, period = 0, burst = 0, queue = 0;
    pp_options_get_text(o, "algorithm", &word, &m->fault);
    pp_options_get_text(o, "key", &key, &m->fault);
    pp_options_get_text(o, "name", &name, &m->fault);
    pp_options_get_int(o, "count", 1, INT64_MAX, &count, &m->fault);
    pp_options_get_int(o, "period_ns", 1, INT64_MAX, &period, &m->fault);
    pp_options_get_int(o, "burst", 0, INT64_MAX, &burst, &m->fault);
    pp_options_get_int(o, "queue", 0, INT64_MAX, &queue, &m->fault);
    l->budget = (struct pp_budget){.kind = kind_of(m, word),
                                   .count = (uint64_t)count,
                                   .period_ns = (uint64_t)period,
                                   .burst = (uint64_t)burst,
                                   .queue = (uint64_t)queue};
    int rc = quote(m, name, i, &l->name);
    if (rc == PP_OK)
        rc = pp_filter_text_new(m, key, &l->key);
    if (rc != PP_OK)
        return rc;
    if (pp_budget_init(&l->budget) != PP_OK)
        return pp_filter_refuse(m, "a rate, burst or queue out of range:", l->name);
    l->space = pp_filter_limit_space("rate_limit", place, l->name);
    return PP_OK;
}

static char *put(char *at, struct pp_span text)
{
    memcpy(at, text.p, text.n);
    return at + text.n;
}

static char *put_number(char *at, const char *name, uint64_t value)
{
    at = put(at, pp_span(name, strlen(name)));
    return at + pp_num_format_u64(at, value);
}

/* Bytes that are enough for one of the two fields. */
static size_t field_bytes(const struct rate_limit *r)
{
    size_t n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        n += r->limit[i].name.n + ITEM_BYTES;
    return n;
}

static int make_policy(struct pp_filter_make *m, struct rate_limit *r)
{
    char *p = pp_arena_alloc(m->arena, field_bytes(r)), *at = p;
    if (p == NULL)
        return PP_ENOMEM;
    for (uint32_t i = 0; i < r->n; i++) {
        const struct pp_budget *b = &r->limit[i].budget;
        at = i > 0 ? put(at, PP_SPAN(", ")) : at;
        at = put_number(put(at, r->limit[i].name), ";q=", b->count);
        if (b->period_ns % SECOND == 0)
            at = put_number(at, ";w=", b->period_ns / SECOND);
    }
    r->policy = pp_span(p, (size_t)(at - p));
    return PP_OK;
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct rate_limit *r = pp_arena_alloc(m->arena, sizeof(*r));
    const struct pp_options *limits = pp_options_get_list(o, "limits", &m->fault);
    struct pp_span place = PP_SPAN_NONE;
    if (r == NULL)
        return PP_ENOMEM;
    *r = (struct rate_limit){.headers = true, .n = limits->n};
    pp_filter_limit_read(m, o, &r->common);
    pp_options_get_bool(o, "headers", &r->headers, &m->fault);
    pp_options_get_text(o, "place", &place, &m->fault);
    if (r->n == 0 || r->n > PP_FILTER_LIMIT_MAX)
        return pp_filter_refuse(m, "no limits, or too many:", m->name);
    r->limit = pp_arena_alloc(m->arena, r->n * sizeof(*r->limit));
    int rc = r->limit == NULL ? PP_ENOMEM : PP_OK;
    for (uint32_t i = 0; i < r->n && rc == PP_OK; i++)
        rc = make_limit(m, &limits->as.item[i], place, i, &r->limit[i]);
    if (rc == PP_OK)
        rc = make_policy(m, r);
    if (!r->headers || r->common.dry_run)
        m->phases &= ~PP_PHASE_BIT(RESPONSE);
    *self = r;
    return rc;
}

/* ---- taking ---- */

/* One of the budget. PP_OK, whatever the answer is; PP_EAGAIN: others were faster again and again.
 */
static int take(const struct pp_shtable *t, const struct pp_budget *b,
                const struct pp_shtable_key *key, uint64_t now, struct pp_budget_answer *a)
{
    struct pp_shtable_ref ref;
    for (int i = 0; i < TRIES; i++) {
        pp_budget_take(b, pp_shtable_get(t, key, now, &ref), now, a);
        if (!a->granted || pp_shtable_put(t, &ref, a->word, a->expires_ns))
            return PP_OK;
    }
    return PP_EAGAIN;
}

static void give_back(const struct pp_shtable *t, const struct pp_budget *b,
                      const struct pp_shtable_key *key, uint64_t now)
{
    struct pp_shtable_ref ref;
    for (int i = 0; i < TRIES; i++) {
        uint64_t word = pp_shtable_get(t, key, now, &ref);
        if (word == 0)
            return;
        /* It ends when it would have, or a little earlier: nothing depends on that. */
        uint64_t ends = b->kind == PP_BUDGET_BUCKET ? word : now + 2 * b->period_ns;
        if (pp_shtable_put(t, &ref, pp_budget_give_back(b, word, now), ends))
            return;
    }
}

static void give_all_back(const struct rate_limit *r, const struct pp_shtable *t,
                          const struct state *s, uint32_t n, uint64_t now)
{
    for (uint32_t i = 0; i < n; i++) {
        if (s->share[i].taken)
            give_back(t, &r->limit[i].budget, &s->share[i].key, now);
    }
}

/* What all limits say together. */
struct outcome {
    bool refused;
    uint64_t wait_ns; /* refused: until it makes sense to come again; else: to be parked so long */
};

/* PP_OK, or the error of the key or the table; nothing is taken then. */
static int take_all(const struct rate_limit *r, struct pp_exchange *x, struct state *s,
                    struct outcome *out)
{
    const struct pp_shtable *t = pp_shared_table(&x->core->shared, &x->core->seed);
    uint64_t now = x->core->loop.now_us * 1000;
    *out = (struct outcome){false, 0};
    int rc = t == NULL ? PP_ENOMEM : PP_OK;
    for (uint32_t i = 0; i < r->n && rc == PP_OK; i++) {
        const struct limit *l = &r->limit[i];
        struct share *share = &s->share[i];
        struct pp_budget_answer a;
        rc = pp_filter_limit_key(t, l->key, l->space, x, &share->key);
        if (rc == PP_ENOENT && !r->common.refuse_missing) {
            rc = PP_OK;
            continue;
        }
        if (rc == PP_OK)
            rc = take(t, &l->budget, &share->key, now, &a);
        if (rc != PP_OK) {
            give_all_back(r, t, s, i, now);
            break;
        }
        *share = (struct share){true, a.left, a.reset_ns, share->key};
        if (!a.granted) {
            *out = (struct outcome){true, a.wait_ns};
            give_all_back(r, t, s, i, now);
            break;
        }
        out->wait_ns = PP_MAX(out->wait_ns, a.wait_ns);
    }
    return rc;
}

/* ---- waiting ---- */

static void on_time(struct pp_timer *timer)
{
    struct state *s = PP_CONTAINER_OF(timer, struct state, timer);
    pp_phase_resume(s->x, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
}

static void cancel(struct pp_task *task, struct pp_exchange *x, enum pp_park which)
{
    struct state *s = PP_CONTAINER_OF(task, struct state, task);
    (void)which;
    pp_loop_stop(&x->core->loop, &s->timer);
}

static int park(struct pp_exchange *x, struct state *s, uint64_t wait_ns)
{
    s->task.cancel = cancel;
    s->x = x;
    pp_timer_init(&s->timer, on_time);
    x->task[PP_PARK_PHASE] = &s->task;
    pp_loop_start(&x->core->loop, &s->timer, x->core->loop.now_ms + (wait_ns + 999999) / 1000000);
    return PP_PARK;
}

/* ---- phases ---- */

#define COUNT(x, word) PP_COUNT(&(x)->core->metrics, (x)->route->record, ROUTE, word, 1)

static int on_refused(const struct rate_limit *r, struct pp_exchange *x, uint64_t wait_ns)
{
    if (r->common.dry_run) {
        COUNT(x, RATE_DRY_RUN);
        return PP_NEXT;
    }
    COUNT(x, RATE_LIMITED);
    return pp_filter_limit_refuse(&r->common, x, wait_ns);
}

static int on_error(const struct rate_limit *r, struct pp_exchange *x, int rc)
{
    if (rc != PP_ENOENT && rc != PP_ENOMEM && rc != PP_EAGAIN)
        return pp_filter_failed(x, rc); /* the request itself is wrong */
    if (rc == PP_ENOENT)
        return on_refused(r, x, 0);
    COUNT(x, LIMIT_FAILURES);
    return r->common.refuse_on_error ? on_refused(r, x, 0) : PP_NEXT;
}

static int on_request(const struct rate_limit *r, struct pp_exchange *x)
{
    struct outcome out;
    struct state *s = pp_filter_state(x, r, sizeof(*s) + r->n * sizeof(struct share));
    if (s == NULL)
        return pp_filter_failed(x, PP_ENOMEM);
    int rc = take_all(r, x, s, &out);
    if (rc != PP_OK)
        return on_error(r, x, rc);
    if (out.refused)
        return on_refused(r, x, out.wait_ns);
    if (out.wait_ns == 0)
        return PP_NEXT;
    COUNT(x, RATE_DELAYED);
    return r->common.dry_run ? PP_NEXT : park(x, s, out.wait_ns);
}

static int on_response(const struct rate_limit *r, struct pp_exchange *x)
{
    const struct state *s = pp_filter_state_find(x, r);
    if (s == NULL)
        return PP_NEXT;
    char *p = pp_arena_alloc(&x->arena, field_bytes(r)), *at = p;
    if (p == NULL)
        return pp_filter_failed(x, PP_ENOMEM);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!s->share[i].taken)
            continue;
        at = at > p ? put(at, PP_SPAN(", ")) : at;
        at = put_number(put(at, r->limit[i].name), ";r=", s->share[i].left);
        at = put_number(at, ";t=", pp_filter_limit_seconds(s->share[i].reset_ns));
    }
    if (at == p)
        return PP_NEXT;
    struct pp_http_msg *m = &x->response;
    int rc = pp_http_msg_add(m, PP_SPAN("RateLimit-Policy"), PP_NAME_OTHER, r->policy);
    if (rc == PP_OK)
        rc = pp_http_msg_add(m, PP_SPAN("RateLimit"), PP_NAME_OTHER, pp_span(p, (size_t)(at - p)));
    return rc == PP_OK ? PP_NEXT : pp_filter_failed(x, rc);
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == PP_PHASE_REQUEST ? on_request(self, x) : on_response(self, x);
}

static const struct pp_filter_ops ops = {.name = "rate_limit", .run = run};

const struct pp_filter_kind pp_filter_rate_limit_kind = {
    .name = "rate_limit",
    .phases = PP_PHASE_BIT(REQUEST) | PP_PHASE_BIT(RESPONSE),
    .ops = &ops,
    .make = make,
};
