#include "proxy/h1.c"

#include "proxy/rig.h"

static struct pp_core core;
static struct pp_h1 h;
static int other;

static void on_event(struct pp_io *io, uint32_t events)
{
    pp_chan_note(PP_CONTAINER_OF(io, struct pp_chan, io), events);
}

static bool start(void)
{
    static const struct pp_core_sizes sizes = {
        .down = 100, .exchange = 100, .up = 100, .tunnel = 100};
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    memset(&h, 0, sizeof h);
    bool ok = pp_core_init(&core, &sizes, NULL, 0, 0, 1) == PP_OK &&
              socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0 &&
              pp_chan_tcp_open(&h.ch, &core.loop, fds[0], on_event, true) == PP_OK;
    h.core = &core;
    h.first = &core.input_slab;
    other = fds[1];
    PP_CHECK(ok);
    return ok;
}

static void stop(void)
{
    pp_h1_close(&h, false);
    pp_h1_close(&h, false);
    pp_core_fini(&core);
    close(other);
}

static void feed(const char *text)
{
    PP_CHECK_EQ(send(other, text, strlen(text), 0), strlen(text));
    h.ch.readable = true;
}

PP_TEST_CASE(input_is_read_kept_and_given_back)
{
    size_t n;
    PP_REQUIRE(start());
    PP_CHECK_EQ(pp_h1_fill(&h, 100000, &n), PP_EAGAIN);
    feed("abcdef");
    PP_CHECK_EQ(pp_h1_fill(&h, 100000, &n), PP_OK);
    PP_CHECK_EQ(n, 6);
    h.rd = 4;
    pp_h1_end_message(&h);
    PP_CHECK_BYTES(pp_span(h.mem, h.wr), "ef", 2); /* the next message's */
    h.rd = 2;
    pp_h1_end_message(&h);
    PP_CHECK(h.mem == NULL);
    PP_CHECK_EQ(core.input_slab.n_live, 0);
    close(other);
    other = dup(0);
    h.ch.readable = true;
    PP_CHECK_EQ(pp_h1_fill(&h, 100000, &n), PP_EEOF);
    stop();
}

PP_TEST_CASE(the_input_grows_to_its_limit)
{
    static char text[PP_CORE_INPUT_BYTES + 1];
    size_t n, all = 0;
    int rc = PP_OK;
    PP_REQUIRE(start());
    memset(text, 'x', sizeof text - 1);
    while (rc == PP_OK) {
        feed(text);
        while ((rc = pp_h1_fill(&h, 3 * PP_CORE_INPUT_BYTES, &n)) == PP_OK)
            all += n;
        rc = rc == PP_EAGAIN ? PP_OK : rc;
    }
    PP_CHECK_EQ(rc, PP_ELIMIT);
    PP_CHECK_EQ(all, 3 * PP_CORE_INPUT_BYTES);
    PP_CHECK_EQ(core.input_slab.n_live, 0);
    stop();
}

PP_TEST_CASE(spilled_bytes_become_the_input)
{
    size_t n;
    PP_REQUIRE(start());
    PP_CHECK_EQ(pp_h1_save_spill(&h, "", 0), PP_OK);
    feed("ab");
    PP_CHECK_EQ(pp_h1_fill(&h, 100000, &n), PP_OK);
    h.rd = 2;
    PP_CHECK_EQ(pp_h1_save_spill(&h, "next", 4), PP_OK);
    pp_h1_end_message(&h);
    PP_CHECK_EQ(pp_h1_unread(&h), 4);
    PP_CHECK_BYTES(pp_span(h.mem + h.rd, 4), "next", 4);
    PP_CHECK_EQ(pp_h1_save_spill(&h, "lost", 4), PP_OK); /* freed by close */
    stop();
}

static size_t drain(char *to, size_t cap)
{
    size_t n = 0;
    for (ssize_t k; n < cap && (k = recv(other, to + n, cap - n, 0)) > 0;)
        n += (size_t)k;
    return n;
}

PP_TEST_CASE(gathered_bytes_leave_in_order)
{
    char got[256];
    size_t sent;
    PP_REQUIRE(start());
    PP_CHECK_EQ(pp_h1_add(&h, "head", 4), PP_OK);
    PP_CHECK_EQ(pp_h1_add_piece(&h, PP_SPAN("body"), true), PP_OK);
    PP_CHECK_EQ(pp_h1_add_piece(&h, PP_SPAN("plain"), false), PP_OK);
    PP_CHECK_EQ(pp_h1_add_last_chunk(&h, NULL), PP_OK);
    PP_CHECK_EQ(drain(got, sizeof got), 0);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    size_t n = drain(got, sizeof got);
    PP_CHECK_STR(pp_span(got, n), "head4\r\nbody\r\nplain0\r\n\r\n");
    PP_CHECK_EQ(sent, n);
    PP_CHECK(core.gather.n == 0 && core.gather.used == 0 && core.gather.bytes == 0);
    stop();
}

PP_TEST_CASE(heads_are_gathered_and_one_over_the_scratch_is_told)
{
    static char target[PP_CORE_SCRATCH_BYTES];
    static struct pp_arena arena;
    char got[256];
    size_t sent;
    struct pp_http_msg m;
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_LENGTH, .content_length = 1};
    PP_REQUIRE(start());
    pp_arena_init(&arena, NULL, 0, 4096);
    pp_http_msg_init(&m, &arena);
    m.method = PP_SPAN("GET");
    m.method_id = PP_HTTP_GET;
    memset(target, 'a', sizeof target);
    PP_CHECK_EQ(pp_h1_add_request(&h, &m, pp_span(target, sizeof target), PP_SPAN("b"), &fr),
                PP_ELIMIT);
    PP_CHECK_EQ(core.gather.n, 0);
    PP_CHECK_EQ(pp_h1_add_request(&h, &m, PP_SPAN("/"), PP_SPAN("b"), &fr), PP_OK);
    m.status = 200;
    PP_CHECK_EQ(pp_h1_add_response(&h, &m, &fr), PP_OK);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    PP_CHECK_STR(pp_span(got, drain(got, sizeof got)),
                 "GET / HTTP/1.1\r\nHost: b\r\nContent-Length: 1\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    pp_arena_fini(&arena);
    stop();
}

PP_TEST_CASE(what_is_queued_is_in_the_way_of_more_and_of_splicing)
{
    static char text[300000];
    size_t sent;
    PP_REQUIRE(start());
    PP_CHECK(pp_h1_can_take(&h));
    PP_CHECK(pp_h1_plain_channel(&h) == &h.ch);
    PP_CHECK_EQ(pp_h1_add(&h, text, sizeof text), PP_OK);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    PP_CHECK(!pp_h1_can_take(&h));
    PP_CHECK(pp_h1_plain_channel(&h) == NULL);
    while (!pp_h1_is_flushed(&h)) {
        PP_REQUIRE(drain(text, sizeof text) > 0);
        h.ch.writable = true;
        PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    }
    PP_CHECK(pp_h1_plain_channel(&h) == &h.ch);
    stop();
}

PP_TEST_CASE(many_small_chunks_overflow_the_gather_and_the_scratch_in_order)
{
    static char got[400000], want[400000];
    size_t n = 0, sent;
    PP_REQUIRE(start());
    for (unsigned i = 0; i < 3000; i++) {
        char piece[64];
        int k = snprintf(piece, sizeof piece, "%u", i);
        char *copy = want + n + 3; /* borrowed until the flush: it must stay */
        n += (size_t)sprintf(want + n, "%x\r\n", k);
        copy = want + n;
        n += (size_t)sprintf(want + n, "%s\r\n", piece);
        PP_CHECK_EQ(pp_h1_add_piece(&h, pp_span(copy, (size_t)k), true), PP_OK);
    }
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    size_t at = drain(got, sizeof got);
    while (at < n) {
        h.ch.writable = true;
        PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
        size_t k = drain(got + at, sizeof got - at);
        if (k == 0)
            break;
        at += k;
    }
    PP_CHECK_EQ(at, n);
    PP_CHECK(memcmp(got, want, n) == 0);
    stop();
}

PP_TEST_CASE(what_the_socket_does_not_take_waits_in_the_queue)
{
    static char text[300000], got[700000];
    size_t sent;
    PP_REQUIRE(start());
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = rig_byte(i);
    PP_CHECK_EQ(pp_h1_add(&h, text, sizeof text), PP_OK);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    PP_CHECK(sent < sizeof text && !pp_h1_is_flushed(&h) && !h.ch.writable);
    PP_CHECK_EQ(pp_h1_add(&h, text, sizeof text), PP_OK);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    PP_CHECK_EQ(sent, 0);
    size_t at = 0;
    while (at < 2 * sizeof text) {
        size_t k = drain(got + at, sizeof got - at);
        if (k == 0)
            break;
        at += k;
        h.ch.writable = true;
        PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    }
    PP_CHECK_EQ(at, 2 * sizeof text);
    PP_CHECK(memcmp(got, text, sizeof text) == 0 &&
             memcmp(got + sizeof text, text, sizeof text) == 0);
    PP_CHECK(pp_h1_is_flushed(&h));
    stop();
}

PP_TEST_CASE(a_flush_never_sends_what_another_connection_gathered)
{
    static struct pp_h1 idle;
    char got[16];
    size_t sent;
    PP_REQUIRE(start());
    idle.core = &core;
    idle.ch = h.ch; /* would reach the same socket */
    PP_CHECK_EQ(pp_h1_add(&h, "mine", 4), PP_OK);
    PP_CHECK_EQ(pp_h1_flush(&idle, &sent), PP_OK);
    PP_CHECK_EQ(sent, 0);
    PP_CHECK_EQ(drain(got, sizeof got), 0);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_OK);
    PP_CHECK_EQ(sent, 4);
    PP_CHECK_EQ(pp_h1_add(&h, "lost", 4), PP_OK);
    stop();
    PP_CHECK_EQ(core.gather.n, 0); /* closing drops it */
}

PP_TEST_CASE(a_broken_socket_is_told)
{
    size_t sent;
    PP_REQUIRE(start());
    close(other);
    other = dup(0);
    PP_CHECK_EQ(pp_h1_add(&h, "x", 1), PP_OK);
    PP_CHECK_EQ(pp_h1_flush(&h, &sent), PP_ERESET);
    PP_CHECK_EQ(core.gather.n, 0);
    stop();
}

PP_TEST_MAIN()
