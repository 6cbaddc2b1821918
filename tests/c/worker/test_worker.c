#include "worker/worker.c"

#include "proxy/rig.h"

static struct rig r;

static int lowest_free(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

PP_TEST_CASE(a_worker_may_end_at_once_and_twice)
{
    static struct pp_worker w;
    int before = lowest_free();
    PP_CHECK_EQ(pp_worker_init(&w, NULL, 0, 0, 1), PP_OK);
    PP_CHECK(pp_worker_fd(&w) >= 0);
    PP_CHECK_EQ(pp_worker_run_ready(&w), 0);
    pp_worker_stop_listening(&w);
    pp_worker_drain(&w, 0);
    pp_worker_flush_logs(&w);
    PP_CHECK_EQ(pp_worker_reopen_logs(&w), PP_OK);
    pp_worker_fini(&w);
    pp_worker_fini(&w);
    PP_CHECK_EQ(lowest_free(), before);
}

PP_TEST_CASE(an_end_aborts_everything)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int idle = rig_connect(&r), head = rig_connect(&r), busy = rig_connect(&r);
    int o = rig_simple(&r, idle, -1);
    rig_send(&r, head, "GET ");
    rig_send(&r, busy, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    rig_settle(&r);
    rig_stop(&r);
    close(idle);
    close(head);
    close(busy);
    close(o);
}

PP_TEST_CASE(a_listener_that_is_not_configured_is_refused)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    PP_CHECK_EQ(pp_worker_listen(&r.w, r.door, PP_SPAN("other")), PP_ENOENT);
    PP_CHECK_EQ(pp_worker_listen(&r.w, -1, PP_SPAN("door")), PP_EIO);
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

/* Install the rig's configuration as it is now. */
static void reload(void)
{
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
    pp_snapshot_unref(sn);
}

static unsigned n_doors(void)
{
    unsigned n = 0;
    for (struct pp_door *door = r.w.doors; door != NULL; door = door->next)
        n++;
    return n;
}

static void expect_line(int fd, const char *text)
{
    char got[256];
    pp_worker_flush_logs(&r.w);
    ssize_t n = read(fd, got, sizeof got);
    PP_CHECK(n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0);
}

/* RIG_GET on <c>, answered on <o> (-1: a new connection): the request has passed the old listener.
 */
static int via_old(int c, int o)
{
    rig_send(&r, c, RIG_GET);
    o = o < 0 ? rig_accept(&r, 0) : o;
    rig_expect(&r, o, "GET / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Via: 1.1 old\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    return o;
}

/* The log of an old configuration, to which a long exchange is still to write. */
PP_TEST_CASE(logs_of_old_snapshots_are_opened_again_too)
{
    struct rig_conf conf = rig_defaults();
    char folder[] = "/tmp/pp-logs-XXXXXX", path[64], moved[64], line[64];
    PP_REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(moved, sizeof moved, "%s/log.1", folder);
    conf.log = "{route} {response.status}";
    conf.log_path = path;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    r.conf.route.name = PP_SPAN("newer");
    reload();
    reload();
    PP_CHECK_EQ(rename(path, moved), 0);
    PP_CHECK_EQ(pp_worker_reopen_logs(&r.w), PP_OK);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    pp_worker_flush_logs(&r.w);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, line, sizeof line);
    pp_test_bytes(pp_span(line, (size_t)PP_MAX(n, 0)), PP_SPAN("main 200\n"), "line", __FILE__,
                  __LINE__);
    close(fd);
    close(c);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
    unlink(path);
    unlink(moved);
    rmdir(folder);
}

PP_TEST_CASE(a_removed_listener_goes_on_until_its_last_connection_has_gone)
{
    struct rig_conf conf = rig_defaults();
    int old_log[2], new_log[2];
    PP_CHECK(pipe2(old_log, O_NONBLOCK) == 0 && pipe2(new_log, O_NONBLOCK) == 0);
    conf.log = "old {listener} {route}";
    conf.log_fd = old_log[1];
    conf.via = "old";
    PP_REQUIRE(rig_start(&r, &conf));
    int handle = r.w.doors->l.fd;
    int c = rig_connect(&r), o = via_old(c, -1);
    expect_line(old_log[0], "old door main\n");
    r.conf.door = "other";
    r.conf.via = "new";
    r.conf.log = "new";
    r.conf.log_fd = new_log[1];
    r.conf.route.name = PP_SPAN("renamed");
    for (int i = 0; i < 3; i++)
        reload();
    close(o);
    /* Its configuration and its log, today's routes; new connections are accepted still. */
    int d = rig_connect(&r);
    o = -1;
    for (int i = 0; i < 2; i++) {
        o = via_old(i == 0 ? c : d, o);
        rig_settle(&r);
        expect_line(old_log[0], "old door renamed\n");
    }
    PP_CHECK_EQ(pp_worker_reopen_logs(&r.w), PP_OK);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, handle), PP_OK);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, handle), PP_ENOENT);
    close(c);
    rig_settle(&r);
    PP_CHECK_EQ(n_doors(), 1);
    /* The last one goes in the middle of an exchange. */
    rig_send(&r, d, RIG_GET);
    rig_expect(&r, o, "GET / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Via: 1.1 old\r\n\r\n");
    close(d);
    rig_settle(&r);
    PP_CHECK_EQ(n_doors(), 0);
    char got[256];
    PP_CHECK_EQ(read(old_log[0], got, sizeof got), 17); /* written as that log was closed */
    close(o);
    rig_settle(&r);
    rig_stop(&r);
    for (int i = 0; i < 2; i++) {
        close(old_log[i]);
        close(new_log[i]);
    }
}

PP_TEST_CASE(a_listener_that_comes_back_takes_its_connections_over)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    close(o);
    r.conf.door = "other";
    reload();
    PP_CHECK_EQ(pp_worker_listen(&r.w, r.door, PP_SPAN("door")), PP_ENOENT);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, r.w.doors->l.fd), PP_OK);
    PP_CHECK_EQ(n_doors(), 1);
    r.conf.door = "door";
    r.conf.listener.max_requests = 1;
    reload();
    PP_CHECK_EQ(pp_worker_listen(&r.w, dup(r.door), PP_SPAN("door")), PP_OK);
    PP_CHECK_EQ(n_doors(), 2);
    PP_CHECK(r.w.doors->home == NULL && r.w.doors->next->home == NULL);
    int d = rig_connect(&r);
    o = -1;
    for (int i = 0; i < 2; i++) {
        rig_send(&r, i == 0 ? c : d, RIG_GET);
        o = o < 0 ? rig_accept(&r, 0) : o;
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, i == 0 ? c : d,
                   "HTTP/1.1 200 OK\r\n" RIG_DATE
                   "Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    }
    rig_settle(&r);
    PP_CHECK_EQ(n_doors(), 1);
    close(c);
    close(d);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
}

PP_TEST_CASE(a_record_that_a_listener_gets_later_has_its_open_connections)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_settle(&r);
    uint64_t *later = &RIG_COUNT(&r, LISTENER, ACTIVE);
    /* As if it had counted elsewhere so far. */
    uint32_t elsewhere = r.w.core.metrics.fallback[PP_METRIC_ROUTE];
    uint64_t *before = r.w.core.metrics.words + elsewhere + PP_METRIC_WORD(LISTENER, ACTIVE);
    r.w.core.snapshot->listener[0]->record = elsewhere;
    *before = 1;
    *later = 0;
    reload();
    PP_CHECK_EQ(*before, 0);
    PP_CHECK_EQ(*later, 1);
    close(c);
    rig_settle(&r);
    PP_CHECK_EQ(*later, 0);
    rig_stop(&r);
}

/* The exchange outlives its connection, its door and the snapshot of its listener. */
static int park_log(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f, (void)x, (void)phase;
    return PP_PARK;
}

PP_TEST_CASE(a_log_filter_may_outlast_the_door)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.phases = 1u << PP_PHASE_LOG;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = park_log;
    int c = rig_connect(&r);
    rig_settle(&r);
    r.conf.door = "other";
    reload();
    rig_send(&r, c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\n");
    close(c);
    rig_settle(&r);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, r.w.doors->l.fd), PP_OK);
    rig_settle(&r);
    PP_REQUIRE(r.parked[PP_PARK_PHASE] != NULL);
    PP_CHECK(pp_span_eq(r.parked[PP_PARK_PHASE]->listener->name, PP_SPAN("door")));
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_settle(&r);
    PP_CHECK_EQ(n_doors(), 0);
    rig_stop(&r);
}

PP_TEST_CASE(one_of_several_sockets_of_a_listener_goes)
{
    enum { N = 20 };
    struct rig_conf conf = rig_defaults();
    struct sockaddr_in at;
    int c[N];
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.listener.max_connections = 3;
    PP_REQUIRE(rig_start(&r, &conf));
    int first = r.w.doors->l.fd, other = rig_listen(&at, 0, 0);
    PP_CHECK_EQ(pp_worker_listen(&r.w, other, PP_SPAN("door")), PP_OK);
    PP_CHECK_EQ(n_doors(), 2);
    for (int i = 0; i < N; i++) {
        c[i] = rig_connect(&r);
        (void)!send(c[i], RIG_GET, strlen(RIG_GET), MSG_NOSIGNAL);
    }
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, -1), PP_ENOENT);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, r.door), PP_ENOENT); /* another copy */
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, first), PP_OK);
    PP_CHECK_EQ(r.w.core.n_down, N); /* all that waited, over the limit too */
    for (int i = 0; i < N; i++) {
        rig_expect(&r, c[i], "HTTP/1.1 200 OK\r\n");
        close(c[i]);
    }
    rig_settle(&r);
    PP_CHECK_EQ(n_doors(), 1);
    r.at = at;
    c[0] = rig_connect(&r);
    rig_send(&r, c[0], RIG_GET);
    rig_expect(&r, c[0], "HTTP/1.1 200 OK\r\n");
    close(c[0]);
    PP_CHECK_EQ(pp_worker_unlisten(&r.w, other), PP_OK);
    rig_settle(&r);
    PP_CHECK_EQ(n_doors(), 0);
    rig_stop(&r);
}

PP_TEST_CASE(exchanges_end_with_the_snapshot_they_began_with)
{
    struct rig_conf conf = rig_defaults();
    int fd[2];
    char got[256];
    PP_CHECK(pipe(fd) == 0);
    conf.log = "old {route}";
    conf.log_fd = fd[1];
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), idle = rig_connect(&r), o = rig_simple(&r, idle, -1);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    int before = lowest_free();
    long live = 0;
    for (int i = 0; i < 3; i++) {
        r.conf.log = "new {route}";
        r.conf.route.name = PP_SPAN("renamed");
        struct pp_snapshot *sn = rig_snapshot(&r);
        PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK);
        PP_CHECK_EQ(pp_worker_install(&r.w, sn), PP_OK); /* once more is fine */
        pp_snapshot_unref(sn);
        PP_CHECK(i == 0 ||
                 pp_mem_live_for_test() == live); /* the one before is gone, with its log */
        live = pp_mem_live_for_test();
    }
    PP_CHECK(lowest_free() <= before + 1);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_settle(&r);
    ssize_t n = read(fd[0], got, sizeof got); /* closing the old log wrote it out */
    PP_CHECK(n == 18 && memcmp(got, "old main\nold main\n", 18) == 0);
    rig_expect_quiet(&r, o); /* it has gone over to the new snapshot */
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    pp_worker_flush_logs(&r.w);
    n = read(fd[0], got, sizeof got);
    PP_CHECK(n == 12 && memcmp(got, "new renamed\n", 12) == 0);
    close(c);
    close(idle);
    close(o);
    rig_settle(&r);
    rig_stop(&r);
    close(fd[0]);
    close(fd[1]);
}

PP_TEST_CASE(nothing_in_the_accept_queue_is_lost_when_listening_stops)
{
    enum { N = 50 };
    struct rig_conf conf = rig_defaults();
    int c[N];
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    PP_REQUIRE(rig_start(&r, &conf));
    for (int i = 0; i < N; i++) {
        c[i] = rig_connect(&r);
        (void)!send(c[i], RIG_GET, strlen(RIG_GET), MSG_NOSIGNAL);
    }
    pp_worker_stop_listening(&r.w);
    PP_CHECK_EQ(r.w.core.n_down, N);
    pp_worker_drain(&r.w, 0);
    for (int i = 0; i < N; i++) {
        rig_expect(&r, c[i], "HTTP/1.1 200 OK\r\n");
        close(c[i]);
    }
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    rig_stop(&r);
}

PP_TEST_CASE(a_log_that_cannot_be_opened_changes_nothing)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    struct pp_snapshot *before = r.w.core.snapshot;
    r.conf.log = "{route}";
    r.conf.log_fd = -1;
    struct pp_snapshot *sn = rig_snapshot(&r);
    PP_CHECK(pp_worker_install(&r.w, sn) != PP_OK);
    pp_snapshot_unref(sn);
    PP_CHECK(r.w.core.snapshot == before);
    rig_stop(&r);
}

PP_TEST_CASE(filters_that_fail_are_counted)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    pp_worker_count_filter(&r.w, false);
    pp_worker_count_filter(&r.w, true);
    pp_worker_count_filter(&r.w, true);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, FILTER_ERRORS), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, FILTER_TIMEOUTS), 2);
    rig_stop(&r);
}

PP_TEST_MAIN()
