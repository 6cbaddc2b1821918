#include "wire/http1_body.c"

#include "base/mem.h"
#include "pp_test.h"

static struct pp_http1_body body_of(enum pp_http_body kind, uint64_t length)
{
    struct pp_http1_body b;

    pp_http1_body_init(&b, kind, length, UINT64_MAX, NULL);
    return b;
}

PP_TEST_CASE(a_body_of_nothing_is_over_at_once)
{
    struct pp_http1_body none = body_of(PP_HTTP_BODY_NONE, 0),
                         zero = body_of(PP_HTTP_BODY_LENGTH, 0);
    struct pp_span got;
    size_t used;

    PP_CHECK_EQ(pp_http1_body_next(&none, "abc", 3, &used, &got), PP_EEND);
    PP_CHECK_EQ(used, 0);
    PP_CHECK_EQ(pp_http1_body_next(&zero, "abc", 3, &used, &got), PP_EEND);
    PP_CHECK_EQ(used + got.n, 0);
    PP_CHECK_EQ(pp_http1_body_eof(&none), PP_EEND);
}

PP_TEST_CASE(without_input_there_is_end_or_more)
{
    struct pp_http1_body length = body_of(PP_HTTP_BODY_LENGTH, 1),
                         chunked = body_of(PP_HTTP_BODY_CHUNKED, 0);
    struct pp_http1_body close = body_of(PP_HTTP_BODY_CLOSE, 0);
    struct pp_span got;
    size_t used;

    PP_CHECK_EQ(pp_http1_body_next(&length, NULL, 0, &used, &got), PP_EMORE);
    PP_CHECK_EQ(pp_http1_body_next(&chunked, NULL, 0, &used, &got), PP_EMORE);
    PP_CHECK_EQ(pp_http1_body_next(&close, NULL, 0, &used, &got), PP_EMORE);
    PP_CHECK_EQ(pp_http1_body_eof(&length), PP_EHTTP_BODY_SHORT);
    PP_CHECK_EQ(pp_http1_body_eof(&chunked), PP_EHTTP_BODY_SHORT);
    PP_CHECK_EQ(pp_http1_body_eof(&close), PP_EEND);
    PP_CHECK_EQ(pp_http1_body_next(&close, NULL, 0, &used, &got), PP_EEND);
}

PP_TEST_CASE(data_points_into_the_input_and_a_small_body_takes_one_call)
{
    static const char in[] = "5;x=y\r\nhello\r\n0\r\n\r\nGET";
    struct pp_http1_body b = body_of(PP_HTTP_BODY_CHUNKED, 0);
    struct pp_span got;
    size_t used;

    PP_CHECK_EQ(pp_http1_body_next(&b, in, sizeof(in) - 1, &used, &got), PP_EEND);
    PP_CHECK(got.p == in + 7);
    PP_CHECK_STR(got, "hello");
    PP_CHECK_EQ(used, sizeof(in) - 1 - 3);
    PP_CHECK_EQ(b.total, 5);
}

PP_TEST_CASE(one_piece_a_call)
{
    static const char in[] = "1\r\na\r\n1\r\nb\r\n";
    struct pp_http1_body b = body_of(PP_HTTP_BODY_CHUNKED, 0);
    struct pp_span got;
    size_t used;

    PP_CHECK_EQ(pp_http1_body_next(&b, in, sizeof(in) - 1, &used, &got), PP_OK);
    PP_CHECK_STR(got, "a");
    PP_CHECK_EQ(used, 9);
    PP_CHECK_EQ(pp_http1_body_next(&b, in + 9, sizeof(in) - 1 - 9, &used, &got), PP_EMORE);
    PP_CHECK_STR(got, "b");
    PP_CHECK_EQ(used, 3);
}

PP_TEST_CASE(data_before_a_verdict_is_delivered_and_the_verdict_stays)
{
    static const char in[] = "1\r\na\nrest";
    struct pp_http1_body b = body_of(PP_HTTP_BODY_CHUNKED, 0);
    struct pp_span got;
    size_t used;

    PP_CHECK_EQ(pp_http1_body_next(&b, in, sizeof(in) - 1, &used, &got), PP_OK);
    PP_CHECK_STR(got, "a");
    PP_CHECK_EQ(used, 4);
    for (int i = 0; i < 3; i++) {
        PP_CHECK_EQ(pp_http1_body_next(&b, "\r\n0\r\n\r\n", 7, &used, &got), PP_EHTTP_CHUNK_END);
        PP_CHECK_EQ(used + got.n, 0);
    }
    PP_CHECK_EQ(pp_http1_body_eof(&b), PP_EHTTP_BODY_SHORT);
}

PP_TEST_CASE(a_length_over_the_limit_is_refused_before_any_byte)
{
    struct pp_http1_body b;
    struct pp_span got;
    size_t used;

    pp_http1_body_init(&b, PP_HTTP_BODY_LENGTH, 11, 10, NULL);
    PP_CHECK_EQ(pp_http1_body_next(&b, NULL, 0, &used, &got), PP_EHTTP_BODY_BYTES);
}

PP_TEST_CASE(chunks_of_sixteen_exabytes_do_not_overflow)
{
    static const char in[] = "fffffffffffffffe\r\n";
    struct pp_http1_body b = body_of(PP_HTTP_BODY_CHUNKED, 0);
    struct pp_span got;
    size_t used;
    char byte = 'x';

    PP_CHECK_EQ(pp_http1_body_next(&b, in, sizeof(in) - 1, &used, &got), PP_EMORE);
    PP_CHECK_EQ(pp_http1_body_next(&b, &byte, 1, &used, &got), PP_EMORE);
    PP_CHECK_EQ(got.n, 1);
    b.left = 0;
    b.state = DATA_CR;
    PP_CHECK_EQ(pp_http1_body_next(&b, "\r\n2\r\n", 5, &used, &got), PP_EHTTP_BODY_BYTES);
}

static bool read_trailers(void)
{
    static const char in[] = "0\r\nX-Sum: 1\r\nServer-Timing: db\r\n\r\n";
    struct pp_arena arena;
    struct pp_http_msg trailers;
    struct pp_http1_body b;
    struct pp_span got;
    size_t used;
    int rc;

    pp_arena_init(&arena, NULL, 0, 1 << 20);
    pp_http_msg_init(&trailers, &arena);
    pp_http1_body_init(&b, PP_HTTP_BODY_CHUNKED, 0, UINT64_MAX, &trailers);
    rc = pp_http1_body_next(&b, in, sizeof(in) - 1, &used, &got);
    if (rc == PP_EEND) {
        PP_CHECK_EQ(trailers.n_field, 2);
        PP_CHECK_STR(pp_http_field_name(&trailers.field[0]), "X-Sum");
        PP_CHECK_STR(pp_http_field_value(&trailers.field[1]), "db");
    } else {
        PP_CHECK_EQ(rc, PP_ENOMEM);
    }
    pp_arena_fini(&arena);
    return rc == PP_EEND;
}

PP_TEST_CASE(memory_may_be_out_for_trailers)
{
    PP_CHECK_FAIL_EACH(read_trailers);
}

PP_TEST_CASE(no_trailers_no_memory)
{
    struct pp_arena arena;
    struct pp_http_msg trailers;
    struct pp_http1_body b;
    struct pp_span got;
    size_t used;

    pp_arena_init(&arena, NULL, 0, 0);
    pp_http_msg_init(&trailers, &arena);
    pp_http1_body_init(&b, PP_HTTP_BODY_CHUNKED, 0, UINT64_MAX, &trailers);
    PP_CHECK_EQ(pp_http1_body_next(&b, "0\r\n\r\n", 5, &used, &got), PP_EEND);
    PP_CHECK(!b.trailer_mem);
    PP_CHECK_EQ(trailers.n_field, 0);
    pp_arena_fini(&arena);
}

/* What the emitter writes around data is what the decoder undoes, for sizes at every digit count.
 */
PP_TEST_CASE(long_bodies_in_random_chunks_and_pieces)
{
    static char in[1 << 16], out[1 << 16];
    uint64_t seed = 3;

    for (int round = 0; round < 200; round++) {
        size_t n = 0, at = 0, sent = 0, got_n = 0;
        struct pp_http1_body b = body_of(PP_HTTP_BODY_CHUNKED, 0);
        int rc = PP_EMORE;

        while (n < sizeof(in) - 9000) {
            size_t size = 1 + pp_test_random(&seed) % 5000;
            n += (size_t)snprintf(in + n, 32, "%zX\r\n", size);
            for (size_t i = 0; i < size; i++) {
                in[n++] = (char)(sent++ * 7);
            }
            memcpy(in + n, "\r\n", 2);
            n += 2;
        }
        memcpy(in + n, "0\r\n\r\n", 5);
        n += 5;
        while (rc == PP_EMORE || rc == PP_OK) {
            size_t used, piece = 1 + pp_test_random(&seed) % 4000;
            struct pp_span got;
            rc = pp_http1_body_next(&b, in + at, PP_MIN(piece, n - at), &used, &got);
            if (got.n > 0) {
                memcpy(out + got_n, got.p, got.n);
            }
            got_n += got.n;
            at += used;
        }
        PP_CHECK_EQ(rc, PP_EEND);
        PP_CHECK_EQ(at, n);
        PP_CHECK_EQ(got_n, sent);
        for (size_t i = 0; i < got_n; i++) {
            if (out[i] != (char)(i * 7)) {
                PP_CHECK_EQ(i, got_n);
                break;
            }
        }
    }
}

PP_TEST_MAIN()
