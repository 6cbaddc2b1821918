/* Bodies on their way from a source to a sink: decoded, counted, filtered, framed anew; with
 * back-pressure, so that the memory of an exchange does not depend on the size of its body.
 *
 *   socket -> [input buffer | bulk scratch] -> decoder -> filters -> sink (gather) -> socket
 *                    \________________ splice: long plain bodies never enter user space
 * ________________/
 *
 * A source with frames of its own (HTTP/2) pushes decoded pieces into the same way instead.
 *
 * Reading stops while the sink queues bytes that its peer has not taken, and goes on when it
 * reports `drained`. */
#ifndef PP_PROXY_BODY_H
#define PP_PROXY_BODY_H

#include "proxy/h1.h"
#include "proxy/phase.h"

/* Reads of one body per turn: a fast source gives way to the others after so many. */
#define PP_BODY_ROUNDS 16
/* Most bytes of a streamed request that are kept to be sent again, when an endpoint of HTTP/2 has
 * not looked at them, or a retry policy asks for it; a longer one is not tried again. */
#define PP_BODY_REPLAY_BYTES 65536

/* Begin the body of <dir>: <kind> and <length> as http_rules found them, at most <limit> bytes.
 * <hold> > 0: collect it, at most so many bytes, instead of passing it on; unless all body filters
 * stand by. */
void pp_body_begin(struct pp_exchange *x, enum pp_dir dir, enum pp_http_body kind, uint64_t length,
                   uint64_t limit, uint32_t hold);

/* Move bytes from the HTTP/1 source <src> until it is dry, the sink is full, a filter parks, or the
 * body has ended (event source_ended) or failed (event failed), or a filter has replied (event
 * replied). For holds, no sink is needed. */
void pp_body_pump(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src);

/* Take <piece> (may be empty) of a source that has frames of its own and decoded it (HTTP/2 DATA):
 * counted, limited, held or filtered, given to the sink. <last>: the body ends with it; trailers
 * are in flow->trailers by then. <more>: another push for this exchange follows before anything
 * else happens, so the sink need not be flushed yet. <piece> is borrowed until a push without
 * <more>.
 *
 * PP_OK: taken, and the source may go on. PP_EAGAIN: not now, and nothing was taken (the sink has
 * no room, a filter is at work on the piece before): the source is asked to pump when that has
 * changed; or the piece is larger than a limit lets pass (pp_pace_room): the source offers a part.
 * PP_EEND: taken, and nothing more is wanted at present: the body has ended, was refused
 * or parked, or the exchange is over. */
int pp_body_push(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last, bool more)
    PP_MUST_USE;

/* The filters of <dir> have finished with a piece: pass it on, and its end (trailer filters run
 * before that). PP_OK; PP_EAGAIN: an async trailer filter has parked the end; PP_EINVAL: one has
 * refused it (x->fault says why); or the sink's error. */
int pp_body_deliver(struct pp_exchange *x, enum pp_dir dir, struct pp_span piece, bool last)
    PP_MUST_USE;

/* The endpoint has looked at the request: what was kept of its body is not needed any more. */
void pp_body_forget_sent(struct pp_exchange *x);

/* Does anybody want to read the request's body now, or when there is room again? */
bool pp_body_is_awaited(const struct pp_exchange *x);

/* What a sink's error <rc> means for the exchange. */
struct pp_fault pp_body_sink_fault(enum pp_dir dir, int rc);

/* A body that nobody wants: decode what is buffered. True when it is complete by now. */
bool pp_body_discard(struct pp_exchange *x, enum pp_dir dir, struct pp_h1 *src);

/* Are bytes of <dir> inside the kernel that the sink has not taken? */
static inline bool pp_body_is_piped(const struct pp_exchange *x, enum pp_dir dir)
{
    return x->flow[dir].pipe != NULL && x->flow[dir].pipe->held > 0;
}

static inline enum pp_side pp_body_source(enum pp_dir dir)
{
    return dir == PP_DIR_REQUEST ? PP_SIDE_DOWN : PP_SIDE_UP;
}
static inline enum pp_side pp_body_sink(enum pp_dir dir)
{
    return dir == PP_DIR_REQUEST ? PP_SIDE_UP : PP_SIDE_DOWN;
}

#endif
