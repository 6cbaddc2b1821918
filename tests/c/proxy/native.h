/* One native filter on a route that answers itself: ask, and look at the answer. */
#ifndef PP_PROXY_NATIVE_H
#define PP_PROXY_NATIVE_H

#include "proxy/refusal.h"
#include "proxy/rig.h"

static struct rig native_rig;

/* What a client hears that sends <lines> ("X-A: b\r\n") with <method> through <kind>, made of
 * <options>; "" when it cannot be started. */
static inline const char *native_ask(const char *kind, const char *options, const char *method,
                                     const char *lines)
{
    static char heard[4096];
    char ask[2048];
    struct rig_conf conf = rig_defaults();
    int ended;
    conf.native[0].kind = kind;
    conf.native[0].options = options;
    conf.route.action = PP_ROUTE_ACTION_RESPOND;
    conf.route.status = 200;
    heard[0] = 0;
    if (!rig_start(&native_rig, &conf))
        return heard;
    int c = rig_connect(&native_rig);
    snprintf(ask, sizeof ask, "%s / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method,
             lines);
    rig_send(&native_rig, c, ask);
    heard[rig_read(&native_rig, c, heard, sizeof heard - 1, &ended)] = 0;
    PP_CHECK_EQ(ended, 0);
    close(c);
    rig_settle(&native_rig);
    rig_stop(&native_rig);
    return heard;
}

/* The status of an answer; 0: none. */
static inline int native_status(const char *heard)
{
    return strncmp(heard, "HTTP/1.1 ", 9) == 0 ? atoi(heard + 9) : 0;
}

#endif
