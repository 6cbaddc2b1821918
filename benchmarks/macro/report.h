/* What the generators of this folder take and give: their options, and the report they print. */
#ifndef MACRO_REPORT_H
#define MACRO_REPORT_H

#include <stdlib.h>
#include <string.h>

#include "histogram.h"

struct report {
    uint64_t failed, bytes;
    uint64_t resumed;         /* handshakes that went on with an earlier session */
    struct histogram latency; /* of what was answered */
};

struct options {
    int port, connections;
    double seconds;
    size_t size; /* of bodies or messages, in bytes */
};

/* One JSON object with the fields that load.c prints too. */
static inline void report_print(const struct report *r, uint64_t ns)
{
    printf("{\"requests\": %llu, \"errors\": {\"failed\": %llu}, \"seconds\": %.6f, "
           "\"bytes\": %llu, \"resumed\": %llu, ",
           (unsigned long long)r->latency.n, (unsigned long long)r->failed, (double)ns / 1e9,
           (unsigned long long)r->bytes, (unsigned long long)r->resumed);
    histogram_print("latency_us", &r->latency);
    printf("}\n");
}

/* Take the option <name> with its value <value>; 0 when there is none of that name. */
static inline int option_take(struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--port") == 0)
        o->port = atoi(value);
    else if (strcmp(name, "--seconds") == 0)
        o->seconds = atof(value);
    else if (strcmp(name, "--connections") == 0)
        o->connections = atoi(value);
    else if (strcmp(name, "--size") == 0)
        o->size = (size_t)atol(value);
    else
        return 0;
    return 1;
}

#endif
