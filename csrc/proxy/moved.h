/* What a client's connection is, apart from its descriptor, when it moves to another process: the
 * record and its packed form. The descriptor travels beside it (SCM_RIGHTS); proxy/move.h sends and
 * adopts.
 *
 *   0        1        2       4        8        24      32         40         44          48
 *   [version|family|port   |scope   |ip      |age_ms |waited_ms |n_request |listener n |unread n]
 *   [listener][unread]                                            little-endian, nothing behind
 *
 * Version 2 is that of a connection that began with a PROXY protocol header, and has the length of
 * the header (4) behind the 52 bytes, and the header itself at the end. A release that does not
 * know it keeps the connection where it is.
 *
 * There is one packed form of a record: what unpacks packs to the same bytes again. */
#ifndef PP_PROXY_MOVED_H
#define PP_PROXY_MOVED_H

#include "base/err.h"
#include "io/sock.h"

#define PP_MOVED_VERSION 1
#define PP_MOVED_VERSION_ANNOUNCED 2
#define PP_MOVED_FIXED 52
#define PP_MOVED_LISTENER_MAX 1024
/* One datagram of a unix socket takes it, with the usual buffers. A longer head does not move. */
#define PP_MOVED_UNREAD_MAX 65536
#define PP_MOVED_ANNOUNCED_MAX 16384

struct pp_moved {
    int fd;                   /* not in the packed form */
    struct pp_span listener;  /* its name */
    struct pp_span unread;    /* read from the socket and not served: the beginning of a head */
    struct pp_span announced; /* the PROXY protocol header that it began with; n 0: none */
    struct pp_sock_addr client;
    uint64_t age_ms;    /* since it was accepted */
    uint64_t waited_ms; /* of its idle or header timeout, used up; <= age_ms */
    uint32_t n_request; /* answered so far */
};

/* What the other process makes of a connection, or of a tunnel, that it is offered. */
enum pp_move_verdict {
    PP_MOVE_REFUSED = 0, /* it stays; a connection is ended politely */
    PP_MOVE_TAKEN = 1,   /* its descriptors were duplicated or sent */
    PP_MOVE_LATER = 2    /* no room now: ask again soon */
};
/* Offer <m>; returns an enum pp_move_verdict. Everything in it, the descriptor too, is borrowed for
 * the call. Must not call the worker that offers. */
typedef int (*pp_move_fn)(void *arg, const struct pp_moved *m);

/* Bytes of the packed form. */
size_t pp_moved_size(const struct pp_moved *m);
/* Write it to <dst>, which has room for pp_moved_size. */
void pp_moved_pack(const struct pp_moved *m, char *dst);
/* PP_OK: the spans of *m lie in <packed>, and m->fd is -1. PP_EINVAL: not a record of this version,
 * or not one that pack writes. */
int pp_moved_unpack(struct pp_span packed, struct pp_moved *m) PP_MUST_USE;

#endif
