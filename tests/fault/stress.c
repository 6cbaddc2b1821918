/* Thousands of exchanges at once with random cuts, aborts, resets, delays and parked filters;
 * seeded, so that a failure can be run again (the environment's PP_STRESS_SEED chooses another
 * seed). At the end nothing may be left over. */
#include "proxy/rig.h"

enum { CLIENTS = 24, EXCHANGES = 4000, PIPE = 3, PARKED = 64 };

static struct rig r;
static uint64_t seed = 1;

static unsigned roll(unsigned n)
{
    return (unsigned)(pp_test_random(&seed) % n);
}

/* ---- filters ---- */

static struct {
    struct pp_exchange *x;
    enum pp_park which;
    char mem[200];
    size_t n;
} parked[PARKED];
static unsigned n_parked;

static void forget(unsigned i)
{
    parked[i] = parked[--n_parked];
}

static void on_cancel(struct pp_task *t, struct pp_exchange *x, enum pp_park which)
{
    for (unsigned i = 0; i < n_parked; i++) {
        if (parked[i].x == x && parked[i].which == which) {
            forget(i);
            return;
        }
    }
    PP_CHECK(false);
}

static struct pp_task task = {on_cancel};

static bool remember(struct pp_exchange *x, enum pp_park which, struct pp_span piece)
{
    if (n_parked == PARKED || piece.n > sizeof parked[0].mem)
        return false;
    parked[n_parked].x = x;
    parked[n_parked].which = which;
    memcpy(parked[n_parked].mem, piece.p == NULL ? "" : piece.p, piece.n);
    parked[n_parked].n = piece.n;
    n_parked++;
    x->task[which] = &task;
    return true;
}

static int on_run(void *owner, struct pp_exchange *x, const struct pp_hook *hook,
                  enum pp_phase phase)
{
    if (roll(40) == 0 && remember(x, PP_PARK_PHASE, PP_SPAN_NONE))
        return PP_PARK;
    if (phase < PP_PHASE_RESPONSE && phase != PP_PHASE_REQUEST_BODY && roll(60) == 0) {
        x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
        return PP_REPLY;
    }
    if (roll(80) == 0) {
        pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
        return PP_REPLY;
    }
    return PP_NEXT;
}

static int on_body(void *owner, struct pp_exchange *x, const struct pp_hook *hook,
                   enum pp_phase phase, struct pp_span piece, bool last, struct pp_span *out)
{
    enum pp_park which =
        phase == PP_PHASE_REQUEST_BODY ? PP_PARK_REQUEST_BODY : PP_PARK_RESPONSE_BODY;
    *out = piece;
    if (roll(6) == 0 && remember(x, which, piece))
        return PP_PARK;
    if (roll(60) == 0) {
        pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
        return PP_REPLY;
    }
    return PP_NEXT;
}

static void on_end(void *owner, struct pp_exchange *x)
{
}

static const struct pp_hook_ops ops = {.run = on_run, .body = on_body, .end = on_end};

static void resume_one(void)
{
    if (n_parked == 0)
        return;
    unsigned i = roll(n_parked);
    struct pp_exchange *x = parked[i].x;
    enum pp_park which = parked[i].which;
    static char mem[200];
    struct pp_span piece = pp_span(memcpy(mem, parked[i].mem, parked[i].n), parked[i].n);
    forget(i);
    int verdict = PP_NEXT;
    if (roll(20) == 0) {
        verdict = PP_REPLY;
        pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_TIMEOUT, PP_SIDE_DOWN, false, PP_OK));
    }
    pp_phase_resume(x, which, verdict, piece);
}

/* ---- clients and origins ---- */

static struct {
    int fd;
    char out[70000];
    size_t at, n;
} client[CLIENTS], origin[CLIENTS * 4];
static unsigned begun, answered;

static void put(char *out, size_t *n, const char *text)
{
    size_t k = strlen(text);
    memcpy(out + *n, text, k);
    *n += k;
}

static void fill_request(unsigned i)
{
    static const char *const texts[] = {
        RIG_GET,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 66000\r\n\r\n",
    };
    client[i].n = client[i].at = 0;
    for (unsigned k = 1 + roll(PIPE); k > 0 && client[i].n < 2000; k--) {
        unsigned which = roll(roll(4) == 0 ? PP_COUNT_OF(texts) : 6);
        put(client[i].out, &client[i].n, texts[which]);
        begun++;
        if (which == 8) {
            memset(client[i].out + client[i].n, 'x', 66000);
            client[i].n += 66000;
            break;
        }
    }
}

static void fill_answer(unsigned i)
{
    static const char *const texts[] = {
        RIG_HI,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n" RIG_HI,
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil close",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        "nonsense\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 66000\r\n\r\n",
    };
    unsigned which = roll(roll(4) == 0 ? PP_COUNT_OF(texts) : 4);
    origin[i].n = origin[i].at = 0;
    put(origin[i].out, &origin[i].n, texts[which]);
    if (which == 7) {
        memset(origin[i].out + origin[i].n, 'y', 66000);
        origin[i].n += 66000;
    }
}

static void drop(int *fd)
{
    if (roll(2) == 0)
        rig_reset(*fd);
    else
        close(*fd);
    *fd = -1;
}

static void play_client(unsigned i)
{
    char in[20000];
    if (client[i].fd < 0) {
        client[i].fd = rig_dial(&r, roll(8) == 0 ? 4096 : 0, 0);
        fill_request(i);
    }
    if (client[i].at < client[i].n) {
        size_t most = roll(3) == 0 ? 1 + roll(60) : 40000,
               n = PP_MIN(client[i].n - client[i].at, most);
        ssize_t k = send(client[i].fd, client[i].out + client[i].at, n, MSG_NOSIGNAL);
        client[i].at += k > 0 ? (size_t)k : 0;
    }
    ssize_t k = roll(3) > 0 ? recv(client[i].fd, in, sizeof in, 0) : -2;
    answered += k > 0;
    if (k == 0 || (k == -1 && errno != EAGAIN && errno != ENOTCONN))
        drop(&client[i].fd);
    else if (roll(150) == 0)
        drop(&client[i].fd);
    else if (k > 0 && client[i].at == client[i].n && roll(2) == 0)
        fill_request(i);
}

static void play_origin(unsigned i)
{
    char in[20000];
    if (origin[i].fd < 0) {
        origin[i].fd = accept4(r.origin[0], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        origin[i].n = origin[i].at = 0;
        return;
    }
    ssize_t k = roll(3) > 0 ? recv(origin[i].fd, in, sizeof in, 0) : -2;
    if (k == 0 || (k == -1 && errno != EAGAIN)) {
        drop(&origin[i].fd);
        return;
    }
    if (k > 0 && origin[i].at == origin[i].n && roll(5) > 0)
        fill_answer(i);
    if (origin[i].at < origin[i].n) {
        size_t most = roll(3) == 0 ? 1 + roll(60) : 40000,
               n = PP_MIN(origin[i].n - origin[i].at, most);
        k = send(origin[i].fd, origin[i].out + origin[i].at, n, MSG_NOSIGNAL);
        origin[i].at += k > 0 ? (size_t)k : 0;
    }
    if (roll(200) == 0)
        drop(&origin[i].fd);
}

static void stress(uint32_t phases, uint32_t hold, bool memory_fails)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = phases;
    conf.buffer_request = conf.buffer_response = hold;
    conf.via = "gate";
    conf.listener.header_timeout_ms = conf.listener.body_timeout_ms =
        conf.listener.send_timeout_ms = 3000;
    conf.cluster.first_byte_timeout_ms = conf.cluster.read_timeout_ms =
        conf.cluster.send_timeout_ms = 3000;
    conf.cluster.idle_timeout_ms = 500;
    conf.door_sndbuf = conf.origin_rcvbuf = 8192;
    if (!rig_start(&r, &conf))
        return;
    pp_worker_set_hook(&r.w, &ops, &r);
    n_parked = begun = answered = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        client[i].fd = -1;
    for (unsigned i = 0; i < PP_COUNT_OF(origin); i++)
        origin[i].fd = -1;
    uint64_t until = rig_real_ms() + 40000;
    while (begun < EXCHANGES && rig_real_ms() < until) {
        play_client(roll(CLIENTS));
        play_origin(roll(PP_COUNT_OF(origin)));
        if (roll(3) == 0)
            resume_one();
        if (roll(100) == 0)
            rig_skew_ms += roll(400);
        if (memory_fails)
            pp_mem_fail_after_for_test(roll(4) == 0 ? (long)roll(30) : -1);
        rig_turn(&r, 0);
        pp_mem_fail_after_for_test(-1);
    }
    PP_CHECK(begun >= EXCHANGES);
    PP_CHECK(answered > EXCHANGES / 20);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client[i].fd >= 0)
            drop(&client[i].fd);
    /* What is parked goes on, and may park again; a client that left during an earlier request of
     * its pipeline is missed by the timeouts only. */
    for (int i = 0; i < 50 && (n_parked > 0 || r.w.core.n_exchange > 0 || r.w.core.n_down > 0);
         i++) {
        while (n_parked > 0)
            resume_one();
        rig_sleep(&r, 3001);
    }
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.n_down, 0);
    PP_CHECK_EQ(r.w.core.splice.n_live, 0);
    PP_CHECK_EQ(RIG_COUNT(&r, WORKER, EXCHANGES), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_sleep(&r, 501);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, IDLE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    for (unsigned i = 0; i < PP_COUNT_OF(origin); i++)
        if (origin[i].fd >= 0)
            close(origin[i].fd);
    rig_stop(&r);
}

PP_TEST_CASE(plain_exchanges_survive_everything)
{
    const char *text = getenv("PP_STRESS_SEED");
    seed = text == NULL ? 1 : strtoull(text, NULL, 10);
    stress(0, 0, false);
}

PP_TEST_CASE(filtered_exchanges_survive_everything)
{
    stress((1u << PP_PHASE_COUNT) - 1, 0, false);
}

PP_TEST_CASE(held_exchanges_survive_everything)
{
    stress((1u << PP_PHASE_COUNT) - 1, 70000, false);
}

PP_TEST_CASE(exchanges_survive_failing_allocations)
{
    stress((1u << PP_PHASE_COUNT) - 1, 0, true);
}

PP_TEST_MAIN()
