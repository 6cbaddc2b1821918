/* Filters: one interface for those in C and those in Python, run phase by phase in the order of the
 * chain.
 *
 * There are three verdicts and no more:
 *   PP_NEXT   go on with the next filter
 *   PP_PARK   the filter waits for something: x->task[] is set, and pp_phase_resume will be called
 *             exactly once, unless the task is cancelled
 *   PP_REPLY  stop: x->response holds an answer (x->replied), or x->fault says why there is none
 * After the response head has gone out, PP_REPLY ends the exchange and its client connection. */
#ifndef PP_PROXY_PHASE_H
#define PP_PROXY_PHASE_H

#include "proxy/exchange.h"

enum pp_verdict { PP_NEXT = 0, PP_PARK = 1, PP_REPLY = 2 };

struct pp_filter_ops {
    const char *name;
    /* Any phase but the two body phases. */
    int (*run)(void *self, struct pp_exchange *x, enum pp_phase phase);
    /* request_body and response_body: see <piece> (<last>: no more will come) and set *out to what
     * goes on in its place, valid until the next call for this direction or the end of the
     * exchange. */
    int (*body)(void *self, struct pp_exchange *x, enum pp_phase phase, struct pp_span piece,
                bool last, struct pp_span *out);
};

/* What a filter waited for has happened: go on. Called by the owner of x->task[which], inside of a
 * turn or outside. <piece>: what a body filter gives on. */
void pp_phase_resume(struct pp_exchange *x, enum pp_park which, int verdict, struct pp_span piece);

/* Cancel whatever is waited for in <which>; fine when there is nothing. */
void pp_phase_cancel(struct pp_exchange *x, enum pp_park which);

/* Run <phase> from x->cursor on. PP_PARK: x->parked is set. */
int pp_phase_run(struct pp_exchange *x, enum pp_phase phase);

/* Run the body phase of <dir> over *piece from the flow's cursor on; *piece becomes the result.
 * PP_PARK: flow->parked is set. */
int pp_phase_run_body(struct pp_exchange *x, enum pp_dir dir, struct pp_span *piece, bool last);

static inline bool pp_phase_is_bound(const struct pp_exchange *x, enum pp_phase phase)
{
    return x->route->chain.n[phase] > 0;
}

#endif
