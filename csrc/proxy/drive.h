/* The conductor: what happens to an exchange from outside, at any time, changes its state here, and
 * the steps (proxy/step.h) go on from there. The states are drawn in proxy/exchange.h. */
#ifndef PP_PROXY_DRIVE_H
#define PP_PROXY_DRIVE_H

#include "proxy/exchange.h"

/* What connections tell their exchange; given to pp_exchange_new by the client side. */
extern const struct pp_exchange_events pp_drive_events;

#endif
