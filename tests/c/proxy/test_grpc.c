#include "proxy/grpc.c"

#include "proxy/rig.h"

static struct rig r;

static struct pp_http_msg *message(const char *type, const char *timeout)
{
    static char mem[1024];
    static struct pp_arena arena;
    static struct pp_http_msg m;
    pp_arena_fini(&arena);
    pp_arena_init(&arena, mem, sizeof mem, 0);
    pp_http_msg_init(&m, &arena);
    if (type != NULL)
        PP_CHECK_EQ(
            pp_http_msg_add(&m, PP_SPAN("content-type"), PP_NAME_CONTENT_TYPE, rig_span(type)),
            PP_OK);
    if (timeout != NULL)
        PP_CHECK_EQ(pp_http_msg_add(&m, PP_SPAN("grpc-timeout"), PP_NAME_OTHER, rig_span(timeout)),
                    PP_OK);
    return &m;
}

PP_TEST_CASE(calls_are_known_by_their_type)
{
    PP_CHECK(pp_grpc_is_call(message("application/grpc", NULL)));
    PP_CHECK(pp_grpc_is_call(message("application/grpc+proto", NULL)));
    PP_CHECK(pp_grpc_is_call(message("Application/gRPC;x=y", NULL)));
    PP_CHECK(!pp_grpc_is_call(message("application/grpc-web", NULL)));
    PP_CHECK(!pp_grpc_is_call(message("application/grp", NULL)));
    PP_CHECK(!pp_grpc_is_call(message("text/plain", NULL)));
    PP_CHECK(!pp_grpc_is_call(message(NULL, NULL)));
}

PP_TEST_CASE(timeouts_have_a_number_and_a_unit)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } rows[] = {
        {"1H", 3600000}, {"2M", 120000}, {"3S", 3000},     {"4m", 4},
        {"5000u", 5},    {"6n", 1},      {"0S", 1},        {"99999999S", UINT64_C(99999999000)},
        {"5", 0},        {"S", 0},       {"", 0},          {"-1S", 0},
        {"1.5S", 0},     {"1s", 0},      {"123456789S", 0}};
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++)
        PP_CHECK_EQ(pp_grpc_timeout_ms(message(NULL, rows[i].text)), rows[i].ms);
    PP_CHECK_EQ(pp_grpc_timeout_ms(message(NULL, NULL)), 0);
}

PP_TEST_CASE(statuses_have_codes)
{
    PP_CHECK_EQ(pp_grpc_code_of(401), 16);
    PP_CHECK_EQ(pp_grpc_code_of(403), 7);
    PP_CHECK_EQ(pp_grpc_code_of(404), 12);
    PP_CHECK_EQ(pp_grpc_code_of(429), 14);
    PP_CHECK_EQ(pp_grpc_code_of(502), 14);
    PP_CHECK_EQ(pp_grpc_code_of(503), 14);
    PP_CHECK_EQ(pp_grpc_code_of(504), 14);
    PP_CHECK_EQ(pp_grpc_code_of(413), 2);
    PP_CHECK_EQ(pp_grpc_code_of(500), 2);
}

/* What a call gets that ends with an answer of our own: its code and message. */
static void told(int c, const char *code, const char *text)
{
    char got[1024], want[256];
    int end;
    size_t n = rig_read(&r, c, got, sizeof got - 1, &end);
    got[n] = '\0';
    PP_CHECK(strncmp(got, "HTTP/1.1 200 OK\r\n", 17) == 0);
    PP_CHECK(strstr(got, "content-type: application/grpc\r\n") != NULL ||
             strstr(got, "Content-Type: application/grpc\r\n") != NULL);
    snprintf(want, sizeof want, "grpc-status: %s\r\n", code);
    PP_CHECK(strstr(got, want) != NULL);
    snprintf(want, sizeof want, "grpc-message: %s\r\n", text);
    PP_CHECK(strstr(got, want) != NULL);
    PP_CHECK(strcmp(got + n - 4, "\r\n\r\n") == 0);
}

#define CALL                                                                                       \
    "POST /s/m HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nConnection: close\r\n"

PP_TEST_CASE(faults_are_told_in_words_of_grpc)
{
    struct rig_conf conf = rig_defaults();
    PP_REQUIRE(rig_start(&r, &conf));
    close(r.origin[0]);
    r.origin[0] = -1;
    int c = rig_connect(&r);
    rig_send(&r, c, CALL "Content-Length: 0\r\n\r\n");
    told(c, "14", "the endpoint refused the connection");
    close(c);
    rig_stop(&r);
}

PP_TEST_CASE(the_deadline_of_a_call_is_kept)
{
    struct rig_conf conf = rig_defaults();
    conf.cluster.total_timeout_ms = 60000;
    PP_REQUIRE(rig_start(&r, &conf));
    int c = rig_connect(&r);
    rig_send(&r, c, CALL "Grpc-Timeout: 2S\r\nContent-Length: 0\r\n\r\n");
    int o = rig_accept(&r, 0);
    rig_sleep(&r, 1000);
    rig_expect_quiet(&r, c);
    rig_sleep(&r, 1001);
    told(c, "4", "the exchange took longer than the route allows");
    close(c);
    close(o);
    rig_stop(&r);
}

static int refuse(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    (void)f, (void)phase;
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("go away")) == PP_OK;
    return PP_REPLY;
}

PP_TEST_CASE(answers_of_filters_are_told_so_too)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = 1u << PP_PHASE_REQUEST;
    PP_REQUIRE(rig_start(&r, &conf));
    r.filter[0].run = refuse;
    int c = rig_connect(&r);
    rig_send(&r, c, CALL "Content-Length: 0\r\n\r\n");
    told(c, "7", "Forbidden");
    close(c);
    rig_stop(&r);
}

PP_TEST_MAIN()
