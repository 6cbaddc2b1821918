/* TLS towards endpoints: the handshake, which is part of connecting, and the sessions. */
#include "io/chan_tls.h"
#include "proxy/up.h"

int pp_up_tls_open(struct pp_chan *ch, const struct pp_endpoint *ep, const struct pp_span *alpn)
{
    struct pp_tls_client *tls = ep->cluster->conf.tls;
    if (tls == NULL)
        return PP_OK;
    int rc = pp_chan_tls_connect(ch, tls, ep->host, ep->ticket, NULL);
    if (rc == PP_OK && alpn != NULL)
        rc = pp_chan_tls_offer(ch, *alpn);
    return rc;
}

static void count_handshake(const struct pp_chan *ch, const struct pp_cluster *cl)
{
    struct pp_chan_tls_facts facts;
    pp_chan_tls_facts(ch, &facts);
    if (facts.resumed)
        PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, TLS_RESUMED, 1);
    else
        PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, TLS_FULL, 1);
}

int pp_up_tls_handshake(struct pp_chan *ch, const struct pp_endpoint *ep)
{
    const struct pp_cluster *cl = ep->cluster;
    if (!pp_chan_is_tls(ch))
        return PP_OK;
    int rc = pp_chan_tls_handshake(ch);
    if (rc == PP_OK)
        count_handshake(ch, cl);
    else if (rc != PP_EAGAIN)
        PP_COUNT(&cl->core->metrics, cl->record, UPSTREAM, TLS_FAILURES, 1);
    return rc;
}

void pp_up_tls_keep_ticket(struct pp_chan *ch, struct pp_endpoint *ep, bool *kept)
{
    /* With TLS 1.3 the ticket comes after the handshake: mostly with the first answer. */
    if (!pp_chan_is_tls(ch) || *kept || !pp_chan_tls_is_open(ch))
        return;
    *kept = true;
    struct ssl_session_st *ticket = pp_chan_tls_ticket(ch);
    if (ticket == NULL)
        return;
    pp_tls_client_free_ticket(ep->cluster->conf.tls, ep->ticket);
    ep->ticket = ticket;
}
