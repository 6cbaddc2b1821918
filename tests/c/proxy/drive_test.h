/* What the tests of the driver and its steps play with: filters that do one thing in one phase, and
 * the beginnings of exchanges. */
#ifndef PP_PROXY_DRIVE_TEST_H
#define PP_PROXY_DRIVE_TEST_H

#include "proxy/rig.h"

#define ALL_PHASES ((1u << PP_PHASE_COUNT) - 1)
#define BODY_PHASES (1u << PP_PHASE_REQUEST_BODY | 1u << PP_PHASE_RESPONSE_BODY)
#define BIT(phase) (1u << PP_PHASE_##phase)

static struct rig r;
static enum pp_phase wanted; /* the phase in which filters below do something */

PP_UNUSED static const char chunked_post[] =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
PP_UNUSED static const char chunked_got[] =
    "POST / HTTP/1.1\r\nHost: a\r\n" RIG_FWD "Transfer-Encoding: chunked\r\n\r\n";
PP_UNUSED static const char chunked_ok[] =
    "HTTP/1.1 200 OK\r\n" RIG_DATE "Transfer-Encoding: chunked\r\n\r\n";

/* Phases of an exchange in which nothing fails, without those of bodies. */
PP_UNUSED static const enum pp_phase request_phases[] = {
    PP_PHASE_EARLY_REQUEST,    PP_PHASE_REQUEST,
    PP_PHASE_UPSTREAM_PEER,    PP_PHASE_CONNECTED,
    PP_PHASE_UPSTREAM_REQUEST, PP_PHASE_UPSTREAM_RESPONSE,
    PP_PHASE_RESPONSE,         PP_PHASE_LOG};

/* ---- filters ---- */

PP_UNUSED static int park_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    return phase == wanted && f->runs[phase] == 1 ? PP_PARK : PP_NEXT;
}

PP_UNUSED static int reply_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    if (phase != wanted || f->runs[phase] > 1)
        return PP_NEXT;
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
    return PP_REPLY;
}

/* As Python does when a filter raises. */
PP_UNUSED static int fail_there(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase)
{
    if (phase != wanted || f->runs[phase] > 1)
        return PP_NEXT;
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
    return PP_REPLY;
}

PP_UNUSED static int keep_piece(struct rig_filter *f, struct pp_span piece)
{
    memcpy(f->mem, piece.p, piece.n);
    f->n = piece.n;
    return PP_PARK;
}

PP_UNUSED static int park_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                               struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    return keep_piece(f, piece);
}

PP_UNUSED static int park_wanted_body(struct rig_filter *f, struct pp_exchange *x,
                                      enum pp_phase phase, struct pp_span piece, bool last,
                                      struct pp_span *out)
{
    *out = piece;
    return phase == wanted ? keep_piece(f, piece) : PP_NEXT;
}

PP_UNUSED static int upper_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                                struct pp_span piece, bool last, struct pp_span *out)
{
    for (size_t i = 0; i < piece.n; i++)
        f->mem[i] = (char)(piece.p[i] >= 'a' && piece.p[i] <= 'z' ? piece.p[i] - 32 : piece.p[i]);
    *out = pp_span(f->mem, piece.n);
    return PP_NEXT;
}

PP_UNUSED static int drop_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                               struct pp_span piece, bool last, struct pp_span *out)
{
    *out = last ? PP_SPAN("!") : PP_SPAN_NONE;
    return PP_NEXT;
}

PP_UNUSED static int fail_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                               struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    if (phase != wanted)
        return PP_NEXT;
    pp_exchange_fault(x, pp_fault_make(PP_FAULT_FILTER_ERROR, PP_SIDE_DOWN, false, PP_OK));
    return PP_REPLY;
}

/* As ExchangeView.reply in a request body filter. */
PP_UNUSED static int reply_body(struct rig_filter *f, struct pp_exchange *x, enum pp_phase phase,
                                struct pp_span piece, bool last, struct pp_span *out)
{
    *out = piece;
    if (phase != wanted)
        return PP_NEXT;
    x->replied = pp_exchange_reply(x, 403, PP_SPAN("no")) == PP_OK;
    return PP_REPLY;
}

PP_UNUSED static struct pp_span kept(void)
{
    return pp_span(r.filter[0].mem, r.filter[0].n);
}

/* ---- whole exchanges ---- */

/* The rig with the usual configuration, its first filter bound to <phases>. */
PP_UNUSED static bool start(uint32_t phases)
{
    struct rig_conf conf = rig_defaults();
    conf.phases = phases;
    return rig_start(&r, &conf);
}

/* A client whose RIG_GET has come to an origin, *o. */
PP_UNUSED static int get(int *o)
{
    int c = rig_connect(&r);
    rig_send(&r, c, RIG_GET);
    *o = rig_accept(&r, 0);
    rig_expect(&r, *o, RIG_GOT);
    return c;
}

/* A client whose RIG_GET has come to the phase <wanted>, answered by an origin where that comes
 * before it: *o, or -1. */
PP_UNUSED static int get_until_wanted(int *o)
{
    int c;
    if (wanted >= PP_PHASE_UPSTREAM_RESPONSE) {
        c = get(o);
        rig_send(&r, *o, RIG_HI);
    } else {
        *o = -1;
        c = rig_connect(&r);
        rig_send(&r, c, RIG_GET);
    }
    rig_settle(&r);
    return c;
}

PP_UNUSED static void stop_all(int c, int o)
{
    if (c >= 0)
        close(c);
    if (o >= 0)
        close(o);
    rig_settle(&r);
    PP_CHECK_EQ(r.w.core.n_exchange, 0);
    rig_stop(&r);
}

#endif
