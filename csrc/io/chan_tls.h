/* TLS on a channel: an open plain channel (io/chan.h) becomes one that encrypts.
 *
 *                   socket --recv--> scratch --> in --SSL_read--> reader
 *   HANDSHAKE -> OPEN -> ENDED (the peer has said close_notify) or CUT (it has ended without)
 *        \________\____-> FAILED
 *                   socket <--send-- out <--SSL_write-- up to two records at once <-- writer
 *
 * One read is one recv and one writev as few sends as the socket takes, whatever the records are:
 * the library works on memory on both sides. The handshake runs inside read and writev: until it is
 * done, read says PP_EAGAIN and writev sends nothing.
 *
 * readable   stays set while decrypted or received bytes wait in here, for which no event will come
 * writev     what was encrypted but not sent yet is not reported as sent: the owner keeps it, gives
 *            the same bytes again, and they are skipped. So "all written" means on the socket.
 * end        the end of the connection without close_notify is PP_ERESET: bytes may be missing. Who
 *            does not mind treats it as PP_EEOF (pp_chan_tls_is_cut). Ours is close_notify, and FIN
 *            as soon as the socket has taken it; who closes sees to it that it has
 *            (pp_chan_tls_is_flushed).
 * flood      a peer that sends and sends but says nothing, or makes us answer and does not read, is
 *            PP_EIO. */
#ifndef PP_IO_CHAN_TLS_H
#define PP_IO_CHAN_TLS_H

#include "base/span.h"
#include "io/chan.h"
#include "io/tls_client.h"
#include "io/tls_conf.h"

/* Most bytes that a peer may send before its handshake is done. */
#define PP_CHAN_TLS_HANDSHAKE_BYTES (256 * 1024)

/* The handshake is over: rc PP_OK, or why it failed. The channel must not be closed in it; but when
 * the result is not PP_OK, that is what the channel fails with. */
typedef int (*pp_chan_tls_fn)(struct pp_chan *ch, int rc);

/* Speak TLS on <ch> (open, plain, nothing read or written), as a server of <conf>. Takes a
 * reference of <conf>. PP_OK or PP_ENOMEM, with the channel as it was. */
int pp_chan_tls_accept(struct pp_chan *ch, struct pp_tls_conf *conf, pp_chan_tls_fn fn) PP_MUST_USE;
/* The same as a client (see pp_tls_client_open). */
int pp_chan_tls_connect(struct pp_chan *ch, struct pp_tls_client *client, struct pp_span name,
                        struct ssl_session_st *ticket, pp_chan_tls_fn fn) PP_MUST_USE;
/* A client: offer these protocols (each with its length before it) instead of those of <client>.
 * Before the handshake. PP_OK or PP_ENOMEM. */
int pp_chan_tls_offer(struct pp_chan *ch, struct pp_span alpn) PP_MUST_USE;
/* Go on with the handshake, for owners that want it done before anything else. PP_OK: done; or
 * PP_EAGAIN, PP_ERESET, PP_EIO, a PP_ETLS_* verdict. */
int pp_chan_tls_handshake(struct pp_chan *ch) PP_MUST_USE;

/* Before the handshake: who speaks HTTP instead of TLS is not answered in HTTP. */
void pp_chan_tls_expect_no_http(struct pp_chan *ch);
/* Send what waits for company (see the handshake in chan_tls.c), for owners that have nothing to
 * say now. An error is told by the next call. */
void pp_chan_tls_flush(struct pp_chan *ch);
/* Nothing waits in here for the socket, the polite end included; or never will it be sent. */
bool pp_chan_tls_is_flushed(const struct pp_chan *ch);

static inline bool pp_chan_is_tls(const struct pp_chan *ch)
{
    return ch->tls != NULL;
}
/* The handshake is done. */
bool pp_chan_tls_is_open(const struct pp_chan *ch);
/* What reading calls PP_ERESET is an end like any other, only not announced by close_notify. */
bool pp_chan_tls_is_cut(const struct pp_chan *ch);

/* What was agreed. Of an open channel; texts are borrowed and live as long as it. */
struct pp_chan_tls_facts {
    struct pp_span version; /* "TLSv1.3" */
    struct pp_span cipher;  /* "TLS_AES_128_GCM_SHA256" */
    struct pp_span group;   /* "X25519MLKEM768"; empty when unknown */
    struct pp_span sni;     /* as the client sent it; empty: none */
    struct pp_span alpn;    /* empty: none */
    struct pp_span by;      /* of a server: pp_tls_conf_by */
    bool resumed;
};
void pp_chan_tls_facts(const struct pp_chan *ch, struct pp_chan_tls_facts *out);
/* The protocol alone. */
struct pp_span pp_chan_tls_alpn(const struct pp_chan *ch);

#define PP_CHAN_TLS_SHA256 32
/* The peer's certificate in DER, copied to the heap (pp_mem_free), and its SHA-256. PP_OK;
 * PP_ENOENT: it has sent none; PP_ENOMEM. */
int pp_chan_tls_peer(const struct pp_chan *ch, char **der, size_t *n,
                     unsigned char sha256[PP_CHAN_TLS_SHA256]) PP_MUST_USE;

/* The session, to resume it on a next connection; a reference of the caller's. NULL: none. */
struct ssl_session_st *pp_chan_tls_ticket(const struct pp_chan *ch);

extern const struct pp_chan_ops pp_chan_tls_ops;

#endif
