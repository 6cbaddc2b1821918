/* Client connections that leave this worker before their client does: they move to another process,
 * or are said goodbye to.
 *
 *   busy -> at rest -> queue --(128 a turn)--> offered --TAKEN---> gone, served elsewhere
 *                        ^                        | |
 *                        +---LATER, in 10 ms------+ +--REFUSED--> goodbye, as in a drain without a
 *                                                                receiver: looked at and closed
 *
 * What can move is a plain connection on which no exchange is running and nothing is unsent: idle,
 * fresh, or with the beginning of a head. Its descriptor leaves with the bytes that were read of
 * it, and what waits in the socket waits there for the next reader: nothing is lost, nothing is
 * answered twice, and the client sees nothing. Whole requests that were read are answered here,
 * before. As long as a connection may go, its answers do not say `Connection: close`. */
#ifndef PP_PROXY_MOVE_H
#define PP_PROXY_MOVE_H

#include "proxy/down.h"

#define PP_MOVE_BATCH 128
#define PP_MOVE_LATER_MS 10
/* A client that has just connected is not sent away before it could ask: a TLS handshake takes some
 * round trips, and few clients try again when it breaks. Counted from the connection's beginning.
 */
#define PP_MOVE_FIRST_MS 3000
/* Within which an overloaded worker closes idle connections: their clients come back. */
#define PP_MOVE_RELIEF_MS 1000

/* Offer every connection that is or comes to rest to <fn>, from now on. NULL: to nobody any more;
 * in a draining worker those at rest are then said goodbye to. */
void pp_move_hand_over(struct pp_core *core, pp_move_fn fn, void *arg);

/* Adopt a connection that another process has handed over. Owns m->fd from the call on. It is one
 * of <door>, counted as open and as moved, but not as accepted: that it was elsewhere. What came
 * with it is parsed at once. PP_OK; PP_ENOMEM, PP_EIO. */
int pp_move_take(struct pp_door *door, const struct pp_moved *m) PP_MUST_USE;

/* From now on exchanges are the last of their connections (of those that cannot move), and idle
 * connections are closed: each after a time by chance within <spread_ms>, so that not all clients
 * come back at once, never while bytes of it wait in the socket, and none that has asked nothing
 * yet before PP_MOVE_FIRST_MS. 0: at once. */
void pp_move_drain(struct pp_core *core, uint64_t spread_ms);
/* The same while <on>, for a worker that has too much to do: it goes on accepting, and what has not
 * been closed when it is over stays. */
void pp_move_relieve(struct pp_core *core, bool on);
/* No more of all this: everything is about to be closed. */
void pp_move_stop(struct pp_core *core);

/* Do all connections end in this worker, as soon as they can? */
static inline bool pp_move_ends_all(const struct pp_core *core)
{
    return core->draining || core->leaving.relief;
}
/* Within which time idle ones then do. */
static inline uint32_t pp_move_spread_ms(const struct pp_core *core)
{
    return core->draining ? core->leaving.spread_ms : PP_MOVE_RELIEF_MS;
}

/* May its next answer leave the connection open? Asked while core->leaving.on. */
bool pp_move_may_go(const struct pp_down *d);
/* The time of an idle connection has come: serve it if something waits in the socket, close it
 * otherwise. */
void pp_move_goodbye(struct pp_down *d);
/* Look at <d> soon, if it is at rest. Asked while core->leaving.on. */
void pp_move_consider(struct pp_down *d);

/* <d> has nothing to do at the moment. */
static inline void pp_move_rest(struct pp_down *d)
{
    if (PP_UNLIKELY(d->h.core->leaving.on))
        pp_move_consider(d);
}
/* <d> was just accepted: whoever only drains lets it say something first. */
static inline void pp_move_new(struct pp_down *d)
{
    if (PP_UNLIKELY(d->h.core->leaving.fn != NULL))
        pp_move_consider(d);
}

#endif
