#include "proxy/moved.c"

#include "pp_test.h"

static char mem[PP_MOVED_FIXED + PP_MOVED_LISTENER_MAX + PP_MOVED_UNREAD_MAX + 1];

static struct pp_moved sample(void)
{
    struct pp_moved m = {
        .fd = 7,
        .listener = PP_SPAN("web"),
        .unread = PP_SPAN("GET / HT"),
        .client = {.family = AF_INET, .port = 0x1234, .ip = {10, 1, 2, 3}},
        .age_ms = 0x0102030405060708,
        .waited_ms = 0x1112,
        .n_request = 0x21222324,
    };
    return m;
}

static struct pp_span packed(const struct pp_moved *m)
{
    pp_moved_pack(m, mem);
    return pp_span(mem, pp_moved_size(m));
}

PP_TEST_CASE(a_record_comes_back_as_it_was)
{
    struct pp_moved m = sample(), got;
    PP_CHECK_EQ(pp_moved_unpack(packed(&m), &got), PP_OK);
    PP_CHECK_EQ(got.fd, -1);
    PP_CHECK(pp_span_eq(got.listener, m.listener) && pp_span_eq(got.unread, m.unread));
    PP_CHECK(memcmp(&got.client, &m.client, sizeof m.client) == 0);
    PP_CHECK(got.age_ms == m.age_ms && got.waited_ms == m.waited_ms);
    PP_CHECK_EQ(got.n_request, m.n_request);
    m.unread = PP_SPAN_NONE;
    m.client =
        (struct pp_sock_addr){.family = AF_INET6, .port = 1, .ip = {1, [15] = 2}, .scope = 3};
    PP_CHECK_EQ(pp_moved_unpack(packed(&m), &got), PP_OK);
    PP_CHECK_EQ(got.unread.n, 0);
    PP_CHECK(memcmp(&got.client, &m.client, sizeof m.client) == 0);
    m.client = (struct pp_sock_addr){.family = AF_UNIX};
    PP_CHECK_EQ(pp_moved_unpack(packed(&m), &got), PP_OK);
}

PP_TEST_CASE(the_packed_form_is_fixed)
{
    struct pp_moved m = sample();
    static const char want[] = "\x01\x02\x34\x12\0\0\0\0"
                               "\x0a\x01\x02\x03\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\x08\x07\x06\x05\x04\x03\x02\x01"
                               "\x12\x11\0\0\0\0\0\0"
                               "\x24\x23\x22\x21\x03\0\0\0\x08\0\0\0webGET / HT";
    struct pp_span got = packed(&m);
    PP_CHECK_EQ(got.n, sizeof want - 1);
    PP_CHECK(memcmp(got.p, want, sizeof want - 1) == 0);
}

PP_TEST_CASE(every_other_length_is_refused)
{
    struct pp_moved m = sample(), got;
    struct pp_span s = packed(&m);
    mem[s.n] = 'x';
    for (size_t n = 0; n <= s.n + 1; n++)
        PP_CHECK_EQ(pp_moved_unpack(pp_span(mem, n), &got), n == s.n ? PP_OK : PP_EINVAL);
}

PP_TEST_CASE(what_pack_does_not_write_is_refused)
{
    struct pp_moved m = sample(), got;
    struct pp_span s = packed(&m);
    static const struct {
        size_t at;
        char byte;
    } bad[] = {
        {0, 0},    {0, 2},  {1, 3},  /* version, family */
        {1, 0},    {1, 1},           /* an address of no family, of a unix socket */
        {4, 1},    {12, 1}, {23, 1}, /* scope and more bytes of an IPv4 address */
        {31, 0},                     /* fine: a smaller age */
        {39, 127},                   /* waited longer than it lives */
        {44, 0},   {47, 1}, {51, 1}, /* lengths */
    };
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        char was = mem[bad[i].at];
        mem[bad[i].at] = bad[i].byte;
        PP_CHECK_EQ(pp_moved_unpack(s, &got), bad[i].at == 31 ? PP_OK : PP_EINVAL);
        mem[bad[i].at] = was;
    }
    PP_CHECK_EQ(pp_moved_unpack(s, &got), PP_OK);
}

PP_TEST_CASE(long_names_and_heads_are_bounded)
{
    static char text[PP_MOVED_UNREAD_MAX + 1];
    struct pp_moved m = sample(), got;
    memset(text, 'x', sizeof text);
    m.unread = pp_span(text, PP_MOVED_UNREAD_MAX);
    m.listener = pp_span(text, PP_MOVED_LISTENER_MAX);
    PP_CHECK_EQ(pp_moved_unpack(packed(&m), &got), PP_OK);
    m.listener.n++;
    m.unread.n--;
    PP_CHECK_EQ(pp_moved_unpack(packed(&m), &got), PP_EINVAL);
    m.listener.n = 1;
    m.unread.n = PP_MOVED_UNREAD_MAX + 1;
    PP_CHECK_EQ(pp_moved_unpack(packed(&m), &got), PP_EINVAL);
}

PP_TEST_MAIN()
