/* The steps of an exchange: what is done in each of its states, and which state follows.
 *
 *   step.c           the table of the steps, and the ways on that several of them share
 *   step_request.c   from the request's head to its sending: EARLY ... SEND, CONNECT_FAILED
 *   step_response.c  from the response's head to the end: UPSTREAM_RESPONSE ... LOG
 *   step_retry.c     from an attempt that failed to the next one, or to the end
 *   step_shed.c      what is refused before the first step
 *
 * A step ends with another state or waits for an event; events are proxy/drive.c's. */
#ifndef PP_PROXY_STEP_H
#define PP_PROXY_STEP_H

#include "proxy/body.h"

/* Go from step to step until one waits for an event or a filter has parked. Events come also while
 * a step is on the stack: then they only change the state, and the run below goes on with it. After
 * LOG the exchange is over. */
void pp_step_run(struct pp_exchange *x);

/* ---- ways on: for steps and events ---- */

/* A fault of the proxy's own, or of the client's request. */
static inline struct pp_fault pp_step_fault(enum pp_fault_code code, int detail)
{
    return pp_fault_make(code, PP_SIDE_DOWN, false, detail);
}

/* An answer of our own for x->fault, after the filters have heard of it. True. */
bool pp_step_to_error(struct pp_exchange *x, struct pp_fault f);
/* No answer is possible any more: the client is gone or has half a response. True. */
bool pp_step_to_abort(struct pp_exchange *x, struct pp_fault f);
/* A phase ended with PP_REPLY: by an answer, or by a fault (the filter raised). True. */
bool pp_step_to_reply(struct pp_exchange *x);
/* Another attempt, or the end. x->last_fault says what happened to the connection; it is detached.
 * True. */
bool pp_step_retry(struct pp_exchange *x);
/* The same for the answer in x->response, whose head has just come. False: it is what the client
 * gets. */
bool pp_step_retry_answer(struct pp_exchange *x);
/* Give the endpoint's connection back, if there is one, and end body filters. */
void pp_step_detach_up(struct pp_exchange *x, bool reusable);

/* ---- parts of steps ---- */

/* Run a phase and then enter <next>: the three verdicts in one place. */
bool pp_step_phase(struct pp_exchange *x, enum pp_phase phase, enum pp_exchange_state next);
/* A request body that nobody will read: what has come already is dropped, more means that the
 * connection cannot go on. */
void pp_step_drop_request(struct pp_exchange *x);
/* A head that was meant to leave together with body bytes, when none went: it must not wait for
 * them. */
void pp_step_flush_head(struct pp_exchange *x, enum pp_dir dir);

/* Host and path, normal, of the request's. PP_OK; PP_ENOMEM, or what is wrong with the path. */
int pp_step_target(struct pp_exchange *x) PP_MUST_USE;
/* The worker sheds load: refuse <x>, whose request has just come, unless its route is exempt. True:
 * it is refused. */
bool pp_step_shed(struct pp_exchange *x);

/* One step each, called through the table only. */
bool pp_step_early(struct pp_exchange *x);
bool pp_step_route(struct pp_exchange *x);
bool pp_step_request(struct pp_exchange *x);
bool pp_step_collect(struct pp_exchange *x);
bool pp_step_peer(struct pp_exchange *x);
bool pp_step_pause(struct pp_exchange *x);
bool pp_step_queue(struct pp_exchange *x);
bool pp_step_connected(struct pp_exchange *x);
bool pp_step_upstream_request(struct pp_exchange *x);
bool pp_step_connect_failed(struct pp_exchange *x);
bool pp_step_send(struct pp_exchange *x);
bool pp_step_upstream_response(struct pp_exchange *x);
bool pp_step_response(struct pp_exchange *x);
bool pp_step_body(struct pp_exchange *x);
bool pp_step_tunnel(struct pp_exchange *x);
bool pp_step_proxy_error(struct pp_exchange *x);
bool pp_step_reply(struct pp_exchange *x);
bool pp_step_log(struct pp_exchange *x);

#endif
