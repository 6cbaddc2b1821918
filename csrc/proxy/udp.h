/* UDP listeners: datagrams of one client go to one endpoint, and what it answers goes back.
 *
 *   clients  -> listening socket -> session by path -> its connected socket -> endpoint
 *            <- batch of replies <------------------<- its connected socket <-
 *
 * A session (struct pp_udp_flow) is what one client (address and port, and the address of ours that
 * it sent to) has with one endpoint: a connected socket, so that only that endpoint can answer and
 * the kernel tells when nobody is there. It begins with the client's first datagram and ends
 *
 *   OPEN -> CLOSED   after so many answers (listener's `responses`), when it has been idle, when
 *                    its endpoint is gone and no other takes over, when the table is full and it is
 *                    the one that has been silent longest, or with the worker
 *
 * Datagrams are opaque and never queued: what the kernel does not take is dropped and counted. Only
 * the client's last datagram is kept, as long as nothing has come back (PP_UDP_KEPT bytes at most):
 * it is sent to another endpoint when the first one turns out not to be there.
 *
 * Sessions stand in the order of their last datagram, so that one timer for each listener is
 * enough, and so that the limit (max_flows; the attack is a flood from spoofed addresses, each
 * a session) costs those their place that say nothing any more.
 *
 * The listening socket is read in batches; replies of all sessions are collected and leave at the
 * end of the turn, with one system call too. Descriptors of sessions are watched level-triggered,
 * because nearly always one read is all.
 *
 * Closed, a listener is not read any more, but answers that are on their way go out by it for
 * PP_UDP_LINGER_MS. Another process that serves the same socket gets the clients' datagrams from
 * then on, as new sessions. No longer, because the kernel goes on giving datagrams to a socket that
 * is open but not shared.
 *
 * udp.c is the life of a session, udp_relay.c moves its datagrams, udp_door.c is the listener. */
#ifndef PP_PROXY_UDP_H
#define PP_PROXY_UDP_H

#include "proxy/cluster.h"
#include "proxy/down.h"
#include "proxy/udp_table.h"

#define PP_UDP_KEPT 512       /* a request that may be sent again: a DNS query has less */
#define PP_UDP_ROUNDS 8       /* batches read in one turn: then others have their turn */
#define PP_UDP_EXPIRE 256     /* idle sessions ended in one turn */
#define PP_UDP_LINGER_MS 3000 /* closed: how long answers are waited for */

enum pp_udp_state { PP_UDP_OPEN = 0, PP_UDP_CLOSED = 1 };

/* The listener's half of a door. */
struct pp_udp {
    struct pp_door *door;
    struct pp_io io; /* the listening socket while it is read */
    struct pp_dgram_socket socket;
    struct pp_udp_table table;
    struct pp_list flows;  /* silent longest first */
    struct pp_timer timer; /* not later than the first of them is due */
    uint64_t stopped_ms;   /* door->l.fd < 0: since when */
};

struct pp_udp_flow {
    struct pp_udp_node node; /* its client, in the table */
    struct pp_io io;         /* the connected socket */
    struct pp_list link;     /* in udp->flows */
    struct pp_udp *udp;
    struct pp_endpoint *ep;         /* holds a reference to its cluster; NULL: none chosen yet */
    const struct pp_cluster *group; /* the listener's when it was last looked at */
    uint64_t id;
    uint64_t tried;                        /* bit per endpoint that is not there */
    uint64_t start_us, sent_us, answer_us; /* began, first sent to <ep>, first answer; 0: not yet */
    uint64_t last_ms;                      /* when the last datagram passed */
    uint64_t asked, answered;              /* datagrams from the client, and from the endpoint */
    uint64_t received, sent;               /* bytes of them */
    struct pp_fault fault;                 /* why it ended; none: as it should */
    struct pp_deferred deferred;
    uint16_t n_kept;
    uint8_t state; /* enum pp_udp_state */
    uint8_t attempts;
    char kept[PP_UDP_KEPT];
};

/* ---- listeners (udp_door.c) ---- */

/* Serve the bound datagram socket <fd> (owned on PP_OK) as <door>, which gets door->udp. PP_OK,
 * PP_ENOMEM or PP_EIO. */
int pp_udp_listen(struct pp_door *door, int fd) PP_MUST_USE;
/* Read what waits, then read no more. Its sessions go on for a while; the descriptor is closed with
 * the last. Fine when it is stopped. */
void pp_udp_stop(struct pp_door *door);
/* End all sessions. */
void pp_udp_close_all(struct pp_door *door);
/* The door is to be freed: it is stopped, and no session is left. Fine without door->udp. */
void pp_udp_free(struct pp_door *door);

/* ---- sessions (udp.c) ---- */

/* The session of <path>, begun if there is none, with an endpoint. NULL: none can be had, and that
 * is counted. */
struct pp_udp_flow *pp_udp_flow_of(struct pp_udp *u, const struct pp_dgram_path *path);
/* Begin one for <path>, whose hash is <hash>, and which has none; result as above. */
struct pp_udp_flow *pp_udp_begin(struct pp_udp *u, const struct pp_dgram_path *path, uint64_t hash);
/* The endpoint of <s> is not there, as <rc> says: counted. True: another one may be tried
 * (pp_udp_connect); else <s> has ended. */
bool pp_udp_give_up(struct pp_udp_flow *s, int rc);
/* Connect to an endpoint and send what is kept; others are tried as often as retries allow. False:
 * <s> has ended. */
bool pp_udp_connect(struct pp_udp_flow *s);
/* End <s> because of <fault>: counted, logged, freed at the end of the turn. Fine when closed. */
void pp_udp_end(struct pp_udp_flow *s, struct pp_fault fault);
/* When <s> ends unless something comes; UINT64_MAX: never. */
uint64_t pp_udp_due(const struct pp_udp_flow *s);
/* It has come to that. */
void pp_udp_expire(struct pp_udp_flow *s);

/* <rc> of a socket says that the endpoint is not there. Other errors are about one datagram, which
 * is lost: too long for the path (that comes back as an error too), not allowed to leave. */
static inline bool pp_udp_is_gone(int rc)
{
    return rc == PP_EREFUSED || rc == PP_EUNREACH;
}
static inline struct pp_core *pp_udp_core(const struct pp_udp_flow *s)
{
    return s->udp->door->core;
}
#define PP_UDP_COUNT(u, word, n)                                                                   \
    PP_COUNT(&(u)->door->core->metrics, (u)->door->conf->record, LISTENER, word, n)

/* ---- datagrams (udp_relay.c) ---- */

/* Read up to <rounds> batches of the listening socket and send them on. True: there may be more. */
bool pp_udp_read(struct pp_udp *u, unsigned rounds);
/* Loop callbacks of a listening socket, and of a session's. */
void pp_udp_on_datagrams(struct pp_io *io, uint32_t events);
void pp_udp_on_answers(struct pp_io *io, uint32_t events);
/* Send the replies that are collected, whoever's they are. */
void pp_udp_flush(struct pp_core *core);

#endif
