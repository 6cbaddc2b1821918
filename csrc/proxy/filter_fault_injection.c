#include "proxy/filter_fault_injection.h"

#include "proxy/filter_refusal.h"

/* Chances are counted in parts of a million. */
#define CERTAIN 1000000u

struct fault_injection {
    uint64_t delay_ms;
    uint32_t delay_chance, abort_chance;
    uint32_t max_active, active; /* of this worker; 0: any number */
    struct pp_filter_refusal answer;
};

/* One request that is held up. */
struct state {
    struct pp_task task;
    struct pp_timer timer;
    struct pp_exchange *x;
    struct fault_injection *f;
    bool aborts;
};

static uint32_t read_chance(struct pp_filter_make *m, const struct pp_options *o)
{
    double percent = o->n > 0 ? 100 : 0;
    pp_options_get_real(o, "percent", &percent, &m->fault);
    return percent >= 100 ? CERTAIN : percent > 0 ? (uint32_t)(percent * (CERTAIN / 100)) : 0;
}

static int make(struct pp_filter_make *m, const struct pp_options *o, void **self)
{
    struct fault_injection *f = pp_arena_alloc(m->arena, sizeof(*f));
    const struct pp_options *delay = pp_options_get_map(o, "delay", &m->fault);
    const struct pp_options *abort = pp_options_get_map(o, "abort", &m->fault);
    int64_t time_ms = 0, max_active = 0;
    if (f == NULL)
        return PP_ENOMEM;
    pp_options_get_int(delay, "time_ms", 0, INT32_MAX, &time_ms, &m->fault);
    pp_options_get_int(o, "max_active", 0, INT32_MAX, &max_active, &m->fault);
    *f = (struct fault_injection){.delay_ms = (uint64_t)time_ms,
                                  .delay_chance = read_chance(m, delay),
                                  .abort_chance = read_chance(m, abort),
                                  .max_active = (uint32_t)max_active};
    pp_filter_refusal_make(m, abort, 503, PP_SPAN("fault injected\n"), &f->answer);
    *self = f;
    return PP_OK;
}

static bool draw(struct pp_exchange *x, uint32_t chance)
{
    return chance == CERTAIN || (chance > 0 && pp_rng_below(&x->core->rng, CERTAIN) < chance);
}

static void on_time(struct pp_timer *timer)
{
    struct state *s = PP_CONTAINER_OF(timer, struct state, timer);
    s->f->active--;
    int verdict = s->aborts ? pp_filter_refusal_send(&s->f->answer, s->x) : PP_NEXT;
    pp_phase_resume(s->x, PP_PARK_PHASE, verdict, PP_SPAN_NONE);
}

static void cancel(struct pp_task *task, struct pp_exchange *x, enum pp_park which)
{
    struct state *s = PP_CONTAINER_OF(task, struct state, task);
    (void)which;
    s->f->active--;
    pp_loop_stop(&x->core->loop, &s->timer);
}

static int park(struct fault_injection *f, struct pp_exchange *x, bool aborts)
{
    struct state *s = pp_filter_state(x, f, sizeof(*s));
    if (s == NULL)
        return pp_filter_failed(x, PP_ENOMEM);
    *s = (struct state){.task = {.cancel = cancel}, .x = x, .f = f, .aborts = aborts};
    pp_timer_init(&s->timer, on_time);
    x->task[PP_PARK_PHASE] = &s->task;
    pp_loop_start(&x->core->loop, &s->timer, x->core->loop.now_ms + f->delay_ms);
    f->active++;
    return PP_PARK;
}

static int run(void *self, struct pp_exchange *x, enum pp_phase phase)
{
    struct fault_injection *f = self;
    (void)phase;
    bool delays = f->delay_ms > 0 && draw(x, f->delay_chance), aborts = draw(x, f->abort_chance);
    if (delays && (f->max_active == 0 || f->active < f->max_active))
        return park(f, x, aborts);
    return aborts ? pp_filter_refusal_send(&f->answer, x) : PP_NEXT;
}

static const struct pp_filter_ops ops = {.name = "fault_injection", .run = run};

const struct pp_filter_kind pp_filter_fault_injection_kind = {
    .name = "fault_injection",
    .phases = PP_PHASE_BIT(REQUEST),
    .ops = &ops,
    .make = make,
};
