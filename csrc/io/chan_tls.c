#include "io/chan_tls.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"

/* Received pieces up to this size are copied into the connection's own memory BIO, which keeps its
 * buffer; for larger ones a BIO is made that reads them where they are. */
#define SMALL_BYTES 4096
/* Plaintext that is encrypted ahead of one send. */
#define AHEAD_BYTES (2 * PP_TLS_RECORD)

/* An honest peer sends no more than a record, and now and then a new key, without saying anything
 * in it; and what is waiting for the socket is what was written. */
#define IDLE_BYTES (64 * 1024)
#define WAITING_BYTES (8 * AHEAD_BYTES)

enum state { HANDSHAKE = 0, OPEN = 1, ENDED = 2, CUT = 3, FAILED = 4 };

struct pp_tls {
    struct pp_tls_lib *lib;
    struct pp_tls_conf *conf;     /* of a server, else NULL */
    struct pp_tls_client *client; /* of a client, else NULL */
    struct ssl_st *ssl;           /* owns the BIOs */
    struct bio_st *in, *out;
    pp_chan_tls_fn fn;
    uint8_t state;
    bool lent;       /* <in> reads the scratch memory: its bytes are gone after this call */
    bool stocked;    /* something may be had without the socket */
    bool drained;    /* the socket had no more */
    bool started;    /* a byte was received */
    bool said_end;   /* close_notify was written */
    bool shut_due;   /* FIN follows when <out> is empty */
    bool no_http;    /* plain HTTP is not answered */
    bool fat;        /* <out> has grown */
    int error;       /* CUT and FAILED: what reading says */
    uint32_t ahead;  /* plaintext at the front of what comes to writev that is in <out> already */
    uint32_t hungry; /* bytes received during the handshake, or since it without plaintext */
};

/* ---- sending ---- */

static size_t pending(const struct pp_tls *t, char **p)
{
    long n = t->lib->api.BIO_get_mem_data(t->out, p);
    return n > 0 ? (size_t)n : 0;
}

/* As chan_tcp.c. */
static int broken_error(int err)
{
    int rc = pp_fd_error(err);
    return rc == PP_ERESET || rc == PP_EREFUSED || rc == PP_EUNREACH || rc == PP_ETIMEDOUT
               ? PP_ERESET
               : PP_EIO;
}

/* Send what is encrypted. PP_OK: all of it; PP_EAGAIN: the socket is full; or the error. */
static int flush(struct pp_chan *ch)
{
    struct pp_tls *t = ch->tls;
    char *p;
    size_t n = pending(t, &p);
    if (n == 0)
        return PP_OK;
    ssize_t r = send(ch->io.fd, p, n, MSG_NOSIGNAL);
    if (r < 0 && errno != EAGAIN)
        return broken_error(errno);
    ch->writable = r == (ssize_t)n;
    /* Only reading takes bytes out of a memory BIO: into memory that stays in the cache. */
    for (size_t left = r > 0 ? (size_t)r : 0; left > 0;) {
        int some = (int)PP_MIN(left, PP_TLS_DRAIN_BYTES);
        if (!PP_EXPECT(t->lib->api.BIO_read(t->out, t->lib->drain, some) == some))
            return PP_EIO;
        left -= (size_t)some;
    }
    if (ch->writable && t->shut_due) {
        t->shut_due = false;
        pp_chan_tcp_ops.shutdown(ch);
    }
    return ch->writable ? PP_OK : PP_EAGAIN;
}

static int fail(struct pp_chan *ch, int rc)
{
    struct pp_tls *t = ch->tls;
    bool early = t->state == HANDSHAKE;
    t->lib->api.ERR_clear_error();
    t->state = FAILED;
    t->error = rc;
    t->stocked = false;
    (void)!flush(ch); /* the alert, if there is one */
    if (early && t->fn != NULL)
        (void)!t->fn(ch, rc);
    return rc;
}

/* ---- receiving ---- */

/* Somebody speaks HTTP to a port of HTTPS: he will not understand an alert. */
static bool says_http(const struct pp_tls *t, const char *p, size_t n)
{
    if (t->started || t->no_http || t->client != NULL || n < 4)
        return false;
    for (int i = 0; i < 3; i++) {
        if (p[i] < 'A' || p[i] > 'Z')
            return false;
    }
    return true;
}

static int answer_http(struct pp_chan *ch)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\n"
                               "Content-Type: text/plain\r\n"
                               "Content-Length: 45\r\n"
                               "Connection: close\r\n"
                               "\r\n"
                               "An HTTP request came to a port that is HTTPS.";
    (void)!send(ch->io.fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
    return PP_ETLS_HTTP;
}

/* Give <n> received bytes to the library. */
static int feed(struct pp_tls *t, const char *p, size_t n)
{
    const struct pp_tls_api *api = &t->lib->api;
    bool lend = n > SMALL_BYTES;
    if (lend || t->lent) {
        struct bio_st *bio =
            lend ? api->BIO_new_mem_buf(p, (int)n) : api->BIO_new(api->BIO_s_mem());
        if (bio == NULL)
            return PP_ENOMEM;
        api->BIO_set_mem_eof_return(bio, -1);  /* its end is "not yet", not the end of the stream */
        api->SSL_set_bio(t->ssl, bio, t->out); /* frees the old one */
        t->in = bio;
        t->lent = lend;
    }
    if (!lend && api->BIO_write(t->in, p, (int)n) != (int)n)
        return PP_ENOMEM;
    t->stocked = true;
    return PP_OK;
}

/* What the library has not taken of lent memory moves to memory of its own. */
static int keep_rest(struct pp_tls *t)
{
    const struct pp_tls_api *api = &t->lib->api;
    char *p;
    long n = t->lent ? api->BIO_get_mem_data(t->in, &p) : 0;
    if (n <= 0)
        return PP_OK;
    struct bio_st *bio = api->BIO_new(api->BIO_s_mem());
    if (bio == NULL)
        return PP_ENOMEM;
    api->BIO_set_mem_eof_return(bio, -1);
    bool ok = api->BIO_write(bio, p, (int)n) == (int)n;
    api->SSL_set_bio(t->ssl, bio, t->out);
    t->in = bio;
    t->lent = false;
    return ok ? PP_OK : PP_ENOMEM;
}

/* Records without plaintext (new keys, alerts, attempts to renegotiate) cost work, and some an
 * answer that is kept in memory while the peer does not read. */
static bool is_flooded(const struct pp_tls *t)
{
    char *p;
    return t->state == OPEN && (t->hungry > IDLE_BYTES || pending(t, &p) > WAITING_BYTES);
}

/* One recv. PP_OK: bytes are with the library; PP_EAGAIN; PP_EEOF (that was not announced),
 * PP_ERESET, PP_EIO (also of a peer that only keeps us busy), PP_ENOMEM. */
static int receive(struct pp_chan *ch, size_t want)
{
    struct pp_tls *t = ch->tls;
    /* A whole record at least: less cannot be decrypted. */
    size_t cap = PP_MIN(PP_MAX(want, PP_TLS_RECORD_WIRE) + 1024, PP_TLS_IN_BYTES);
    if (is_flooded(t))
        return PP_EIO;
    ssize_t r = recv(ch->io.fd, t->lib->in, cap, 0);
    if (r == 0) {
        ch->rdhup = true;
        return PP_EEOF;
    }
    if (r < 0) {
        t->drained = errno == EAGAIN;
        return errno == EAGAIN ? PP_EAGAIN : broken_error(errno);
    }
    t->drained = (size_t)r < cap && !ch->rdhup;
    t->hungry += (uint32_t)r;
    if (t->state == HANDSHAKE) {
        if (says_http(t, t->lib->in, (size_t)r))
            return answer_http(ch);
        if (t->hungry > PP_CHAN_TLS_HANDSHAKE_BYTES)
            return PP_ETLS_HANDSHAKE;
    }
    t->started = true;
    return feed(t, t->lib->in, (size_t)r);
}

/* ---- the handshake ---- */

/* Why the certificate of the peer, or the peer itself, was refused. */
static int verdict(const struct pp_tls *t)
{
    switch (t->lib->api.SSL_get_verify_result(t->ssl)) {
    case PP_TLS_V_OK:
        return PP_ETLS_HANDSHAKE;
    case PP_TLS_V_EXPIRED:
    case PP_TLS_V_NOT_YET_VALID:
        return PP_ETLS_EXPIRED;
    case PP_TLS_V_HOSTNAME:
    case PP_TLS_V_IP_ADDRESS:
        return PP_ETLS_NAME;
    case PP_TLS_V_NO_ISSUER:
    case PP_TLS_V_SELF_SIGNED:
    case PP_TLS_V_SELF_SIGNED_IN_CHAIN:
    case PP_TLS_V_NO_LOCAL_ISSUER:
    case PP_TLS_V_NO_FIRST_SIGNATURE:
        return PP_ETLS_CA;
    default:
        return PP_ETLS_CERTIFICATE;
    }
}

int pp_chan_tls_handshake(struct pp_chan *ch)
{
    struct pp_tls *t = ch->tls;
    const struct pp_tls_api *api = &t->lib->api;
    while (t->state == HANDSHAKE) {
        if (t->stocked) {
            int r = api->SSL_do_handshake(t->ssl);
            if (r == 1) {
                t->state = OPEN;
                t->hungry = 0;
                /* Session tickets wait for the first answer, a client's last words for its first
                 * request: one send less. Reading sees to it that they leave in any case. */
                r = t->fn != NULL ? t->fn(ch, PP_OK) : PP_OK;
                if (r != PP_OK)
                    return fail(ch, r);
                break;
            }
            if (api->SSL_get_error(t->ssl, r) != PP_TLS_ERROR_WANT_READ)
                return fail(ch, verdict(t));
            t->stocked = false;
            r = flush(ch);
            if (r != PP_OK && r != PP_EAGAIN)
                return fail(ch, r);
        }
        if (t->drained)
            return PP_EAGAIN;
        int rc = receive(ch, 0);
        if (rc == PP_EAGAIN)
            return rc;
        if (rc != PP_OK)
            return fail(ch, rc == PP_EEOF ? PP_ERESET : rc);
    }
    int rc = keep_rest(t);
    if (rc != PP_OK)
        return fail(ch, rc);
    return t->state == FAILED ? t->error : PP_OK;
}

/* ---- the channel ---- */

/* Decrypt what there is. PP_OK, or with the state ENDED or FAILED their code. */
static int decrypt(struct pp_chan *ch, char *dst, size_t cap, size_t *got)
{
    struct pp_tls *t = ch->tls;
    const struct pp_tls_api *api = &t->lib->api;
    char *p;
    while (t->stocked && *got < cap) {
        int r = api->SSL_read(t->ssl, dst + *got, (int)PP_MIN(cap - *got, INT32_MAX));
        if (r > 0) {
            *got += (size_t)r;
            t->hungry = 0;
            t->stocked = api->BIO_get_mem_data(t->in, &p) > 0 || api->SSL_pending(t->ssl) > 0;
            continue;
        }
        t->stocked = false;
        int error = api->SSL_get_error(t->ssl, r);
        if (error == PP_TLS_ERROR_ZERO_RETURN) {
            t->state = ENDED;
            return PP_EEOF;
        }
        if (error != PP_TLS_ERROR_WANT_READ)
            return fail(ch, PP_EIO);
    }
    return PP_OK;
}

/* Read until something was got, the socket is dry, or there is an end. */
static int fill(struct pp_chan *ch, char *dst, size_t cap, size_t *got)
{
    struct pp_tls *t = ch->tls;
    for (;;) {
        int rc = decrypt(ch, dst, cap, got);
        if (rc != PP_OK || *got > 0 || t->drained)
            return rc;
        rc = receive(ch, cap - *got);
        if (rc == PP_EEOF) { /* what is sent to it still arrives */
            t->state = CUT;
            return t->error = PP_ERESET;
        }
        if (rc != PP_OK)
            return rc == PP_EAGAIN ? PP_OK : fail(ch, rc);
    }
}

/* A memory BIO never gives memory back: after large answers an idle connection gets a new one. */
static void slim(struct pp_tls *t)
{
    struct bio_st *bio = t->lib->api.BIO_new(t->lib->api.BIO_s_mem());
    if (bio == NULL)
        return;
    t->lib->api.SSL_set_bio(t->ssl, t->in, bio); /* frees the old one */
    t->out = bio;
    t->fat = false;
}

static int tls_read(struct pp_chan *ch, void *dst, size_t cap, size_t *n)
{
    struct pp_tls *t = ch->tls;
    PP_ASSERT(cap > 0);
    *n = 0;
    int rc = PP_OK;
    if (!t->stocked)
        t->drained = false; /* the owner knows better, or tries */
    if (t->state == HANDSHAKE) {
        rc = pp_chan_tls_handshake(ch);
        if (rc == PP_EAGAIN)
            ch->readable = false;
        if (rc != PP_OK)
            return rc;
    }
    if (t->state == OPEN) {
        rc = fill(ch, dst, cap, n);
        if (rc == PP_OK && keep_rest(t) != PP_OK)
            rc = fail(ch, PP_ENOMEM);
    } else {
        rc = t->state == ENDED ? PP_EEOF : t->error;
    }
    if (*n > 0) {
        /* An end that came behind these bytes is told by the next call. */
        ch->readable = t->stocked || !t->drained || ch->rdhup || t->state != OPEN;
        return PP_OK;
    }
    if (rc != PP_OK)
        return rc;
    ch->readable = false;
    /* Nothing will follow soon that these could travel with. */
    rc = flush(ch);
    if (rc == PP_OK && t->fat)
        slim(t);
    return rc == PP_OK || rc == PP_EAGAIN ? PP_EAGAIN : fail(ch, rc);
}

/* Where writev stands in its iovecs. */
struct place {
    const struct iovec *iov;
    size_t at;   /* in *iov */
    size_t left; /* in all */
};

static void skip(struct place *pl, size_t n)
{
    pl->left -= n;
    while (n > 0) {
        size_t some = PP_MIN(n, pl->iov->iov_len - pl->at);
        pl->at += some;
        n -= some;
        if (pl->at == pl->iov->iov_len) {
            pl->iov++;
            pl->at = 0;
        }
    }
}

/* The next bytes for one record, in one piece: where they are, or collected. */
static const char *next_record(struct pp_tls *t, struct place *pl, size_t *n)
{
    while (pl->at == pl->iov->iov_len) {
        pl->iov++;
        pl->at = 0;
    }
    const char *p = (const char *)pl->iov->iov_base + pl->at;
    *n = PP_MIN(pl->left, PP_TLS_RECORD);
    if (pl->iov->iov_len - pl->at >= *n) {
        skip(pl, *n);
        return p;
    }
    for (size_t done = 0; done < *n;) {
        size_t some = PP_MIN(*n - done, pl->iov->iov_len - pl->at);
        if (some > 0)
            memcpy(t->lib->stage + done, (const char *)pl->iov->iov_base + pl->at, some);
        done += some;
        pl->left -= some;
        pl->at += some;
        if (pl->at == pl->iov->iov_len && pl->left > 0) {
            pl->iov++;
            pl->at = 0;
        }
    }
    return t->lib->stage;
}

/* Encrypt up to AHEAD_BYTES. */
static int encrypt(struct pp_chan *ch, struct place *pl)
{
    struct pp_tls *t = ch->tls;
    while (pl->left > 0 && t->ahead < AHEAD_BYTES) {
        size_t n;
        const char *p = next_record(t, pl, &n);
        if (t->lib->api.SSL_write(t->ssl, p, (int)n) != (int)n)
            return fail(ch, PP_EIO);
        t->ahead += (uint32_t)n;
    }
    t->fat = t->fat || t->ahead > SMALL_BYTES;
    return PP_OK;
}

static int tls_writev(struct pp_chan *ch, const struct iovec *iov, int count, size_t *n)
{
    struct pp_tls *t = ch->tls;
    struct place pl = {.iov = iov};
    for (int i = 0; i < count; i++)
        pl.left += iov[i].iov_len;
    *n = 0;
    if (t->state == HANDSHAKE) {
        int rc = pp_chan_tls_handshake(ch);
        if (rc == PP_EAGAIN)
            ch->writable = false;
        if (rc != PP_OK)
            return rc == PP_EAGAIN ? PP_OK : rc;
    }
    if (t->state == FAILED)
        return t->error;
    size_t known = PP_MIN(t->ahead, pl.left);
    if (known > 0) {
        int rc = flush(ch);
        if (rc != PP_OK)
            return rc == PP_EAGAIN ? PP_OK : fail(ch, rc);
        skip(&pl, known);
        t->ahead -= (uint32_t)known;
        *n = known;
    }
    while (pl.left > 0) {
        int rc = encrypt(ch, &pl);
        if (rc == PP_OK)
            rc = flush(ch);
        if (rc == PP_EAGAIN)
            return PP_OK;
        if (rc != PP_OK)
            return t->state == FAILED ? rc : fail(ch, rc);
        *n += t->ahead;
        t->ahead = 0;
    }
    return PP_OK;
}

/* What epoll said has been noted; <writable> too: what waits here leaves first. */
static void tls_note(struct pp_chan *ch, uint32_t events)
{
    struct pp_tls *t = ch->tls;
    char *p;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        t->drained = false;
    if ((events & EPOLLOUT) != 0 && t->ahead == 0 && pending(t, &p) > 0) {
        int rc = flush(ch);
        if (rc != PP_OK && rc != PP_EAGAIN)
            ch->readable = true; /* reading finds out */
    }
}

static void say_end(struct pp_chan *ch)
{
    struct pp_tls *t = ch->tls;
    /* Behind a record that is cut off it would be garbage, and before the handshake it is none. */
    if (t->said_end || !pp_chan_tls_is_open(ch) || t->ahead > 0)
        return;
    t->said_end = true;
    if (t->lib->api.SSL_shutdown(t->ssl) < 0)
        t->lib->api.ERR_clear_error();
    (void)!flush(ch);
}

static void tls_shutdown(struct pp_chan *ch)
{
    say_end(ch);
    if (pp_chan_tls_is_flushed(ch))
        pp_chan_tcp_ops.shutdown(ch);
    else
        ch->tls->shut_due = true;
}

static void release(struct pp_chan *ch)
{
    struct pp_tls *t = ch->tls;
    ch->tls = NULL;
    ch->ops = &pp_chan_tcp_ops;
    /* Freed without this, its session would be marked as not to be resumed. */
    t->lib->api.SSL_set_shutdown(t->ssl, PP_TLS_SENT_AND_RECEIVED_SHUTDOWN);
    t->lib->api.SSL_free(t->ssl);
    pp_tls_conf_unref(t->conf);
    pp_tls_client_unref(t->client);
    pp_mem_free(t);
}

static void tls_close(struct pp_chan *ch, bool abort)
{
    if (!abort && ch->io.fd >= 0)
        say_end(ch);
    release(ch);
    pp_chan_tcp_ops.close(ch, abort);
}

const struct pp_chan_ops pp_chan_tls_ops = {
    .name = "tls",
    .read = tls_read,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .note = tls_note,
};

/* ---- opening ---- */

static int open_on(struct pp_chan *ch, struct pp_tls_lib *lib, struct ssl_st *ssl,
                   pp_chan_tls_fn fn)
{
    const struct pp_tls_api *api = &lib->api;
    struct pp_tls *t = ssl != NULL ? pp_mem_zalloc(sizeof(*t)) : NULL;
    if (t == NULL) {
        api->SSL_free(ssl);
        return PP_ENOMEM;
    }
    t->lib = lib;
    t->ssl = ssl;
    t->fn = fn;
    t->in = api->BIO_new(api->BIO_s_mem());
    t->out = api->BIO_new(api->BIO_s_mem());
    if (t->in == NULL || t->out == NULL) {
        api->BIO_free(t->in);
        api->BIO_free(t->out);
        api->SSL_free(ssl);
        pp_mem_free(t);
        return PP_ENOMEM;
    }
    api->BIO_set_mem_eof_return(t->in, -1);
    api->SSL_set_bio(ssl, t->in, t->out);
    ch->tls = t;
    ch->ops = &pp_chan_tls_ops;
    return PP_OK;
}

int pp_chan_tls_accept(struct pp_chan *ch, struct pp_tls_conf *conf, pp_chan_tls_fn fn)
{
    int rc = open_on(ch, pp_tls_conf_lib(conf), pp_tls_conf_open(conf), fn);
    if (rc == PP_OK)
        ch->tls->conf = pp_tls_conf_ref(conf);
    return rc;
}

int pp_chan_tls_connect(struct pp_chan *ch, struct pp_tls_client *client, struct pp_span name,
                        struct ssl_session_st *ticket, pp_chan_tls_fn fn)
{
    int rc = open_on(ch, pp_tls_client_lib(client), pp_tls_client_open(client, name, ticket), fn);
    if (rc == PP_OK) {
        ch->tls->client = pp_tls_client_ref(client);
        ch->tls->stocked = true; /* it has the first word */
    }
    return rc;
}

void pp_chan_tls_expect_no_http(struct pp_chan *ch)
{
    ch->tls->no_http = true;
}

void pp_chan_tls_flush(struct pp_chan *ch)
{
    int rc = flush(ch);
    if (rc != PP_OK && rc != PP_EAGAIN)
        fail(ch, rc);
}

bool pp_chan_tls_is_flushed(const struct pp_chan *ch)
{
    char *p;
    return ch->tls->state == FAILED || pending(ch->tls, &p) == 0;
}

/* ---- what was agreed ---- */

bool pp_chan_tls_is_open(const struct pp_chan *ch)
{
    uint8_t state = ch->tls->state;
    return state == OPEN || state == ENDED || state == CUT;
}

bool pp_chan_tls_is_cut(const struct pp_chan *ch)
{
    return ch->tls->state == CUT;
}

int pp_chan_tls_offer(struct pp_chan *ch, struct pp_span alpn)
{
    const struct pp_tls_api *api = &ch->tls->lib->api;
    int failed = api->SSL_set_alpn_protos(ch->tls->ssl, (const unsigned char *)alpn.p,
                                          (unsigned)alpn.n); /* 0: set */
    return failed ? PP_ENOMEM : PP_OK;
}

static struct pp_span text_span(const char *text)
{
    return text != NULL ? pp_span(text, strlen(text)) : PP_SPAN_NONE;
}

struct pp_span pp_chan_tls_alpn(const struct pp_chan *ch)
{
    const unsigned char *p = NULL;
    unsigned n = 0;
    ch->tls->lib->api.SSL_get0_alpn_selected(ch->tls->ssl, &p, &n);
    return pp_span((const char *)p, n);
}

void pp_chan_tls_facts(const struct pp_chan *ch, struct pp_chan_tls_facts *out)
{
    const struct pp_tls_api *api = &ch->tls->lib->api;
    struct ssl_st *ssl = ch->tls->ssl;
    const struct ssl_cipher_st *cipher = api->SSL_get_current_cipher(ssl);
    const struct pp_tls_conf *conf = ch->tls->conf;
    const char *host = api->SSL_get_servername(ssl, PP_TLS_NAMETYPE_HOST);
    *out = (struct pp_chan_tls_facts){
        .version = text_span(api->SSL_get_version(ssl)),
        .cipher = text_span(cipher != NULL ? api->SSL_CIPHER_get_name(cipher) : NULL),
        .group = text_span(api->SSL_get0_group_name != NULL ? api->SSL_get0_group_name(ssl) : NULL),
        .sni = text_span(host),
        .alpn = pp_chan_tls_alpn(ch),
        .by = conf != NULL ? pp_tls_conf_by(conf, host) : PP_SPAN_NONE,
        .resumed = api->SSL_session_reused(ssl) == 1,
    };
}

int pp_chan_tls_peer(const struct pp_chan *ch, char **der, size_t *n,
                     unsigned char sha256[PP_CHAN_TLS_SHA256])
{
    const struct pp_tls_api *api = &ch->tls->lib->api;
    struct x509_st *cert = api->SSL_get_peer_certificate(ch->tls->ssl);
    if (cert == NULL)
        return PP_ENOENT;
    struct bio_st *bio = api->BIO_new(api->BIO_s_mem());
    const struct evp_md_st *md = api->EVP_get_digestbyname("sha256");
    unsigned digest_n = PP_CHAN_TLS_SHA256;
    char *p = NULL;
    bool ok = bio != NULL && md != NULL && api->i2d_X509_bio(bio, cert) == 1 &&
              api->X509_digest(cert, md, sha256, &digest_n) == 1;
    long len = ok ? api->BIO_get_mem_data(bio, &p) : 0;
    *der = len > 0 ? pp_mem_dup(p, (size_t)len) : NULL;
    *n = (size_t)len;
    api->BIO_free(bio);
    api->X509_free(cert);
    api->ERR_clear_error();
    return *der != NULL ? PP_OK : PP_ENOMEM;
}

struct ssl_session_st *pp_chan_tls_ticket(const struct pp_chan *ch)
{
    return ch->tls->lib->api.SSL_get1_session(ch->tls->ssl);
}
