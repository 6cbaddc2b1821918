// libs: ssl crypto
#include "io/chan_tls.c"

#include <sys/ioctl.h>

#include "io/io_test.h"
#include "io/tls_test.h"
#include "pp_test.h"

/* A server channel of ours and, at the other end of its socket, a client of the library. */
static struct pp_loop lp;
static struct pp_tls_lib *lib;
static struct pp_tls_conf *conf;
static struct test_pair pair;
static struct pp_chan ch;
static SSL_CTX *peer_ctx;
static SSL *peer;
static int other;
static int told, told_rc;
static bool over_unix; /* not TCP: room in the socket is told at once */

static void on_events(struct pp_io *io, uint32_t events)
{
    pp_chan_note(PP_CONTAINER_OF(io, struct pp_chan, io), events);
}

static int on_done(struct pp_chan *c, int rc)
{
    told++;
    told_rc = rc;
    return rc;
}

static struct pp_tls_conf *make_conf(const char *scope)
{
    struct pp_tls_conf_params params = {.scope = test_text(scope), .alpn = PP_SPAN("\x08http/1.1")};
    struct pp_tls_why why = {""};
    struct pp_tls_conf *c = NULL;
    int rc = pp_tls_conf_new(lib, &params, &why, &c);
    if (rc == PP_OK)
        rc = pp_tls_conf_add(c, &why);
    if (rc == PP_OK)
        rc = pp_tls_conf_pair(c, test_text(pair.chain), test_text(pair.key), PP_SPAN_NONE, &why);
    PP_CHECK_EQ(rc, PP_OK);
    return c;
}

static void prepare(void)
{
    lib = test_tls_lib();
    test_make_pair(&pair, "DNS:a.example,IP:127.0.0.1", false, -60, 3600, NULL);
    conf = make_conf("web");
    peer_ctx = SSL_CTX_new(TLS_client_method());
    PP_CHECK_EQ(pp_loop_init(&lp, NULL), PP_OK);
}

static void open_pair(void)
{
    int fds[2];
    memset(&ch, 0, sizeof(ch));
    told = 0;
    PP_CHECK(over_unix ? test_pair(fds) : test_tcp_pair(fds));
    PP_CHECK_EQ(pp_chan_tcp_open(&ch, &lp, fds[0], on_events, true), PP_OK);
    PP_CHECK_EQ(pp_chan_tls_accept(&ch, conf, on_done), PP_OK);
    ch.writable = true;
    other = fds[1];
    fcntl(other, F_SETFL, O_NONBLOCK);
    peer = SSL_new(peer_ctx);
    SSL_set_connect_state(peer);
}

static void close_pair(void)
{
    SSL_set_shutdown(peer, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* keeps its session good */
    SSL_free(peer);
    ch.ops->close(&ch, false);
    close(other);
}

static void finish(void)
{
    pp_tls_conf_unref(conf);
    SSL_CTX_free(peer_ctx);
    pp_tls_lib_free(lib);
    test_free_pair(&pair);
    pp_loop_fini(&lp);
}

static void turn(void)
{
    pp_loop_run_ready(&lp);
}

static int read_some(char *dst, size_t cap, size_t *n)
{
    turn();
    return pp_chan_read(&ch, dst, cap, n);
}

/* Both sides until the client is done and the server has seen it. */
static void shake(void)
{
    char byte;
    size_t n;
    SSL_set_fd(peer, other);
    for (int i = 0; i < 100 && (SSL_do_handshake(peer) != 1 || !pp_chan_tls_is_open(&ch)); i++)
        PP_CHECK_EQ(read_some(&byte, 1, &n), PP_EAGAIN);
    PP_CHECK(pp_chan_tls_is_open(&ch));
}

static size_t write_all(const char *p, size_t n)
{
    struct iovec iov[3] = {{(char *)(uintptr_t)p, n / 3},
                           {(char *)(uintptr_t)p + n / 3, 0},
                           {(char *)(uintptr_t)p + n / 3, n - n / 3}};
    size_t sent = 0;
    PP_CHECK_EQ(pp_chan_writev(&ch, iov, 3, &sent), PP_OK);
    return sent;
}

PP_TEST_CASE(bytes_go_both_ways_and_the_facts_are_known)
{
    char buf[64];
    size_t n;
    prepare();
    open_pair();
    SSL_set_tlsext_host_name(peer, "a.example");
    SSL_set_alpn_protos(peer, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    shake();
    PP_CHECK_EQ(told, 1);
    PP_CHECK_EQ(told_rc, PP_OK);
    PP_CHECK_EQ(SSL_write(peer, "hello", 5), 5);
    PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_OK);
    PP_CHECK_BYTES(pp_span(buf, n), "hello", 5);
    PP_CHECK(!ch.readable);
    PP_CHECK_EQ(write_all("welcome", 7), 7);
    PP_CHECK_EQ(SSL_read(peer, buf, sizeof(buf)), 7);
    struct pp_chan_tls_facts facts;
    pp_chan_tls_facts(&ch, &facts);
    PP_CHECK_STR(facts.version, "TLSv1.3");
    PP_CHECK_STR(facts.cipher, "TLS_AES_128_GCM_SHA256");
    PP_CHECK_STR(facts.sni, "a.example");
    PP_CHECK_STR(facts.alpn, "http/1.1");
    PP_CHECK(!facts.resumed);
    close_pair();
    finish();
}

PP_TEST_CASE(a_hello_may_come_byte_by_byte)
{
    char flight[4096], byte;
    size_t n;
    prepare();
    open_pair();
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(peer, in, out);
    for (int round = 0; round < 3 && !pp_chan_tls_is_open(&ch); round++) {
        SSL_do_handshake(peer);
        int len = BIO_read(out, flight, sizeof(flight));
        PP_CHECK(len > 0);
        for (int i = 0; i < len; i++) {
            PP_CHECK_EQ(write(other, flight + i, 1), 1);
            PP_CHECK(test_wait(ch.io.fd, POLLIN));
            PP_CHECK_EQ(read_some(&byte, 1, &n), PP_EAGAIN);
        }
        if (pp_chan_tls_is_open(&ch))
            break;
        PP_CHECK(test_wait(other, POLLIN));
        ssize_t got = read(other, flight, sizeof(flight));
        if (got > 0)
            BIO_write(in, flight, (int)got);
    }
    PP_CHECK(pp_chan_tls_is_open(&ch));
    close_pair();
    finish();
}

PP_TEST_CASE(what_waits_in_here_keeps_the_channel_readable)
{
    static char data[50000], got[50000];
    size_t n, all = 0;
    prepare();
    open_pair();
    shake();
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7);
    PP_CHECK_EQ(SSL_write(peer, data, sizeof(data)), (int)sizeof(data)); /* four records */
    for (int there = 0; there <= (int)sizeof(data); usleep(100)) /* all of it, before we look */
        PP_REQUIRE(ioctl(ch.io.fd, FIONREAD, &there) == 0);
    turn();
    while (all < sizeof(got) && ch.readable) { /* no event comes any more */
        int rc = pp_chan_read(&ch, got + all, PP_MIN(1000, sizeof(got) - all), &n);
        if (rc != PP_OK) {
            PP_CHECK_EQ(rc, PP_EAGAIN);
            break;
        }
        all += n;
    }
    PP_CHECK_EQ(all, sizeof(got));
    PP_CHECK(memcmp(got, data, sizeof(data)) == 0);
    close_pair();
    finish();
}

PP_TEST_CASE(a_full_socket_is_not_told_as_sent)
{
    static char data[400000], got[400000];
    size_t sent = 0, all = 0;
    prepare();
    over_unix = true;
    open_pair();
    over_unix = false;
    int small = 4096;
    setsockopt(ch.io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    shake();
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 13);
    for (int i = 0; i < 100000 && all < sizeof(got); i++) {
        if (sent < sizeof(data) && ch.writable) {
            sent += write_all(data + sent, sizeof(data) - sent);
            PP_CHECK(sent == sizeof(data) || !ch.writable);
            PP_CHECK(ch.tls->ahead <= AHEAD_BYTES);
        }
        int r = SSL_read(peer, got + all, (int)(sizeof(got) - all));
        if (r > 0)
            all += (size_t)r;
        turn();
    }
    PP_CHECK_EQ(sent, sizeof(data));
    PP_CHECK_EQ(all, sizeof(got));
    PP_CHECK(memcmp(got, data, sizeof(data)) == 0);
    /* An idle connection keeps no large buffer. */
    char byte;
    size_t n;
    PP_CHECK(ch.tls->fat);
    PP_CHECK_EQ(read_some(&byte, 1, &n), PP_EAGAIN);
    PP_CHECK(!ch.tls->fat);
    PP_CHECK_EQ(write_all("more", 4), 4);
    PP_CHECK_EQ(SSL_read(peer, got, sizeof(got)), 4);
    close_pair();
    finish();
}

PP_TEST_CASE(an_end_must_be_announced)
{
    char buf[16];
    size_t n;
    prepare();
    for (int polite = 0; polite < 2; polite++) {
        open_pair();
        shake();
        SSL_write(peer, "last", 4);
        if (polite)
            SSL_shutdown(peer);
        shutdown(other, SHUT_WR);
        PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_OK);
        PP_CHECK_EQ(n, 4);
        PP_CHECK(ch.readable);
        int rc = read_some(buf, sizeof(buf), &n);
        PP_CHECK_EQ(rc, polite ? PP_EEOF : PP_ERESET);
        PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), rc); /* and again */
        PP_CHECK_EQ(pp_chan_tls_is_cut(&ch), !polite);
        PP_CHECK_EQ(write_all("answer", 6), 6); /* only one direction has ended */
        PP_CHECK_EQ(SSL_read(peer, buf, sizeof(buf)), 6);
        close_pair();
    }
    finish();
}

/* New keys without end, and never a byte. */
PP_TEST_CASE(a_peer_that_says_nothing_with_many_records_is_ended)
{
    char buf[64];
    size_t n;
    int rc = PP_EAGAIN, rounds = 0;
    prepare();
    over_unix = true;
    open_pair();
    shake();
    for (; rc == PP_EAGAIN && rounds < 200; rounds++) {
        for (int i = 0; i < 100; i++) {
            SSL_key_update(peer, SSL_KEY_UPDATE_NOT_REQUESTED);
            SSL_do_handshake(peer);
        }
        if (rounds < 10) { /* in between it says something: all is well */
            PP_CHECK_EQ(SSL_write(peer, "x", 1), 1);
            PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_OK);
        }
        rc = read_some(buf, sizeof(buf), &n);
    }
    PP_CHECK_EQ(rc, PP_EIO);
    PP_CHECK(rounds > 20);
    close_pair();
    over_unix = false;
    finish();
}

PP_TEST_CASE(a_peer_that_leaves_too_much_unread_is_ended)
{
    static char waiting[WAITING_BYTES + 1];
    char buf[64];
    size_t n;
    prepare();
    open_pair();
    shake();
    PP_CHECK_EQ(BIO_write(ch.tls->out, waiting, sizeof(waiting)), (int)sizeof(waiting));
    SSL_write(peer, "x", 1);
    PP_CHECK_EQ(pp_chan_read(&ch, buf, sizeof(buf), &n), PP_EIO);
    close_pair();
    finish();
}

PP_TEST_CASE(our_end_is_announced)
{
    char buf[16];
    prepare();
    open_pair();
    shake();
    ch.ops->shutdown(&ch);
    PP_CHECK_EQ(SSL_read(peer, buf, sizeof(buf)), 0);
    PP_CHECK_EQ(SSL_get_shutdown(peer), SSL_RECEIVED_SHUTDOWN);
    close_pair();
    finish();
}

PP_TEST_CASE(session_tickets_leave_although_nothing_is_answered)
{
    char byte;
    prepare();
    open_pair();
    shake();
    PP_CHECK_EQ(SSL_read(peer, &byte, 1), -1);
    PP_CHECK(SSL_SESSION_is_resumable(SSL_get0_session(peer)));
    close_pair();
    finish();
}

PP_TEST_CASE(garbage_gets_an_alert)
{
    char buf[64];
    size_t n;
    prepare();
    open_pair();
    PP_CHECK_EQ(write(other, "\x16\x03\x01\x00\x05zzzzz", 10), 10);
    PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_ETLS_HANDSHAKE);
    PP_CHECK_EQ(told_rc, PP_ETLS_HANDSHAKE);
    PP_CHECK_EQ(told, 1);
    PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_ETLS_HANDSHAKE);
    PP_CHECK(read(other, buf, sizeof(buf)) > 0);
    PP_CHECK_EQ(buf[0], 21); /* alert */
    struct iovec iov = {buf, 1};
    PP_CHECK_EQ(pp_chan_writev(&ch, &iov, 1, &n), PP_ETLS_HANDSHAKE);
    close_pair();
    finish();
}

PP_TEST_CASE(plain_http_is_told_so)
{
    char buf[1024];
    size_t n;
    prepare();
    open_pair();
    PP_CHECK_EQ(write(other, "GET / HTTP/1.1\r\n\r\n", 18), 18);
    PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_ETLS_HTTP);
    ssize_t got = read(other, buf, sizeof(buf) - 1);
    buf[PP_MAX(got, 0)] = '\0';
    PP_CHECK(strncmp(buf, "HTTP/1.1 400 ", 13) == 0);
    const char *body = strstr(buf, "\r\n\r\n");
    PP_REQUIRE(body != NULL);
    PP_CHECK_EQ(strlen(body + 4), atoi(strstr(buf, "Content-Length: ") + 16));
    close_pair();
    finish();
}

PP_TEST_CASE(an_endless_handshake_is_ended)
{
    /* Empty warnings and the like count too: whatever is said before the handshake is done. */
    char buf[16];
    size_t n;
    prepare();
    open_pair();
    ch.tls->hungry = PP_CHAN_TLS_HANDSHAKE_BYTES - 1;
    PP_CHECK_EQ(write(other, "\x16\x03", 2), 2);
    PP_CHECK_EQ(read_some(buf, sizeof(buf), &n), PP_ETLS_HANDSHAKE);
    close_pair();
    finish();
}

/* The same session on another listener; and what the client's certificate would be worth there. */
PP_TEST_CASE(sessions_resume_within_their_scope)
{
    char byte;
    prepare();
    struct pp_tls_conf *first = conf;
    struct pp_tls_conf *same = make_conf("web"), *foreign = make_conf("admin");
    open_pair();
    shake();
    SSL_read(peer, &byte, 1);
    SSL_SESSION *kept = SSL_get1_session(peer);
    close_pair();
    conf = same; /* of a later configuration */
    open_pair();
    SSL_set_session(peer, kept);
    shake();
    PP_CHECK(SSL_session_reused(peer));
    struct pp_chan_tls_facts facts;
    pp_chan_tls_facts(&ch, &facts);
    PP_CHECK(facts.resumed);
    close_pair();
    conf = foreign;
    open_pair();
    SSL_set_session(peer, kept);
    shake();
    PP_CHECK(!SSL_session_reused(peer));
    close_pair();
    SSL_SESSION_free(kept);
    pp_tls_conf_unref(same);
    pp_tls_conf_unref(foreign);
    conf = first;
    finish();
}

/* ---- as a client ---- */

static struct pp_chan client;

static struct pp_tls_client *make_client(const char *ca, const char *name)
{
    struct pp_tls_client_params params = {
        .ca = test_text(ca), .name = test_text(name), .verify = true};
    struct pp_tls_why why = {""};
    struct pp_tls_client *c = NULL;
    PP_CHECK_EQ(pp_tls_client_new(lib, &params, &why, &c), PP_OK);
    return c;
}

/* Handshake of our client with our server; the client's result. */
static int meet(struct pp_tls_client *c, const char *name, struct ssl_session_st *ticket)
{
    int fds[2], rc;
    char byte;
    size_t n;
    memset(&ch, 0, sizeof(ch));
    memset(&client, 0, sizeof(client));
    PP_CHECK(test_tcp_pair(fds));
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    PP_CHECK_EQ(pp_chan_tcp_open(&ch, &lp, fds[0], on_events, true), PP_OK);
    PP_CHECK_EQ(pp_chan_tcp_open(&client, &lp, fds[1], on_events, true), PP_OK);
    PP_CHECK_EQ(pp_chan_tls_accept(&ch, conf, on_done), PP_OK);
    PP_CHECK_EQ(pp_chan_tls_connect(&client, c, test_text(name), ticket, NULL), PP_OK);
    for (int i = 0; i < 10; i++) {
        rc = pp_chan_tls_handshake(&client);
        if (rc != PP_EAGAIN)
            break;
        turn();
        (void)!pp_chan_read(&ch, &byte, 1, &n);
        turn();
    }
    if (rc == PP_OK) {
        PP_CHECK_EQ(pp_chan_read(&client, &byte, 1, &n), PP_EAGAIN); /* its last words leave */
        turn();
        PP_CHECK_EQ(pp_chan_read(&ch, &byte, 1, &n), PP_EAGAIN);
        turn();
        PP_CHECK_EQ(pp_chan_read(&client, &byte, 1, &n), PP_EAGAIN); /* the tickets come */
    }
    return rc;
}

static void part(void)
{
    client.ops->close(&client, false);
    ch.ops->close(&ch, false);
}

PP_TEST_CASE(an_endpoint_is_verified)
{
    struct test_pair stranger, late;
    prepare();
    test_make_pair(&stranger, "DNS:a.example", false, -60, 3600, NULL);
    struct pp_tls_client *knows = make_client(pair.chain, ""),
                         *wrong = make_client(stranger.chain, "");
    PP_CHECK_EQ(meet(knows, "a.example", NULL), PP_OK);
    part();
    PP_CHECK_EQ(meet(knows, "127.0.0.1", NULL), PP_OK);
    part();
    PP_CHECK_EQ(meet(knows, "b.example", NULL), PP_ETLS_NAME);
    part();
    PP_CHECK_EQ(meet(knows, "127.0.0.2", NULL), PP_ETLS_NAME);
    part();
    PP_CHECK_EQ(meet(wrong, "a.example", NULL), PP_ETLS_CA);
    part();
    pp_tls_client_unref(knows);
    pp_tls_client_unref(wrong);
    pp_tls_conf_unref(conf);
    test_make_pair(&late, "DNS:a.example", false, -7200, -3600, NULL);
    struct test_pair now = pair;
    pair = late;
    conf = make_conf("web");
    struct pp_tls_client *c = make_client(late.chain, "a.example");
    PP_CHECK_EQ(meet(c, "", NULL), PP_ETLS_EXPIRED);
    part();
    pp_tls_client_unref(c);
    test_free_pair(&late);
    test_free_pair(&stranger);
    pair = now;
    finish();
}

PP_TEST_CASE(a_client_resumes)
{
    prepare();
    struct pp_tls_client *c = make_client(pair.chain, "a.example");
    PP_CHECK_EQ(meet(c, "", NULL), PP_OK);
    struct ssl_session_st *ticket = pp_chan_tls_ticket(&client);
    part();
    PP_CHECK_EQ(meet(c, "", ticket), PP_OK);
    struct pp_chan_tls_facts facts;
    pp_chan_tls_facts(&client, &facts);
    PP_CHECK(facts.resumed);
    part();
    pp_tls_client_free_ticket(c, ticket);
    pp_tls_client_free_ticket(c, NULL);
    pp_tls_client_unref(c);
    finish();
}

PP_TEST_CASE(without_memory_the_channel_stays_plain)
{
    int fds[2];
    prepare();
    PP_CHECK(test_tcp_pair(fds));
    PP_CHECK_EQ(pp_chan_tcp_open(&ch, &lp, fds[0], on_events, true), PP_OK);
    pp_mem_fail_after_for_test(0);
    PP_CHECK_EQ(pp_chan_tls_accept(&ch, conf, NULL), PP_ENOMEM);
    pp_mem_fail_after_for_test(-1);
    PP_CHECK(!pp_chan_is_tls(&ch));
    PP_CHECK(ch.ops == &pp_chan_tcp_ops);
    ch.ops->close(&ch, false);
    close(fds[1]);
    finish();
}

PP_TEST_MAIN()
