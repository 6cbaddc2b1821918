/* The rig with a UDP door: clients are connected sockets, origins are bound ones. */
#ifndef PP_PROXY_RIG_UDP_H
#define PP_PROXY_RIG_UDP_H

#include "proxy/rig.h"

static struct rig r;

static inline struct rig_conf udp_defaults(void)
{
    struct rig_conf conf = rig_defaults();
    conf.udp = true;
    conf.listener.idle_timeout_ms = 30000;
    return conf;
}

static inline int udp_client(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    PP_CHECK_EQ(connect(fd, (struct sockaddr *)&r.at, sizeof r.at), 0);
    return fd;
}

static inline void udp_send(int fd, const char *text)
{
    PP_CHECK_EQ(send(fd, text, strlen(text), 0), strlen(text));
}

/* One datagram at <fd>; -1 when none comes. */
static inline ssize_t udp_take(int fd, char *p, size_t cap, struct sockaddr_in *from)
{
    uint64_t until = rig_real_ms() + RIG_WAIT_MS;
    do {
        socklen_t len = sizeof *from;
        ssize_t n = recvfrom(fd, p, cap, 0, (struct sockaddr *)from, &len);
        if (n >= 0)
            return n;
        rig_turn(&r, 1);
    } while (rig_real_ms() < until);
    return -1;
}

static inline struct sockaddr_in udp_expect_at(int fd, const char *text, const char *file, int line)
{
    static char got[70000];
    struct sockaddr_in from = {.sin_family = 0};
    ssize_t n = udp_take(fd, got, sizeof got, &from);
    pp_test_bytes(pp_span(got, n < 0 ? 0 : (size_t)n), pp_span(text, strlen(text)), "what came",
                  file, line);
    return from;
}
/* The next datagram at <fd> is exactly <text>; returns where it came from. */
#define udp_expect(fd, text) udp_expect_at((fd), (text), __FILE__, __LINE__)

static inline void udp_answer(unsigned origin, const char *text, const struct sockaddr_in *to)
{
    PP_CHECK_EQ(
        sendto(r.origin[origin], text, strlen(text), 0, (const struct sockaddr *)to, sizeof *to),
        strlen(text));
}

/* One question and its answer; returns the session's address. */
static inline struct sockaddr_in udp_talk(int c, unsigned origin, const char *q, const char *a)
{
    udp_send(c, q);
    struct sockaddr_in from = udp_expect(r.origin[origin], q);
    udp_answer(origin, a, &from);
    udp_expect(c, a);
    return from;
}

/* The rig with <origins> of them, and a client whose session is with the first, at *from. */
static inline int udp_begin(struct rig_conf *conf, unsigned origins, struct sockaddr_in *from)
{
    conf->origins = origins;
    PP_CHECK(rig_start(&r, conf));
    int c = udp_client();
    *from = udp_talk(c, 0, "q", "a");
    return c;
}

static inline struct pp_udp *udp_of_door(void)
{
    return r.w.doors == NULL ? NULL : r.w.doors->udp;
}

static inline struct pp_udp_flow *udp_flow(void)
{
    return PP_CONTAINER_OF(udp_of_door()->flows.next, struct pp_udp_flow, link);
}

/* End the sessions by their idle time, and see that nothing is left. */
static inline void udp_stop(int c)
{
    if (c >= 0)
        close(c);
    pp_worker_close_flows(&r.w);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_udp, 0);
    PP_CHECK_EQ(r.w.core.udp_slab.n_live, r.w.core.n_udp_spare);
    PP_CHECK_EQ(RIG_COUNT(&r, LISTENER, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, UPSTREAM, ACTIVE), 0);
    PP_CHECK_EQ(RIG_COUNT(&r, ENDPOINT, ACTIVE), 0);
    rig_stop(&r);
}

#endif
