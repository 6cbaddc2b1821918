/* A client of HTTP/2 that opens WebSockets (RFC 8441), and the origin's answers. */
#ifndef PP_PROXY_EXTENDED_CLIENT_H
#define PP_PROXY_EXTENDED_CLIENT_H

#include "h2_client.h"
#include "wire/websocket.h"

/* Extended CONNECT for <protocol> to /chat. */
static inline struct peer_stream *ext_ask(struct h2_client *c, const char *protocol, bool end)
{
    struct pp_http1_framing fr = {.body = PP_HTTP_BODY_NONE};
    struct peer_stream *t = peer_take(&c->p);
    PP_CHECK(t != NULL);
    if (t == NULL)
        return NULL;
    peer_fill(t, &t->m, NULL);
    t->m.method = PP_SPAN("CONNECT");
    t->m.method_id = PP_HTTP_CONNECT;
    t->m.protocol = peer_text(protocol);
    PP_CHECK_EQ(pp_http2_codec_send_request(c->p.h, &t->s, &t->m, PP_SPAN("https"),
                                            PP_SPAN("a.test"), PP_SPAN("/chat"), &fr, end),
                PP_OK);
    h2_step(c);
    return t;
}

/* The head that has come to <o>. */
static inline const char *ext_head(struct rig *r, int o)
{
    static char head[4096];
    size_t n = 0;
    int end;
    head[0] = '\0';
    while (n < sizeof head - 1 && strstr(head, "\r\n\r\n") == NULL &&
           rig_read(r, o, head + n, 1, &end) == 1)
        head[++n] = '\0';
    return head;
}

/* Take the request at <o> and switch, with <more> behind the head. */
static inline void ext_switch(struct rig *r, int o, const char *more)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    char accept[PP_WEBSOCKET_ACCEPT_BYTES], answer[512];
    const char *key = strstr(ext_head(r, o), name);
    PP_CHECK(key != NULL);
    if (key == NULL)
        return;
    pp_websocket_accept(pp_span(key + sizeof name - 1, PP_WEBSOCKET_KEY_BYTES), accept);
    snprintf(answer, sizeof answer,
             "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
             "Date: x\r\nSec-WebSocket-Accept: %.*s\r\n\r\n%s",
             (int)sizeof accept, accept, more);
    rig_send(r, o, answer);
}

static inline struct rig_conf ext_defaults(void)
{
    struct rig_conf conf = rig_defaults();
    conf.route.upgrade = PP_SPAN("websocket, foo/2");
    conf.listener.tunnel_idle_ms = 3600000;
    return conf;
}

#endif
