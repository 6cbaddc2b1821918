#include "wire/http1_line.c"

#include "pp_test.h"

static const struct pp_http1_line_limits wide = {1 << 20, 1 << 20, 1 << 20, false};

static int feed_all(enum pp_http1_line_kind kind, const char *p, size_t n, struct pp_http1_line *l,
                    const struct pp_http1_line_limits *limits)
{
    char *copy = malloc(n ? n : 1);
    size_t used = 0;
    int rc = PP_EINVAL;

    if (copy) {
        memcpy(copy, p, n);
        pp_http1_line_init(l, kind);
        rc = pp_http1_line_feed(l, copy, n, limits, &used);
        PP_CHECK(rc != PP_OK || used == l->n);
    }
    free(copy);
    return rc;
}

#define FEED(kind, text, l) feed_all(kind, text, sizeof(text) - 1, l, &wide)

PP_TEST_CASE(marks_of_a_request_line)
{
    struct pp_http1_line l;

    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_REQUEST, "PUT /ab HTTP/1.0\r\nrest", &l), PP_OK);
    PP_CHECK_EQ(l.mark, 3);
    PP_CHECK_EQ(l.end, 7);
    PP_CHECK_EQ(l.n, 18);
}

PP_TEST_CASE(marks_of_a_field_line)
{
    struct pp_http1_line l;

    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_FIELD, "Host: a:b\r\n", &l), PP_OK);
    PP_CHECK_EQ(l.mark, 4);
    PP_CHECK_EQ(l.n, 11);
}

PP_TEST_CASE(empty_lines_are_two_bytes)
{
    struct pp_http1_line l;

    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_FIELD, "\r\nX", &l), PP_OK);
    PP_CHECK_EQ(l.n, 2);
    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_REQUEST, "\r\nX", &l), PP_OK);
    PP_CHECK_EQ(l.n, 2);
    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_STATUS, "\r\nX", &l), PP_EHTTP_VERSION);
}

PP_TEST_CASE(nothing_is_more)
{
    struct pp_http1_line l;

    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_FIELD, "", &l), PP_EMORE);
    PP_CHECK_EQ(l.n, 0);
    PP_CHECK_EQ(FEED(PP_HTTP1_LINE_FIELD, "A: b\r", &l), PP_EMORE);
    PP_CHECK_EQ(l.n, 5);
}

/* The vector skip over values must stop at exactly the bytes that may not stand there. */
PP_TEST_CASE(every_byte_at_every_place_of_a_value)
{
    for (size_t at = 0; at < 150; at++) {
        for (unsigned c = 0; c < 256; c++) {
            char line[256];
            struct pp_http1_line l;
            int rc, want = PP_OK;

            memset(line, 'v', sizeof(line));
            memcpy(line, "N:", 2);
            line[2 + at] = (char)c;
            memcpy(line + 2 + 150, "\r\n", 2);
            if (c == '\n') {
                want = PP_EHTTP_BARE_LF;
            } else if (c == '\r') {
                want = PP_EHTTP_BARE_CR;
            } else if ((c < ' ' && c != '\t') || c == 0x7f) {
                want = PP_EHTTP_FIELD_VALUE;
            }
            rc = feed_all(PP_HTTP1_LINE_FIELD, line, 2 + 150 + 2, &l, &wide);
            PP_CHECK_EQ(rc, want);
        }
    }
}

PP_TEST_CASE(the_limit_of_a_line_holds_within_the_vector_skip)
{
    for (uint32_t most = 2; most < 100; most++) {
        struct pp_http1_line_limits limits = {1 << 20, most, 1 << 20, false};
        char line[128];
        struct pp_http1_line l;

        memset(line, 'v', sizeof(line));
        line[1] = ':';
        PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, most, &l, &limits), PP_EMORE);
        PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, most + 1, &l, &limits),
                    PP_EHTTP_LINE_BYTES);
        memcpy(line + most, "\r\n", 2);
        PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, most + 2, &l, &limits), PP_OK);
        limits.room = most + 1;
        PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, most + 1, &l, &limits), PP_EMORE);
        PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, most + 2, &l, &limits),
                    PP_EHTTP_HEAD_BYTES);
    }
}

PP_TEST_CASE(a_name_fits_into_sixteen_bits)
{
    static char line[70000];
    struct pp_http1_line l;

    memset(line, 'n', sizeof(line));
    line[65535] = ':';
    PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, 65536, &l, &wide), PP_EMORE);
    PP_CHECK_EQ(l.mark, 65535);
    line[65535] = 'n';
    line[65536] = ':';
    PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, line, 65537, &l, &wide), PP_EHTTP_LINE_BYTES);
}

PP_TEST_CASE(a_full_message_takes_the_empty_line_only)
{
    struct pp_http1_line_limits full = {1 << 20, 1 << 20, 1 << 20, true};
    struct pp_http1_line l;

    PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, "\r\n", 2, &l, &full), PP_OK);
    PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, "A", 1, &l, &full), PP_EHTTP_FIELD_COUNT);
    PP_CHECK_EQ(feed_all(PP_HTTP1_LINE_FIELD, " A", 2, &l, &full), PP_EHTTP_FOLD);
}

PP_TEST_MAIN()
