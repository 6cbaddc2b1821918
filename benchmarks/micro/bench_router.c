/* Nanoseconds per random lookup of the router, at the level of C.
 *
 *   bench_router [rounds]
 *
 * Prints one JSON object per route set: name, routes, ns (median over the rounds, with the smallest
 * and the largest), build_ms, bytes. Queries are made beforehand and read in the order of memory,
 * so that what is measured is the router's own memory, not the query list's; every answer is
 * checked. bench_router.py builds and runs this file. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/le.h"
#include "route/router.h"
#include "wire/http_msg.h"

enum { QUERIES = 1 << 17, ROUNDS_MAX = 101, TEXT_BYTES = 96, VERSIONS = 10 };

struct query {
    struct pp_router_query q;
    uint32_t want;
};

struct route_set {
    const char *name;
    uint32_t routes;
    uint32_t hosts; /* 0: routes name no host */
    bool headers;   /* each asks for one of VERSIONS values of a header */
    /* Write host and path of route <i> as a pattern (<query> 0) or as a request for it. */
    void (*write)(const struct route_set *set, uint32_t i, uint32_t query, char *host, char *path);
};

static void write_host(const struct route_set *set, uint32_t i, char *host)
{
    host[0] = 0;
    if (set->hosts)
        snprintf(host, TEXT_BYTES, "h%u.example.com", i % set->hosts);
}

/* One tree with many tails, as a table of tenants has. */
static void write_tenant(const struct route_set *set, uint32_t i, uint32_t query, char *host,
                         char *path)
{
    write_host(set, i, host);
    if (query)
        snprintf(path, TEXT_BYTES, "/v1/tenant%u/resource/%u", i, query % 100000);
    else
        snprintf(path, TEXT_BYTES, "/v1/tenant%u/resource/{id}", i);
}

/* The table of one application: some twenty collections with several actions each. */
static void write_rest(const struct route_set *set, uint32_t i, uint32_t query, char *host,
                       char *path)
{
    static const char *const noun[] = {"users",    "orders",  "items", "carts",    "payments",
                                       "invoices", "reports", "teams", "projects", "files",
                                       "events",   "alerts",  "roles", "tokens",   "webhooks",
                                       "audits",   "regions", "plans", "usage",    "search"};
    static const char *const form[] = {"/api/%s", "/api/%s/{id}", "/api/%s/{id}/history",
                                       "/api/%s/{id}/links/{link}", "/api/%s/export/*rest"};
    static const char *const asked[] = {"/api/%s", "/api/%s/%u", "/api/%s/%u/history",
                                        "/api/%s/%u/links/7", "/api/%s/export/2024/%u.csv"};
    write_host(set, i, host);
    if (query)
        snprintf(path, TEXT_BYTES, asked[i / 20 % 5], noun[i % 20], query % 100000);
    else
        snprintf(path, TEXT_BYTES, form[i / 20 % 5], noun[i % 20]);
}

/* One host for each route, each taking everything. */
static void write_site(const struct route_set *set, uint32_t i, uint32_t query, char *host,
                       char *path)
{
    write_host(set, i, host);
    snprintf(path, TEXT_BYTES, query ? "/index/page%u.html" : "/*", query);
}

/* A host has VERSIONS routes of one path, told apart by a header. */
static void write_versions(const struct route_set *set, uint32_t i, uint32_t query, char *host,
                           char *path)
{
    write_host(set, i / VERSIONS, host);
    snprintf(path, TEXT_BYTES, query ? "/api/page%u.html" : "/api/*", query);
}

/* The predicate `header.x-version equals "v<i>"`; lives until the end of the program. */
static const struct pp_predicate *make_predicate(uint32_t i)
{
    static const char name[] = "header.x-version";
    char program[64], value[16], why[PP_PREDICATE_WHY_BYTES], *at = program;
    int n = snprintf(value, sizeof(value), "v%u", i % VERSIONS);
    struct pp_predicate *p;
    *at++ = 'T';
    *at++ = PP_PREDICATE_EQUALS;
    pp_le_put(&at, sizeof(name) - 1, 4);
    memcpy(at, name, sizeof(name) - 1);
    at += sizeof(name) - 1;
    pp_le_put(&at, 1, 4);
    pp_le_put(&at, (uint64_t)n, 4);
    memcpy(at, value, (size_t)n);
    at += n;
    if (pp_predicate_new(pp_span(program, (size_t)(at - program)), NULL, 0, &p, why) != PP_OK) {
        fprintf(stderr, "%s\n", why);
        exit(1);
    }
    return p;
}

static int get_header(void *arg, const struct pp_variable *v, struct pp_span *out)
{
    const struct pp_http_field *f = pp_http_msg_find(arg, v->name);
    if (f == NULL)
        return PP_ENOENT;
    *out = pp_http_field_value(f);
    return PP_OK;
}

/* The head of a request as browsers send it, with the header that is asked for behind the others.
 */
static void make_message(struct pp_http_msg *m, uint32_t version)
{
    static const char *const name[] = {"User-Agent", "Accept", "Accept-Language", "Referer",
                                       "Connection", "Cookie", "X-Trace",         "X-Version"};
    static const char *const values[VERSIONS] = {"v0", "v1", "v2", "v3", "v4",
                                                 "v5", "v6", "v7", "v8", "v9"};
    pp_http_msg_init(m, NULL);
    for (size_t i = 0; i < PP_COUNT_OF(name); i++) {
        bool last = i + 1 == PP_COUNT_OF(name);
        (void)!pp_http_msg_add(m, pp_span(name[i], strlen(name[i])),
                               pp_http_tok_name(name[i], strlen(name[i])),
                               last ? pp_span(values[version], 2) : PP_SPAN("something"));
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t next_random(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*s >> 33);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct pp_router *build(const struct route_set *set, double *ms)
{
    char host[TEXT_BYTES], path[TEXT_BYTES], why[160];
    struct pp_router_draft *d = pp_router_draft_new();
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < set->routes; i++) {
        set->write(set, i, 0, host, path);
        int rc = pp_router_draft_add(d, pp_span(host, strlen(host)), pp_span(path, strlen(path)),
                                     PP_ROUTER_ANY_METHOD, 0, i, why);
        if (rc != PP_OK) {
            fprintf(stderr, "%s %s: %s\n", host, path, why);
            exit(1);
        }
        if (set->headers)
            pp_router_draft_set_predicate(d, make_predicate(i));
    }
    struct pp_router *r = pp_router_new(d);
    *ms = (double)(now_ns() - start) / 1e6;
    pp_router_draft_free(d);
    return r;
}

static struct pp_http_msg message[VERSIONS];
static struct pp_predicate_input input[VERSIONS];

static struct query *make_queries(const struct route_set *set, char **text)
{
    struct query *q = malloc(QUERIES * sizeof(*q));
    char *t = *text = malloc((size_t)QUERIES * 2 * TEXT_BYTES);
    uint64_t seed = 42;
    for (uint32_t i = 0; i < QUERIES; i++) {
        char host[TEXT_BYTES], path[TEXT_BYTES];
        uint32_t route = next_random(&seed) % set->routes;
        set->write(set, route, 1 + next_random(&seed) % 1000000, host, path);
        size_t host_n = strlen(host), path_n = strlen(path);
        memcpy(t, host, host_n);
        memcpy(t + host_n, path, path_n);
        q[i].q = (struct pp_router_query){pp_span(t, host_n), pp_span(t + host_n, path_n), 1,
                                          set->headers ? &input[route % VERSIONS] : NULL};
        q[i].want = route;
        t += host_n + path_n;
    }
    return q;
}

static void run(const struct route_set *set, int rounds)
{
    double ms, ns[ROUNDS_MAX];
    char *text;
    struct pp_router *r = build(set, &ms);
    struct query *q = make_queries(set, &text);
    for (int round = -1; round < rounds; round++) {
        uint32_t wrong = 0;
        uint64_t start = now_ns();
        for (uint32_t i = 0; i < QUERIES; i++) {
            struct pp_router_hit hit;
            pp_router_methods allowed;
            int rc = pp_router_find(r, &q[i].q, &hit, &allowed);
            wrong += rc != PP_OK || hit.route != q[i].want;
        }
        if (round >= 0) /* the first one warms up */
            ns[round] = (double)(now_ns() - start) / QUERIES;
        if (wrong) {
            fprintf(stderr, "%s: %u wrong answers\n", set->name, wrong);
            exit(1);
        }
    }
    qsort(ns, (size_t)rounds, sizeof(ns[0]), compare_doubles);
    printf("{\"set\": \"%s\", \"routes\": %u, \"ns\": %.1f, \"ns_min\": %.1f, \"ns_max\": %.1f, "
           "\"build_ms\": %.1f, "
           "\"bytes\": %zu}\n",
           set->name, set->routes, ns[rounds / 2], ns[0], ns[rounds - 1], ms, pp_router_bytes(r));
    fflush(stdout);
    free(q);
    free(text);
    pp_router_free(r);
}

int main(int argc, char **argv)
{
    for (uint32_t i = 0; i < VERSIONS; i++) {
        make_message(&message[i], i);
        input[i] = (struct pp_predicate_input){.get = get_header, .arg = &message[i]};
    }
    static const struct route_set sets[] = {
        {"catch-all", 1, 0, false, write_site},
        {"application", 100, 0, false, write_rest},
        {"application, one host", 100, 1, false, write_rest},
        {"tenants", 100, 0, false, write_tenant},
        {"tenants", 10000, 0, false, write_tenant},
        {"tenants", 100000, 0, false, write_tenant},
        {"tenants on 4 hosts", 100000, 4, false, write_tenant},
        {"a host each", 100, 100, false, write_site},
        {"a host each", 100000, 100000, false, write_site},
        {"hosts and headers", 100000, 100000 / VERSIONS, true, write_versions},
    };
    int rounds = argc > 1 ? atoi(argv[1]) : 11;
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        run(&sets[i], rounds);
    return 0;
}
