/* Speed of the HTTP/1 head parser, framing rules and emitter on three heads of everyday shape.
 *
 *   cc -std=gnu11 -O2 -Icsrc -o bench_http1_head benchmarks/micro/bench_http1_head.c \
 *      csrc/wire/http_*.c csrc/wire/http1_*.c csrc/wire/uri.c csrc/base/*.c
 *   ./bench_http1_head [rounds]
 *
 * Prints the best of seven runs, in nanoseconds per head and MB (10^6 bytes) per second. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "wire/http1_emit.h"
#include "wire/http1_head.h"
#include "wire/http_rules.h"

#define RUNS 7

struct sample {
    const char *name;
    struct pp_span bytes;
    enum pp_http1_head_kind kind;
};

static const struct sample samples[] = {
    {"browser request",
     PP_SPAN(
         "GET /articles/2024/05/how-we-moved-the-mail?page=2&sort=newest HTTP/1.1\r\n"
         "Host: www.example.com\r\n"
         "Connection: keep-alive\r\n"
         "sec-ch-ua: \"Chromium\";v=\"124\", \"Google Chrome\";v=\"124\", "
         "\"Not-A.Brand\";v=\"99\"\r\n"
         "sec-ch-ua-mobile: ?0\r\n"
         "sec-ch-ua-platform: \"Linux\"\r\n"
         "Upgrade-Insecure-Requests: 1\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/124.0.0.0 Safari/537.36\r\n"
         "Accept: "
         "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
         "Sec-Fetch-Site: same-origin\r\n"
         "Sec-Fetch-Mode: navigate\r\n"
         "Sec-Fetch-User: ?1\r\n"
         "Sec-Fetch-Dest: document\r\n"
         "Accept-Encoding: gzip, deflate, br, zstd\r\n"
         "Accept-Language: en-GB,en;q=0.9\r\n"
         "Cookie: sid=9f1c0a8b7d6e5f4a3b2c1d0e; theme=dark\r\n"
         "\r\n"),
     PP_HTTP1_REQUEST},
    {"service request",
     PP_SPAN("POST /v1/orders/8812/items HTTP/1.1\r\n"
             "Host: orders.internal:8080\r\n"
             "Accept: application/json\r\n"
             "Content-Type: application/json\r\n"
             "Content-Length: 187\r\n"
             "Authorization: Bearer 0b6f2c51e2d94c5aa4a4f0f3b7f0c0de\r\n"
             "X-Request-Id: 5b1f8a34-2f0e-4bb0-9a53-1c6c0b5f3c11\r\n"
             "X-Tenant: north-7\r\n"
             "User-Agent: orders-client/3.2\r\n"
             "\r\n"),
     PP_HTTP1_REQUEST},
    {"response",
     PP_SPAN("HTTP/1.1 200 OK\r\n"
             "Server: nginx\r\n"
             "Date: Tue, 14 May 2024 09:12:44 GMT\r\n"
             "Content-Type: text/html; charset=utf-8\r\n"
             "Content-Length: 48211\r\n"
             "Connection: keep-alive\r\n"
             "Vary: Accept-Encoding\r\n"
             "Cache-Control: public, max-age=300\r\n"
             "ETag: \"66432a8c-bc53\"\r\n"
             "Accept-Ranges: bytes\r\n"
             "\r\n"),
     PP_HTTP1_RESPONSE},
};

static const struct pp_http1_limits limits = {61440, 16384, 8192, 100};

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void parse(const struct sample *s, struct pp_arena *arena, struct pp_http_msg *m)
{
    struct pp_http1_head h;
    size_t used;

    pp_http_msg_init(m, arena);
    pp_http1_head_init(&h, s->kind);
    if (pp_http1_head_feed(&h, s->bytes.p, s->bytes.n, &limits, m, &used) != PP_OK ||
        used != s->bytes.n) {
        fprintf(stderr, "%s: the parser refuses it\n", s->name);
        exit(1);
    }
}

static void rules(const struct sample *s, struct pp_http_msg *m)
{
    bool declared;
    int rc = s->kind == PP_HTTP1_REQUEST ? pp_http_rules_request(m)
                                         : pp_http_rules_response(m, PP_HTTP_GET, &declared);

    if (rc != PP_OK) {
        fprintf(stderr, "%s: the rules refuse it\n", s->name);
        exit(1);
    }
}

static void emit(const struct sample *s, const struct pp_http_msg *m)
{
    static char out[8192];
    struct pp_http1_framing fr = {.body = m->body, .content_length = m->content_length};
    size_t n;
    int rc = s->kind == PP_HTTP1_REQUEST
                 ? pp_http1_emit_request(out, sizeof(out), m, m->target, m->authority, &fr, &n)
                 : pp_http1_emit_response(out, sizeof(out), m, &fr, &n);

    if (rc != PP_OK) {
        exit(1);
    }
    __asm__ volatile("" : : "r"(out) : "memory");
}

enum step { PARSE, PARSE_RULES, RULES, EMIT };

static double best_ns(const struct sample *s, enum step step, long rounds)
{
    static char block[4096];
    struct pp_arena arena;
    struct pp_http_msg m;
    double best = 1e9;

    pp_arena_init(&arena, block, sizeof(block), 1 << 20);
    parse(s, &arena, &m);
    rules(s, &m);
    for (int run = 0; run < RUNS; run++) {
        double from = seconds(), took;
        for (long i = 0; i < rounds; i++) {
            if (step == PARSE || step == PARSE_RULES) {
                parse(s, &arena, &m);
            }
            if (step == PARSE_RULES || step == RULES) {
                rules(s, &m);
            }
            if (step == EMIT) {
                emit(s, &m);
            }
            __asm__ volatile("" : : "r"(&m) : "memory");
        }
        took = (seconds() - from) / (double)rounds * 1e9;
        best = PP_MIN(best, took);
    }
    pp_arena_fini(&arena);
    return best;
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"parse", "parse+rules", "rules", "emit"};
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 200000;

    printf("%-16s %6s  %-12s %9s %9s\n", "head", "bytes", "step", "ns", "MB/s");
    for (size_t i = 0; i < PP_COUNT_OF(samples); i++) {
        for (int step = PARSE; step <= EMIT; step++) {
            double ns = best_ns(&samples[i], (enum step)step, PP_MAX(rounds, 1));
            printf("%-16s %6zu  %-12s %9.1f %9.0f\n", samples[i].name, samples[i].bytes.n,
                   names[step], ns, (double)samples[i].bytes.n * 1e3 / ns);
        }
    }
    return 0;
}
