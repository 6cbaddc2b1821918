#include "base/buf.c"

#include "base/mem.h"
#include "pp_test.h"

enum { CHUNK = PP_BUF_CHUNK_BYTES };

/* Byte <i> of the stream that the tests write. */
static char stream_byte(size_t i)
{
    return (char)(i * 31 ^ i >> 8);
}

static void make_stream(char *dst, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = stream_byte(from + i);
}

static int chunk_count(const struct pp_buf *b)
{
    int n = 0;
    for (struct pp_buf_chunk *c = b->head; c; c = c->next)
        n++;
    return n;
}

/* What waits is the stream from byte <from> on, whole, in pieces that are not empty. */
static void check_waiting(const struct pp_buf *b, size_t from)
{
    struct iovec iov[64];
    int n = pp_buf_peek(b, iov, 64);
    size_t total = 0;
    bool same = true;

    for (int i = 0; i < n; i++) {
        PP_CHECK(iov[i].iov_len > 0);
        for (size_t j = 0; j < iov[i].iov_len; j++)
            same &= ((char *)iov[i].iov_base)[j] == stream_byte(from + total + j);
        total += iov[i].iov_len;
    }
    PP_CHECK(same);
    PP_CHECK_EQ(total, b->n);
    PP_CHECK_EQ(n, chunk_count(b));
    PP_CHECK_EQ(pp_buf_is_empty(b), total == 0);
    PP_CHECK_EQ(b->head == NULL, total == 0);
    PP_CHECK_EQ(b->tail == NULL, total == 0);
}

static char bytes[4 * CHUNK];

PP_TEST_CASE(zeroed_buf_is_empty_and_small)
{
    struct pp_slab slab;
    struct pp_buf b = {0};
    struct iovec iov[2];

    pp_buf_slab_init(&slab, 4);
    PP_CHECK_EQ(sizeof(b), 24);
    check_waiting(&b, 0);
    PP_CHECK_EQ(pp_buf_peek(&b, iov, 2), 0);
    pp_buf_skip(&b, &slab, 0);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, NULL, 0, 0), PP_OK);
    PP_CHECK(b.head == NULL);
    pp_buf_fini(&b, &slab);
    pp_slab_fini(&slab);
}

PP_TEST_CASE(writes_around_the_chunk_border)
{
    struct pp_slab slab;

    make_stream(bytes, 0, sizeof(bytes));
    pp_buf_slab_init(&slab, 4);
    for (int first = -2; first <= 2; first++)
        for (int second = -2; second <= 2; second++)
            for (size_t third = 0; third < 2; third++) {
                size_t n = (size_t)(CHUNK + first), m = (size_t)(CHUNK + second);
                struct pp_buf b = {0};
                PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, n, SIZE_MAX), PP_OK);
                PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes + n, m, SIZE_MAX), PP_OK);
                PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes + n + m, third, SIZE_MAX), PP_OK);
                PP_CHECK_EQ(b.n, n + m + third);
                check_waiting(&b, 0);
                PP_CHECK_EQ(chunk_count(&b), (int)((b.n + CHUNK - 1) / CHUNK));
                size_t sent = (size_t)(CHUNK - first);
                pp_buf_skip(&b, &slab, sent);
                check_waiting(&b, sent);
                pp_buf_fini(&b, &slab);
                check_waiting(&b, 0);
            }
    PP_CHECK_EQ(slab.n_live, 0);
    pp_slab_fini(&slab);
}

PP_TEST_CASE(drained_buf_owns_nothing)
{
    struct pp_slab slab;
    struct pp_buf b = {0};

    make_stream(bytes, 0, sizeof(bytes));
    pp_buf_slab_init(&slab, 4);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, CHUNK + 1, SIZE_MAX), PP_OK);
    PP_CHECK_EQ(slab.n_live, 2);
    pp_buf_skip(&b, &slab, CHUNK);
    PP_CHECK_EQ(slab.n_live, 1);
    pp_buf_skip(&b, &slab, 1);
    PP_CHECK_EQ(slab.n_live, 0);
    check_waiting(&b, 0);
    pp_slab_fini(&slab);
}

PP_TEST_CASE(limit_is_exact_and_all_or_nothing)
{
    struct pp_slab slab;
    struct pp_buf b = {0};

    make_stream(bytes, 0, sizeof(bytes));
    pp_buf_slab_init(&slab, 4);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, 101, 100), PP_ELIMIT);
    PP_CHECK(b.head == NULL);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, 60, 100), PP_OK);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes + 60, 41, 100), PP_ELIMIT);
    check_waiting(&b, 0);
    PP_CHECK_EQ(b.n, 60);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes + 60, 40, 100), PP_OK);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, 0, 100), PP_OK);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, 1, 100), PP_ELIMIT);
    pp_buf_skip(&b, &slab, 1);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes + 100, 1, 100), PP_OK);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, 0, 50), PP_ELIMIT); /* over a lower limit already */
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, SIZE_MAX, SIZE_MAX), PP_ELIMIT);
    check_waiting(&b, 1);
    pp_buf_fini(&b, &slab);
    pp_slab_fini(&slab);
}

PP_TEST_CASE(peek_fills_no_more_than_asked)
{
    struct pp_slab slab;
    struct pp_buf b = {0};
    struct iovec iov[3] = {{0}};

    pp_buf_slab_init(&slab, 4);
    PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, 3 * CHUNK, SIZE_MAX), PP_OK);
    PP_CHECK_EQ(pp_buf_peek(&b, iov, 0), 0);
    PP_CHECK_EQ(pp_buf_peek(&b, iov, 2), 2);
    PP_CHECK(iov[2].iov_base == NULL);
    PP_CHECK_EQ(iov[0].iov_len + iov[1].iov_len, 2 * CHUNK);
    PP_CHECK_EQ(pp_buf_peek(&b, iov, 3), 3);
    pp_buf_fini(&b, &slab);
    pp_slab_fini(&slab);
}

/* Random writes and skips against two offsets into an endless stream. */
PP_TEST_CASE(keeps_order_over_random_writes_and_skips)
{
    struct pp_slab slab;
    struct pp_buf b = {0};
    uint64_t state = 11;
    size_t written = 0, skipped = 0;

    pp_buf_slab_init(&slab, 2);
    for (int i = 0; i < 5000; i++) {
        uint64_t r = pp_test_random(&state);
        size_t n = (r >> 8) % (r & 1 ? 200 : 2 * CHUNK);
        if (r & 2) {
            bool fits = written - skipped + n <= 10 * CHUNK;
            make_stream(bytes, written, n);
            PP_CHECK_EQ(pp_buf_write(&b, &slab, bytes, n, 10 * CHUNK), fits ? PP_OK : PP_ELIMIT);
            written += fits ? n : 0;
        } else {
            n = PP_MIN(n, written - skipped);
            pp_buf_skip(&b, &slab, n);
            skipped += n;
        }
        PP_CHECK_EQ(b.n, written - skipped);
        if (i % 50 == 0)
            check_waiting(&b, skipped);
    }
    pp_buf_fini(&b, &slab);
    PP_CHECK_EQ(slab.n_live, 0);
    pp_slab_fini(&slab);
}

static bool write_much(void)
{
    struct pp_slab slab;
    struct pp_buf b = {0};
    int rc = PP_OK;
    size_t done = 0;

    pp_buf_slab_init(&slab, 1);
    while (rc == PP_OK && done < 6 * CHUNK) {
        rc = pp_buf_write(&b, &slab, bytes, 2 * CHUNK + 100, SIZE_MAX);
        if (rc == PP_OK)
            done += 2 * CHUNK + 100;
        else
            PP_CHECK_EQ(rc, PP_ENOMEM);
        PP_CHECK_EQ(b.n, done);
        PP_CHECK_EQ(chunk_count(&b), (int)((done + CHUNK - 1) / CHUNK));
        PP_CHECK_EQ(slab.n_live, chunk_count(&b));
    }
    if (done) {
        pp_buf_skip(&b, &slab, done - 1);
        PP_CHECK_EQ(b.n, 1);
    }
    pp_buf_fini(&b, &slab);
    pp_slab_fini(&slab);
    return rc == PP_OK;
}

PP_TEST_CASE(failed_allocation_changes_nothing)
{
    PP_CHECK_FAIL_EACH(write_much);
}

PP_TEST_MAIN()
