#include "wire/clienthello.c"

#include "pp_test.h"

static struct pp_clienthello hello;
static char kept[PP_CLIENTHELLO_WIRE_BYTES + 70000];

/* Decode a copy of exactly that size. */
static int decode(const char *p, size_t n)
{
    char *copy = malloc(n + (n == 0));
    memcpy(copy, p, n);
    int rc = pp_clienthello_decode(copy, n, &hello);
    memcpy(kept, copy, n);
    if (rc == PP_OK) { /* the spans outlive the copy */
        if (hello.server_name.n > 0)
            hello.server_name.p = kept + (hello.server_name.p - copy);
        if (hello.alpn.n > 0)
            hello.alpn.p = kept + (hello.alpn.p - copy);
    }
    free(copy);
    return rc;
}

/* ---- building one ---- */

static char text[PP_CLIENTHELLO_WIRE_BYTES * 2];
static size_t text_n;

static void add(const void *p, size_t n)
{
    memcpy(text + text_n, p, n);
    text_n += n;
}

static void add_number(unsigned v, unsigned bytes)
{
    while (bytes-- > 0)
        text[text_n++] = (char)(unsigned char)(v >> 8 * bytes);
}

static void add_extension(unsigned type, const void *p, size_t n)
{
    add_number(type, 2);
    add_number((unsigned)n, 2);
    add(p, n);
}

static void add_name(const char *name, size_t n)
{
    char data[600] = {(char)((n + 3) >> 8), (char)(n + 3), 0, (char)(n >> 8), (char)n};
    memcpy(data + 5, name, n);
    add_extension(0, data, n + 5);
}

/* Everything up to the extensions. */
static void begin(void)
{
    text_n = 0;
    add("\3\3", 2);
    memset(text + text_n, 'r', 32);
    text_n += 32;
    add("\2id\0\4\x0a\x0a\x13\x01\1\0\0\0", 13);
}

/* Length of the extensions, message header and record header around what was added. */
static size_t message_of(char *dst)
{
    size_t before = 2 + 32 + 3 + 6 + 2;
    text[before] = (char)((text_n - before - 2) >> 8);
    text[before + 1] = (char)(text_n - before - 2);
    dst[0] = 1;
    dst[1] = (char)(text_n >> 16);
    dst[2] = (char)(text_n >> 8);
    dst[3] = (char)text_n;
    memcpy(dst + 4, text, text_n);
    return text_n + 4;
}

static char wire[PP_CLIENTHELLO_WIRE_BYTES * 8];

/* As records of at most <size> bytes. */
static size_t records(size_t size)
{
    static char message[sizeof text + 4];
    size_t n = message_of(message), at = 0;
    for (size_t from = 0; from < n; from += size) {
        size_t k = n - from < size ? n - from : size;
        memcpy(wire + at, "\x16\3\1", 3);
        wire[at + 3] = (char)(k >> 8);
        wire[at + 4] = (char)k;
        memcpy(wire + at + 5, message + from, k);
        at += 5 + k;
    }
    return at;
}

static int finish(void)
{
    return decode(wire, records(16384));
}

#define NAMED(literal) (begin(), add_name(literal, sizeof(literal) - 1), finish())

/* ---- what is read ---- */

PP_TEST_CASE(the_name_and_the_protocols_are_read)
{
    begin();
    add_extension(0x0a0a, "", 0); /* GREASE */
    add_name("a.example", 9);
    add_extension(16, "\0\x0c\x02h2\x08http/1.1", 14);
    add_extension(0x1a1a, "\0", 1);
    PP_REQUIRE(finish() == PP_OK);
    PP_CHECK_STR(hello.server_name, "a.example");
    struct pp_span rest = hello.alpn, name;
    PP_REQUIRE(pp_clienthello_next_protocol(&rest, &name));
    PP_CHECK_STR(name, "h2");
    PP_REQUIRE(pp_clienthello_next_protocol(&rest, &name));
    PP_CHECK_STR(name, "http/1.1");
    PP_CHECK(!pp_clienthello_next_protocol(&rest, &name));
}

PP_TEST_CASE(neither_need_be_there)
{
    begin();
    PP_CHECK_EQ(finish(), PP_OK);
    PP_CHECK_EQ(hello.server_name.n, 0);
    PP_CHECK_EQ(hello.alpn.n, 0);
    begin();
    text_n -= 2; /* no extensions at all: TLS 1.2 and older */
    char message[200] = {1, 0, 0, (char)text_n};
    memcpy(message + 4, text, text_n);
    char record[200] = {22, 3, 1, 0, (char)(text_n + 4)};
    memcpy(record + 5, message, text_n + 4);
    PP_CHECK_EQ(decode(record, text_n + 9), PP_OK);
}

PP_TEST_CASE(any_cut_into_segments_says_more_is_needed)
{
    begin();
    add_name("a.example", 9);
    size_t n = records(16384);
    for (size_t k = 0; k < n; k++)
        PP_CHECK_EQ(decode(wire, k), PP_EMORE);
    PP_CHECK_EQ(decode(wire, n), PP_OK);
    wire[n] = 'x'; /* the next record, early data for instance */
    PP_CHECK_EQ(decode(wire, n + 1), PP_OK);
}

PP_TEST_CASE(any_cut_into_records_means_the_same)
{
    for (size_t size = 1; size < 80; size++) {
        begin();
        add_name("a.example", 9);
        add_extension(16, "\0\3\2h2", 5);
        size_t n = records(size);
        for (size_t k = 0; k < n; k++)
            PP_CHECK_EQ(decode(wire, k), PP_EMORE);
        PP_REQUIRE(decode(wire, n) == PP_OK);
        PP_CHECK_STR(hello.server_name, "a.example");
        PP_CHECK_BYTES(hello.alpn, "\2h2", 3);
    }
}

/* ---- limits ---- */

PP_TEST_CASE(a_long_hello_is_read_up_to_the_limit)
{
    static char big[PP_CLIENTHELLO_BYTES];
    begin();
    add_name("a.example", 9);
    size_t rest = PP_CLIENTHELLO_BYTES - 4 - text_n - 4;
    add_extension(0x2a2a, big, rest);
    PP_REQUIRE(finish() == PP_OK);
    PP_CHECK_STR(hello.server_name, "a.example");
    begin();
    add_name("a.example", 9);
    add_extension(0x2a2a, big, rest + 1);
    PP_CHECK_EQ(finish(), PP_ETLS_HELLO_BYTES);
    PP_CHECK_EQ(decode(wire, 8), PP_EMORE);
    PP_CHECK_EQ(decode(wire, 9), PP_ETLS_HELLO_BYTES); /* known as soon as it is announced */
}

PP_TEST_CASE(records_of_one_byte_do_not_blow_it_up)
{
    static char big[PP_CLIENTHELLO_BYTES];
    begin();
    add_extension(0x2a2a, big, 12000);
    size_t n = records(1);
    PP_CHECK(n > PP_CLIENTHELLO_WIRE_BYTES);
    PP_CHECK_EQ(decode(wire, PP_CLIENTHELLO_WIRE_BYTES - 6), PP_EMORE);
    PP_CHECK_EQ(decode(wire, PP_CLIENTHELLO_WIRE_BYTES), PP_ETLS_HELLO_BYTES);
    PP_CHECK_EQ(decode(wire, PP_CLIENTHELLO_WIRE_BYTES + 10000), PP_ETLS_HELLO_BYTES);
}

PP_TEST_CASE(records_are_neither_empty_nor_too_long)
{
    PP_CHECK_EQ(decode("\x16\3\1\0\0", 5), PP_ETLS_HELLO);
    PP_CHECK_EQ(decode("\x16\3\1\x40\0", 5), PP_EMORE);
    PP_CHECK_EQ(decode("\x16\3\1\x40\1", 5), PP_ETLS_HELLO);
}

/* ---- what is refused ---- */

PP_TEST_CASE(other_protocols_are_told_apart_by_their_first_byte)
{
    PP_CHECK_EQ(decode("", 0), PP_EMORE);
    PP_CHECK_EQ(decode("GET /", 5), PP_ETLS_NONE);
    PP_CHECK_EQ(decode("\x80\x2e\1\0\2", 5), PP_ETLS_NONE); /* SSL 2.0 */
    PP_CHECK_EQ(decode("\x15\3\1\0\2\1\0", 7), PP_ETLS_NONE);
    PP_CHECK_EQ(decode("\x16\2", 2), PP_ETLS_HELLO);
    PP_CHECK_EQ(decode("\x16\3\3\0\4\2\0\0\0", 9), PP_ETLS_HELLO); /* a ServerHello */
    begin();
    size_t n = records(20);
    wire[25] = 23; /* the second record is of another kind */
    PP_CHECK_EQ(decode(wire, n), PP_ETLS_HELLO);
}

PP_TEST_CASE(names_are_host_names)
{
    PP_CHECK_EQ(NAMED("A-1_x.Example"), PP_OK);
    PP_CHECK_STR(hello.server_name, "A-1_x.Example");
    PP_CHECK_EQ(NAMED("a b"), PP_ETLS_SERVER_NAME);
    PP_CHECK_EQ(NAMED("a\0b"), PP_ETLS_SERVER_NAME);
    PP_CHECK_EQ(NAMED("*.example"), PP_ETLS_SERVER_NAME);
    PP_CHECK_EQ(NAMED(".example"), PP_ETLS_SERVER_NAME);
    PP_CHECK_EQ(NAMED("[::1]"), PP_ETLS_SERVER_NAME);
    PP_CHECK_EQ(NAMED("b\xc3\xbc"), PP_ETLS_SERVER_NAME);
    PP_CHECK_EQ(NAMED(""), PP_ETLS_HELLO);
    char name[256];
    memset(name, 'a', sizeof name);
    begin();
    add_name(name, 255);
    PP_CHECK_EQ(finish(), PP_OK);
    begin();
    add_name(name, 256);
    PP_CHECK_EQ(finish(), PP_ETLS_SERVER_NAME);
}

static int extension(unsigned type, const char *p, size_t n)
{
    begin();
    add_extension(type, p, n);
    return finish();
}

PP_TEST_CASE(extensions_are_whole_and_stand_once)
{
    PP_CHECK_EQ(extension(0, "", 0), PP_ETLS_HELLO);             /* a server's answer */
    PP_CHECK_EQ(extension(0, "\0\4\0\0\1ab", 7), PP_ETLS_HELLO); /* something behind the list */
    PP_CHECK_EQ(extension(0, "\0\4\1\0\1a", 6), PP_ETLS_HELLO);  /* another kind of name */
    PP_CHECK_EQ(extension(0, "\0\5\0\0\1a", 6), PP_ETLS_HELLO);  /* a list that is too short */
    PP_CHECK_EQ(extension(0, "\0\x8\0\0\1a\0\0\1b", 10), PP_ETLS_HELLO); /* two names */
    PP_CHECK_EQ(extension(0, "\0\4\0\0\1a", 6), PP_OK);
    PP_CHECK_EQ(extension(16, "\0\0", 2), PP_ETLS_HELLO);
    PP_CHECK_EQ(extension(16, "\0\1\0", 3), PP_ETLS_HELLO);
    PP_CHECK_EQ(extension(16, "\0\3\1ab", 5), PP_ETLS_HELLO);
    PP_CHECK_EQ(extension(16, "\0\3\3ab", 5), PP_ETLS_HELLO);
    PP_CHECK_EQ(extension(16, "\0\2\1ab", 5), PP_ETLS_HELLO);
    begin();
    add_name("a", 1);
    add_name("b", 1);
    PP_CHECK_EQ(finish(), PP_ETLS_HELLO);
    begin();
    add_extension(16, "\0\3\2h2", 5);
    add_extension(16, "\0\3\2h2", 5);
    PP_CHECK_EQ(finish(), PP_ETLS_HELLO);
}

/* Every length of the message, one too high and one too low: none is believed. */
PP_TEST_CASE(lengths_agree)
{
    static const size_t lengths[] = {5 + 3,           5 + 4 + 34,      5 + 4 + 34 + 4,
                                     5 + 4 + 34 + 9,  5 + 4 + 34 + 12, 5 + 4 + 34 + 16,
                                     5 + 4 + 34 + 18, 5 + 4 + 34 + 21};
    for (size_t i = 0; i < PP_COUNT_OF(lengths); i++) {
        for (int by = -1; by <= 1; by++) {
            begin();
            add_name("abc", 3);
            size_t n = records(16384);
            wire[lengths[i]] = (char)(wire[lengths[i]] + by);
            int rc = decode(wire, n);
            PP_CHECK((rc == PP_OK) == (by == 0));
        }
    }
}

PP_TEST_CASE(nothing_follows_the_message_in_its_record)
{
    begin();
    size_t n = records(16384);
    wire[4]++;
    wire[n] = 'x';
    PP_CHECK_EQ(decode(wire, n + 1), PP_ETLS_HELLO);
    PP_CHECK_EQ(decode(wire, 9), PP_ETLS_HELLO); /* known as soon as both lengths are */
}

PP_TEST_CASE(the_alert_says_unrecognized_name)
{
    PP_CHECK_BYTES(
        pp_span(pp_clienthello_unrecognized_name, sizeof pp_clienthello_unrecognized_name),
        "\x15\3\3\0\2\2\x70", 7);
}

PP_TEST_MAIN()
