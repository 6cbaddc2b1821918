#include "proxy/greet.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/fd.h"
#include "proxy/accesslog.h"
#include "proxy/tunnel.h"
#include "wire/clienthello.h"

PP_STATIC_ASSERT(PP_PROXYPROTO_V2_BYTES <= PP_CORE_BULK_BYTES &&
                     PP_CLIENTHELLO_WIRE_BYTES <= PP_CORE_BULK_BYTES,
                 "scratch memory takes what is looked at");

struct pp_greet {
    struct pp_io io;
    struct pp_door *door;
    struct pp_snapshot *snapshot; /* of <conf>, which may be renewed meanwhile */
    const struct pp_listener_conf *conf;
    struct pp_list link; /* in core->greets */
    struct pp_timer timer;
    struct pp_sock_addr client;
    struct pp_announced *announced;
    uint64_t start_us, born_ms;
    uint8_t state; /* enum pp_greet_state */
    bool ended;    /* the client sends no more: what is not there does not come */
    struct pp_deferred deferred;
};

static struct pp_core *core_of(const struct pp_greet *g)
{
    return g->door->core;
}

/* ---- the end ---- */

static void free_now(struct pp_deferred *deferred)
{
    struct pp_greet *g = PP_CONTAINER_OF(deferred, struct pp_greet, deferred);
    pp_snapshot_release(g->snapshot);
    pp_mem_free(g);
}

/* Out of the loop and the lists; the descriptor is returned, and the caller's. */
static int leave(struct pp_greet *g)
{
    struct pp_core *core = core_of(g);
    int fd = g->io.fd;
    g->state = PP_GREET_ENDED;
    pp_loop_stop(&core->loop, &g->timer);
    pp_loop_remove(&core->loop, &g->io, false);
    pp_list_detach(&g->link);
    core->n_greet--;
    PP_COUNT(&core->metrics, g->door->conf->record, LISTENER, ACTIVE, -1);
    pp_announced_unref(g->announced);
    g->announced = NULL;
    g->deferred.fn = free_now;
    pp_loop_defer_free(&core->loop, &g->deferred);
    return fd;
}

/* As the line of a tunnel that was never connected; requests have lines, HTTP connections do not.
 */
static void write_log(const struct pp_greet *g, struct pp_fault fault)
{
    struct pp_accesslog_tunnel line = {.client = g->client,
                                       .listener = g->conf->name,
                                       .start_us = g->start_us,
                                       .fault = fault,
                                       .id = ++core_of(g)->next_exchange};
    if (g->conf->protocol == PP_LISTENER_TCP)
        pp_accesslog_write_tunnel(core_of(g), g->snapshot, g->conf->access_log, &line);
}

static void close_greet(struct pp_greet *g, enum pp_fault_code code, int detail)
{
    struct pp_door *door = g->door;
    write_log(g, pp_fault_make(code, PP_SIDE_DOWN, false, detail));
    int fd = leave(g);
    pp_fd_close(&fd);
    pp_down_leave_door(door);
}

static void refuse(struct pp_greet *g, int rc)
{
    struct pp_metrics *m = &core_of(g)->metrics;
    uint32_t record = g->door->conf->record;
    if (rc == PP_EMORE) /* and the client has ended */
        rc = g->state == PP_GREET_HEADER ? PP_EPROXY_NONE : PP_ETLS_HELLO;
    if (rc == PP_EPROXY_SOURCE)
        PP_COUNT(m, record, LISTENER, REFUSED_SOURCE, 1);
    else if (g->state == PP_GREET_HEADER)
        PP_COUNT(m, record, LISTENER, REFUSED_HEADER, 1);
    else
        PP_COUNT(m, record, LISTENER, REFUSED_HELLO, 1);
    close_greet(g, PP_FAULT_BAD_REQUEST, rc);
}

/* Nobody serves the name. The client is told so; what it had sent is taken before, because unread
 * bytes would turn the end into a reset, which can overtake the alert. */
static void refuse_name(struct pp_greet *g, size_t hello)
{
    PP_COUNT(&core_of(g)->metrics, g->door->conf->record, LISTENER, REFUSED_NAME, 1);
    int rc = pp_sock_skip(g->io.fd, hello);
    if (rc == PP_OK)
        rc = pp_sock_send_first(g->io.fd, pp_clienthello_unrecognized_name,
                                PP_CLIENTHELLO_ALERT_BYTES);
    close_greet(g, PP_FAULT_NO_ROUTE, rc);
}

/* ---- going on ---- */

/* As at accept. The door is left afterwards, so that it is never empty in between. */
static void begin(struct pp_greet *g, struct pp_cluster *cluster)
{
    struct pp_door *door = g->door;
    struct pp_arrival arrival = {.client = g->client,
                                 .announced = pp_announced_ref(g->announced),
                                 .waited_ms = core_of(g)->loop.now_ms - g->born_ms};
    bool tcp = g->conf->protocol == PP_LISTENER_TCP;
    int fd = leave(g);
    if (tcp)
        pp_tunnel_admit(door, fd, &arrival, cluster);
    else
        pp_down_admit(door, fd, &arrival);
    pp_down_leave_door(door);
}

/* ---- the PROXY protocol header ---- */

static bool is_proxy(const struct pp_greet_conf *conf, const struct pp_sock_addr *from)
{
    if (from->family == AF_UNIX)
        return conf->proxies_unix;
    for (uint32_t i = 0; i < conf->n_proxies; i++) {
        if (pp_cidr_has(&conf->proxies[i], from->ip, from->family == AF_INET6))
            return true;
    }
    return false;
}

/* PP_OK: it is read, and taken. PP_EMORE, or why not. */
static int read_header(struct pp_greet *g, char *bytes, size_t n)
{
    struct pp_proxyproto h;
    size_t used;
    int rc = pp_proxyproto_decode(pp_span(bytes, n), &h, &used);
    if (rc != PP_OK)
        return rc;
    g->announced = pp_announced_new(pp_span(bytes, used), PP_SPAN_NONE);
    if (g->announced == NULL)
        return PP_ENOMEM;
    pp_announced_client(&h, &g->client);
    return pp_sock_skip(g->io.fd, used);
}

/* ---- the ClientHello ---- */

static int keep_name(struct pp_greet *g, struct pp_span name)
{
    if (name.n == 0)
        return PP_OK;
    struct pp_announced *a =
        pp_announced_new(g->announced == NULL ? PP_SPAN_NONE : g->announced->raw, name);
    if (a == NULL)
        return PP_ENOMEM;
    pp_announced_unref(g->announced);
    g->announced = a;
    return PP_OK;
}

/* Where the connection goes; NULL: nowhere. */
static struct pp_cluster *choose(const struct pp_listener_conf *conf, struct pp_span name)
{
    uint32_t i = pp_names_find(conf->greet->name, conf->greet->n_name, name);
    return i == PP_ID_NONE ? conf->cluster : conf->greet->upstream[i];
}

/* A connection without TLS has no name: it goes where those go that nothing else is said of. */
static int read_hello(struct pp_greet *g, char *bytes, size_t n)
{
    struct pp_clienthello hello;
    int rc = pp_clienthello_decode(bytes, n, &hello);
    if (rc == PP_OK)
        rc = keep_name(g, hello.server_name);
    if (rc != PP_OK && !(rc == PP_ETLS_NONE && g->conf->cluster != NULL))
        return rc;
    struct pp_cluster *cluster = choose(g->conf, hello.server_name);
    if (cluster == NULL)
        refuse_name(g, n);
    else
        begin(g, cluster);
    return PP_OK;
}

/* ---- events ---- */

/* The present step; it may end the greeting. */
static int step(struct pp_greet *g)
{
    size_t n;
    char *bytes = core_of(g)->bulk;
    size_t cap = g->state == PP_GREET_HEADER ? PP_PROXYPROTO_V2_BYTES : PP_CLIENTHELLO_WIRE_BYTES;
    int rc = pp_sock_peek(g->io.fd, bytes, cap, &n);
    if (rc != PP_OK)
        return rc;
    if (g->state == PP_GREET_HELLO)
        return read_hello(g, bytes, n);
    rc = read_header(g, bytes, n);
    if (rc != PP_OK)
        return rc;
    if (g->conf->greet->server_name)
        g->state = PP_GREET_HELLO;
    else
        begin(g, g->conf->cluster);
    return PP_OK;
}

static void go_on(struct pp_greet *g)
{
    int rc = PP_OK;
    while (rc == PP_OK && g->state != PP_GREET_ENDED)
        rc = step(g);
    if (rc == PP_OK || rc == PP_EAGAIN || (rc == PP_EMORE && !g->ended))
        return;
    if (rc == PP_ENOMEM)
        close_greet(g, PP_FAULT_NO_MEMORY, rc);
    else if (rc == PP_EEOF || rc == PP_ERESET || rc == PP_EIO)
        close_greet(g, PP_FAULT_CLIENT_ABORT, rc); /* it has said nothing: nobody is to blame */
    else
        refuse(g, rc);
}

static void on_event(struct pp_io *io, uint32_t events)
{
    struct pp_greet *g = PP_CONTAINER_OF(io, struct pp_greet, io);
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        g->ended = true;
    go_on(g);
}

static void on_timer(struct pp_timer *timer)
{
    struct pp_greet *g = PP_CONTAINER_OF(timer, struct pp_greet, timer);
    PP_COUNT(&core_of(g)->metrics, g->door->conf->record, LISTENER, TIMEOUTS, 1);
    close_greet(g, PP_FAULT_HEADER_TIMEOUT, PP_ETIMEDOUT);
}

/* ---- the beginning ---- */

static struct pp_greet *new_greet(struct pp_door *door, int fd, const struct pp_sock_addr *client)
{
    struct pp_core *core = door->core;
    struct pp_greet *g = pp_mem_zalloc(sizeof(*g));
    if (g == NULL)
        return NULL;
    g->io.fd = -1;
    if (pp_loop_add(&core->loop, &g->io, fd, on_event) != PP_OK) {
        pp_mem_free(g);
        return NULL;
    }
    g->door = door;
    g->conf = door->conf;
    g->snapshot = pp_snapshot_acquire(door->home != NULL ? door->home : core->snapshot);
    g->client = *client;
    g->start_us = core->loop.now_us;
    g->born_ms = core->loop.now_ms;
    pp_timer_init(&g->timer, on_timer);
    if (g->conf->header_timeout_ms > 0)
        pp_loop_start(&core->loop, &g->timer, g->born_ms + g->conf->header_timeout_ms);
    pp_list_attach_back(&core->greets, &g->link);
    core->n_greet++;
    PP_COUNT(&core->metrics, g->conf->record, LISTENER, ACTIVE, 1);
    PP_COUNT(&core->metrics, g->conf->record, LISTENER, CONNECTIONS, 1);
    pp_down_enter_door(door);
    return g;
}

void pp_greet_accept(struct pp_listener *l, int fd, const struct sockaddr_storage *from)
{
    struct pp_door *door = l->owner;
    const struct pp_greet_conf *conf = door->conf->greet;
    struct pp_sock_addr client;
    pp_sock_addr_from(&client, from);
    struct pp_greet *g = new_greet(door, fd, &client);
    if (g == NULL) {
        pp_fd_close(&fd);
        PP_COUNT(&door->core->metrics, door->conf->record, LISTENER, REJECTED, 1);
        return;
    }
    bool proxy = conf->header && is_proxy(conf, &client);
    if (conf->header && !proxy && !conf->others_direct)
        refuse(g, PP_EPROXY_SOURCE);
    else if (!proxy && !conf->server_name)
        begin(g, g->conf->cluster);
    else
        g->state = proxy ? PP_GREET_HEADER : PP_GREET_HELLO;
}

void pp_greet_close_all(struct pp_core *core)
{
    while (!pp_list_is_empty(&core->greets))
        close_greet(PP_CONTAINER_OF(core->greets.next, struct pp_greet, link), PP_FAULT_SHUTDOWN,
                    PP_OK);
}
