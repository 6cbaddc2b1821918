#include "proxy/phase.h"

#include "base/check.h"

void pp_phase_resume(struct pp_exchange *x, enum pp_park which, int verdict, struct pp_span piece)
{
    struct pp_loop *lp = &x->core->loop;
    x->task[which] = NULL;
    pp_loop_enter(lp);
    x->events->resumed(x, which, verdict, piece);
    pp_loop_leave(lp);
}

void pp_phase_cancel(struct pp_exchange *x, enum pp_park which)
{
    struct pp_task *task = x->task[which];
    if (task == NULL)
        return;
    x->task[which] = NULL;
    task->cancel(task, x, which);
}

int pp_phase_run(struct pp_exchange *x, enum pp_phase phase)
{
    const struct pp_chain *chain =
        phase == PP_PHASE_EARLY_REQUEST ? &x->snapshot->early : &x->route->chain;
    while (x->cursor < chain->n[phase]) {
        const struct pp_filter *f = &chain->filter[phase][x->cursor];
        int verdict = f->ops->run(f->self, x, phase);
        if (verdict == PP_NEXT) {
            x->cursor++;
            continue;
        }
        x->parked = verdict == PP_PARK;
        return verdict;
    }
    return PP_NEXT;
}

int pp_phase_run_body(struct pp_exchange *x, enum pp_dir dir, struct pp_span *piece, bool last)
{
    enum pp_phase phase = dir == PP_DIR_REQUEST ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
    const struct pp_chain *chain = &x->route->chain;
    struct pp_flow *flow = &x->flow[dir];
    PP_ASSERT(!flow->parked);
    while (flow->cursor < chain->n[phase]) {
        const struct pp_filter *f = &chain->filter[phase][flow->cursor];
        int verdict = f->ops->body(f->self, x, phase, *piece, last, piece);
        if (verdict == PP_NEXT) {
            flow->cursor++;
            continue;
        }
        flow->parked = verdict == PP_PARK;
        flow->last = last;
        return verdict;
    }
    flow->cursor = 0;
    return PP_NEXT;
}
