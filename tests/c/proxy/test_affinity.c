#include "proxy/affinity.c"

#include "proxy/rig.h"

#define GET_WITH(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static struct rig r;
static int client;

static bool begin(const char *policy, const char *cookie, const char *key)
{
    struct rig_conf conf = rig_defaults();
    struct pp_cluster_balance *b = &conf.cluster.balance;
    conf.origins = 3;
    conf.balance = policy;
    if (cookie != NULL) {
        b->sticky = (struct pp_variable){.kind = PP_VARIABLE_COOKIE, .name = rig_span(cookie)};
        b->sticky.hash = pp_variable_hash(b->sticky.name);
        b->attributes = PP_SPAN("; Path=/");
    }
    if (key != NULL)
        PP_CHECK_EQ(pp_variable_compile(rig_span(key), &b->key), PP_OK);
    bool ok = rig_start(&r, &conf);
    client = rig_connect(&r);
    return ok;
}

static void end(void)
{
    close(client);
    rig_settle(&r);
    rig_stop(&r);
}

static struct pp_cluster *cluster(void)
{
    return r.w.core.snapshot->cluster[0];
}

/* Send <request> on the client's connection; the number of the origin that got it and answered, 99:
 * none did. The head that the client got is in <head>. */
static char head[1024];

static unsigned ask(const char *request)
{
    unsigned to = 99;
    char text[1024];
    rig_send(&r, client, request);
    rig_settle(&r);
    for (unsigned i = 0; i < 3 && to == 99; i++) {
        int up = rig_try_accept(&r, i, 20);
        if (up < 0)
            continue;
        to = i;
        rig_settle(&r);
        PP_CHECK(recv(up, text, sizeof(text), 0) > 0);
        rig_send(&r, up, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        rig_settle(&r);
        ssize_t n = recv(client, head, sizeof(head) - 1, 0);
        PP_CHECK(n > 0);
        head[n > 0 ? n : 0] = '\0';
        close(up);
        rig_settle(&r);
    }
    return to;
}

/* Request of who has the cookie of endpoint <i>. */
static const char *with_cookie(uint32_t i)
{
    static char text[256];
    snprintf(text, sizeof(text), GET_WITH("Cookie: a=b; srv=%016" PRIx64 "\r\n"),
             pp_cluster_key(&cluster()->endpoint[i]));
    return text;
}

PP_TEST_CASE(the_first_answer_sets_a_cookie_that_leads_back)
{
    char want[128];
    if (!begin("round_robin", "srv", NULL))
        return;
    unsigned first = ask(GET_WITH(""));
    snprintf(want, sizeof(want), "set-cookie: srv=%016" PRIx64 "; Path=/\r\n",
             pp_cluster_key(&cluster()->endpoint[first]));
    PP_CHECK(strstr(head, want) != NULL);
    for (int k = 0; k < 5; k++) {
        PP_CHECK_EQ(ask(with_cookie(first)), first);
        PP_CHECK(strstr(head, "set-cookie") == NULL);
    }
    end();
}

PP_TEST_CASE(a_cookie_that_is_no_key_counts_as_none)
{
    static const char *const bad[] = {
        "Cookie: srv\r\n",
        "Cookie: srv=\r\n",
        "Cookie: srv=0123456789abcde\r\n",
        "Cookie: srv=0123456789abcdef0\r\n",
        "Cookie: srv=0123456789abcdeg\r\n",
        "Cookie: srv=0123456789ABCDEF\r\n",
        "Cookie: srv=0123456789abcdef\r\n", /* nobody's */
        "Cookie: srv=/123456789abcde:\r\n",
    };
    if (!begin("round_robin", "srv", NULL))
        return;
    for (unsigned i = 0; i < PP_COUNT_OF(bad); i++) {
        char text[256];
        snprintf(text, sizeof(text), GET_WITH("%s"), bad[i]);
        PP_CHECK_EQ(ask(text), i % 3);
        PP_CHECK(strstr(head, "set-cookie: srv=") != NULL);
    }
    end();
}

PP_TEST_CASE(who_drains_keeps_clients_and_who_is_out_loses_them)
{
    if (!begin("round_robin", "srv", NULL))
        return;
    struct pp_endpoint *ep = &cluster()->endpoint[1];
    pp_cluster_mark(ep, PP_CLUSTER_DRAIN, true);
    PP_CHECK_EQ(ask(with_cookie(1)), 1);
    PP_CHECK_EQ(ask(GET_WITH("")), 0);
    PP_CHECK_EQ(ask(GET_WITH("")), 2);
    pp_cluster_mark(ep, PP_CLUSTER_EJECTED, true);
    PP_CHECK(ask(with_cookie(1)) != 1);
    PP_CHECK(strstr(head, "set-cookie: srv=") != NULL);
    end();
}

PP_TEST_CASE(a_key_of_the_request_chooses)
{
    unsigned seen = 0;
    if (!begin("ring_hash", NULL, "header.x-user"))
        return;
    for (int user = 0; user < 12; user++) {
        char text[256];
        snprintf(text, sizeof(text), GET_WITH("X-User: u%d\r\n"), user);
        unsigned home = ask(text);
        PP_CHECK_EQ(ask(text), home);
        seen |= 1u << home;
    }
    PP_CHECK_EQ(seen, 7);
    PP_CHECK(strstr(head, "set-cookie") == NULL);
    end();
}

PP_TEST_CASE(requests_without_the_key_are_spread)
{
    unsigned seen = 0;
    if (!begin("maglev", NULL, "header.x-user"))
        return;
    for (int k = 0; k < 30; k++)
        seen |= 1u << ask(GET_WITH(""));
    PP_CHECK_EQ(seen, 7);
    end();
}

PP_TEST_CASE(answers_teach_how_long_an_endpoint_takes)
{
    if (!begin("peak_ewma", NULL, NULL))
        return;
    for (int k = 0; k < 12; k++)
        (void)ask(GET_WITH(""));
    for (int i = 0; i < 3; i++)
        PP_CHECK(cluster()->endpoint[i].ewma > 0);
    end();
}

PP_TEST_CASE(of_a_client_without_requests_its_address_is_hashed)
{
    if (!begin("maglev", NULL, NULL))
        return;
    struct pp_sock_addr a = {.family = AF_INET, .ip = {192, 0, 2, 1}, .port = 1};
    struct pp_sock_addr b = {.family = AF_INET, .ip = {192, 0, 2, 1}, .port = 2};
    struct pp_sock_addr c = {.family = AF_INET, .ip = {192, 0, 2, 2}, .port = 1};
    PP_CHECK_EQ(pp_affinity_client(cluster(), &a), pp_affinity_client(cluster(), &b));
    PP_CHECK(pp_affinity_client(cluster(), &a) != pp_affinity_client(cluster(), &c));
    PP_CHECK_EQ(pp_affinity_client(cluster(), &a), pp_hash(&hash_seed, PP_SPAN("192.0.2.1")));
    end();
    if (!begin("random", NULL, NULL))
        return;
    PP_CHECK_EQ(pp_affinity_client(cluster(), &a), 0);
    end();
}

PP_TEST_MAIN()
