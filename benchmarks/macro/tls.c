#define _GNU_SOURCE
/*
 * TLS 1.3 clients.
 *
 *   tls --port PORT --seconds S --connections N requests --size B    keep-alive GETs, one open each
 *   tls … handshakes                                                 a full handshake each
 *   tls … resumptions                                                each resumes the one before
 *
 * One thread, one epoll set. The suite is TLS_AES_128_GCM_SHA256, the group X25519. A handshake is
 * connect, handshake, close_notify, FIN, and reading until the server has closed too: then it has
 * done all its work, and the tickets that it has sent are there for the next one. Answers must be
 * 200 with B bytes. A connection that breaks is a failure; it is made anew.
 *
 * When all connections are up (of resumptions: when each has a ticket) it prints "ready", and waits
 * for a line or the end of its input: what is measured begins then. Prints the report of report.h.
 */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "report.h"
#include "serve.h"

enum { BATCH = 64, PATIENCE_MS = 5000, HEAD = 8192, RECORDS = 65536, SOURCES = 64, FAILURES = 256 };
enum mode { REQUESTS, HANDSHAKES, RESUMPTIONS };
enum step { SHAKING, READY, ASKING, PARTING };

struct client {
    int fd;
    enum step step;
    SSL *ssl;
    SSL_SESSION *ticket; /* for the next handshake */
    uint64_t begun;
    size_t head_n, left; /* bytes of the answer's head, and of its body to come */
    char head[HEAD];
};

static struct {
    enum mode mode;
    struct options given;
    int epoll_fd, open, ready;
    bool measuring;
    uint64_t start, end, length;
    struct client *clients;
    SSL_CTX *ctx;
    char request[256];
    int request_n;
    uint32_t source;
} run = {.given = {.seconds = 1, .connections = 64, .size = 64}};
static struct report report;

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
    struct client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->ticket);
    c->ticket = ticket;
    return 1; /* kept */
}

static void begin(struct client *c)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)run.given.port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    int one = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Many addresses, so that ports never run out. */
    from.sin_addr.s_addr = htonl(0x7f000101u + run.source++ % SOURCES);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
        fatal("bind");
    if (connect(c->fd, (struct sockaddr *)&at, sizeof at) < 0 && errno != EINPROGRESS)
        fatal("connect");
    c->step = SHAKING;
    c->begun = clock_ns();
    c->ssl = SSL_new(run.ctx);
    SSL_set_app_data(c->ssl, c);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_tlsext_host_name(c->ssl, "bench.example");
    SSL_set_connect_state(c->ssl);
    if (run.mode == RESUMPTIONS && c->ticket != NULL)
        SSL_set_session(c->ssl, c->ticket);
    epoll_ctl(run.epoll_fd, EPOLL_CTL_ADD, c->fd, &ev);
}

static void drop(struct client *c)
{
    SSL_free(c->ssl);
    c->ssl = NULL;
    close(c->fd);
}

static void end(struct client *c)
{
    drop(c);
    if (!run.measuring || clock_ns() < run.end)
        begin(c);
    else
        run.open--;
}

static void fail(struct client *c)
{
    report.failed++;
    ERR_clear_error();
    if (!run.measuring && report.failed > FAILURES) {
        fprintf(stderr, "tls: no connection can be made\n");
        exit(1);
    }
    end(c);
}

/* After a call that gave <rc>: true when it only has to wait. */
static bool waits(struct client *c, int rc)
{
    int why = SSL_get_error(c->ssl, rc);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static bool ask(struct client *c)
{
    c->begun = clock_ns();
    c->head_n = c->left = 0;
    return SSL_write(c->ssl, run.request, run.request_n) == run.request_n;
}

static void fail(struct client *c);

/* One more is ready; with the last one it begins. */
static void get_ready(struct client *c)
{
    c->step = READY;
    if (++run.ready < run.given.connections)
        return;
    puts("ready");
    fflush(stdout);
    (void)getchar();
    memset(&report, 0, sizeof report);
    run.measuring = true;
    run.start = clock_ns();
    run.end = run.start + run.length;
    for (int i = 0; i < run.given.connections; i++) {
        struct client *each = &run.clients[i];
        each->step = ASKING;
        if (run.mode != REQUESTS)
            begin(each);
        else if (!ask(each))
            fail(each);
    }
}

/* The head is whole: is it the answer that was asked for? What of the body has come with it counts.
 */
static bool check_head(struct client *c, size_t head)
{
    const char *field = NULL;
    c->head[c->head_n] = '\0';
    for (char *p = c->head; p < c->head + head && field == NULL; p = strchr(p, '\n') + 1) {
        if (strncasecmp(p, "content-length:", 15) == 0)
            field = p + 15;
    }
    if (strncmp(c->head + 8, " 200", 4) != 0 || field == NULL ||
        strtoul(field, NULL, 10) != run.given.size)
        return false;
    c->left = run.given.size - (c->head_n - head);
    return c->head_n - head <= run.given.size;
}

/* Bytes of an answer at <p>. False: not the right ones. */
static bool take(struct client *c, const char *p, size_t n)
{
    if (c->left > 0) {
        c->left -= n <= c->left ? n : c->left;
        return true;
    }
    if (c->head_n + n >= sizeof c->head) { /* a long body in the first read */
        size_t room = sizeof c->head - 1 - c->head_n;
        return take(c, p, room) && take(c, p + room, n - room);
    }
    memcpy(c->head + c->head_n, p, n);
    c->head_n += n;
    char *blank = memmem(c->head, c->head_n, "\r\n\r\n", 4);
    return blank == NULL || check_head(c, (size_t)(blank + 4 - c->head));
}

static void converse(struct client *c)
{
    static char bytes[RECORDS];
    for (;;) {
        int n = SSL_read(c->ssl, bytes, sizeof bytes);
        if (n <= 0) {
            if (!waits(c, n))
                fail(c);
            return;
        }
        if (!take(c, bytes, (size_t)n)) {
            fail(c);
            return;
        }
        if (c->left > 0 || memmem(c->head, c->head_n, "\r\n\r\n", 4) == NULL)
            continue;
        uint64_t now = clock_ns();
        histogram_add(&report.latency, now - c->begun);
        report.bytes += run.given.size;
        if (now >= run.end) {
            end(c);
            return;
        }
        if (!ask(c)) {
            fail(c);
            return;
        }
    }
}

/* Read until the server has closed: tickets come on the way. */
static void part(struct client *c)
{
    char last_words[512];
    int n;
    while ((n = SSL_read(c->ssl, last_words, sizeof last_words)) > 0)
        continue;
    if (waits(c, n))
        return;
    ERR_clear_error(); /* closed without close_notify is closed too */
    if (!run.measuring) {
        drop(c);
        get_ready(c);
        return;
    }
    histogram_add(&report.latency, clock_ns() - c->begun);
    report.resumed += (uint64_t)SSL_session_reused(c->ssl);
    end(c);
}

static void shake(struct client *c)
{
    int rc = SSL_do_handshake(c->ssl);
    if (rc != 1) {
        if (!waits(c, rc))
            fail(c);
        return;
    }
    if (run.mode == REQUESTS && !run.measuring) {
        get_ready(c);
        return;
    }
    if (run.mode == REQUESTS) {
        c->step = ASKING;
        if (!ask(c))
            fail(c);
        return;
    }
    c->step = PARTING;
    SSL_shutdown(c->ssl);
    shutdown(c->fd, SHUT_WR); /* some servers wait for this */
    part(c);
}

static void on_event(struct client *c)
{
    if (c->step == SHAKING)
        shake(c);
    else if (c->step == ASKING)
        converse(c);
    else if (c->step == PARTING)
        part(c);
}

static void prepare(void)
{
    run.ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(run.ctx, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(run.ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(run.ctx, "X25519");
    SSL_CTX_set_verify(run.ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(run.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    if (run.mode == RESUMPTIONS) {
        SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(run.ctx, on_ticket);
    }
    run.request_n =
        snprintf(run.request, sizeof run.request,
                 "GET /bytes/%zu HTTP/1.1\r\nHost: bench.example\r\n\r\n", run.given.size);
}

static int load(void)
{
    struct epoll_event events[BATCH];

    prepare();
    run.clients = calloc((size_t)run.given.connections, sizeof *run.clients);
    run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    run.length = (uint64_t)(run.given.seconds * 1e9);
    run.open = run.given.connections;
    for (int i = 0; i < run.given.connections; i++)
        begin(&run.clients[i]);
    while (run.open > 0) { /* what is open at the end is waited for */
        int n = epoll_wait(run.epoll_fd, events, BATCH, PATIENCE_MS);
        if (n <= 0) {
            report.failed += (uint64_t)run.open;
            break;
        }
        for (int i = 0; i < n; i++)
            on_event(events[i].data.ptr);
    }
    report_print(&report, clock_ns() - run.start);
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"requests", "handshakes", "resumptions"};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && option_take(&run.given, argv[i], argv[i + 1])) {
            i++;
            continue;
        }
        int mode = 0;
        while (mode < 3 && strcmp(argv[i], modes[mode]) != 0)
            mode++;
        if (mode == 3)
            return 2;
        run.mode = (enum mode)mode;
    }
    return load();
}
