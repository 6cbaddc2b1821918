/* TLS towards clients: the handshake of a connection, and what it tells. */
#include "base/check.h"
#include "io/chan_tls.h"
#include "proxy/down.h"
#include "proxy/hook.h"

static int on_handshake(struct pp_chan *ch, int rc)
{
    struct pp_down *d = PP_CONTAINER_OF(ch, struct pp_down, h.ch);
    struct pp_metrics *m = &d->h.core->metrics;
    uint32_t record = d->door->conf->record;
    if (rc != PP_OK) {
        PP_COUNT(m, record, LISTENER, TLS_FAILURES, 1);
        return rc;
    }
    d->tls = pp_client_tls_new(ch);
    rc = d->tls == NULL ? PP_ENOMEM : pp_hook_name_client(d->h.core, d->tls);
    if (rc != PP_OK)
        return rc;
    if (d->tls->facts.resumed)
        PP_COUNT(m, record, LISTENER, TLS_RESUMED, 1);
    else
        PP_COUNT(m, record, LISTENER, TLS_FULL, 1);
    return PP_OK;
}

int pp_down_tls_open(struct pp_down *d)
{
    struct pp_tls_conf *conf = d->door->conf->tls;
    return conf == NULL ? PP_OK : pp_chan_tls_accept(&d->h.ch, conf, on_handshake);
}
