/* A whole worker in one thread, with clients and origins that a test plays by hand.
 *
 *   client sockets  <->  door, struct pp_worker  <->  listening origin sockets
 *   (rig_connect)        (turned by the rig)          (rig_accept)
 *
 * All sockets are non-blocking TCP on loopback; whatever waits for bytes turns the worker
 * meanwhile. Expected bytes are compared exactly. The monotonic clock can be moved on (rig_sleep),
 * so no test waits for a long timeout.
 *
 * A failed step is a failed check; the test goes on, and later steps fail quickly. */
#ifndef PP_PROXY_RIG_H
#define PP_PROXY_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/options_text.h"
#include "pp_test.h"
#include "proxy/phase.h"
#include "proxy/up.h"
#include "worker/builder.h"
#include "worker/worker.h"

#define RIG_ORIGINS 4
#define RIG_NATIVES 3
#define RIG_WAIT_MS 10000 /* of real time; a step that has no bytes by then has failed */
#define RIG_DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
#define RIG_FWD "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"
#define RIG_GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
/* What an origin gets of RIG_GET, and its shortest answer with a body as it comes and goes on. */
#define RIG_GOT "GET / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n"
#define RIG_HI "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 2\r\n\r\nhi"

/* ---- clock ---- */

static uint64_t rig_skew_ms;

/* Overrides libc's for the whole program: timers are due when the test says so. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
    int rc = (int)syscall(SYS_clock_gettime, id, ts);
    if (id == CLOCK_MONOTONIC)
        ts->tv_sec += (time_t)(rig_skew_ms / 1000),
            ts->tv_nsec += (long)(rig_skew_ms % 1000) * 1000000;
    if (ts->tv_nsec >= 1000000000)
        ts->tv_sec++, ts->tv_nsec -= 1000000000;
    return rc;
}

static inline uint64_t rig_real_ms(void)
{
    struct timespec ts;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- filters played by the test ---- */

struct rig;

/* One filter of the route, in the place of a Python callable. A NULL function goes on with NEXT. */
struct rig_filter {
    struct rig *rig;
    int (*run)(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase);
    int (*body)(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                struct pp_span piece, bool last, struct pp_span *out);
    struct pp_task task; /* while it is parked */
    unsigned runs[PP_PHASE_COUNT];
    char mem[65536]; /* what a body filter wants to keep or give on */
    size_t n;
};

/* ---- the rig ---- */

struct rig_conf {
    struct pp_listener_conf listener;
    struct pp_cluster_conf cluster;
    struct pp_builder_route route; /* of every request; the fallback stays without action */
    const char *door;              /* name of the only listener */
    unsigned origins;
    uint32_t phases;      /* bit per phase that filter[0] is bound to */
    uint32_t more_phases; /* the same for filter[1] */
    uint32_t buffer_request, buffer_response, body_first;
    uint32_t max_requests, max_connections; /* of each endpoint */
    struct {
        const char *kind, *options; /* JSON */
    } native[RIG_NATIVES];          /* native filters, behind those of the test; also early ones */
    const char *via, *server, *trusted, *balance;
    const char *log; /* format; written to <log_path>, or <log_fd> */
    const char *log_path;
    int log_fd;
    int door_rcvbuf, door_sndbuf, origin_rcvbuf; /* of accepted sockets; 0: the system's */
    pp_router_methods methods;
    struct pp_overload_conf overload; /* .exempts: the route is */
    bool apart;          /* the last origin is that of an upstream "apart", and not of "up" */
    bool any_path;       /* the route takes what has no path too: CONNECT */
    bool tcp;            /* the door is a TCP listener, tunnelled to the upstream */
    bool udp;            /* door and origins take datagrams */
    const char *proxies; /* a range whose connections begin with a PROXY protocol header */
    bool others_direct;
    struct {
        const char *name;
        unsigned origin;
    } server_name[RIG_ORIGINS]; /* and where connections for it go, through upstreams of their own
                                 */
};

struct rig {
    struct pp_worker w;
    struct rig_conf conf;
    int door; /* our copy of the listening socket */
    struct sockaddr_in at;
    int origin[RIG_ORIGINS]; /* listening */
    struct sockaddr_in origin_at[RIG_ORIGINS];
    struct rig_filter filter[2];
    struct pp_exchange *parked[PP_PARK_COUNT];
    unsigned cancelled, ended;
    long live; /* allocations before the start */
};

static inline struct rig_conf rig_defaults(void)
{
    struct pp_http1_limits limits = {
        .head_bytes = 32768, .line_bytes = 16384, .target_bytes = 8192, .fields = 100};
    struct rig_conf c = {
        .listener = {.limits = limits,
                     .header_timeout_ms = 30000,
                     .idle_timeout_ms = 75000,
                     .body_timeout_ms = 30000,
                     .send_timeout_ms = 30000,
                     .access_log = PP_ID_NONE},
        .cluster = pp_cluster_default_conf(),
        .route = {.name = PP_SPAN("main"),
                  .action = PP_ROUTE_ACTION_UPSTREAM,
                  .max_body = UINT64_MAX,
                  .access_log = PP_ID_NONE},
        .door = "door",
        .origins = 1,
        .balance = "round_robin",
        .log_fd = -1,
        .methods = ~(pp_router_methods)0,
    };
    return c;
}

static inline int rig_listen(struct sockaddr_in *at, int rcvbuf, int sndbuf)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memset(at, 0, sizeof *at);
    at->sin_family = AF_INET;
    at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (rcvbuf > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (sndbuf > 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    PP_CHECK(bind(fd, (struct sockaddr *)at, sizeof *at) == 0 && listen(fd, 512) == 0);
    getsockname(fd, (struct sockaddr *)at, &len);
    return fd;
}

static inline int rig_bind_udp(struct sockaddr_in *at)
{
    socklen_t len = sizeof *at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    PP_CHECK(bind(fd, (struct sockaddr *)at, sizeof *at) == 0);
    getsockname(fd, (struct sockaddr *)at, &len);
    return fd;
}

static inline struct pp_span rig_address(const struct sockaddr_in *at, char *text)
{
    int n = snprintf(text, 32, "127.0.0.1:%u", ntohs(at->sin_port));
    return pp_span(text, (size_t)n);
}

static inline struct pp_span rig_span(const char *text)
{
    return text == NULL ? PP_SPAN_NONE : pp_span(text, strlen(text));
}

static inline void rig_hook_cancel(struct pp_task *t, struct pp_exchange *x, enum pp_park which)
{
    struct rig *r = PP_CONTAINER_OF(t, struct rig_filter, task)->rig;
    PP_CHECK(r->parked[which] == x);
    r->parked[which] = NULL;
    r->cancelled++;
}

static inline int rig_hook_run(void *owner, struct pp_exchange *x, const struct pp_hook *hook,
                               enum pp_phase phase)
{
    struct rig *r = owner;
    struct rig_filter *f = hook->callable;
    f->runs[phase]++;
    int verdict = f->run == NULL ? PP_NEXT : f->run(f, x, phase);
    if (verdict == PP_PARK) {
        r->parked[PP_PARK_PHASE] = x;
        f->task.cancel = rig_hook_cancel;
        x->task[PP_PARK_PHASE] = &f->task;
    }
    return verdict;
}

static inline int rig_hook_body(void *owner, struct pp_exchange *x, const struct pp_hook *hook,
                                enum pp_phase phase, struct pp_span piece, bool last,
                                struct pp_span *out)
{
    struct rig *r = owner;
    struct rig_filter *f = hook->callable;
    enum pp_park which =
        phase == PP_PHASE_REQUEST_BODY ? PP_PARK_REQUEST_BODY : PP_PARK_RESPONSE_BODY;
    f->runs[phase]++;
    if (f->body == NULL) {
        *out = piece;
        return PP_NEXT;
    }
    int verdict = f->body(f, x, phase, piece, last, out);
    if (verdict == PP_PARK) {
        r->parked[which] = x;
        f->task.cancel = rig_hook_cancel;
        x->task[which] = &f->task;
    }
    return verdict;
}

static inline void rig_hook_end(void *owner, struct pp_exchange *x)
{
    ((struct rig *)owner)->ended++;
}

static const struct pp_hook_ops rig_hook_ops = {
    .run = rig_hook_run, .body = rig_hook_body, .end = rig_hook_end};

/* The filter that waits in <which> has finished. */
static inline void rig_resume(struct rig *r, enum pp_park which, int verdict, struct pp_span piece)
{
    struct pp_exchange *x = r->parked[which];
    PP_CHECK(x != NULL);
    r->parked[which] = NULL;
    if (x != NULL)
        pp_phase_resume(x, which, verdict, piece);
}

static inline int rig_add_natives(struct rig *r, struct pp_builder *b, uint32_t *id, uint32_t *n)
{
    int rc = PP_OK;
    for (int i = 0; i < RIG_NATIVES && r->conf.native[i].kind != NULL && rc == PP_OK; i++) {
        struct pp_span kind = rig_span(r->conf.native[i].kind);
        struct pp_options o;
        if (!options_of(&o, pp_builder_arena(b), r->conf.native[i].options))
            return PP_ENOMEM;
        rc = pp_builder_add_native(b, kind, kind, &o, &id[(*n)++]);
    }
    return rc;
}

static inline int rig_add_filters(struct rig *r, struct pp_builder *b, uint32_t id[2])
{
    const uint32_t phases[2] = {r->conf.phases, r->conf.more_phases};
    int rc = PP_OK;
    for (int i = 0; i < 2 && rc == PP_OK; i++) {
        rc = pp_builder_add_filter(b, PP_SPAN("f"), 1000, i == 0 ? r->conf.buffer_request : 0,
                                   i == 0 ? r->conf.buffer_response : 0, &id[i]);
        if (rc == PP_OK && i == 0)
            pp_builder_set_body_first(b, id[i], r->conf.body_first);
        for (int phase = 0; phase < PP_PHASE_COUNT && rc == PP_OK; phase++) {
            if (phases[i] >> phase & 1)
                rc = pp_builder_bind(b, id[i], (enum pp_phase)phase, &r->filter[i]);
        }
    }
    return rc;
}

/* What is read of a connection before it begins. */
static inline int rig_add_greeting(struct rig *r, struct pp_builder *b)
{
    const struct rig_conf *c = &r->conf;
    uint32_t upstream, id;
    int rc = c->proxies == NULL
                 ? PP_OK
                 : pp_builder_add_proxy(b, 0, rig_span(c->proxies), c->others_direct);
    for (unsigned i = 0; i < RIG_ORIGINS && c->server_name[i].name != NULL && rc == PP_OK; i++) {
        struct pp_span name = rig_span(c->server_name[i].name);
        char text[32];
        rc = pp_builder_add_upstream(b, name, rig_span(c->balance), &c->cluster, &upstream);
        if (rc == PP_OK)
            rc = pp_builder_add_endpoint(b, upstream,
                                         rig_address(&r->origin_at[c->server_name[i].origin], text),
                                         PP_SPAN_NONE, 1, &id);
        if (rc == PP_OK)
            rc = pp_builder_add_server_name(b, 0, name, upstream);
    }
    return rc;
}

static inline void rig_release(void *arg)
{
    (void)arg;
}

/* The snapshot of r->conf, or NULL (memory out, or the configuration is bad: then it is printed).
 */
static inline struct pp_snapshot *rig_snapshot(struct rig *r)
{
    struct rig_conf *c = &r->conf;
    struct pp_builder *b = pp_builder_new();
    struct pp_snapshot *sn = NULL;
    struct pp_builder_route fallback = {.name = PP_SPAN("-"),
                                        .upstream = PP_ID_NONE,
                                        .max_body = UINT64_MAX,
                                        .access_log = PP_ID_NONE};
    uint32_t id, upstream = 0, filter[2 + RIG_NATIVES], n_filter = 2;
    if (b == NULL)
        return NULL;
    int rc = PP_OK;
    if (c->log != NULL) {
        rc = pp_builder_add_log(b, rig_span(c->log_path), c->log_fd, strcmp(c->log, "json") == 0,
                                rig_span(c->log), &id);
        c->listener.access_log = 0;
    }
    c->listener.protocol = c->udp ? PP_LISTENER_UDP : PP_LISTENER_HTTP;
    if (rc == PP_OK)
        rc = pp_builder_add_listener(b, rig_span(c->door), &c->listener, rig_span(c->via),
                                     rig_span(c->server), &id);
    if (rc == PP_OK && c->trusted != NULL)
        rc = pp_builder_add_trusted(b, id, rig_span(c->trusted));
    if (rc == PP_OK)
        rc =
            pp_builder_add_upstream(b, PP_SPAN("up"), rig_span(c->balance), &c->cluster, &upstream);
    for (unsigned i = 0; i < c->origins && rc == PP_OK; i++) {
        char text[32];
        if (c->apart && i == c->origins - 1)
            rc = pp_builder_add_upstream(b, PP_SPAN("apart"), rig_span(c->balance), &c->cluster,
                                         &upstream);
        if (rc == PP_OK)
            rc = pp_builder_add_endpoint(b, upstream, rig_address(&r->origin_at[i], text),
                                         PP_SPAN_NONE, 1, &id);
        if (rc == PP_OK)
            pp_builder_set_endpoint_limits(b, upstream, c->max_requests, c->max_connections);
    }
    if (rc == PP_OK && (c->tcp || c->udp))
        rc = pp_builder_set_tunnel(b, 0, 0);
    if (rc == PP_OK)
        rc = rig_add_greeting(r, b);
    if (rc == PP_OK)
        rc = rig_add_filters(r, b, filter);
    if (rc == PP_OK)
        rc = rig_add_natives(r, b, filter, &n_filter);
    if (rc == PP_OK && (c->phases >> PP_PHASE_EARLY_REQUEST & 1))
        rc = pp_builder_set_early(b, filter, 1);
    else if (rc == PP_OK && n_filter > 2)
        rc = pp_builder_set_early(b, filter + 2, n_filter - 2);
    fallback.filter = filter;
    fallback.n_filter = n_filter;
    if (rc == PP_OK)
        rc = pp_builder_add_route(b, &fallback, &id);
    c->route.upstream = c->route.action == PP_ROUTE_ACTION_UPSTREAM ? 0 : PP_ID_NONE;
    c->route.filter = filter;
    c->route.n_filter = n_filter;
    if (rc == PP_OK)
        rc = pp_builder_add_route(b, &c->route, &id);
    if (rc == PP_OK)
        pp_builder_set_overload(b, &c->overload.memory, &c->overload.lag);
    if (rc == PP_OK && c->overload.exempts)
        pp_builder_exempt_route(b, id);
    if (rc == PP_OK)
        rc = pp_builder_add_match(b, id, PP_SPAN_NONE, rig_span(c->any_path ? "*" : "/*"),
                                  c->methods, 0);
    if (rc == PP_OK)
        return pp_builder_finish(b, rig_release, NULL, &sn) == PP_OK ? sn : NULL;
    if (rc != PP_ENOMEM)
        printf("rig: %d: %s\n", rc, pp_builder_why(b));
    pp_builder_free(b);
    return NULL;
}

static inline bool rig_start(struct rig *r, const struct rig_conf *conf)
{
    signal(SIGPIPE, SIG_IGN);
    memset(r, 0, sizeof *r);
    r->live = pp_mem_live_for_test();
    r->conf = *conf;
    r->filter[0].rig = r->filter[1].rig = r;
    for (unsigned i = 0; i < conf->origins; i++)
        r->origin[i] = conf->udp ? rig_bind_udp(&r->origin_at[i])
                                 : rig_listen(&r->origin_at[i], conf->origin_rcvbuf, 0);
    r->door =
        conf->udp ? rig_bind_udp(&r->at) : rig_listen(&r->at, conf->door_rcvbuf, conf->door_sndbuf);
    bool ok = pp_worker_init(&r->w, NULL, 0, 0, 1) == PP_OK;
    struct pp_snapshot *sn = ok ? rig_snapshot(r) : NULL;
    PP_CHECK(sn != NULL);
    if (sn == NULL)
        return false;
    pp_worker_set_hook(&r->w, &rig_hook_ops, r);
    ok = pp_worker_install(&r->w, sn) == PP_OK;
    pp_snapshot_unref(sn);
    ok = ok && pp_worker_listen(&r->w, dup(r->door), rig_span(conf->door)) == PP_OK;
    PP_CHECK(ok);
    return ok;
}

static inline void rig_turn(struct rig *r, int wait_ms)
{
    pp_worker_turn(&r->w, wait_ms);
    /* Nothing is ever left in the gather: it would leave with the bytes of another connection. */
    PP_CHECK_EQ(r->w.core.gather.n, 0);
}

/* Turn until nothing has happened for a while: loopback delivers soon. */
static inline void rig_settle(struct rig *r)
{
    for (int quiet = 0; quiet < 4;) {
        uint64_t before = r->w.core.loop.events;
        rig_turn(r, 1);
        quiet = r->w.core.loop.events == before ? quiet + 1 : 0;
    }
}

/* Let <ms> pass on the worker's clock. */
static inline void rig_sleep(struct rig *r, uint64_t ms)
{
    rig_settle(r);
    rig_skew_ms += ms;
    rig_turn(r, 0);
    rig_settle(r);
}

/* End everything; nothing may be left over. <gone>: all clients and origins have closed or were
 * closed. */
static inline void rig_stop(struct rig *r)
{
    pp_worker_fini(&r->w);
    PP_CHECK_EQ(r->w.core.n_down, 0);
    PP_CHECK_EQ(r->w.core.n_exchange, 0);
    PP_CHECK_EQ(r->w.core.n_greet, 0);
    for (unsigned i = 0; i < r->conf.origins; i++)
        if (r->origin[i] >= 0)
            close(r->origin[i]);
    close(r->door);
    PP_CHECK_EQ(pp_mem_live_for_test(), r->live);
}

/* ---- clients and origins ---- */

static inline int rig_dial(struct rig *r, int rcvbuf, int sndbuf)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (rcvbuf > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (sndbuf > 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    if (connect(fd, (struct sockaddr *)&r->at, sizeof r->at) < 0)
        PP_CHECK_EQ(errno, EINPROGRESS);
    return fd;
}

static inline int rig_connect(struct rig *r)
{
    return rig_dial(r, 0, 0);
}

#define RIG_CLOG 4

/* Connections of the test's own fill the queue of origin 0, which drops what comes then: to connect
 * to it hangs. */
static inline void rig_clog(struct rig *r, int fill[RIG_CLOG])
{
    listen(r->origin[0], 0);
    for (int i = 0; i < RIG_CLOG; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&r->origin_at[0], sizeof r->origin_at[0]);
    }
}

static inline void rig_unclog(const int fill[RIG_CLOG])
{
    for (int i = 0; i < RIG_CLOG; i++)
        close(fill[i]);
}

/* The next connection to origin <i>, or -1 when none comes within <wait_ms>. */
static inline int rig_try_accept(struct rig *r, unsigned i, uint64_t wait_ms)
{
    uint64_t until = rig_real_ms() + wait_ms;
    int one = 1;
    do {
        int fd = accept4(r->origin[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            return fd;
        }
        rig_turn(r, 1);
    } while (rig_real_ms() < until);
    return -1;
}

static inline int rig_accept(struct rig *r, unsigned i)
{
    int fd = rig_try_accept(r, i, RIG_WAIT_MS);
    PP_CHECK(fd >= 0);
    return fd;
}

/* Send all of it, turning the worker while the socket is full. */
static inline bool rig_send_n(struct rig *r, int fd, const char *p, size_t n)
{
    uint64_t until = rig_real_ms() + RIG_WAIT_MS;
    while (n > 0 && rig_real_ms() < until) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN && errno != ENOTCONN)
            return false;
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        }
        if (n > 0)
            rig_turn(r, 1);
    }
    return n == 0;
}

#define rig_send(r, fd, text) PP_CHECK(rig_send_n((r), (fd), (text), strlen(text)))

/* Read up to <n> bytes until they are there, the connection ends (*end gets 0 or the errno), or
 * time is up (*end is EAGAIN). Returns how many. */
static inline size_t rig_read(struct rig *r, int fd, char *p, size_t n, int *end)
{
    uint64_t until = rig_real_ms() + RIG_WAIT_MS;
    size_t at = 0;
    *end = EAGAIN;
    while (at < n && rig_real_ms() < until) {
        ssize_t k = recv(fd, p + at, n - at, 0);
        if (k > 0) {
            at += (size_t)k;
            continue;
        }
        if (k == 0 || (errno != EAGAIN && errno != ENOTCONN)) {
            *end = k == 0 ? 0 : errno;
            break;
        }
        rig_turn(r, 1);
    }
    return at;
}

static inline void rig_expect_at(struct rig *r, int fd, const char *text, const char *file,
                                 int line)
{
    static char got[1 << 20];
    size_t n = strlen(text);
    int end;
    size_t k = rig_read(r, fd, got, n, &end);
    pp_test_bytes(pp_span(got, k), pp_span(text, n), "what came", file, line);
}
/* The next bytes at <fd> are exactly <text>. */
#define rig_expect(r, fd, text) rig_expect_at((r), (fd), (text), __FILE__, __LINE__)

/* Nothing more has come. */
static inline void rig_expect_quiet_at(struct rig *r, int fd, const char *file, int line)
{
    char c[256];
    rig_settle(r);
    ssize_t k = recv(fd, c, sizeof c, 0);
    pp_test_true(k < 0 && errno == EAGAIN, "nothing more comes", file, line);
    if (k > 0)
        pp_test_print_bytes(c, (size_t)k);
}
#define rig_expect_quiet(r, fd) rig_expect_quiet_at((r), (fd), __FILE__, __LINE__)

/* The connection ends now: in order (<err> 0) or by a reset. */
static inline void rig_expect_end_at(struct rig *r, int fd, int err, const char *file, int line)
{
    char c[256];
    int end;
    size_t k = rig_read(r, fd, c, sizeof c, &end);
    pp_test_eq(end, err, "how the connection ends", file, line);
    pp_test_eq((__int128)k, 0, "bytes before its end", file, line);
    if (k > 0)
        pp_test_print_bytes(c, k);
}
#define rig_expect_eof(r, fd) rig_expect_end_at((r), (fd), 0, __FILE__, __LINE__)
#define rig_expect_reset(r, fd) rig_expect_end_at((r), (fd), ECONNRESET, __FILE__, __LINE__)

/* Close with RST. */
static inline void rig_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* The answer of our own to a fault, as it goes out; Date is the worker's. */
static inline void rig_expect_fault_at(struct rig *r, int fd, const char *status, const char *word,
                                       bool closes, const char *file, int line)
{
    static char got[8192];
    size_t n = 0;
    int end = 0;
    char *body = NULL;
    while (n < sizeof got - 1 && body == NULL && rig_read(r, fd, got + n, 1, &end) == 1) {
        got[++n] = '\0';
        body = strstr(got, "\r\n\r\n");
    }
    const char *length = body == NULL ? NULL : strstr(got, "Content-Length: ");
    size_t want = length == NULL ? 0 : strtoul(length + 16, NULL, 10), k = 0;
    if (want > 0 && want < sizeof got - n - 1)
        k = rig_read(r, fd, got + n, want, &end);
    got[n + k] = '\0';
    char line_1[64], error[96];
    snprintf(line_1, sizeof line_1, "HTTP/1.1 %s", status);
    snprintf(error, sizeof error, "\"error\":\"%s\"", word);
    bool ok = strncmp(got, line_1, strlen(line_1)) == 0 && k == want &&
              strstr(got, error) != NULL && (strstr(got, "Connection: close") != NULL) == closes;
    pp_test_true(ok, "the fault's answer", file, line);
    if (!ok) {
        printf("    wanted %s %s%s\n", status, word, closes ? ", closing" : "");
        pp_test_print_bytes(got, n + k);
    }
}
#define rig_expect_fault(r, fd, status, word, closes)                                              \
    rig_expect_fault_at((r), (fd), (status), (word), (closes), __FILE__, __LINE__)

/* ---- whole exchanges ---- */

/* RIG_GET on <c>, answered on <o> (-1: a new connection is made); returns the origin's socket. */
static inline int rig_simple(struct rig *r, int c, int o)
{
    rig_send(r, c, RIG_GET);
    if (o < 0)
        o = rig_accept(r, 0);
    rig_expect(r, o, RIG_GOT);
    rig_send(r, o, RIG_HI);
    rig_expect(r, c, RIG_HI);
    return o;
}

/* Numbers of the worker's counters. */
#define RIG_COUNT(r, kind, word)                                                                   \
    ((r)->w.core.metrics                                                                           \
         .words[(r)->w.core.metrics.fallback[PP_METRIC_##kind] + PP_METRIC_WORD(kind, word)])

/* Byte <i> of every long body: no period that a buffer size divides. */
static inline char rig_byte(size_t i)
{
    return (char)(i * 31 + (i >> 8) * 7 + (i >> 16) * 13);
}

/* Move <n> body bytes from <from> to <to> through the worker, checking each. <slow>: the reader
 * takes a little now and then only. */
static inline void rig_stream(struct rig *r, int from, int to, size_t n, bool slow)
{
    static char out[65536], in[65536];
    size_t sent = 0, got = 0, wrong = 0, since = 0;
    uint64_t until = rig_real_ms() + 4 * RIG_WAIT_MS;
    while (got < n && rig_real_ms() < until) {
        if (sent < n) {
            size_t k = PP_MIN(n - sent, sizeof out);
            for (size_t i = 0; i < k; i++)
                out[i] = rig_byte(sent + i);
            ssize_t w = send(from, out, k, MSG_NOSIGNAL);
            if (w > 0)
                sent += (size_t)w;
        }
        rig_turn(r, since > 20 ? 1 : 0);
        since++;
        if (slow && since % 8 != 0)
            continue;
        ssize_t k = recv(to, in, slow ? 20000 : sizeof in, 0);
        if (k == 0 || (k < 0 && errno != EAGAIN))
            break;
        for (ssize_t i = 0; i < k; i++)
            wrong += in[i] != rig_byte(got + (size_t)i);
        got += k > 0 ? (size_t)k : 0;
        since = k > 0 ? 0 : since;
    }
    PP_CHECK_EQ(sent, n);
    PP_CHECK_EQ(got, n);
    PP_CHECK_EQ(wrong, 0);
}

#endif
