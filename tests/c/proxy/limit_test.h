/* For tests of the filters that limit: a route that answers by itself behind one of them. */
#ifndef LIMIT_TEST_H
#define LIMIT_TEST_H

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig limit_rig;

static inline bool limit_start(const char *kind, const char *options, bool responds)
{
    struct rig_conf conf = rig_defaults();
    conf.native[0].kind = kind;
    conf.native[0].options = options;
    if (responds) {
        conf.route.action = PP_ROUTE_ACTION_RESPOND;
        conf.route.status = 200;
        conf.route.body = PP_SPAN("hi");
    }
    return rig_start(&limit_rig, &conf);
}

/* The next answer on <c>, head and body; borrowed until the next call. */
static inline const char *limit_hear(int c)
{
    static char got[8192];
    size_t n = 0;
    int end;
    got[0] = 0;
    while (strstr(got, "\r\n\r\n") == NULL && rig_read(&limit_rig, c, got + n, 1, &end) == 1)
        got[++n] = 0;
    const char *length = strstr(got, "Content-Length: ");
    if (length != NULL)
        n += rig_read(&limit_rig, c, got + n, strtoul(length + 16, NULL, 10), &end);
    got[n] = 0;
    return got;
}

static inline const char *limit_ask_as(int c, const char *key)
{
    char text[128];
    snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s%s\r\n\r\n", *key ? "X-Key: " : "",
             key);
    if (*key == 0)
        text[strlen(text) - 2] = 0;
    rig_send(&limit_rig, c, text);
    return limit_hear(c);
}

static inline unsigned limit_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(answer + 9, NULL, 10) : 0;
}

/* What a counter of the route stands at. */
#define limit_counted(word)                                                                        \
    (limit_rig.w.core.metrics                                                                      \
         .words[limit_rig.w.core.snapshot->route[1]->record + PP_METRIC_WORD(ROUTE, word)])

#endif
