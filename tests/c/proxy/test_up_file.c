#include "proxy/up_file.c"

#include "h2_client.h"
#include "proxy/static_rig.h"

static struct static_rig s;

#define LONG ((size_t)5 << 20)
#define ASK "GET /long HTTP/1.1\r\nHost: a\r\n\r\n"

/* A file of <n> bytes, each of which tells its place. */
static void put_long(const char *name, size_t n)
{
    char *bytes = malloc(n);
    for (size_t i = 0; i < n; i++)
        bytes[i] = rig_byte(i);
    folder_put(&s.f, name, bytes, n);
    free(bytes);
}

static int open_long(int flags)
{
    char path[128];
    snprintf(path, sizeof path, "%s/long", s.f.path);
    int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
    PP_CHECK(fd >= 0);
    return fd;
}

static void start(struct rig_conf *conf)
{
    PP_REQUIRE(folder_make(&s.f));
    put_long("long", LONG);
    put_long("short", 1000);
    folder_put(&s.f, "empty", "", 0);
    PP_REQUIRE(static_start(&s, conf, ""));
}

/* The head of an answer, which <text> is part of. */
static void expect_head(int c, const char *text)
{
    static char head[2048];
    size_t n = 0;
    int ended = 0;
    while (n < sizeof head - 1 && rig_read(&s.r, c, head + n, 1, &ended) == 1) {
        head[++n] = 0;
        if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0)
            break;
    }
    pp_test_true(strstr(head, text) != NULL, text, __FILE__, __LINE__);
    if (strstr(head, text) == NULL)
        printf("    %s\n", head);
}

/* Bytes [from, to) of a long file, as they come; how many did in order. */
static size_t read_bytes(int c, size_t from, size_t to, size_t step, int *ended)
{
    static char got[65536];
    size_t at = from;
    *ended = EAGAIN;
    while (at < to && *ended == EAGAIN) {
        size_t want = PP_MIN(PP_MIN(to - at, step), sizeof got);
        size_t n = rig_read(&s.r, c, got, want, ended);
        for (size_t i = 0; i < n; i++) {
            if (got[i] != rig_byte(at + i))
                return at + i - from;
        }
        at += n;
        if (n < want)
            break;
    }
    return at - from;
}

PP_TEST_CASE(a_long_file_arrives_whole_and_the_connection_goes_on)
{
    struct rig_conf conf = rig_defaults();
    int ended;
    start(&conf);
    int c = rig_connect(&s.r);
    for (int i = 0; i < 2; i++) {
        rig_send(&s.r, c, ASK "GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_head(c, "\r\nContent-Length: 5242880\r\n");
        PP_CHECK_EQ(read_bytes(c, 0, LONG, 65536, &ended), LONG);
        expect_head(c, "\r\nContent-Length: 1000\r\n");
        PP_CHECK_EQ(read_bytes(c, 0, 1000, 65536, &ended), 1000);
        rig_expect_quiet(&s.r, c);
    }
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_CASE(a_slow_client_costs_no_memory)
{
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.door_sndbuf = 4096;
    start(&conf);
    int c = rig_dial(&s.r, 4096, 0);
    rig_send(&s.r, c, ASK);
    expect_head(c, " 200 ");
    rig_settle(&s.r);
    uint32_t chunks = s.r.w.core.chunk_slab.n_live;
    PP_CHECK(chunks > 0);
    PP_CHECK_EQ(read_bytes(c, 0, LONG / 2, 30000, &ended), LONG / 2);
    rig_settle(&s.r);
    /* No more than the rest of one piece waits at any time. */
    PP_CHECK(s.r.w.core.chunk_slab.n_live * PP_BUF_CHUNK_BYTES <= 2 * PP_UP_FILE_PIECE);
    PP_CHECK_EQ(read_bytes(c, LONG / 2, LONG, 30000, &ended), LONG / 2);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_CASE(a_file_that_shrinks_breaks_the_connection_off)
{
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.door_sndbuf = 4096;
    start(&conf);
    int c = rig_dial(&s.r, 4096, 0);
    rig_send(&s.r, c, ASK);
    expect_head(c, " 200 ");
    PP_CHECK_EQ(read_bytes(c, 0, 1 << 20, 65536, &ended), 1 << 20);
    int fd = open_long(0);
    PP_CHECK_EQ(ftruncate(fd, (1 << 20) + 300000), 0);
    close(fd);
    size_t n = read_bytes(c, 1 << 20, LONG, 65536, &ended);
    PP_CHECK(n < LONG - (1 << 20) && n <= 300000); /* and none of them is another byte */
    PP_CHECK(ended == 0 || ended == ECONNRESET);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_CASE(of_a_file_that_grows_the_first_bytes_are_sent)
{
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.door_sndbuf = 4096;
    start(&conf);
    int c = rig_dial(&s.r, 4096, 0);
    rig_send(&s.r, c, ASK);
    expect_head(c, "\r\nContent-Length: 5242880\r\n");
    int fd = open_long(O_APPEND);
    PP_CHECK_EQ(write(fd, "more", 4), 4);
    close(fd);
    PP_CHECK_EQ(read_bytes(c, 0, LONG, 65536, &ended), LONG);
    rig_expect_quiet(&s.r, c);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_CASE(a_client_that_goes_leaves_nothing_open)
{
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.door_sndbuf = 4096;
    start(&conf);
    for (int how = 0; how < 3; how++) {
        int c = rig_dial(&s.r, 4096, 0);
        rig_send(&s.r, c, ASK);
        expect_head(c, " 200 ");
        PP_CHECK_EQ(read_bytes(c, 0, 100000, 65536, &ended), 100000);
        if (how == 0)
            rig_reset(c);
        else if (how == 1)
            close(c);
        else
            rig_sleep(&s.r, 60000); /* it does not read any more */
        rig_settle(&s.r);
        PP_CHECK_EQ(s.r.w.core.n_exchange, 0);
        if (how == 2)
            close(c);
    }
    /* The worker stops in the middle of one. */
    int c = rig_dial(&s.r, 4096, 0);
    rig_send(&s.r, c, ASK);
    expect_head(c, " 200 ");
    PP_CHECK_EQ(s.r.w.core.n_exchange, 1);
    close(c);
    static_stop(&s);
}

/* ---- filters of the response ---- */

static int shout(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                 struct pp_span piece, bool last, struct pp_span *out)
{
    PP_CHECK(piece.n <= sizeof f->mem);
    for (size_t i = 0; i < piece.n; i++)
        f->mem[i] = (char)(piece.p[i] ^ 0x20);
    f->n = piece.n;
    *out = pp_span(f->mem, f->n);
    return f->runs[phase] == 2 ? PP_PARK : PP_NEXT;
}

PP_TEST_CASE(pieces_go_through_body_filters_that_may_take_their_time)
{
    static char got[65536];
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.phases = 1u << PP_PHASE_RESPONSE_BODY;
    start(&conf);
    s.r.filter[0].body = shout;
    int c = rig_connect(&s.r);
    rig_send(&s.r, c, "GET /long HTTP/1.0\r\n\r\n"); /* until the connection ends */
    expect_head(c, " 200 ");
    size_t wrong = 0;
    for (size_t at = 0, n; at < LONG; at += n) {
        n = rig_read(&s.r, c, got, (size_t)PP_UP_FILE_PIECE, &ended);
        PP_REQUIRE(n == PP_UP_FILE_PIECE);
        for (size_t i = 0; i < n; i++)
            wrong += got[i] != (char)(rig_byte(at + i) ^ 0x20);
        if (at > 0)
            continue;
        rig_expect_quiet(&s.r, c);
        rig_resume(&s.r, PP_PARK_RESPONSE_BODY, PP_NEXT,
                   pp_span(s.r.filter[0].mem, s.r.filter[0].n));
    }
    PP_CHECK_EQ(wrong, 0);
    rig_expect_eof(&s.r, c);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

/* What is done with the whole body before its head goes out. */
static int held(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                struct pp_span piece, bool last, struct pp_span *out)
{
    *out = pp_span(piece.p, PP_MIN(piece.n, (size_t)5));
    return PP_NEXT;
}

static int cut_long(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    int fd = open_long(0);
    PP_CHECK_EQ(ftruncate(fd, 100), 0);
    close(fd);
    return PP_NEXT;
}

PP_TEST_CASE(a_held_body_is_answered_or_its_trouble_is)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_RESPONSE_BODY | 1u << PP_PHASE_RESPONSE;
    conf.buffer_response = 6 << 20;
    start(&conf);
    s.r.filter[0].body = held;
    int c = rig_connect(&s.r);
    rig_send(&s.r, c, ASK);
    expect_head(c, "\r\nContent-Length: 5\r\n");
    int ended;
    PP_CHECK_EQ(read_bytes(c, 0, 5, 5, &ended), 5);
    rig_send(&s.r, c, "HEAD /long HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(c, "\r\nContent-Length: 5242880\r\n");
    rig_send(&s.r, c, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(c, "\r\nContent-Length: 0\r\n");
    s.r.filter[0].run = cut_long;
    rig_send(&s.r, c, ASK);
    rig_expect_fault(&s.r, c, "500", "file_error", false);
    s.r.filter[0].run = NULL;
    rig_send(&s.r, c, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_head(c, "\r\nContent-Length: 5\r\n");
    PP_CHECK_EQ(read_bytes(c, 0, 5, 5, &ended), 5);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

PP_TEST_CASE(a_held_body_over_the_limit_is_refused)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_RESPONSE_BODY;
    conf.buffer_response = 100000;
    start(&conf);
    int c = rig_connect(&s.r);
    rig_send(&s.r, c, ASK);
    rig_expect_fault(&s.r, c, "502", "upstream_body_too_large", false);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

static int park(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return PP_PARK;
}

static int refuse(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    PP_CHECK_EQ(pp_exchange_reply(x, 403, PP_SPAN("no\n")), PP_OK);
    x->replied = true;
    return PP_REPLY;
}

static int break_it(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_EINVAL));
    return PP_REPLY;
}

PP_TEST_CASE(a_response_filter_may_wait_refuse_or_fail)
{
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.phases = 1u << PP_PHASE_RESPONSE;
    conf.route.total_timeout_ms = 5000;
    start(&conf);
    s.r.filter[0].run = park;
    int c = rig_connect(&s.r);
    rig_send(&s.r, c, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_quiet(&s.r, c);
    rig_resume(&s.r, PP_PARK_PHASE, PP_NEXT, PP_SPAN_NONE);
    expect_head(c, "\r\nContent-Length: 1000\r\n");
    PP_CHECK_EQ(read_bytes(c, 0, 1000, 65536, &ended), 1000);
    rig_send(&s.r, c, "GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_settle(&s.r);
    s.r.filter[0].run = NULL; /* of the answer that says so */
    rig_sleep(&s.r, 6000);
    rig_expect_fault(&s.r, c, "504", "total_timeout", false);
    s.r.filter[0].run = refuse;
    rig_send(&s.r, c, ASK);
    expect_head(c, "HTTP/1.1 403 Forbidden\r\n");
    rig_expect(&s.r, c, "no\n");
    s.r.filter[0].run = break_it;
    rig_send(&s.r, c, ASK);
    rig_expect_fault(&s.r, c, "500", "filter_error", false);
    close(c);
    rig_settle(&s.r);
    static_stop(&s);
}

/* ---- HTTP/2 ---- */

PP_TEST_CASE(streams_of_http2_get_files_side_by_side)
{
    static struct h2_client c;
    struct rig_conf conf = rig_defaults();
    start(&conf);
    PP_REQUIRE(h2_start(&c, &s.r, NULL));
    h2_get(&c, "/empty");
    h2_hear(&c, "content-length: 0");
    h2_get(&c, "/none");
    h2_hear(&c, "response 404");
    h2_get(&c, "/short");
    h2_hear(&c, "content-length: 1000");
    c.p.quiet = true;
    struct peer_stream *one = h2_get(&c, "/long"), *two = h2_get(&c, "/long");
    h2_settle(&c);
    PP_CHECK_EQ(one->got, LONG);
    PP_CHECK_EQ(two->got, LONG);
    PP_CHECK_EQ(s.r.w.core.n_exchange, 0);
    c.deaf = true;
    h2_get(&c, "/long");
    h2_settle(&c);
    PP_CHECK_EQ(s.r.w.core.n_exchange, 1);
    h2_stop(&c);
    rig_settle(&s.r);
    PP_CHECK_EQ(s.r.w.core.n_exchange, 0);
    static_stop(&s);
}

PP_TEST_MAIN()
