/* One line per exchange: a format compiled once, filled from the exchange, written to its sink in
 * batches.
 *
 * Format strings are text with {variables}; "{{" and "}}" are braces. JSON lines have a fixed set
 * of keys. Variables:
 *
 *   time                 2026-01-31T12:00:00.123Z, when the exchange ended
 *   client.address client.port
 *   request.method request.target request.path request.query request.host request.protocol
 * request.bytes request.header.NAME  first value of that field, "-" when absent response.status
 * response.bytes response.header.NAME listener route upstream endpoint upstream.status
 * upstream.attempts upstream.connect_ms upstream.first_byte_ms duration_ms          first byte of
 * the request to the end, with microseconds fault                machine-readable reason
 * (proxy/fault.h), "-" when all went well id                   number of the exchange in this
 * worker
 *   upstream.queue_ms    how long it has waited because of limits of the upstream
 *
 * Values are escaped: control characters, quotes, backslashes and bytes above 0x7e as \xHH (\u00HH
 * in JSON), so that no client can forge lines. A value longer than PP_ACCESSLOG_VALUE is cut. */
#ifndef PP_PROXY_ACCESSLOG_H
#define PP_PROXY_ACCESSLOG_H

#include "proxy/exchange.h"

#define PP_ACCESSLOG_VALUE 4096
#define PP_ACCESSLOG_LINE 32768 /* one line at most; the rest of it is cut */

struct pp_accesslog;

/* Compile a format into <arena>. <json>: <text> is ignored. *bad gets the offending variable on
 * PP_EINVAL. PP_OK, PP_EINVAL or PP_ENOMEM. */
int pp_accesslog_compile(struct pp_arena *arena, struct pp_span text, bool json,
                         const struct pp_accesslog **out, struct pp_span *bad) PP_MUST_USE;

/* Write the line of an exchange that has ended to its route's log, or else its listener's; nothing
 * when neither has one. */
void pp_accesslog_write(const struct pp_exchange *x);

/* What the line of a tunnel, or of a UDP session, is filled from. Of the variables, those of
 * requests and responses are absent, but: request.bytes (from the client), response.bytes (to the
 * client), request.protocol
 * ("TCP" or "UDP"), and of UDP upstream.first_byte_ms. */
struct pp_accesslog_tunnel {
    struct pp_sock_addr client;
    struct pp_span protocol; /* empty: TCP */
    struct pp_span listener, upstream, endpoint;
    uint64_t received, sent;                     /* bytes from and to the client */
    uint64_t start_us, connect_us, connected_us; /* 0: did not come to that */
    uint64_t sent_us, first_byte_us;             /* of UDP: the first datagram each way */
    unsigned attempts;
    struct pp_fault fault;
    const struct pp_client_tls *tls; /* agreed with the client; NULL: plain */
    uint64_t id;
};

/* Write the line of a tunnel that has ended to log <i> of <sn>, the snapshot that its listener is
 * of; nothing when that has no such log. */
void pp_accesslog_write_tunnel(struct pp_core *core, const struct pp_snapshot *sn, uint32_t i,
                               const struct pp_accesslog_tunnel *t);

#endif
