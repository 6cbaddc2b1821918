/* A worker that serves a folder of the test's own with the filter `static`. */
#ifndef PP_PROXY_STATIC_RIG_H
#define PP_PROXY_STATIC_RIG_H

#include "io/folder.h"
#include "proxy/refusal.h"
#include "proxy/rig.h"

struct static_rig {
    struct rig r;
    struct folder f;
    char options[512];
    int descriptors; /* of the process before the start */
};

static inline int static_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Options of `static`: the folder, and <more> (", \"next\": true"). */
static inline const char *static_options(struct static_rig *s, const char *more)
{
    snprintf(s->options, sizeof s->options, "{\"root\": \"%s\"%s}", s->f.path, more);
    return s->options;
}

static inline bool static_start(struct static_rig *s, struct rig_conf *conf, const char *more)
{
    s->descriptors = static_descriptors();
    conf->native[0].kind = "static";
    conf->native[0].options = static_options(s, more);
    return rig_start(&s->r, conf);
}

/* Nothing is left open. */
static inline void static_stop(struct static_rig *s)
{
    rig_stop(&s->r);
    PP_CHECK_EQ(static_descriptors(), s->descriptors);
    folder_remove(&s->f);
}

/* All that comes after <ask> until the connection ends: <ask> says Connection: close. */
static inline const char *static_ask(struct static_rig *s, const char *ask)
{
    static char heard[1 << 16];
    int ended, c = rig_connect(&s->r);
    rig_send(&s->r, c, ask);
    heard[rig_read(&s->r, c, heard, sizeof heard - 1, &ended)] = 0;
    PP_CHECK_EQ(ended, 0);
    close(c);
    rig_settle(&s->r);
    return heard;
}

/* The same for <path>, with fields ("If-Match: *\r\n"). */
static inline const char *static_get(struct static_rig *s, const char *method, const char *path,
                                     const char *fields)
{
    char ask[1024];
    snprintf(ask, sizeof ask, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n", method,
             path, fields);
    return static_ask(s, ask);
}

static inline int static_status(const char *heard)
{
    return strncmp(heard, "HTTP/1.1 ", 9) == 0 ? atoi(heard + 9) : 0;
}

/* What is behind the head. */
static inline const char *static_body(const char *heard)
{
    const char *body = strstr(heard, "\r\n\r\n");
    return body == NULL ? "?" : body + 4;
}

#endif
