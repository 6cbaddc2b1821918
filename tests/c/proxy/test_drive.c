// links: proxy/move.c
// links: base/arena.c base/buf.c base/check.c base/err.c base/hash.c base/map.c base/mem.c
// links: base/metric.c base/num.c base/rng.c base/slab.c base/span.c base/statseg.c base/wheel.c
// links: io/chan_tcp.c io/fd.c io/listener.c io/loop.c io/sink.c io/sock.c io/splice.c
// links: proxy/accesslog.c proxy/body.c proxy/cluster.c proxy/core.c proxy/down.c proxy/down_h1.c
// links: proxy/exchange.c proxy/fault.c proxy/forward.c proxy/h1.c proxy/hook.c proxy/metrics.c
// links: proxy/phase.c proxy/pool.c proxy/reply.c proxy/retry.c proxy/snapshot.c proxy/template.c
// links: proxy/up.c proxy/up_h1.c route/balance.c route/balance_rr.c route/cidr.c route/pattern.c
// links: route/radix.c route/router.c route/router_draft.c route/router_explain.c wire/http1_body.c
// links: wire/http1_emit.c wire/http1_head.c wire/http1_line.c wire/http_msg.c wire/http_rules.c
// links: wire/http_tok.c wire/uri.c worker/builder.c worker/worker.c
// links: route/radix_build.c
// links: proxy/tunnel.c proxy/tunnel_door.c proxy/tunnel_move.c wire/tunnel_record.c
#include "proxy/drive.c"

#include "proxy/rig.h"

#define ALL_PHASES ((1u << PP_PHASE_COUNT) - 1)
#define BODY_PHASES (1u << PP_PHASE_REQUEST_BODY | 1u << PP_PHASE_RESPONSE_BODY)
#define BIT(phase) (1u << PP_PHASE_##phase)

static struct rig r;

static const char chunked_post[] =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
static const char chunked_got[] =
    "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n";
static const char chunked_ok[] =
    "HTTP/1.1 200 OK\r\n" RIG_DATE "Transfer-Encoding: chunked\r\n\r\n";

/* ---- filters ---- */

static enum pp_phase wanted; /* the phase in which the filters below do something */

static int park_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == wanted && f->runs[phase] == 1 ? PP_PARK : PP_NEXT;
}

static int reply_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    if (phase != wanted || f->runs[phase] > 1)
        return PP_NEXT;
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
    return PP_REPLY;
}

/* As Python does when a filter raises. */
static int fail_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    if (phase != wanted || f->runs[phase] > 1)
        return PP_NEXT;
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
    return PP_REPLY;
}

static int keep_piece(struct rig_filter *f, struct pp_span piece)
{
    memcpy(f->mem, piece.p, piece.n);
    f->n = piece.n;
    return PP_PARK;
}

static int park_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                     struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    return keep_piece(f, piece);
}

static int park_wanted_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                            struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    return phase == wanted ? keep_piece(f, piece) : PP_NEXT;
}

static int upper_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                      struct pp_span piece, bool last, struct pp_span *out)
{
    for (size_t i = 0; i < piece.n; i++)
        f->mem[i] = (char)(piece.p[i] >= 'a' && piece.p[i] <= 'z' ? piece.p[i] - 32 : piece.p[i]);
    *out = pp_span(f->mem, piece.n);
    return PP_NEXT;
}

static int drop_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                     struct pp_span piece, bool last, struct pp_span *out)
{
    *out = last ? PP_SPAN("!") : PP_SPAN_NONE;
    return PP_NEXT;
}

static int fail_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                     struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    if (phase != wanted)
        return PP_NEXT;
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
    return PP_REPLY;
}

/* As ExchangeView.reply in a request body filter. */
static int reply_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                      struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    if (phase != wanted)
        return PP_NEXT;
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
    return PP_REPLY;
}

static struct pp_span kept(void)
{
    return pp_span(r.filter[0].mem, r.filter[0].n);
}

static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

/* ---- plain exchanges ---- */

PP_TEST_CASE(an_exchange_passes_all_phases_once_and_in_order)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = ALL_PHASES;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect(&r, o, "2\r\nab\r\n0\r\n\r\n");
    rig_send(&r, o, chunked_ok);
    rig_send(&r, o, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    for (int phase = 0; phase < PP_PHASE_COUNT; phase++) {
        bool fails = phase == PP_PHASE_PROXY_ERROR || phase == PP_PHASE_CONNECT_FAILED;
        if (phase != PP_PHASE_REQUEST_BODY && phase != PP_PHASE_RESPONSE_BODY)
            PP_CHECK_EQ(r.filter[0].runs[phase], fails ? 0 : 1);
        else
            PP_CHECK(r.filter[0].runs[phase] >= 1);
    }
    stop_all(c, o);
}

static const enum pp_phase request_phases[] = {
    PP_PHASE_EARLY_REQUEST,    PP_PHASE_REQUEST,
    PP_PHASE_UPSTREAM_PEER,    PP_PHASE_CONNECTED,
    PP_PHASE_UPSTREAM_REQUEST, PP_PHASE_UPSTREAM_RESPONSE,
    PP_PHASE_RESPONSE,         PP_PHASE_LOG};

PP_TEST_CASE(a_filter_may_park_in_every_phase_and_go_on)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases); i++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = ALL_PHASES & ~BODY_PHASES;
        wanted = request_phases[i];
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park_there;
        int c = rig_connect(&r), o = -1;
        rig_send(&r, c, RIG_GET);
        if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, RIG_GOT);
            rig_send(&r, o, RIG_HI);
        }
        rig_settle(&r);
        rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        if (o < 0) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, RIG_GOT);
            rig_send(&r, o, RIG_HI);
        }
        rig_expect(&r, c, RIG_HI);
        rig_simple(&r, c, o);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_filter_may_answer_in_every_phase)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases) - 1; i++) {
        for (int late = 0; late < 2; late++) {
            struct rig_conf conf = rig_defaults();
            conf.phases = ALL_PHASES & ~BODY_PHASES;
            wanted = request_phases[i];
            PP_REQUIRE(rig_start(&r, &conf));
            r.filter[0].run = late ? park_there : reply_there;
            int c = rig_connect(&r), o = -1;
            rig_send(&r, c, RIG_GET);
            if (wanted >= PP_PHASE_CONNECTED)
                o = rig_accept(&r, 0);
            if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
                rig_expect(&r, o, RIG_GOT);
                rig_send(&r, o, RIG_HI);
            }
            if (late) {
                rig_settle(&r);
                struct pp_exchange *x = r.parked[PP_PARK_PHASE];
                PP_REQUIRE(x != NULL);
                x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
                rig_resume(&r, PP_PARK_PHASE, PP_REPLY, PP_SPAN_NONE);
            }
            rig_expect(&r, c, "HTTP/1.1 403 Forbidden\r\nDate: ");
            char rest[128];
            int end;
            PP_CHECK_EQ(rig_read(&r, c, rest, 54, &end), 54); /* date, Content-Length: 2, no */
            PP_CHECK(memcmp(rest + 29, "\r\nContent-Length: 2\r\n\r\nno", 25) == 0);
            rig_expect_quiet(&r, c);
            stop_all(c, o);
        }
    }
}

PP_TEST_CASE(a_filter_that_raises_costs_a_500)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases) - 1; i++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = ALL_PHASES & ~BODY_PHASES;
        wanted = request_phases[i];
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = fail_there;
        int c = rig_connect(&r), o = -1;
        rig_send(&r, c, RIG_GET);
        if (wanted >= PP_PHASE_CONNECTED)
            o = rig_accept(&r, 0);
        if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
            rig_expect(&r, o, RIG_GOT);
            rig_send(&r, o, RIG_HI);
        }
        rig_expect_fault(&r, c, "500", "filter_error", false);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 1);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_filter_that_raises_in_the_log_phase_changes_nothing)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(LOG);
    wanted = PP_PHASE_LOG;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = fail_there;
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_simple(&r, c, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_client_that_leaves_while_a_filter_is_parked_cancels_it)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases); i++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = ALL_PHASES & ~BODY_PHASES;
        wanted = request_phases[i];
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park_there;
        int c = rig_connect(&r), o = -1;
        rig_send(&r, c, RIG_GET);
        if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, RIG_GOT);
            rig_send(&r, o, RIG_HI);
        }
        rig_settle(&r);
        PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
        rig_reset(c);
        rig_settle(&r);
        if (wanted == PP_PHASE_LOG) { /* let to end */
            PP_CHECK_EQ(r.cancelled, 0);
            PP_CHECK_EQ(r.w.core.n_exchange, 1);
            rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        } else {
            PP_CHECK_EQ(r.cancelled, 1);
            PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_LOG], 1);
        }
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        PP_CHECK_EQ(r.w.core.n_down, 0);
        stop_all(-1, o);
    }
}

PP_TEST_CASE(a_connection_that_is_ready_after_its_client_left_starts_nothing)
{
    struct rig_conf conf = rig_defaults();
    int fill[3];
    conf.phases = BIT(LOG);
    wanted = PP_PHASE_LOG;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = park_there;
    listen(r.origin[0], 0); /* a full queue: the connect hangs */
    for (int i = 0; i < 3; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&r.origin_at[0], sizeof r.origin_at[0]);
    }
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_settle(&r);
    rig_reset(c);
    rig_settle(&r);
    struct pp_exchange *x = r.parked[PP_PARK_PHASE];
    PP_REQUIRE(x != NULL);
    PP_CHECK_EQ(x->state, PP_EXCHANGE_LOG);
    x->events->connected(x); /* as up.c says it when the queue has room again */
    PP_CHECK_EQ(x->state, PP_EXCHANGE_LOG);
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    for (int i = 0; i < 3; i++)
        close(fill[i]);
    stop_all(-1, -1);
}

PP_TEST_CASE(a_worker_that_stops_cancels_what_is_parked)
{
    for (size_t i = 0; i < PP_COUNT_OF(request_phases); i++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = ALL_PHASES & ~BODY_PHASES;
        wanted = request_phases[i];
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park_there;
        int c = rig_connect(&r), o = -1;
        rig_send(&r, c, RIG_GET);
        if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
            o = rig_accept(&r, 0);
            rig_send(&r, o, RIG_HI);
        }
        rig_settle(&r);
        rig_stop(&r);
        PP_CHECK_EQ(r.cancelled, 1);
        close(c);
        if (o >= 0)
            close(o);
    }
}

/* A log phase that parks as the worker stops must not keep the connection. */
static int park_in_log_always(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == PP_PHASE_LOG || phase == PP_PHASE_REQUEST ? PP_PARK : PP_NEXT;
}

PP_TEST_CASE(a_worker_that_stops_does_not_wait_for_a_log_phase_that_parks_then)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(LOG) | BIT(REQUEST);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = park_in_log_always;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_settle(&r);
    PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
    rig_stop(&r);
    PP_CHECK_EQ(r.cancelled, 2);
    close(c);
}

PP_TEST_CASE(a_parked_proxy_error_phase_goes_on_to_the_error)
{
    for (int verdict = PP_NEXT; verdict <= PP_REPLY; verdict += PP_REPLY) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BIT(PROXY_ERROR) | BIT(CONNECT_FAILED);
        conf.cluster.retries = 0;
        wanted = PP_PHASE_PROXY_ERROR;
        PP_REQUIRE(rig_start(&r, &conf));
        close(r.origin[0]);
        r.origin[0] = -1;
        r.filter[0].run = park_there;
        int c = rig_connect(&r);
        rig_send(&r, c, RIG_GET);
        rig_settle(&r);
        rig_resume(&r, PP_PARK_PHASE, verdict, PP_SPAN_NONE);
        rig_expect_fault(&r, c, "502", "connect_refused", false);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_CONNECT_FAILED], 1);
        stop_all(c, -1);
    }
}

/* ---- bodies and filters ---- */

PP_TEST_CASE(body_filters_change_what_goes_through)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BODY_PHASES;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].body = upper_body;
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    rig_send(&r, c, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect(&r, o, "5\r\nABCDE\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "2\r\nHI\r\n0\r\n\r\n");
    stop_all(c, o);
}

PP_TEST_CASE(body_filters_may_drop_pieces_and_add_at_the_end)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BODY_PHASES;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].body = drop_body;
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    rig_send(&r, c, "3\r\nabc\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect_quiet(&r, o);
    rig_send(&r, c, "0\r\n\r\n");
    rig_expect(&r, o, "1\r\n!\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "1\r\n!\r\n0\r\n\r\n");
    stop_all(c, o);
}

PP_TEST_CASE(a_parked_request_body_does_not_hold_back_the_head)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(REQUEST_BODY);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].body = park_body;
    int c = rig_connect(&r), other = rig_connect(&r);
    rig_send(&r, c,
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"); /* one packet */
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    /* Meanwhile another exchange uses the same scratch memory. */
    rig_send(&r, other, RIG_GET);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, other, RIG_HI);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    rig_expect(&r, o, "5\r\nhello\r\n0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    close(other);
    close(o2);
    stop_all(c, o);
}

PP_TEST_CASE(a_parked_response_body_does_not_hold_back_the_head)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(RESPONSE_BODY);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].body = park_body;
    int c = rig_connect(&r), other = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    struct pp_exchange *x = r.parked[PP_PARK_RESPONSE_BODY];
    r.filter[0].body = NULL;
    rig_send(&r, other, RIG_GET);
    int o2 = rig_accept(&r, 0);
    rig_expect(&r, o2, RIG_GOT);
    rig_send(&r, o2, RIG_HI);
    rig_expect(&r, other, chunked_ok);
    rig_expect(&r, other, "2\r\nhi\r\n0\r\n\r\n");
    r.parked[PP_PARK_RESPONSE_BODY] = x;
    rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, kept());
    rig_expect(&r, c, "2\r\nhi\r\n0\r\n\r\n");
    close(other);
    close(o2);
    stop_all(c, o);
}

PP_TEST_CASE(pieces_parked_one_after_the_other_arrive_in_order)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BODY_PHASES;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].body = park_body;
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_send(&r, c, "3\r\nabc\r\n");
    rig_settle(&r);
    rig_send(&r, c, "3\r\ndef\r\n"); /* waits in the socket: the filter has a piece */
    rig_settle(&r);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    rig_expect(&r, o, "3\r\nabc\r\n");
    rig_settle(&r);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    rig_expect(&r, o, "3\r\ndef\r\n");
    rig_send(&r, c, "0\r\n\r\n");
    rig_settle(&r);
    rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, PP_SPAN_NONE);
    rig_expect(&r, o, "0\r\n\r\n");
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, chunked_ok);
    rig_settle(&r);
    rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, PP_SPAN("dropped and made anew"));
    rig_expect(&r, c, "15\r\ndropped and made anew\r\n0\r\n\r\n");
    r.filter[0].body = NULL;
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    stop_all(c, o);
}

PP_TEST_CASE(a_body_filter_that_raises_ends_the_exchange)
{
    for (int early = 0; early < 2; early++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BODY_PHASES;
        wanted = early ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = fail_body;
        int c = rig_connect(&r), other = rig_connect(&r);
        rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        int o = rig_accept(&r, 0);
        if (early) {
            rig_expect_fault(&r, c, "500", "filter_error", true);
        } else {
            rig_expect(&r, o, chunked_got);
            rig_expect(&r, o, "2\r\nab\r\n0\r\n\r\n");
            rig_send(&r, o, RIG_HI);
            char got[512];
            int end;
            rig_read(&r, c, got, sizeof got,
                     &end); /* the head at most, then a reset: never a whole answer */
            PP_CHECK_EQ(end, ECONNRESET);
        }
        r.filter[0].body = NULL;
        close(o);
        rig_send(&r, other, RIG_GET); /* nothing of the other exchange leaks into this one */
        o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, other, chunked_ok);
        close(other);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_request_body_filter_may_answer)
{
    for (int late = 0; late < 2; late++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BIT(REQUEST_BODY);
        wanted = PP_PHASE_REQUEST_BODY;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = late ? park_body : reply_body;
        int c = rig_connect(&r);
        rig_send(&r, c, chunked_post);
        rig_send(&r, c, "3\r\nabc\r\n");
        int o = rig_accept(&r, 0);
        if (late) {
            rig_settle(&r);
            struct pp_exchange *x = r.parked[PP_PARK_REQUEST_BODY];
            PP_REQUIRE(x != NULL);
            x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
            rig_resume(&r, PP_PARK_REQUEST_BODY, PP_REPLY, PP_SPAN_NONE);
        }
        rig_expect(&r, c, "HTTP/1.1 403 Forbidden\r\n");
        stop_all(c, o);
    }
}

PP_TEST_CASE(held_bodies_are_filtered_whole_and_sent_with_their_length)
{
    for (int park = 0; park < 2; park++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BODY_PHASES;
        conf.buffer_request = conf.buffer_response = 1000;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = park ? park_body : upper_body;
        int c = rig_connect(&r);
        rig_send(&r, c, chunked_post);
        rig_send(&r, c, "3\r\nabc\r\n");
        rig_settle(&r);
        PP_CHECK_EQ(rig_try_accept(&r, 0, 20), -1);
        rig_send(&r, c, "2\r\nde\r\n0\r\n\r\n");
        if (park) {
            rig_settle(&r);
            PP_CHECK_STR(kept(), "abcde");
            rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, PP_SPAN("12345"));
        }
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 5\r\n\r\n");
        rig_expect(&r, o, park ? "12345" : "ABCDE");
        rig_send(&r, o, chunked_ok);
        rig_send(&r, o, "1\r\nx\r\n");
        rig_expect_quiet(&r, c);
        rig_send(&r, o, "1\r\ny\r\n0\r\n\r\n");
        if (park) {
            rig_settle(&r);
            PP_CHECK_STR(kept(), "xy");
            rig_resume(&r, PP_PARK_RESPONSE_BODY, PP_NEXT, PP_SPAN("z"));
        }
        rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: ");
        rig_expect(&r, c, park ? "1\r\n\r\nz" : "2\r\n\r\nXY");
        rig_expect_quiet(&r, c);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_REQUEST_BODY], 1);
        PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_RESPONSE_BODY], 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(bodies_over_the_holding_limit_are_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BODY_PHASES;
    conf.buffer_request = conf.buffer_response = 4;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, chunked_post);
    rig_send(&r, c, "5\r\nabcde\r\n0\r\n\r\n");
    rig_expect_fault(&r, c, "413", "body_too_large", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde");
    rig_expect_fault(&r, c, "502", "upstream_body_too_large", false);
    stop_all(c, o);
}

static struct pp_span seen_server;

static int look_at_response(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    const struct pp_http_field *field = pp_http_msg_find_id(&x->response, PP_NAME_SERVER);
    seen_server = PP_SPAN_NONE;
    if (field != NULL) { /* read every byte */
        f->n = field->value_n;
        memcpy(f->mem, field->value, field->value_n);
        seen_server = pp_span(f->mem, f->n);
    }
    return PP_NEXT;
}

PP_TEST_CASE(a_broken_answer_is_not_seen_by_the_filters_of_the_error)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(RESPONSE_BODY) | BIT(PROXY_ERROR) | BIT(LOG);
    conf.buffer_response = 4;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = look_at_response;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\nServer: gone\r\nContent-Length: 5\r\n\r\nabcde");
    rig_expect_fault(&r, c, "502", "upstream_body_too_large", false);
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_PROXY_ERROR], 1);
    PP_CHECK_EQ(seen_server.n, 0);
    stop_all(c, o);
}

/* An async body filter is still at work when its exchange loses the sink. */
PP_TEST_CASE(a_parked_request_body_whose_origin_breaks_goes_nowhere)
{
    for (int n = 0; n < 2; n++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BIT(REQUEST_BODY) | BIT(PROXY_ERROR);
        wanted = PP_PHASE_PROXY_ERROR;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park_there;
        r.filter[0].body = park_body;
        int c = rig_connect(&r);
        rig_send(&r, c, chunked_post);
        rig_send(&r, c, "3\r\nabc\r\n");
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, chunked_got);
        rig_settle(&r);
        PP_CHECK(r.parked[PP_PARK_REQUEST_BODY] != NULL);
        rig_reset(o);
        rig_settle(&r);
        PP_CHECK(r.parked[PP_PARK_PHASE] != NULL);
        if (n == 1 && r.parked[PP_PARK_REQUEST_BODY] != NULL)
            rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
        rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
        rig_expect_fault(&r, c, "502", "upstream_reset", true);
        PP_CHECK(r.parked[PP_PARK_REQUEST_BODY] == NULL);
        stop_all(c, -1);
    }
}

/* The reused connection dies silently while the first piece is with a filter: the retry must send
 * it once, in order. */
PP_TEST_CASE(a_retry_while_the_first_piece_is_parked_sends_it_once)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(REQUEST_BODY);
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    r.filter[0].body = park_body;
    rig_send(&r, c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    rig_expect(&r, o, "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n");
    rig_settle(&r);
    PP_CHECK(r.parked[PP_PARK_REQUEST_BODY] != NULL);
    close(o);
    rig_settle(&r);
    o = rig_try_accept(&r, 0, 100);
    if (r.parked[PP_PARK_REQUEST_BODY] != NULL)
        rig_resume(&r, PP_PARK_REQUEST_BODY, PP_NEXT, kept());
    if (o >= 0) {
        rig_expect(&r, o,
                   "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n");
        rig_expect(&r, o, "3\r\nabc\r\n0\r\n\r\n");
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
    } else {
        rig_expect_fault(&r, c, "502", "upstream_reset", false);
    }
    stop_all(c, o);
}

PP_TEST_CASE(the_total_timeout_ends_parked_bodies)
{
    for (int dir = 0; dir < 2; dir++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BODY_PHASES;
        conf.route.total_timeout_ms = 5000;
        wanted = dir == 0 ? PP_PHASE_REQUEST_BODY : PP_PHASE_RESPONSE_BODY;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].body = park_wanted_body;
        int c = rig_connect(&r);
        rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab");
        int o = rig_accept(&r, 0);
        if (dir == 1) {
            rig_expect(&r, o, chunked_got);
            rig_send(&r, o, RIG_HI);
            rig_expect(&r, c, chunked_ok);
        }
        rig_sleep(&r, 5001);
        if (dir == 0)
            rig_expect_fault(&r, c, "504", "total_timeout", false);
        else
            rig_expect_reset(&r, c);
        PP_CHECK_EQ(r.cancelled, 1);
        stop_all(c, o);
    }
}

/* ---- trailers ---- */

PP_TEST_CASE(a_parked_trailer_phase_holds_back_the_end_only)
{
    for (int verdict = PP_NEXT; verdict <= PP_REPLY; verdict += PP_REPLY) {
        struct rig_conf conf = rig_defaults();
        conf.phases = BIT(RESPONSE_TRAILERS);
        wanted = PP_PHASE_RESPONSE_TRAILERS;
        PP_REQUIRE(rig_start(&r, &conf));
        r.filter[0].run = park_there;
        int c = rig_connect(&r);
        rig_send(&r, c, RIG_GET);
        int o = rig_accept(&r, 0);
        rig_send(&r, o, chunked_ok);
        rig_send(&r, o, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
        rig_expect(&r, c, chunked_ok);
        rig_expect(&r, c, "2\r\nhi\r\n");
        rig_expect_quiet(&r, c);
        struct pp_exchange *x = r.parked[PP_PARK_PHASE];
        PP_REQUIRE(x != NULL);
        if (verdict == PP_REPLY)
            pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
        rig_resume(&r, PP_PARK_PHASE, verdict, PP_SPAN_NONE);
        if (verdict == PP_NEXT)
            rig_expect(&r, c, "0\r\nX-T: 1\r\n\r\n");
        else
            rig_expect_reset(&r, c);
        stop_all(c, o);
    }
}

static int fail_trailers_park_log(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    wanted = PP_PHASE_RESPONSE_TRAILERS;
    return phase == PP_PHASE_LOG ? PP_PARK : fail_there(f, x, phase);
}

PP_TEST_CASE(what_was_gathered_leaves_before_a_log_filter_parks)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(RESPONSE_TRAILERS) | BIT(LOG);
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = fail_trailers_park_log;
    int c = rig_connect(&r), end;
    char got[512];
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    rig_settle(&r); /* the gather is looked at after each turn */
    rig_resume(&r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    rig_read(&r, c, got, sizeof got, &end);
    PP_CHECK_EQ(end, ECONNRESET);
    stop_all(c, o);
}

PP_TEST_CASE(a_client_that_leaves_during_parked_trailers_ends_it_all)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = BIT(RESPONSE_TRAILERS);
    wanted = PP_PHASE_RESPONSE_TRAILERS;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = park_there;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_send(&r, o, chunked_ok);
    rig_send(&r, o, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n");
    rig_expect(&r, c, chunked_ok);
    rig_expect(&r, c, "2\r\nhi\r\n");
    rig_settle(&r);
    rig_reset(c);
    rig_settle(&r);
    PP_CHECK_EQ(r.cancelled, 1);
    stop_all(-1, o);
}

/* ---- retries ---- */

PP_TEST_CASE(a_dead_endpoint_is_left_for_the_next)
{
    struct rig_conf conf = rig_defaults();
    conf.origins = 2;
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = rig_connect(&r), o = -1;
    for (int i = 0; i < 4; i++) {
        rig_send(&r, c, RIG_GET);
        if (o < 0)
            o = rig_accept(&r, 1);
        int more = rig_try_accept(&r, 1, 30); /* a retry is never sent on a pooled connection */
        if (more >= 0) {
            close(o);
            o = more;
        }
        rig_expect(&r, o, RIG_GOT);
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
    }
    PP_CHECK(RIG_COUNT(&r, UPSTREAM, RETRIES) >= 1);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, RETRIES), RIG_COUNT(&r, UPSTREAM, CONNECT_FAILURES));
    stop_all(c, o);
}

PP_TEST_CASE(a_reused_connection_that_dies_is_retried_for_idempotent_methods_only)
{
    static const struct {
        const char *method;
        bool retried;
    } rows[] = {{"GET", true},     {"HEAD", true},  {"PUT", true},    {"DELETE", true},
                {"OPTIONS", true}, {"POST", false}, {"PATCH", false}, {"LOCK", false}};
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        struct rig_conf conf = rig_defaults();
        char text[128];
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = rig_simple(&r, c, -1);
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", rows[i].method);
        rig_send(&r, c, text);
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "\r\n", rows[i].method);
        rig_expect(&r, o, text);
        close(o);
        if (rows[i].retried) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, text);
            rig_send(&r, o, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n");
            rig_expect(&r, c, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n");
        } else {
            rig_expect_fault(&r, c, "502", "upstream_reset", false);
            o = -1;
        }
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_fresh_connection_that_dies_is_not_retried)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    close(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    stop_all(c, -1);
}

PP_TEST_CASE(half_a_response_head_is_not_retried)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = rig_simple(&r, c, -1);
    rig_send(&r, c, RIG_GET);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 O");
    rig_settle(&r);
    close(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", false);
    stop_all(c, -1);
}

PP_TEST_CASE(a_held_body_is_sent_again_and_a_streamed_one_is_not)
{
    for (int held = 0; held < 2; held++) {
        struct rig_conf conf = rig_defaults();
        conf.phases = held ? BIT(REQUEST_BODY) : 0;
        conf.buffer_request = held ? 100 : 0;
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = rig_simple(&r, c, -1);
        const char *got = "PUT / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 3\r\n\r\nabc";
        rig_send(&r, c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        rig_expect(&r, o, got);
        close(o);
        if (held) {
            o = rig_accept(&r, 0);
            rig_expect(&r, o, got);
            rig_send(&r, o, RIG_HI);
            rig_expect(&r, c, RIG_HI);
        } else {
            rig_expect_fault(&r, c, "502", "upstream_reset", false);
            o = -1;
        }
        stop_all(c, o);
    }
}

/* ---- own answers ---- */

PP_TEST_CASE(respond_routes_answer_with_their_fields_and_body)
{
    struct pp_respond_field field = {PP_SPAN("X-A"), PP_SPAN("b")};
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    conf.route.body = PP_SPAN("hello");
    conf.route.field = &field;
    conf.route.n_field = 1;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    char got[256];
    for (int head = 0; head < 2; head++) {
        rig_send(&r, c, head ? "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" : RIG_GET);
        rig_expect(&r, c, "HTTP/1.1 200 OK\r\nX-A: b\r\nDate: ");
        PP_CHECK_EQ(rig_read(&r, c, got, 29 + 2, &end), 31);
        rig_expect(&r, c, head ? "Content-Length: 5\r\n\r\n" : "Content-Length: 5\r\n\r\nhello");
        rig_expect_quiet(&r, c);
    }
    stop_all(c, -1);
}

PP_TEST_CASE(a_respond_route_swallows_a_body_that_is_there_and_closes_for_one_that_is_not)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 204;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), end;
    char got[512];
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" RIG_GET);
    for (int i = 0; i < 2; i++) {
        rig_expect(&r, c, "HTTP/1.1 204 No Content\r\nDate: ");
        PP_CHECK_EQ(rig_read(&r, c, got, 29 + 4, &end), 33);
    }
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nabc");
    rig_expect(&r, c, "HTTP/1.1 204 No Content\r\nDate: ");
    PP_CHECK_EQ(rig_read(&r, c, got, 29 + 2, &end), 31);
    rig_expect(&r, c, "Connection: close\r\n\r\n");
    rig_expect_eof(&r, c);
    rig_send(&r, c, "the rest is read and dropped");
    rig_settle(&r);
    stop_all(c, -1);
}

PP_TEST_CASE(unknown_paths_methods_and_bad_paths_are_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.methods = 1u << PP_HTTP_GET;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "PUT /x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "405", "method_not_allowed", false);
    rig_send(&r, c, "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "400", "path_above_root", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, "GET /%2f HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "400", "encoded_slash", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_fault(&r, c, "404", "no_route", false);
    rig_send(&r, c, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    rig_expect_fault(&r, c, "501", "not_implemented", true);
    stop_all(c, -1);
}

PP_TEST_CASE(the_total_timeout_ends_the_wait_for_an_answer)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.total_timeout_ms = 3000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_sleep(&r, 2900);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 101);
    rig_expect_fault(&r, c, "504", "total_timeout", false);
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(an_upstream_address_that_a_filter_names_is_used)
{
    struct rig_conf conf = rig_defaults();
    conf.route.action = PP_ROUTE_ACTION_NONE;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    rig_expect_fault(&r, c, "503", "no_endpoint", false);
    stop_all(c, -1);
}

PP_TEST_MAIN()
