/* TLS towards endpoints: the handshake, which is part of connecting, and the sessions. */
#include "io/chan_tls.h"
#include "proxy/up.h"

int pp_up_tls_open(struct pp_up *up, bool only_h1)
{
    const struct pp_endpoint *ep = up->ep;
    struct pp_tls_client *tls = ep->cluster->conf.tls;
    if (tls == NULL)
        return PP_OK;
    int rc = pp_chan_tls_connect(&up->h.ch, tls, ep->host, ep->ticket, NULL);
    if (rc == PP_OK && only_h1)
        rc = pp_chan_tls_offer(&up->h.ch, PP_SPAN("\x08http/1.1"));
    return rc;
}

static void count_handshake(struct pp_up *up)
{
    struct pp_chan_tls_facts facts;
    pp_chan_tls_facts(&up->h.ch, &facts);
    struct pp_metrics *m = &up->h.core->metrics;
    if (facts.resumed)
        PP_COUNT(m, up->ep->cluster->record, UPSTREAM, TLS_RESUMED, 1);
    else
        PP_COUNT(m, up->ep->cluster->record, UPSTREAM, TLS_FULL, 1);
}

/* No byte of the exchange has been sent: another endpoint may be tried. */
int pp_up_tls_handshake(struct pp_up *up, struct pp_fault *f)
{
    if (!pp_chan_is_tls(&up->h.ch))
        return PP_OK;
    int rc = pp_chan_tls_handshake(&up->h.ch);
    if (rc == PP_OK) {
        count_handshake(up);
    } else if (rc != PP_EAGAIN) {
        PP_COUNT(&up->h.core->metrics, up->ep->cluster->record, UPSTREAM, TLS_FAILURES, 1);
        *f = pp_fault_make(PP_FAULT_UPSTREAM_TLS, PP_SIDE_UP, true, rc);
    }
    return rc;
}

void pp_up_tls_keep_ticket(struct pp_up *up)
{
    struct pp_endpoint *ep = up->ep;
    /* With TLS 1.3 the ticket comes after the handshake: mostly with the first answer. */
    if (!pp_chan_is_tls(&up->h.ch) || up->ticket_kept || !pp_chan_tls_is_open(&up->h.ch))
        return;
    up->ticket_kept = true;
    struct ssl_session_st *ticket = pp_chan_tls_ticket(&up->h.ch);
    if (ticket == NULL)
        return;
    pp_tls_client_free_ticket(ep->cluster->conf.tls, ep->ticket);
    ep->ticket = ticket;
}
