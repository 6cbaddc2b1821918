/* The opening handshake of WebSocket over HTTP/1 (RFC 6455 section 4): what a proxy needs that
 * makes one for a client whose protocol has none (RFC 8441). */
#ifndef PP_WIRE_WEBSOCKET_H
#define PP_WIRE_WEBSOCKET_H

#include "base/span.h"

#define PP_WEBSOCKET_KEY_BYTES 24
#define PP_WEBSOCKET_ACCEPT_BYTES 28

/* Sec-WebSocket-Key: the 16 bytes of <nonce>, as text at <dst>. */
void pp_websocket_key(const uint64_t nonce[2], char dst[PP_WEBSOCKET_KEY_BYTES]);
/* Sec-WebSocket-Accept, the answer to <key>. Of longer keys than pp_websocket_key makes, the
 * beginning counts. */
void pp_websocket_accept(struct pp_span key, char dst[PP_WEBSOCKET_ACCEPT_BYTES]);

#endif
