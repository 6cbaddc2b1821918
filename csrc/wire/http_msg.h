/* The neutral message head: what HTTP/1 and HTTP/2 both become before any rule sees them, and the
 * only thing from which a message is ever sent.
 *
 * Fields are spans into the connection's input buffer or into the exchange's arena. Both live as
 * long as the exchange; when an input buffer moves, pp_http_msg_rebase mends the spans. Field names
 * keep the case in which they came; lookups fold. Removing a field only marks it, so that the
 * others do not move. */
#ifndef PP_WIRE_HTTP_MSG_H
#define PP_WIRE_HTTP_MSG_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/http_tok.h"

struct pp_http_field {
    const char *name;
    const char *value;
    uint32_t value_n;
    uint16_t name_n;
    uint8_t id;    /* enum pp_http_name */
    uint8_t flags; /* PP_HTTP_FIELD_* */
};

enum {
    PP_HTTP_FIELD_REMOVED = 1 << 0, /* not there any more, for every reader */
    PP_HTTP_FIELD_HOP = 1 << 1, /* hop-by-hop: readable, never forwarded (RFC 9110 section 7.6.1) */
    PP_HTTP_FIELD_SECRET = 1 << 2 /* sent so that HPACK never indexes it; goes on so (RFC 7541
                                     section 6.2.3) */
};

/* How a body is delimited (RFC 9112 section 6.3). */
enum pp_http_body {
    PP_HTTP_BODY_NONE = 0,
    PP_HTTP_BODY_LENGTH = 1,
    PP_HTTP_BODY_CHUNKED = 2,
    PP_HTTP_BODY_CLOSE = 3 /* until the connection ends; responses only */
};

#define PP_HTTP_MSG_INLINE 24

struct pp_http_msg {
    struct pp_arena *arena; /* for fields past the inline ones and for values that filters write */
    struct pp_http_field *field;
    uint32_t n_field, cap_field;
    uint64_t seen;  /* bit per enum pp_http_name: may be present (never clear while one is) */
    uint64_t twice; /* bit per enum pp_http_name: may be present more than once */

    /* request */
    struct pp_span method; /* the token as it came */
    struct pp_span target; /* as it came */
    struct pp_span scheme; /* absolute-form and HTTP/2 only, else empty */
    struct pp_span
        authority; /* effective host[:port] after pp_http_rules_request; may be empty (HTTP/1.0) */
    struct pp_span
        path; /* of the target, without the query; "*" for OPTIONS *, empty for CONNECT */
    struct pp_span query;    /* after '?', without it; query.p is NULL when there is no '?' */
    struct pp_span protocol; /* HTTP/2 extended CONNECT (RFC 8441): its :protocol, else empty */
    /* response */
    struct pp_span reason;
    uint16_t status;

    uint8_t method_id; /* enum pp_http_method */
    uint8_t major;     /* 1 or 2 */
    uint8_t minor;     /* HTTP/1.minor; 1 in HTTP/2, so that `minor > 0` means "not HTTP/1.0" */
    /* filled by pp_http_rules_* */
    uint8_t body;            /* enum pp_http_body; CHUNKED in HTTP/2: of unknown length */
    bool keep_alive;         /* what the sender of this message wants */
    bool expect_continue;    /* request: waits for 100 (RFC 9110 section 10.1.1) */
    bool upgrade;            /* Connection names upgrade and Upgrade is present */
    bool te_trailers;        /* request: TE: trailers */
    bool end_follows;        /* HTTP/2: LENGTH 0, but its end is yet to come, maybe with trailers */
    uint64_t content_length; /* PP_HTTP_BODY_LENGTH only */

    struct pp_http_field inline_field[PP_HTTP_MSG_INLINE];
};

/* Empty message whose growth comes from <arena>. Does not touch the inline fields' storage. */
void pp_http_msg_init(struct pp_http_msg *m, struct pp_arena *arena);

/* Append a field of borrowed bytes. PP_OK or PP_ENOMEM. The caller has checked the syntax; <name>
 * has at most 65535 bytes and <id> is its id (pp_http_tok_name). */
int pp_http_msg_add(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id,
                    struct pp_span value) PP_MUST_USE;

/* Make room for at least one more field. PP_OK or PP_ENOMEM. For the parser, which fills fields in
 * place. */
int pp_http_msg_grow(struct pp_http_msg *m) PP_MUST_USE;

/* First live field of that name, or NULL. `_id` is for listed names (PP_NAME_OTHER finds nothing)
 * and quick when the name is absent. */
struct pp_http_field *pp_http_msg_find_id(const struct pp_http_msg *m, enum pp_http_name id);
struct pp_http_field *pp_http_msg_find(const struct pp_http_msg *m, struct pp_span name);
/* Next live field of the same name after <f>, or NULL. */
struct pp_http_field *pp_http_msg_find_next(const struct pp_http_msg *m,
                                            const struct pp_http_field *f);

/* Set a field to one value: replaces the value of the first, removes the rest, appends when absent.
 * Bytes are borrowed (dup them into the arena first when they are not stable). The field set is
 * end-to-end, even when the one it replaces was hop-by-hop. PP_OK or PP_ENOMEM. */
int pp_http_msg_set(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id,
                    struct pp_span value) PP_MUST_USE;
/* Remove every field of that name; returns how many live ones there were. */
unsigned pp_http_msg_remove(struct pp_http_msg *m, struct pp_span name, enum pp_http_name id);

/* The bytes [old, old + n) now live at <to>: move every span that points into them. <old> may be
 * freed already. */
void pp_http_msg_rebase(struct pp_http_msg *m, const char *old, size_t n, const char *to);

static inline struct pp_span pp_http_field_name(const struct pp_http_field *f)
{
    return pp_span(f->name, f->name_n);
}
static inline struct pp_span pp_http_field_value(const struct pp_http_field *f)
{
    return pp_span(f->value, f->value_n);
}
static inline bool pp_http_field_is_live(const struct pp_http_field *f)
{
    return !(f->flags & PP_HTTP_FIELD_REMOVED);
}

/* HTTP/1.0: without chunked coding, interim responses and Expect. */
static inline bool pp_http_msg_is_1_0(const struct pp_http_msg *m)
{
    return m->major == 1 && m->minor == 0;
}

#endif
