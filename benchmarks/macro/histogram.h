/* The clock of the generators, and what they note times in: a histogram with 128 steps for each
 * power of two (0.8 % resolution). */
#ifndef MACRO_HISTOGRAM_H
#define MACRO_HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

enum { HISTOGRAM_BITS = 7, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

/* All zero: empty. */
struct histogram {
    uint64_t n, max_ns;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline void histogram_add(struct histogram *h, uint64_t ns)
{
    unsigned at = (unsigned)ns;
    if (ns >= (1u << HISTOGRAM_BITS)) {
        unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - HISTOGRAM_BITS;
        at = (shift << HISTOGRAM_BITS) + (unsigned)(ns >> shift);
    }
    h->bucket[at]++;
    h->n++;
    if (ns > h->max_ns)
        h->max_ns = ns;
}

/* Upper edge of the bucket of that quantile: never better than it was. 0 when empty. */
static inline double histogram_us(const struct histogram *h, double quantile)
{
    uint64_t rank = (uint64_t)(quantile * (double)h->n + 0.999999), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen < rank || seen == 0)
            continue;
        unsigned shift = i < (2u << HISTOGRAM_BITS) ? 0 : (i >> HISTOGRAM_BITS) - 1;
        uint64_t top = (((uint64_t)i - ((uint64_t)shift << HISTOGRAM_BITS) + 1) << shift) - 1;
        return (double)(top < h->max_ns ? top : h->max_ns) / 1000.0;
    }
    return 0.0;
}

/* A member of a JSON object: "name": {"p50": ..., "max": ...}, in microseconds. */
static inline void histogram_print(const char *name, const struct histogram *h)
{
    printf("\"%s\": {\"p50\": %.3f, \"p75\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p999\": %.3f, "
           "\"max\": %.3f}",
           name, histogram_us(h, 0.5), histogram_us(h, 0.75), histogram_us(h, 0.9),
           histogram_us(h, 0.99), histogram_us(h, 0.999), (double)h->max_ns / 1000.0);
}

#endif
