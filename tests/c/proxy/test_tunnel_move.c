#include "proxy/tunnel_move.c"

#include "proxy/rig.h"

#define BLOB_MAX (PP_TUNNEL_RECORD_FIXED + 3 * 64 + 2 * PP_TUNNEL_RECORD_HELD)

static struct rig r, r2;

static struct rig_conf tcp_conf(void)
{
    struct rig_conf conf = rig_defaults();
    conf.tcp = true;
    conf.listener.idle_timeout_ms = 100000;
    return conf;
}

static bool join(int *c, int *o)
{
    *c = rig_connect(&r);
    *o = rig_accept(&r, 0);
    rig_settle(&r);
    return *o >= 0;
}

static struct pp_tunnel *first_tunnel(struct rig *rig)
{
    PP_CHECK(rig->w.core.n_tunnel > 0);
    return PP_CONTAINER_OF(rig->w.core.tunnels.next, struct pp_tunnel, link);
}

/* ---- a callback as a supervisor would have it ---- */

struct parcel {
    int fd[2];
    size_t n;
    char blob[BLOB_MAX];
};

#define PARCELS 200
static struct parcel *parcel[PARCELS];
static unsigned n_parcel, n_offer;
static enum pp_move_verdict verdict;

static int take_parcel(void *arg, const struct pp_tunnel_moved *m)
{
    PP_CHECK(arg == &verdict);
    n_offer++;
    if (verdict != PP_MOVE_TAKEN)
        return verdict;
    struct parcel *p = malloc(sizeof *p);
    p->n = pp_tunnel_moved_size(m);
    PP_CHECK(p->n <= sizeof p->blob);
    pp_tunnel_moved_pack(m, p->blob);
    p->fd[0] = dup(m->fd[0]);
    p->fd[1] = dup(m->fd[1]);
    parcel[n_parcel++] = p;
    return verdict;
}

static void offer_all(struct rig *rig, enum pp_move_verdict v)
{
    verdict = v;
    n_offer = 0;
    pp_worker_hand_over_tunnels(&rig->w, take_parcel, &verdict);
    rig_settle(rig);
    if (v == PP_MOVE_TAKEN)
        pp_worker_hand_over_tunnels(&rig->w, NULL, NULL);
}

static int unpack_parcel(struct rig *rig, unsigned i)
{
    struct parcel *p = parcel[i];
    int rc = pp_worker_take_tunnel(&rig->w, p->fd, pp_span(p->blob, p->n));
    free(p);
    return rc;
}

static void take_all(struct rig *rig)
{
    for (unsigned i = 0; i < n_parcel; i++)
        PP_CHECK_EQ(unpack_parcel(rig, i), PP_OK);
    n_parcel = 0;
}

static bool start_both(void)
{
    struct rig_conf conf = tcp_conf();
    return rig_start(&r, &conf) && rig_start(&r2, &conf);
}

static void stop_both(void)
{
    rig_settle(&r);
    rig_settle(&r2);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r2.w.core.n_tunnel, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r2, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r2, UPSTREAM, ACTIVE), 0);
    PP_CHECK(r.w.doors == NULL || r.w.doors->n_open == 0);
    PP_CHECK_EQ(r2.w.doors->n_open, 0);
    r2.live += r.w.core.splice.n_idle; /* pipes that the first has made since the second began */
    rig_stop(&r2);
    rig_stop(&r);
}

PP_TEST_CASE(a_quiet_tunnel_goes_on_in_another_worker)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    rig_send(&r, c, "before");
    rig_expect(&r, o, "before");
    offer_all(&r, PP_MOVE_TAKEN);
    PP_CHECK_EQ(n_parcel, 1);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    rig_send(&r, c, "between"); /* while nobody has it */
    take_all(&r2);
    rig_expect(&r2, o, "between");
    rig_send(&r2, o, "after");
    rig_expect(&r2, c, "after");
    struct pp_tunnel *t = first_tunnel(&r2);
    PP_CHECK_EQ(t->flow[PP_DIR_REQUEST].sent, 13);
    PP_CHECK_EQ(t->flow[PP_DIR_RESPONSE].sent, 5);
    PP_CHECK_EQ(t->client.family, AF_INET);
    PP_CHECK_EQ(t->attempts, 1);
    PP_CHECK_EQ(RIG_COUNT(&r2, LISTENER, CONNECTIONS), 0); /* accepted once, elsewhere */
    PP_CHECK_EQ(RIG_COUNT(&r2, LISTENER, ACTIVE), 1);
    PP_CHECK_EQ(RIG_COUNT(&r2, LISTENER, MOVED_IN), 1);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, MOVED_OUT), 1);
    close(c);
    rig_expect_eof(&r2, o);
    close(o);
    stop_both();
}

/* Send as much as fits everywhere; returns the count. */
static size_t stuff(int fd, size_t from)
{
    static char out[65536];
    size_t sent = from;
    for (int quiet = 0; quiet < 3; rig_settle(&r)) {
        for (size_t i = 0; i < sizeof out; i++)
            out[i] = rig_byte(sent + i);
        ssize_t k = send(fd, out, sizeof out, MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        quiet = k > 0 ? 0 : quiet + 1;
    }
    return sent;
}

/* Read <n> bytes through <rig>, which must be those of rig_byte. */
static void expect_stream(struct rig *rig, int fd, size_t n)
{
    static char in[65536];
    size_t got = 0, wrong = 0;
    int end = EAGAIN;
    while (got < n && end == EAGAIN) {
        size_t k = rig_read(rig, fd, in, PP_MIN(sizeof in, n - got), &end);
        for (size_t i = 0; i < k; i++)
            wrong += in[i] != rig_byte(got + i);
        got += k;
        if (k == 0)
            break;
    }
    PP_CHECK_EQ(got, n);
    PP_CHECK_EQ(wrong, 0);
}

/* Bytes are held in both directions, in memory or in a pipe: nothing is lost, doubled or out of
 * order, through several workers. */
PP_TEST_CASE(bytes_in_flight_move_too)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    size_t to_o = stuff(c, 0), to_c = stuff(o, 0);
    struct pp_tunnel *t = first_tunnel(&r);
    PP_CHECK(t->flow[0].received > t->flow[0].sent);
    PP_CHECK(t->flow[1].received > t->flow[1].sent);
    for (int hop = 0; hop < 2; hop++) {
        offer_all(hop == 0 ? &r : &r2, PP_MOVE_TAKEN);
        PP_CHECK_EQ(n_parcel, 1);
        take_all(hop == 0 ? &r2 : &r);
    }
    offer_all(&r, PP_MOVE_TAKEN);
    take_all(&r2);
    expect_stream(&r2, o, to_o);
    expect_stream(&r2, c, to_c);
    t = first_tunnel(&r2);
    PP_CHECK_EQ(t->flow[0].sent, to_o);
    PP_CHECK_EQ(t->flow[1].sent, to_c);
    rig_stream(&r2, c, o, 1 << 20, false);
    close(c);
    rig_expect_eof(&r2, o);
    close(o);
    stop_both();
}

/* The end of one side moves too, whether or not it was passed on by then. */
PP_TEST_CASE(half_closed_tunnels_move)
{
    PP_REQUIRE(start_both());
    for (int held = 0; held < 2; held++) {
        int c, o;
        PP_REQUIRE(join(&c, &o));
        size_t n = held ? stuff(c, 0) : 0;
        shutdown(c, SHUT_WR);
        rig_settle(&r);
        PP_CHECK_EQ(first_tunnel(&r)->flow[PP_DIR_REQUEST].shut, !held);
        offer_all(&r, PP_MOVE_TAKEN);
        take_all(&r2);
        expect_stream(&r2, o, n);
        rig_expect_eof(&r2, o);
        rig_stream(&r2, o, c, 1 << 20, false);
        close(o);
        rig_expect_eof(&r2, c);
        close(c);
        rig_settle(&r2);
    }
    stop_both();
}

PP_TEST_CASE(a_reset_in_between_is_passed_on)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    offer_all(&r, PP_MOVE_TAKEN);
    rig_reset(c);
    take_all(&r2);
    rig_expect_reset(&r2, o);
    close(o);
    stop_both();
}

/* Time goes on as if nothing had happened. */
PP_TEST_CASE(the_idle_time_is_kept)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    rig_sleep(&r, 60000);
    offer_all(&r, PP_MOVE_TAKEN);
    rig_turn(&r2, 0); /* its clock */
    take_all(&r2);
    rig_sleep(&r2, 39000);
    PP_CHECK_EQ(r2.w.core.n_tunnel, 1);
    rig_sleep(&r2, 1100);
    rig_expect_eof(&r2, c);
    close(c);
    close(o);
    stop_both();
}

/* An endpoint that the configuration knows is used; one that it does not know keeps its names. */
PP_TEST_CASE(names_are_found_again_or_kept)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    struct pp_endpoint *ep = first_tunnel(&r)->ep;
    offer_all(&r, PP_MOVE_TAKEN);
    PP_CHECK_EQ(ep->active, 0);
    take_all(&r);
    PP_CHECK(first_tunnel(&r)->ep == ep);
    PP_CHECK_EQ(ep->active, 1);
    offer_all(&r, PP_MOVE_TAKEN);
    take_all(&r2);
    const struct pp_endpoint *lost = first_tunnel(&r2)->ep;
    PP_CHECK(lost->cluster != r2.w.core.snapshot->cluster[0]);
    PP_CHECK(pp_span_eq(lost->name, ep->name));
    PP_CHECK_STR(lost->cluster->name, "up");
    offer_all(&r2, PP_MOVE_TAKEN); /* and once more from there */
    take_all(&r);
    PP_CHECK(first_tunnel(&r)->ep == ep);
    close(c);
    rig_expect_eof(&r, o);
    close(o);
    stop_both();
}

PP_TEST_CASE(refused_tunnels_stay_and_are_not_asked_again)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    size_t n = stuff(c, 0); /* held bytes come out of the pipe, and go on from memory */
    offer_all(&r, PP_MOVE_REFUSED);
    PP_CHECK_EQ(n_offer, 1);
    rig_sleep(&r, 1000);
    PP_CHECK_EQ(n_offer, 1);
    expect_stream(&r, o, n);
    rig_send(&r, o, "here");
    rig_expect(&r, c, "here");
    offer_all(&r, PP_MOVE_REFUSED); /* a new offering is a new question */
    PP_CHECK_EQ(n_offer, 1);
    int c2, o2;
    PP_REQUIRE(join(&c2, &o2)); /* one that comes while it lasts is offered too */
    rig_sleep(&r, PP_TUNNEL_WATCH_MS);
    PP_CHECK_EQ(n_offer, 2);
    close(c2);
    rig_expect_eof(&r, o2);
    close(o2);
    close(c);
    rig_expect_eof(&r, o);
    close(o);
    stop_both();
}

PP_TEST_CASE(tunnels_that_cannot_go_now_are_offered_later)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    verdict = PP_MOVE_LATER;
    n_offer = 0;
    pp_worker_hand_over_tunnels(&r.w, take_parcel, &verdict);
    rig_turn(&r, 0);
    rig_turn(&r, 0);
    PP_CHECK_EQ(n_offer, 1);
    rig_skew_ms += PP_TUNNEL_LATER_MS;
    rig_turn(&r, 0);
    rig_turn(&r, 0);
    PP_CHECK(n_offer >= 2);
    verdict = PP_MOVE_TAKEN;
    rig_sleep(&r, PP_TUNNEL_LATER_MS);
    PP_CHECK_EQ(n_parcel, 1);
    take_all(&r2);
    rig_send(&r2, c, "x");
    rig_expect(&r2, o, "x");
    close(c);
    rig_expect_eof(&r2, o);
    close(o);
    stop_both();
}

PP_TEST_CASE(nobody_is_asked_after_the_offering_ends)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    n_offer = 0;
    verdict = PP_MOVE_TAKEN;
    pp_worker_hand_over_tunnels(&r.w, take_parcel, &verdict);
    pp_worker_hand_over_tunnels(&r.w, NULL, NULL);
    rig_settle(&r);
    PP_CHECK_EQ(n_offer, 0);
    close(c);
    rig_expect_eof(&r, o);
    close(o);
    stop_both();
}

/* A tunnel that is connecting is offered when it is connected. */
PP_TEST_CASE(connecting_tunnels_are_waited_for)
{
    struct pp_tunnel_moved m;
    int fill[8], k = 0;
    PP_REQUIRE(start_both());
    listen(r.origin[0], 0);
    for (; k < 4; k++) {
        fill[k] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fill[k], (struct sockaddr *)&r.origin_at[0], sizeof r.origin_at[0]);
    }
    int c = rig_connect(&r);
    rig_settle(&r);
    PP_CHECK_EQ(first_tunnel(&r)->state, PP_TUNNEL_CONNECTING);
    PP_CHECK_EQ(pp_tunnel_export(first_tunnel(&r), &m), PP_EAGAIN);
    verdict = PP_MOVE_TAKEN;
    n_offer = 0;
    pp_worker_hand_over_tunnels(&r.w, take_parcel, &verdict);
    rig_settle(&r);
    PP_CHECK_EQ(n_offer, 0);
    /* Room in the accept queue; the SYN is sent again within a second or so. */
    int got[8], n = 0;
    listen(r.origin[0], 16);
    for (uint64_t until = rig_real_ms() + RIG_WAIT_MS; n_parcel == 0 && rig_real_ms() < until;) {
        int fd = rig_try_accept(&r, 0, 20);
        if (fd >= 0 && n < 8)
            got[n++] = fd;
        rig_sleep(&r, PP_TUNNEL_LATER_MS);
    }
    PP_CHECK_EQ(n_parcel, 1);
    take_all(&r2);
    for (int i = 0; i < k; i++)
        close(fill[i]);
    for (int i = 0; i < n; i++)
        close(got[i]);
    for (int fd; (fd = rig_try_accept(&r, 0, 50)) >= 0;)
        close(fd);
    close(c);
    rig_settle(&r2);
    stop_both();
}

PP_TEST_CASE(many_tunnels_move_a_batch_in_a_turn)
{
    enum { MANY = 2 * PP_TUNNEL_OFFERS + 10 };
    static int c[MANY], o[MANY];
    PP_REQUIRE(start_both());
    for (int i = 0; i < MANY; i++) {
        PP_REQUIRE(join(&c[i], &o[i]));
    }
    verdict = PP_MOVE_TAKEN;
    n_offer = 0;
    pp_worker_hand_over_tunnels(&r.w, take_parcel, &verdict);
    for (int turn = 0; turn < 50 && n_offer == 0; turn++)
        rig_turn(&r, 1);
    PP_CHECK_EQ(n_offer, PP_TUNNEL_OFFERS);
    rig_settle(&r);
    PP_CHECK_EQ(n_parcel, MANY);
    take_all(&r2);
    for (int i = 0; i < MANY; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        rig_send(&r2, c[i], text);
        rig_expect(&r2, o[i], text);
        close(c[i]);
        close(o[i]);
    }
    stop_both();
}

/* A successor takes tunnels before it has got its listening sockets. */
PP_TEST_CASE(a_listener_that_is_not_open_yet_is_enough)
{
    int c, o;
    PP_REQUIRE(start_both());
    PP_REQUIRE(join(&c, &o));
    offer_all(&r, PP_MOVE_TAKEN);
    static struct pp_worker w;
    struct pp_snapshot *sn = rig_snapshot(&r2);
    PP_REQUIRE(sn != NULL && pp_worker_init(&w, NULL, 0, 0, 1) == PP_OK);
    PP_CHECK_EQ(pp_worker_take_tunnel(&w, (int[2]){-1, -1}, PP_SPAN("")), PP_EINVAL);
    PP_CHECK_EQ(pp_worker_install(&w, sn), PP_OK);
    PP_CHECK_EQ(pp_worker_take_tunnel(&w, parcel[0]->fd, pp_span(parcel[0]->blob, parcel[0]->n)),
                PP_OK);
    free(parcel[0]);
    n_parcel = 0;
    char got[8];
    PP_CHECK_EQ(send(c, "through", 7, MSG_NOSIGNAL), 7);
    for (int i = 0; i < 20; i++)
        pp_worker_turn(&w, 1);
    PP_CHECK_EQ(recv(o, got, sizeof got, 0), 7);
    pp_worker_fini(&w);
    pp_snapshot_unref(sn);
    close(c);
    close(o);
    stop_both();
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

PP_TEST_CASE(what_cannot_be_taken_is_closed_without_a_word)
{
    struct pp_tunnel_record record = {.listener = PP_SPAN("window")};
    char blob[256];
    int pair[2];
    PP_REQUIRE(start_both());
    size_t n = pp_tunnel_record_encode(&record, blob);
    PP_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    PP_CHECK_EQ(pp_worker_take_tunnel(&r.w, pair, pp_span(blob, n)), PP_ENOENT);
    PP_CHECK(!is_open(pair[0]) && !is_open(pair[1]));
    PP_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    PP_CHECK_EQ(pp_worker_take_tunnel(&r.w, pair, pp_span(blob, n - 1)), PP_EINVAL);
    PP_CHECK(!is_open(pair[0]) && !is_open(pair[1]));
    /* Descriptors that no loop can watch. */
    record.listener = PP_SPAN("door");
    n = pp_tunnel_record_encode(&record, blob);
    for (int bad = 0; bad < 2; bad++) {
        PP_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        close(pair[bad]);
        pair[bad] = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        PP_CHECK_EQ(pp_worker_take_tunnel(&r.w, pair, pp_span(blob, n)), PP_EIO);
        PP_CHECK(!is_open(pair[0]) && !is_open(pair[1]));
        PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    }
    stop_both();
}

/* Move a tunnel full of bytes while the <n>-th allocation fails: it moves, or it ends; the
 * descriptors are closed once in any case. */
static bool move_once(long n)
{
    int c, o;
    if (!join(&c, &o))
        return false;
    stuff(c, 0);
    pp_mem_fail_after_for_test(n);
    verdict = PP_MOVE_TAKEN;
    struct pp_tunnel_moved m;
    struct pp_tunnel *t = first_tunnel(&r);
    bool ok = pp_tunnel_export(t, &m) == PP_OK;
    if (ok) {
        take_parcel(&verdict, &m);
        pp_tunnel_let_go(t);
        ok = unpack_parcel(&r2, --n_parcel) == PP_OK;
    }
    pp_mem_fail_after_for_test(-1);
    PP_CHECK(r2.w.core.n_tunnel <= (ok ? 1 : 0));
    ok = r2.w.core.n_tunnel == 1; /* it may also have ended as soon as it went on */
    close(c);
    close(o);
    rig_settle(&r);
    rig_settle(&r2);
    PP_CHECK_EQ(r.w.core.n_tunnel, 0);
    PP_CHECK_EQ(r2.w.core.n_tunnel, 0);
    return ok;
}

PP_TEST_CASE(every_allocation_of_a_move_may_fail)
{
    int passed = 0, failed = 0;
    PP_REQUIRE(start_both());
    for (long n = 0; n < 200 && passed < 3; n++) {
        bool ok = move_once(n);
        failed += !ok;
        passed = ok ? passed + 1 : 0;
    }
    PP_CHECK(passed >= 3);
    PP_CHECK(failed > 0);
    stop_both();
}

PP_TEST_MAIN()
