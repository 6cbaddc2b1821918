/* Connections that have not begun: what stands in front of their first byte, or in it, must be
 * known before it is clear who serves them. Listeners that ask for nothing of this kind never come
 * here.
 *
 *   accepted -> [HEADER] -> [HELLO] -> begins: HTTP (down.h), or a tunnel (tunnel.h)
 *        \_________\___________\-----> refused, late, or gone
 *
 * HEADER  a PROXY protocol header is due. Only from the listener's proxies; a connection from
 *         elsewhere is refused, or served as what it is, and its bytes are never taken for a
 * header. There is no guessing: from a proxy a header must come (proxy-protocol.txt section 2).
 * HELLO   the server name of a TLS ClientHello chooses the upstream.
 *
 * Both are looked at where they are, in the socket; the header's bytes are then taken, exactly
 * those, and the ClientHello's never are. So nothing is held here but the descriptor, and whoever
 * goes on finds the stream as if it had just been accepted, with the address that was announced.
 *
 * All of it has the listener's header timeout, counts against its limit of connections, and goes on
 * in a worker that drains: it lasts no longer than that timeout. */
#ifndef PP_PROXY_GREET_H
#define PP_PROXY_GREET_H

#include "io/listener.h"
#include "proxy/announced.h"
#include "proxy/down.h"

enum pp_greet_state { PP_GREET_HEADER = 0, PP_GREET_HELLO = 1, PP_GREET_ENDED = 2 };

/* Listener callback: a connection of <l>->owner, a struct pp_door whose configuration has a
 * <greet>. */
void pp_greet_accept(struct pp_listener *l, int fd, const struct sockaddr_storage *from);
/* Close every one of them. */
void pp_greet_close_all(struct pp_core *core);

#endif
