/* The conductor: for each state of an exchange, the next step. The only file that knows the order
 * of things; the table of states is drawn in proxy/exchange.h. */
#ifndef PP_PROXY_DRIVE_H
#define PP_PROXY_DRIVE_H

#include "proxy/exchange.h"

/* What connections tell their exchange; given to pp_exchange_new by the client side. */
extern const struct pp_exchange_events pp_drive_events;

#endif
