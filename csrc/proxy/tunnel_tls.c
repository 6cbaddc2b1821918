/* TCP listeners that speak TLS: the handshake of a client comes first, so that whoever does not do
 * it costs no endpoint anything. And TLS towards endpoints, whatever the client speaks. */
#include "base/check.h"
#include "io/chan_tls.h"
#include "proxy/client_tls.h"
#include "proxy/down.h"
#include "proxy/hook.h"
#include "proxy/tunnel.h"
#include "proxy/up.h"

/* ---- clients ---- */

int pp_tunnel_tls_accept(struct pp_tunnel *t, struct pp_cluster *cl, uint64_t waited_ms)
{
    const struct pp_listener_conf *conf = t->door->conf;
    struct pp_chan *ch = &t->ch[PP_SIDE_DOWN];
    uint64_t ms = conf->header_timeout_ms;
    int rc = pp_chan_tls_accept(ch, conf->tls, NULL);
    if (rc != PP_OK)
        return rc;
    pp_chan_tls_expect_no_http(ch); /* who knows what is spoken inside */
    pp_cluster_ref(cl);
    t->next = cl;
    if (ms > 0)
        pp_tunnel_expect(t, ms > waited_ms ? ms - waited_ms : 1);
    return PP_OK;
}

static void fail(struct pp_tunnel *t, int rc)
{
    enum pp_fault_code code = rc == PP_ENOMEM                   ? PP_FAULT_NO_MEMORY
                              : rc == PP_ERESET || rc == PP_EIO ? PP_FAULT_CLIENT_ABORT
                                                                : PP_FAULT_BAD_REQUEST;
    /* Not with a reset, which would overtake the alert. */
    pp_tunnel_end(t, pp_fault_make(code, PP_SIDE_DOWN, false, rc), false);
}

static void count_handshake(struct pp_tunnel *t)
{
    struct pp_metrics *m = &t->core->metrics;
    if (t->tls->facts.resumed)
        PP_COUNT(m, t->record, LISTENER, TLS_RESUMED, 1);
    else
        PP_COUNT(m, t->record, LISTENER, TLS_FULL, 1);
}

int pp_tunnel_tls_shake(struct pp_tunnel *t)
{
    struct pp_chan *ch = &t->ch[PP_SIDE_DOWN];
    int rc = pp_chan_tls_handshake(ch);
    if (rc == PP_EAGAIN)
        return rc;
    if (rc == PP_OK) {
        t->tls = pp_client_tls_new(ch);
        rc = t->tls == NULL ? PP_ENOMEM : pp_hook_name_client(t->core, t->tls);
    } else {
        PP_COUNT(&t->core->metrics, t->record, LISTENER, TLS_FAILURES, 1);
    }
    if (rc != PP_OK) {
        fail(t, rc);
        return rc;
    }
    count_handshake(t);
    pp_chan_tls_flush(ch); /* with TLS 1.2 the client waits for it */
    pp_tunnel_expect(t, 0);
    return PP_OK;
}

void pp_tunnel_tls_expired(struct pp_tunnel *t)
{
    PP_COUNT(&t->core->metrics, t->record, LISTENER, TIMEOUTS, 1);
    pp_tunnel_end(t, pp_fault_make(PP_FAULT_HEADER_TIMEOUT, PP_SIDE_DOWN, false, PP_ETIMEDOUT),
                  false);
}

/* ---- endpoints ---- */

int pp_tunnel_tls_connect(struct pp_tunnel *t)
{
    struct pp_span agreed = t->tls != NULL ? t->tls->facts.alpn : PP_SPAN_NONE;
    char list[1 + UINT8_MAX]; /* of one (RFC 7301 section 3.1) */
    struct pp_span alpn = PP_SPAN_NONE;
    if (agreed.n > 0 && PP_EXPECT(agreed.n <= UINT8_MAX)) {
        list[0] = (char)(uint8_t)agreed.n;
        memcpy(list + 1, agreed.p, agreed.n);
        alpn = pp_span(list, 1 + agreed.n);
    }
    return pp_up_tls_open(&t->ch[PP_SIDE_UP], t->ep, &alpn);
}
