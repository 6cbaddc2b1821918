#include "proxy/accesslog.c"

#include "proxy/rig.h"

static struct rig r;

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

static char line_of_log[PP_ACCESSLOG_LINE + 1];

/* The line that <sent>, answered with RIG_HI when it reaches the origin, leaves behind. */
static const char *logged(const char *format, const char *sent)
{
    struct rig_conf conf = rig_defaults();
    int fd[2], end;
    char got[4096];
    PP_CHECK(pipe(fd) == 0);
    conf.log = format;
    conf.log_fd = fd[1];
    if (!rig_start(&r, &conf))
        return "";
    int c = rig_connect(&r);
    rig_send(&r, c, sent);
    int o = rig_try_accept(&r, 0, 200);
    if (o >= 0)
        rig_send(&r, o, RIG_HI);
    shutdown(c, SHUT_WR);
    rig_read(&r, c, got, sizeof got, &end);
    pp_worker_flush_logs(&r.w);
    fcntl(fd[0], F_SETFL, O_NONBLOCK);
    ssize_t n = read(fd[0], line_of_log, sizeof line_of_log - 1);
    line_of_log[n > 0 ? n : 0] = '\0';
    stop_all(c, o);
    close(fd[0]);
    close(fd[1]);
    return line_of_log;
}

#define CLOSING "GET /x?y=1 HTTP/1.1\r\nHost: A.b:80\r\nX-A: q\"\\\x80\r\nConnection: close\r\n\r\n"

PP_TEST_CASE(lines_are_filled_from_the_exchange)
{
    PP_CHECK(
        strcmp(
            logged(
                "{request.method} {request.target} {request.path} {request.query} {request.host} "
                "{request.protocol} {request.bytes}",
                CLOSING),
            "GET /x?y=1 /x y=1 A.b:80 HTTP/1.1 0\n") == 0);
    PP_CHECK(strcmp(logged("{response.status} {response.bytes} {listener} {route} {upstream} "
                           "{upstream.status} "
                           "{upstream.attempts} {fault} {client.address} {id}",
                           CLOSING),
                    "200 2 door main up 200 1 - 127.0.0.1 1\n") == 0);
    PP_CHECK(strcmp(logged("{{{response.header.content-length}}}", CLOSING), "{2}\n") == 0);
}

PP_TEST_CASE(what_clients_send_is_escaped)
{
    PP_CHECK(strcmp(logged("[{request.header.X-A}] {request.header.none}", CLOSING),
                    "[q\\x22\\x5c\\x80] -\n") == 0);
}

PP_TEST_CASE(faults_are_named)
{
    PP_CHECK(
        strcmp(
            logged("{response.status} {fault} {upstream} {upstream.status} {upstream.connect_ms}",
                   "GET / HTTP/1.1\r\n\r\n"),
            "400 host_missing - - -\n") == 0);
}

PP_TEST_CASE(json_lines_are_objects)
{
    const char *text = logged("json", CLOSING);
    PP_CHECK(strncmp(text, "{\"time\":\"20", 11) == 0);
    PP_CHECK(strstr(text, ",\"method\":\"GET\",\"host\":\"A.b:80\",\"target\":\"/x?y=1\",") !=
             NULL);
    PP_CHECK(strstr(text, ",\"status\":200,\"response_bytes\":2,") != NULL);
    PP_CHECK(strstr(text, ",\"fault\":null,\"id\":1,\"upstream_queue_ms\":null}\n") != NULL);
}

/* Nothing at all is a span without an address, which memcpy must not see. */
PP_TEST_CASE(a_request_without_host_is_logged_with_an_empty_one)
{
    PP_CHECK(strstr(logged("json", "GET / HTTP/1.0\r\n\r\n"), ",\"host\":\"\",") != NULL);
}

PP_TEST_CASE(times_have_their_form)
{
    const char *text =
        logged("{time} {duration_ms} {upstream.connect_ms} {upstream.first_byte_ms}", CLOSING);
    unsigned v[6], d[6];
    int n = 0;
    PP_CHECK_EQ(sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %u.%3u %u.%3u %u.%3u\n%n", &v[0], &v[1],
                       &v[2], &v[3], &v[4], &v[5], &d[0], &d[1], &d[2], &d[3], &d[4], &d[5], &d[0],
                       &n),
                13);
    PP_CHECK(n > 24 && text[n] == '\0' && v[0] > 2000);
}

PP_TEST_CASE(long_values_are_cut_and_lines_end)
{
    static char sent[40000];
    size_t n = (size_t)sprintf(sent, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for (int i = 0; i < 2; i++)
        n += (size_t)sprintf(sent + n, "X-%d: %015000d\r\n", i, 0);
    memcpy(sent + n, "\r\n", 3);
    const char *text = logged("{request.header.X-0}", sent);
    PP_CHECK_EQ(strlen(text), PP_ACCESSLOG_VALUE + 1);
    memset(strstr(sent, "X-0: ") + 5, 0x80, 15000);
    memset(strstr(sent, "X-1: ") + 5, 0x80, 15000);
    text = logged("{request.header.X-0}{request.header.X-1}{request.header.X-1}", sent);
    PP_CHECK(strlen(text) < PP_ACCESSLOG_LINE && strlen(text) > PP_ACCESSLOG_LINE - 10);
    PP_CHECK(text[strlen(text) - 1] == '\n');
}

PP_TEST_CASE(unknown_variables_and_unbalanced_braces_are_refused)
{
    static const char *const bad[] = {
        "{nope}",          "{", "x{time", "}", "{}", "{request.header.}", "{request.header.a b}",
        "{response.header"};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        struct pp_arena arena;
        const struct pp_accesslog *log;
        struct pp_span wrong;
        pp_arena_init(&arena, NULL, 0, SIZE_MAX);
        PP_CHECK_EQ(pp_accesslog_compile(&arena, rig_span(bad[i]), false, &log, &wrong), PP_EINVAL);
        pp_arena_fini(&arena);
    }
}

PP_TEST_MAIN()
