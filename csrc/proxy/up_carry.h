/* Connections to endpoints outlive the snapshot that they were made under.
 *
 * When another one is installed, connections that wait for requests go over to the endpoint of the
 * same upstream with the same address, if it would be spoken to in the same way; those that are
 * busy follow when they are at rest. What has nowhere to go is closed, and that is all that a
 * change of the configuration, or of the endpoints that were found, does to connections.
 *
 * The same way: the same protocol, and TLS with the same parameters towards the same name. */
#ifndef PP_PROXY_UP_CARRY_H
#define PP_PROXY_UP_CARRY_H

#include "proxy/snapshot.h"
#include "proxy/up.h"

/* <sn> has taken the place of <old>, which is another one. What cannot go over is closed,
 * or (HTTP/2) ends with its last stream. */
void pp_up_carry_all(struct pp_snapshot *old, struct pp_snapshot *sn);

/* <up> speaks HTTP/1, is of a cluster that was replaced, and has no exchange: make it one of the
 * installed snapshot. False: it has no place there. */
bool pp_up_carry(struct pp_up *up) PP_MUST_USE;

#endif
