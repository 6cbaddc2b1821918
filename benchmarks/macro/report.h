/* What the generators of this folder print: requests, failures, time, and latencies from a
 * histogram with 128 steps for each power of two (0.8 % resolution). */
#ifndef MACRO_REPORT_H
#define MACRO_REPORT_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { REPORT_BITS = 7, REPORT_BUCKETS = (64 - REPORT_BITS + 1) << REPORT_BITS };

struct report {
    uint64_t requests, failed, bytes;
    uint64_t resumed; /* handshakes that went on with an earlier session */
    uint64_t slowest_ns;
    uint64_t latency[REPORT_BUCKETS];
};

static inline uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline unsigned report_bucket(uint64_t ns)
{
    if (ns < (1u << REPORT_BITS))
        return (unsigned)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - REPORT_BITS;
    return (shift << REPORT_BITS) + (unsigned)(ns >> shift);
}

/* One request was answered, <ns> after it was sent. */
static inline void report_answer(struct report *r, uint64_t ns)
{
    r->requests++;
    r->latency[report_bucket(ns)]++;
    if (ns > r->slowest_ns)
        r->slowest_ns = ns;
}

/* Upper edge of the bucket of that quantile: never better than it was. */
static inline double report_quantile_us(const struct report *r, double q)
{
    uint64_t rank = (uint64_t)(q * (double)r->requests + 0.999999), seen = 0;
    for (unsigned i = 0; i < REPORT_BUCKETS; i++) {
        seen += r->latency[i];
        if (seen < rank || seen == 0)
            continue;
        unsigned shift = i < (2u << REPORT_BITS) ? 0 : (i >> REPORT_BITS) - 1;
        uint64_t top = (((uint64_t)i - ((uint64_t)shift << REPORT_BITS) + 1) << shift) - 1;
        return (double)(top < r->slowest_ns ? top : r->slowest_ns) / 1000.0;
    }
    return 0.0;
}

/* One JSON object with the fields that load.c prints too. */
static inline void report_print(const struct report *r, uint64_t ns)
{
    printf("{\"requests\": %llu, \"errors\": {\"failed\": %llu}, \"seconds\": %.6f, "
           "\"bytes\": %llu, \"resumed\": %llu, \"latency_us\": {\"p50\": %.3f, \"p90\": %.3f, "
           "\"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}}\n",
           (unsigned long long)r->requests, (unsigned long long)r->failed, (double)ns / 1e9,
           (unsigned long long)r->bytes, (unsigned long long)r->resumed, report_quantile_us(r, 0.5),
           report_quantile_us(r, 0.9), report_quantile_us(r, 0.99), report_quantile_us(r, 0.999),
           (double)r->slowest_ns / 1000.0);
}

#endif
