#include "wire/clienthello.h"

#define RECORD_HANDSHAKE 22
#define RECORD_HEADER 5
#define RECORD_BYTES 16384 /* of one plain record (RFC 8446 section 5.1) */
#define CLIENT_HELLO 1
#define MESSAGE_HEADER 4
#define RANDOM_BYTES 32
#define ID_BYTES 32 /* legacy_session_id */
#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ALPN 16
#define NAME_HOST 0

const char pp_clienthello_unrecognized_name[PP_CLIENTHELLO_ALERT_BYTES] = {21, 3, 3, 0, 2, 2, 112};

static unsigned get16(const char *p)
{
    return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* ---- vectors (RFC 8446 section 3.4) ---- */

/* Take <n> bytes off the front of *rest. */
static bool take(struct pp_span *rest, size_t n, struct pp_span *out)
{
    if (rest->n < n)
        return false;
    *out = pp_span(rest->p, n);
    *rest = pp_span(rest->p + n, rest->n - n);
    return true;
}

/* Take a vector of at least <least> bytes, whose length is in its first one or two. False: *rest is
 * as it was. */
static bool take_vector(struct pp_span *rest, unsigned length_bytes, size_t least,
                        struct pp_span *out)
{
    struct pp_span left = *rest, length;
    if (!take(&left, length_bytes, &length))
        return false;
    size_t n = length_bytes == 1 ? (unsigned char)length.p[0] : get16(length.p);
    if (n < least || !take(&left, n, out))
        return false;
    *rest = left;
    return true;
}

/* ---- extensions ---- */

static bool is_host_name(struct pp_span s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = pp_span_lower((unsigned char)s.p[i]);
        bool inside =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        if (!inside)
            return false;
    }
    return s.n <= PP_CLIENTHELLO_NAME_BYTES && s.p[0] != '.';
}

/* One name of one kind: no other kind was ever defined, and no kind may stand there twice. */
static int read_server_name(struct pp_span data, struct pp_clienthello *out)
{
    struct pp_span list, type, name;
    if (!take_vector(&data, 2, 1, &list) || data.n > 0 || !take(&list, 1, &type) ||
        type.p[0] != NAME_HOST || !take_vector(&list, 2, 1, &name) || list.n > 0)
        return PP_ETLS_HELLO;
    if (!is_host_name(name))
        return PP_ETLS_SERVER_NAME;
    out->server_name = name;
    return PP_OK;
}

bool pp_clienthello_next_protocol(struct pp_span *rest, struct pp_span *out)
{
    return take_vector(rest, 1, 1, out);
}

static int read_alpn(struct pp_span data, struct pp_clienthello *out)
{
    struct pp_span list, name;
    if (!take_vector(&data, 2, 2, &list) || data.n > 0)
        return PP_ETLS_HELLO;
    out->alpn = list;
    while (pp_clienthello_next_protocol(&list, &name))
        ;
    return list.n == 0 ? PP_OK : PP_ETLS_HELLO;
}

static int read_extensions(struct pp_span rest, struct pp_clienthello *out)
{
    while (rest.n > 0) {
        struct pp_span type, data;
        int rc = PP_OK;
        if (!take(&rest, 2, &type) || !take_vector(&rest, 2, 0, &data))
            return PP_ETLS_HELLO;
        /* Twice would mean that two readers could take two different ones. */
        if (get16(type.p) == EXTENSION_SERVER_NAME)
            rc = out->server_name.n > 0 ? PP_ETLS_HELLO : read_server_name(data, out);
        else if (get16(type.p) == EXTENSION_ALPN)
            rc = out->alpn.n > 0 ? PP_ETLS_HELLO : read_alpn(data, out);
        if (rc != PP_OK)
            return rc;
    }
    return PP_OK;
}

/* ---- the message ---- */

/* RFC 8446 section 4.1.2; before TLS 1.3 the extensions may be absent. */
static int read_message(struct pp_span rest, struct pp_clienthello *out)
{
    struct pp_span part;
    if (!take(&rest, 2, &part) || part.p[0] != 3 || !take(&rest, RANDOM_BYTES, &part) ||
        !take_vector(&rest, 1, 0, &part) || part.n > ID_BYTES || !take_vector(&rest, 2, 2, &part) ||
        part.n % 2 != 0 || !take_vector(&rest, 1, 1, &part))
        return PP_ETLS_HELLO;
    if (rest.n == 0)
        return PP_OK;
    if (!take_vector(&rest, 2, 0, &part) || rest.n > 0)
        return PP_ETLS_HELLO;
    return read_extensions(part, out);
}

/* How long the message is, header included, as far as its <n> bytes at <p> tell; its own limit
 * before that. */
static int measure(const char *p, size_t n, size_t *whole)
{
    if (n > 0 && p[0] != CLIENT_HELLO)
        return PP_ETLS_HELLO;
    if (n < MESSAGE_HEADER)
        return PP_EMORE;
    *whole = MESSAGE_HEADER + ((size_t)(unsigned char)p[1] << 16 | get16(p + 2));
    return *whole > PP_CLIENTHELLO_BYTES ? PP_ETLS_HELLO_BYTES : PP_OK;
}

/* The header of the record at <p>: as much of it as <n> bytes show. */
static int check_record(const char *p, size_t n, size_t *length)
{
    static const char version = 3;
    if (n > 0 && p[0] != RECORD_HANDSHAKE)
        return PP_ETLS_HELLO;
    if (n > 1 && p[1] != version)
        return PP_ETLS_HELLO;
    if (n < RECORD_HEADER)
        return PP_EMORE;
    *length = get16(p + 3);
    /* Empty ones would go on for ever. */
    return *length == 0 || *length > RECORD_BYTES ? PP_ETLS_HELLO : PP_OK;
}

int pp_clienthello_decode(char *data, size_t n, struct pp_clienthello *out)
{
    size_t at = 0, joined = 0, whole = 0, length = 0;
    memset(out, 0, sizeof(*out));
    if (n > 0 && data[0] != RECORD_HANDSHAKE)
        return PP_ETLS_NONE;
    for (;;) {
        int rc = check_record(data + at, n - at, &length);
        at += RECORD_HEADER;
        if (at + (rc == PP_OK ? length : 0) > PP_CLIENTHELLO_WIRE_BYTES)
            return PP_ETLS_HELLO_BYTES;
        if (rc != PP_OK)
            return rc;
        size_t here = PP_MIN(length, n - at);
        memmove(data + joined, data + at, here);
        rc = measure(data, joined + here, &whole);
        if (rc == PP_OK && joined + length > whole) /* nothing may follow within the record */
            return PP_ETLS_HELLO;
        if (rc == PP_OK && joined + here == whole)
            return read_message(pp_span(data + MESSAGE_HEADER, whole - MESSAGE_HEADER), out);
        if ((rc != PP_OK && rc != PP_EMORE) || here < length)
            return rc == PP_OK ? PP_EMORE : rc;
        joined += here;
        at += here;
    }
}
