#include "proxy/body.c"

#include "proxy/filter.h"
#include "proxy/rig.h"

#define MANY ((size_t)3 << 20)

static struct rig r;

static const char chunked_got[] =
    "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n";

static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    PP_CHECK_EQ(r.w.core.splice.n_live, 0);
    rig_stop(&r);
}

static void send_cut(int fd, const char *text, size_t cut)
{
    PP_CHECK(rig_send_n(&r, fd, text, cut));
    rig_turn(&r, 0);
    rig_turn(&r, 0);
    PP_CHECK(rig_send_n(&r, fd, text + cut, strlen(text) - cut));
}

/* Take the chunks that come apart again: how they are cut depends on the reads. */
static size_t read_chunks(int fd, char *to)
{
    size_t n = 0;
    char line[16];
    int end;
    for (;;) {
        size_t k = 0;
        while (k < sizeof line - 1 && rig_read(&r, fd, line + k, 1, &end) == 1 && line[k++] != '\n')
            continue;
        line[k] = '\0';
        size_t want = strtoul(line, NULL, 16);
        if (want == 0)
            return n;
        n += rig_read(&r, fd, to + n, want, &end);
        rig_expect(&r, fd, "\r\n");
    }
}

/* ---- cut at every byte ---- */

PP_TEST_CASE(a_request_with_length_may_come_in_any_two_parts)
{
    const char *text = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (size_t cut = 1; cut < strlen(text); cut++) {
        send_cut(c, text, cut);
        if (o < 0)
            o = rig_accept(&r, 0);
        rig_expect(&r, o,
                   "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 5\r\n\r\nhello");
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
    }
    stop_all(c, o);
}

PP_TEST_CASE(a_chunked_request_may_come_in_any_two_parts)
{
    const char *text = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n";
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r), o = -1;
    for (size_t cut = 1; cut < strlen(text); cut++) {
        char got[64] = "";
        send_cut(c, text, cut);
        if (o < 0)
            o = rig_accept(&r, 0);
        rig_expect(&r, o, chunked_got);
        size_t n = read_chunks(o, got);
        PP_CHECK_STR(pp_span(got, n), "abcde");
        rig_expect(&r, o, "X-T: 1\r\n\r\n");
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
    }
    stop_all(c, o);
}

PP_TEST_CASE(a_response_may_come_in_any_two_parts)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n" RIG_DATE
        "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"};
    for (int i = 0; i < 2; i++) {
        struct rig_conf conf = rig_defaults();
        PP_REQUIRE(rig_start(&r, &conf));
        int c = rig_connect(&r), o = -1;
        for (size_t cut = 1; cut < strlen(texts[i]); cut++) {
            rig_send(&r, c, RIG_GET);
            if (o < 0)
                o = rig_accept(&r, 0);
            rig_expect(&r, o, RIG_GOT);
            send_cut(o, texts[i], cut);
            if (i == 0) {
                rig_expect(&r, c, texts[0]);
            } else {
                char got[64] = "";
                rig_expect(&r, c,
                           "HTTP/1.1 200 OK\r\n" RIG_DATE "Transfer-Encoding: chunked\r\n\r\n");
                size_t n = read_chunks(c, got);
                PP_CHECK_STR(pp_span(got, n), "hello");
                rig_expect(&r, c, "\r\n");
            }
        }
        stop_all(c, o);
    }
}

/* ---- long bodies ---- */

static int start_stream(struct rig_conf *conf, int *c, bool upload, const char *framing, int bufs)
{
    char text[256];
    if (!rig_start(&r, conf))
        return -1;
    *c = rig_dial(&r, bufs < 0 ? 4096 : bufs, bufs); /* -1: the client reads little at a time */
    if (upload)
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", framing);
    else
        snprintf(text, sizeof text, "%s", RIG_GET);
    rig_send(&r, *c, text);
    int o = rig_accept(&r, 0);
    if (bufs > 0)
        setsockopt(o, SOL_SOCKET, SO_SNDBUF, &bufs, sizeof bufs);
    if (upload) {
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "%s\r\n", framing);
        rig_expect(&r, o, text);
    } else {
        rig_expect(&r, o, RIG_GOT);
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\n" RIG_DATE "%s\r\n", framing);
        rig_send(&r, o, text);
        rig_expect(&r, *c, text);
    }
    return o;
}

static void long_bodies(bool slow, int bufs)
{
    char framing[64];
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", MANY);
    for (int upload = 0; upload < 2; upload++) {
        struct rig_conf conf = rig_defaults();
        int c;
        conf.door_rcvbuf = conf.origin_rcvbuf = bufs;
        int o = start_stream(&conf, &c, upload, framing, bufs);
        PP_REQUIRE(o >= 0);
        rig_stream(&r, upload ? c : o, upload ? o : c, MANY, slow);
        if (upload) {
            rig_send(&r, o, RIG_HI);
            rig_expect(&r, c, RIG_HI);
        }
        rig_simple(&r, c, o);
        PP_CHECK(r.w.core.splice.n_idle > 0); /* it was the kernel that moved them */
        stop_all(c, o);
    }
}

PP_TEST_CASE(long_bodies_are_spliced_whole)
{
    long_bodies(false, 0);
}

PP_TEST_CASE(long_bodies_are_spliced_whole_to_slow_readers)
{
    long_bodies(true, 4096);
}

PP_TEST_CASE(long_bodies_are_copied_whole_without_pipes)
{
    char framing[64];
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", MANY);
    for (int upload = 0; upload < 2; upload++) {
        struct rig_conf conf = rig_defaults();
        int c, o = start_stream(&conf, &c, upload, framing, 4096);
        struct rlimit old, tight;
        PP_REQUIRE(o >= 0);
        int next = dup(0);
        close(next);
        getrlimit(RLIMIT_NOFILE, &old);
        tight = old;
        tight.rlim_cur = (rlim_t)next;
        setrlimit(RLIMIT_NOFILE, &tight);
        rig_stream(&r, upload ? c : o, upload ? o : c, MANY, true);
        setrlimit(RLIMIT_NOFILE, &old);
        PP_CHECK_EQ(r.w.core.splice.n_idle, 0);
        stop_all(c, o);
    }
}

/* Chunked from the source, checked chunk by chunk at the sink, with a reader that is slow. */
static void stream_chunks(int from, int to)
{
    static char out[40000], in[70000];
    size_t made = 0, left = 0, at = 0, n = 0, got = 0, wrong = 0, since = 0;
    int state = 0; /* 0: size line, 1: data, 2: CRLF after it, 3: done */
    size_t want = 0;
    uint64_t until = rig_real_ms() + 4 * RIG_WAIT_MS;
    while (state != 3 && rig_real_ms() < until) {
        if (left == 0 && made <= MANY) {
            size_t k = PP_MIN(MANY - made, 1 + made % 37000);
            at = 0;
            left = (size_t)sprintf(out, "%zx\r\n", k);
            for (size_t i = 0; i < k; i++)
                out[left++] = rig_byte(made + i);
            left += (size_t)sprintf(out + left, "\r\n");
            made += k == 0 ? 1 : k;
        }
        ssize_t w = left > 0 ? send(from, out + at, left, MSG_NOSIGNAL) : 0;
        if (w > 0) {
            at += (size_t)w;
            left -= (size_t)w;
        }
        rig_turn(&r, since > 20 ? 1 : 0);
        if (++since % 4 != 0)
            continue;
        ssize_t k = recv(to, in + n, PP_MIN(sizeof in - n, 30000), 0);
        if (k == 0 || (k < 0 && errno != EAGAIN))
            break;
        n += k > 0 ? (size_t)k : 0;
        since = k > 0 ? 0 : since;
        size_t rd = 0;
        for (;;) {
            char *nl = state == 0 ? memchr(in + rd, '\n', n - rd) : NULL;
            if (state == 0 && nl != NULL) {
                want = strtoul(in + rd, NULL, 16);
                rd = (size_t)(nl + 1 - in);
                state = want == 0 ? 2 : 1;
            } else if (state == 1 && rd < n) {
                size_t m = PP_MIN(want, n - rd);
                for (size_t i = 0; i < m; i++)
                    wrong += in[rd + i] != rig_byte(got + i);
                got += m;
                rd += m;
                want -= m;
                state = want == 0 ? 2 : 1;
                want = want == 0 ? 1 : want;
            } else if (state == 2 && n - rd >= 2) {
                wrong += memcmp(in + rd, "\r\n", 2) != 0;
                rd += 2;
                state = want == 0 ? 3 : 0;
            } else {
                break;
            }
        }
        memmove(in, in + rd, n - rd);
        n -= rd;
    }
    PP_CHECK_EQ(state, 3);
    PP_CHECK_EQ(got, MANY);
    PP_CHECK_EQ(wrong, 0);
    PP_CHECK_EQ(n, 0);
}

PP_TEST_CASE(long_chunked_bodies_reach_slow_readers_whole)
{
    for (int upload = 0; upload < 2; upload++) {
        for (int filtered = 0; filtered < 2; filtered++) {
            struct rig_conf conf = rig_defaults();
            int c;
            if (filtered)
                conf.phases = 1u << PP_PHASE_REQUEST_BODY | 1u << PP_PHASE_RESPONSE_BODY;
            conf.door_rcvbuf = conf.origin_rcvbuf = 4096;
            int o = start_stream(&conf, &c, upload, "Transfer-Encoding: chunked\r\n", 4096);
            PP_REQUIRE(o >= 0);
            stream_chunks(upload ? c : o, upload ? o : c);
            if (upload) {
                rig_send(&r, o, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n");
                rig_expect(&r, c, "HTTP/1.1 204 No Content\r\n" RIG_DATE "\r\n");
            }
            stop_all(c, o);
        }
    }
}

PP_TEST_CASE(memory_stays_small_while_the_reader_sleeps)
{
    char framing[64];
    snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", MANY);
    for (int filtered = 0; filtered < 2; filtered++) {
        struct rig_conf conf = rig_defaults();
        static char out[65536];
        size_t sent = 0;
        int c;
        if (filtered)
            conf.phases = 1u << PP_PHASE_RESPONSE_BODY;
        PP_REQUIRE(rig_start(&r, &conf));
        c = rig_dial(&r, 4096, 0);
        rig_send(&r, c, RIG_GET);
        int o = rig_accept(&r, 0);
        rig_expect(&r, o, RIG_GOT);
        snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\n%s\r\n", framing);
        rig_send(&r, o, out);
        for (int i = 0; i < 300; i++) {
            ssize_t k = send(o, out, sizeof out, MSG_NOSIGNAL);
            sent += k > 0 ? (size_t)k : 0;
            if (sent > MANY - sizeof out)
                break;
            rig_turn(&r, 0);
        }
        struct pp_down *d = PP_CONTAINER_OF(r.w.core.downs.next, struct pp_down, link);
        PP_CHECK(d->h.out.n <= PP_CORE_BULK_BYTES + 1024);
        close(c);
        rig_settle(&r);
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        stop_all(-1, o);
    }
}

/* A body and the next request in one piece: what was read too far belongs to the next message. */
PP_TEST_CASE(bytes_behind_a_long_chunked_body_are_the_next_request)
{
    static char text[100000];
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    size_t n = (size_t)sprintf(text, "%x\r\n", 60000);
    for (size_t i = 0; i < 60000; i++)
        text[n++] = rig_byte(i);
    n += (size_t)sprintf(text + n, "\r\n0\r\n\r\n" RIG_GET RIG_GET);
    PP_CHECK(rig_send_n(&r, c, text, n));
    static char got[70000];
    size_t k = read_chunks(o, got);
    PP_CHECK_EQ(k, 60000);
    for (size_t i = 0; i < k; i++)
        PP_CHECK(got[i] == rig_byte(i));
    rig_expect(&r, o, "\r\n");
    for (int i = 0; i < 3; i++) {
        rig_send(&r, o, RIG_HI);
        rig_expect(&r, c, RIG_HI);
        if (i < 2)
            rig_expect(&r, o, RIG_GOT);
    }
    stop_all(c, o);
}

PP_TEST_CASE(bytes_behind_a_spliced_body_are_the_next_request)
{
    static char text[200000];
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    size_t n = (size_t)sprintf(text,
                               "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"),
           head = n;
    for (size_t i = 0; i < 100000; i++)
        text[n++] = rig_byte(i);
    n += (size_t)sprintf(text + n, RIG_GET);
    PP_CHECK(rig_send_n(&r, c, text, n));
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Content-Length: 100000\r\n\r\n");
    static char got[100000];
    int end;
    PP_CHECK_EQ(rig_read(&r, o, got, 100000, &end), 100000);
    PP_CHECK(memcmp(got, text + head, 100000) == 0);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, RIG_HI);
    rig_expect(&r, c, RIG_HI);
    stop_all(c, o);
}

/* ---- a body that stands still ---- */

static void upload_some(int c, size_t n)
{
    static char out[65536];
    size_t sent = 0;
    for (int i = 0; i < 2000 && sent < n; i++) {
        ssize_t k = send(c, out, PP_MIN(sizeof out, n - sent), MSG_NOSIGNAL);
        sent += k > 0 ? (size_t)k : 0;
        rig_turn(&r, k > 0 ? 0 : 1);
        if (k <= 0 && i > 300)
            break;
    }
}

PP_TEST_CASE(an_origin_that_is_silent_after_a_long_upload_is_given_up)
{
    struct rig_conf conf = rig_defaults();
    int c;
    conf.cluster.first_byte_timeout_ms = 5000;
    int o = start_stream(&conf, &c, true, "Content-Length: 100000\r\n", 0);
    PP_REQUIRE(o >= 0);
    rig_stream(&r, c, o, 100000, false);
    rig_sleep(&r, 5001);
    rig_expect_fault(&r, c, "504", "first_byte_timeout", false);
    stop_all(c, o);
}

PP_TEST_CASE(an_origin_that_stops_reading_a_long_upload_is_given_up)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        struct rig_conf conf = rig_defaults();
        int c;
        conf.cluster.send_timeout_ms = 5000;
        conf.origin_rcvbuf = 4096;
        int o = start_stream(
            &conf, &c, true,
            chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 90000000\r\n", 0);
        PP_REQUIRE(o >= 0);
        if (chunked)
            rig_send(&r, c, "3000000\r\n");
        upload_some(c, 40000000);
        rig_sleep(&r, 5001);
        rig_expect_fault(&r, c, "504", "upstream_send_timeout", true);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_client_that_stops_reading_a_long_answer_is_given_up)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        struct rig_conf conf = rig_defaults();
        int c;
        conf.listener.send_timeout_ms = 5000;
        conf.door_sndbuf = 16384;
        int o = start_stream(
            &conf, &c, false,
            chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 90000000\r\n", -1);
        PP_REQUIRE(o >= 0);
        if (chunked)
            rig_send(&r, o, "3000000\r\n");
        upload_some(o, 40000000);
        rig_sleep(&r, 2500);
        PP_CHECK_EQ(r.w.core.n_exchange, 1);
        rig_sleep(&r, 2501);
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, TIMEOUTS), 1);
        stop_all(c, o);
    }
}

PP_TEST_CASE(a_reader_that_is_slow_but_reads_is_not_given_up)
{
    struct rig_conf conf = rig_defaults();
    int c, end;
    char got[100000];
    conf.listener.send_timeout_ms = 5000;
    conf.door_sndbuf = 16384;
    conf.cluster.read_timeout_ms = 5000;
    int o = start_stream(&conf, &c, false, "Content-Length: 90000000\r\n", -1);
    PP_REQUIRE(o >= 0);
    for (int i = 0; i < 5; i++) {
        upload_some(o, 10000000);
        rig_sleep(&r, 3000);
        PP_CHECK_EQ(rig_read(&r, c, got, sizeof got, &end), sizeof got);
        PP_CHECK_EQ(r.w.core.n_exchange, 1);
    }
    stop_all(c, o);
}

PP_TEST_CASE(an_origin_that_stops_sending_is_given_up)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        struct rig_conf conf = rig_defaults();
        int c, end;
        char got[2000];
        conf.cluster.read_timeout_ms = 5000;
        int o = start_stream(
            &conf, &c, false,
            chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: 90000000\r\n", 0);
        PP_REQUIRE(o >= 0);
        rig_send(&r, o, chunked ? "400\r\nsome" : "some");
        rig_sleep(&r, 4900);
        PP_CHECK_EQ(r.w.core.n_exchange, 1);
        rig_sleep(&r, 200);
        PP_CHECK_EQ(r.w.core.n_exchange, 0);
        rig_read(&r, c, got, sizeof got, &end);
        PP_CHECK_EQ(end, ECONNRESET);
        stop_all(c, o);
    }
}

/* ---- broken bodies ---- */

PP_TEST_CASE(a_truncated_answer_ends_in_a_reset)
{
    static const char *const framings[] = {
        "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 100000\r\n"};
    for (size_t i = 0; i < PP_COUNT_OF(framings); i++) {
        struct rig_conf conf = rig_defaults();
        int c, end, o = start_stream(&conf, &c, false, framings[i], 0);
        char got[64];
        PP_REQUIRE(o >= 0);
        rig_send(&r, o, i == 1 ? "5\r\nab" : "ab");
        rig_settle(&r);
        close(o);
        rig_read(&r, c, got, sizeof got, &end);
        PP_CHECK_EQ(end, ECONNRESET);
        stop_all(c, -1);
    }
}

PP_TEST_CASE(a_malformed_chunk_of_the_client_is_a_400)
{
    struct rig_conf conf = rig_defaults();
    int c, o = start_stream(&conf, &c, true, "Transfer-Encoding: chunked\r\n", 0);
    PP_REQUIRE(o >= 0);
    rig_send(&r, c, "3\r\nabc\r\nzz\r\n");
    rig_expect_fault(&r, c, "400", "bad_chunk_size", true);
    rig_expect(&r, o, "3\r\nabc\r\n");
    rig_expect_eof(&r, o);
    stop_all(c, o);
}

PP_TEST_CASE(a_client_that_breaks_off_its_body_is_not_answered)
{
    static const char *const framings[] = {
        "Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 100000\r\n"};
    for (size_t i = 0; i < PP_COUNT_OF(framings); i++) {
        for (int reset = 0; reset < 2; reset++) {
            struct rig_conf conf = rig_defaults();
            int c, end, o = start_stream(&conf, &c, true, framings[i], 0);
            char got[64];
            PP_REQUIRE(o >= 0);
            rig_send(&r, c, i == 1 ? "5\r\nab" : "ab");
            rig_settle(&r);
            if (reset)
                rig_reset(c);
            else
                close(c);
            rig_read(&r, o, got, sizeof got, &end);
            PP_CHECK(end == 0 || end == ECONNRESET);
            rig_settle(&r);
            PP_CHECK_EQ(r.w.core.n_exchange, 0);
            PP_CHECK_EQ(RIG_COUNT(&r, ROUTE, ABORTED), 1);
            stop_all(-1, o);
        }
    }
}

PP_TEST_CASE(an_origin_that_breaks_while_a_body_is_taken_apart_is_to_blame)
{
    /* More chunks in one read than a gather has room for: it is flushed while they are decoded. */
    static char chunks[PP_CORE_BULK_BYTES / 2];
    size_t n = 0;
    for (int i = 0; i < 40; i++)
        n += (size_t)sprintf(chunks + n, "5dc\r\n%01500d\r\n", i);
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_settle(&r);
    PP_CHECK_EQ(send(c, chunks, n, 0), (ssize_t)n); /* its event comes before that of the reset */
    rig_reset(o);
    rig_expect_fault(&r, c, "502", "upstream_reset", true);
    stop_all(c, -1);
}

static int stand_by(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    pp_filter_stand_by(x, PP_DIR_RESPONSE);
    return PP_NEXT;
}

PP_TEST_CASE(a_body_that_all_filters_leave_alone_is_not_held)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_RESPONSE | 1u << PP_PHASE_RESPONSE_BODY;
    conf.buffer_response = 4;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = stand_by;
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, RIG_GOT);
    rig_send(&r, o, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 6\r\n\r\nabc");
    rig_expect(&r, c, "HTTP/1.1 200 OK\r\n" RIG_DATE "Content-Length: 6\r\n\r\nabc");
    rig_send(&r, o, "def");
    rig_expect(&r, c, "def");
    PP_CHECK_EQ(r.filter[0].runs[PP_PHASE_RESPONSE_BODY], 0);
    stop_all(c, o);
}

PP_TEST_CASE(a_body_over_the_limit_is_a_413)
{
    struct rig_conf conf = rig_defaults();
    conf.route.max_body = 5;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef");
    rig_expect_fault(&r, c, "413", "body_too_large", true);
    close(c);
    c = rig_connect(&r);
    rig_send(&r, c, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    int o = rig_accept(&r, 0);
    rig_expect(&r, o, chunked_got);
    rig_expect(&r, o, "3\r\nabc\r\n");
    rig_send(&r, c, "3\r\ndef\r\n0\r\n\r\n");
    rig_expect_fault(&r, c, "413", "body_too_large", true);
    rig_expect_eof(&r, o);
    rig_expect_eof(&r, c);
    stop_all(c, o);
}

PP_TEST_CASE(an_answer_before_the_body_has_come_ends_the_connection)
{
    struct rig_conf conf = rig_defaults();
    int c, o = start_stream(&conf, &c, true, "Content-Length: 10\r\n", 0);
    PP_REQUIRE(o >= 0);
    rig_send(&r, o, "HTTP/1.1 403 Forbidden\r\n" RIG_DATE "Content-Length: 2\r\n\r\nno");
    rig_expect(&r, c, "HTTP/1.1 403 Forbidden\r\n" RIG_DATE "Content-Length: 2\r\n");
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    stop_all(c, o);
}

PP_TEST_MAIN()
