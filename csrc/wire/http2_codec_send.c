/* The HTTP/2 codec, sending: messages become frames, as windows and the output allow. */
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "wire/http2_codec_impl.h"

#define STACK_FIELDS 64
/* A piece of body shorter than this, because of a window, counts as tiny. */
#define TINY 128
#define BIT(tail) (UINT64_C(1) << PP_NAME_##tail)

/* ---- what nghttp2 asks ---- */

/* Body bytes of the stream that send_data is about. */
static ssize_t on_read(nghttp2_session *ng, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
                       nghttp2_data_source *source, void *arg)
{
    struct pp_http2_codec *h = arg;
    struct pp_http2_stream *s = h->sender;
    size_t n;

    if (!s || s->id != (uint32_t)id || (s->out.n == 0 && !s->out_end)) {
        return NGHTTP2_ERR_DEFERRED;
    }
    n = PP_MIN(most, s->out.n);
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s->out.n && s->out_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)n;
}

static int on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t n,
                        nghttp2_data_source *source, void *arg)
{
    struct pp_http2_codec *h = arg;
    struct pp_http2_stream *s = h->sender;

    if (!PP_EXPECT(s && n <= s->out.n) || !pp_http2_codec_put(h, head, PP_HTTP2_FRAME_HEAD) ||
        (n > 0 && !pp_http2_codec_put(h, s->out.p, n))) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    s->out.p += n;
    s->out.n -= n;
    pp_http2_flood_refund(&h->floods, PP_HTTP2_FLOOD_WINDOW_UPDATE, n >= TINY ? 4 : 0);
    pp_http2_flood_refund(&h->floods, PP_HTTP2_FLOOD_PING, n >= TINY);
    return 0;
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct pp_http2_codec *h = arg;
    const nghttp2_frame_hd *hd = &frame->hd;
    struct pp_http2_stream *s;

    switch (hd->type) {
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
        if ((hd->flags & NGHTTP2_FLAG_END_STREAM) && (s = pp_http2_codec_find(h, hd->stream_id))) {
            s->sent_end = true;
        }
        return 0;
    case NGHTTP2_RST_STREAM:
        pp_http2_codec_forget(h, (uint32_t)hd->stream_id);
        if (!h->own_reset) {
            pp_http2_codec_charge(h, PP_HTTP2_FLOOD_MADE_RESET,
                                  frame->rst_stream.error_code == NGHTTP2_REFUSED_STREAM ? 1 : 4);
        }
        break;
    case NGHTTP2_GOAWAY:
        h->leaving = true;
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            h->error = frame->goaway.error_code;
        }
        return 0;
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING:
        if (!(hd->flags & NGHTTP2_FLAG_ACK)) {
            return 0;
        }
        break;
    default:
        return 0;
    }
    if (++h->replies > pp_http2_flood_tokens(PP_HTTP2_FLOOD_OUTPUT)) {
        pp_http2_codec_name_flood(h, PP_HTTP2_FLOOD_OUTPUT);
    }
    return 0;
}

void pp_http2_codec_set_send(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(c, on_send_data);
}

/* ---- heads ---- */

/* Not sent in HTTP/2, or not from the fields. */
static const uint64_t never_sent = BIT(CONNECTION) | BIT(CONTENT_LENGTH) | BIT(TRANSFER_ENCODING) |
                                   BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(TE) |
                                   BIT(UPGRADE) | BIT(HTTP2_SETTINGS) | BIT(HOST);

/* A field section to be sent: borrowed, in memory of the caller's stack when it is not large. */
struct outgoing {
    nghttp2_nv *nv;
    size_t n;
    nghttp2_nv stack[STACK_FIELDS];
    char length[PP_NUM_U64_CHARS];
    char status[3];
};

static bool out_begin(struct outgoing *o, const struct pp_http_msg *m)
{
    size_t most = (m ? m->n_field : 0) + 8;

    o->n = 0;
    o->nv = most <= STACK_FIELDS ? o->stack : pp_mem_alloc(most * sizeof(*o->nv));
    return o->nv != NULL;
}

static void out_end(struct outgoing *o)
{
    if (o->nv != o->stack) {
        pp_mem_free(o->nv);
    }
}

static inline void out_add(struct outgoing *o, struct pp_span name, struct pp_span value,
                           uint8_t flags)
{
    nghttp2_nv *nv = &o->nv[o->n++];

    nv->name = (uint8_t *)(uintptr_t)name.p;
    nv->namelen = name.n;
    nv->value = (uint8_t *)(uintptr_t)value.p;
    nv->valuelen = value.n;
    nv->flags = flags;
}

#define BORROWED (NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

static bool has_upper(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if ((unsigned)(p[i] - 'A') < 26u) {
            return true;
        }
    }
    return false;
}

static void out_fields(struct outgoing *o, const struct pp_http_msg *m)
{
    for (const struct pp_http_field *f = m->field, *end = f + m->n_field; f < end; f++) {
        struct pp_span name;
        uint8_t flags = BORROWED;

        if ((f->flags & (PP_HTTP_FIELD_REMOVED | PP_HTTP_FIELD_HOP)) || (never_sent >> f->id & 1)) {
            continue;
        }
        if (f->flags & PP_HTTP_FIELD_SECRET) {
            flags |= NGHTTP2_NV_FLAG_NO_INDEX;
        }
        if (f->id != PP_NAME_OTHER) {
            name = pp_http_tok_name_text((enum pp_http_name)f->id);
        } else {
            name = pp_http_field_name(f);
            if (has_upper(name.p, name.n)) {
                flags &= (uint8_t)~NGHTTP2_NV_FLAG_NO_COPY_NAME; /* the copy is in lower case */
            }
        }
        out_add(o, name, pp_http_field_value(f), flags);
    }
}

static void out_framing(struct outgoing *o, const struct pp_http1_framing *fr)
{
    if (fr->body == PP_HTTP_BODY_LENGTH) {
        size_t n = pp_num_format_u64(o->length, fr->content_length);
        out_add(o, PP_SPAN("content-length"), pp_span(o->length, n), BORROWED);
    }
    if (fr->te_trailers) {
        out_add(o, PP_SPAN("te"), PP_SPAN("trailers"), BORROWED);
    }
}

/* Submit and write the section; <id> -1: on a new stream. The stream's id, or a negative code. */
static int32_t out_submit(struct pp_http2_codec *h, const struct outgoing *o, int32_t id, bool end,
                          struct pp_http2_stream *s)
{
    int32_t rc = nghttp2_submit_headers(h->ng, end ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE,
                                        id, NULL, o->nv, o->n, s);

    if (rc == NGHTTP2_ERR_NOMEM) {
        h->broken = true;
    }
    return rc;
}

static bool can_send(const struct pp_http2_stream *s)
{
    return s->codec && !s->over && !s->sent_end;
}

int pp_http2_codec_send_response(struct pp_http2_stream *s, const struct pp_http_msg *m,
                                 const struct pp_http1_framing *fr, bool end)
{
    struct pp_http2_codec *h = s->codec;
    struct outgoing o;
    int32_t rc;

    if (!can_send(s)) {
        return PP_EINVAL;
    }
    if (h->broken || !out_begin(&o, m)) {
        return PP_ENOMEM;
    }
    o.status[0] = (char)('0' + m->status / 100 % 10);
    o.status[1] = (char)('0' + m->status / 10 % 10);
    o.status[2] = (char)('0' + m->status % 10);
    out_add(&o, PP_SPAN(":status"), pp_span(o.status, 3), BORROWED);
    out_fields(&o, m);
    if (m->status >= 200 && m->status != 204) {
        out_framing(&o, fr);
    }
    rc = out_submit(h, &o, (int32_t)s->id, end, NULL);
    s->answered = true;
    if (rc == 0) {
        rc = pp_http2_codec_pump(h);
    } else {
        rc = h->broken ? PP_ENOMEM : PP_EINVAL;
    }
    out_end(&o);
    return rc;
}

int pp_http2_codec_send_request(struct pp_http2_codec *h, struct pp_http2_stream *s,
                                const struct pp_http_msg *m, struct pp_span scheme,
                                struct pp_span authority, struct pp_span target,
                                const struct pp_http1_framing *fr, bool end)
{
    struct outgoing o;
    int32_t id;
    int rc;

    if (!pp_http2_codec_can_open(h)) {
        return h->broken ? PP_ENOMEM : PP_ELIMIT;
    }
    if (!out_begin(&o, m)) {
        return PP_ENOMEM;
    }
    out_add(&o, PP_SPAN(":method"), m->method, BORROWED);
    if (m->method_id != PP_HTTP_CONNECT || m->protocol.p) {
        out_add(&o, PP_SPAN(":scheme"), scheme, BORROWED);
        out_add(&o, PP_SPAN(":path"), target, BORROWED);
    }
    out_add(&o, PP_SPAN(":authority"), authority, BORROWED);
    if (m->protocol.p) {
        out_add(&o, PP_SPAN(":protocol"), m->protocol, BORROWED);
    }
    out_fields(&o, m);
    out_framing(&o, fr);
    id = out_submit(h, &o, -1, end, s);
    if (id > 0) {
        pp_http2_codec_attach(h, s, id);
        s->request_method = m->method_id;
        s->answered = true;
        rc = pp_http2_codec_pump(h);
    } else {
        rc = h->broken ? PP_ENOMEM : PP_ELIMIT;
    }
    out_end(&o);
    return rc;
}

/* ---- bodies ---- */

static int64_t window(const struct pp_http2_stream *s)
{
    int32_t own = nghttp2_session_get_stream_remote_window_size(s->codec->ng, (int32_t)s->id);

    return PP_MIN(own, nghttp2_session_get_remote_window_size(s->codec->ng));
}

size_t pp_http2_codec_room(const struct pp_http2_stream *s)
{
    int64_t w;

    if (!can_send(s) || s->codec->out.n >= s->codec->kind->limits.output_bytes) {
        return 0;
    }
    w = window(s);
    return w > 0 ? PP_MIN((size_t)w, (size_t)s->codec->kind->limits.output_bytes) : 0;
}

/* The end alone needs no window (RFC 9113 section 6.9.1), but nghttp2 holds an empty DATA frame
 * back until there is one. An empty field section it sends: pump makes it the frame that it stands
 * for. */
static int send_bare_end(struct pp_http2_stream *s)
{
    struct pp_http2_codec *h = s->codec;
    int rc =
        nghttp2_submit_headers(h->ng, NGHTTP2_FLAG_END_STREAM, (int32_t)s->id, NULL, NULL, 0, NULL);

    if (rc != 0) {
        h->broken |= rc == NGHTTP2_ERR_NOMEM;
        return h->broken ? PP_ENOMEM : PP_EINVAL;
    }
    h->bare_end = true;
    rc = pp_http2_codec_pump(h);
    h->bare_end = false;
    return rc;
}

int pp_http2_codec_send_data(struct pp_http2_stream *s, struct pp_span data, bool end,
                             size_t *taken)
{
    struct pp_http2_codec *h = s->codec;
    size_t room;
    int rc;

    *taken = 0;
    if (!can_send(s)) {
        return PP_EINVAL;
    }
    if (h->broken) {
        return PP_ENOMEM;
    }
    if (data.n == 0 && !end) {
        return PP_OK;
    }
    if (data.n == 0 && window(s) <= 0) {
        return send_bare_end(s);
    }
    room = pp_http2_codec_room(s);
    if (room == 0) {
        pp_http2_codec_wait(s);
        return PP_OK;
    }
    if (room < data.n && room < TINY) {
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_TINY_WINDOW, 4);
    }
    s->out = pp_span(data.p, PP_MIN(data.n, room));
    s->out_end = end && data.n <= room;
    *taken = s->out.n;
    if (s->has_data) {
        rc = nghttp2_session_resume_data(h->ng, (int32_t)s->id);
    } else {
        nghttp2_data_provider from = {.read_callback = on_read};
        rc = nghttp2_submit_data(h->ng, NGHTTP2_FLAG_END_STREAM, (int32_t)s->id, &from);
        s->has_data = rc == 0;
    }
    if (rc != 0 && nghttp2_is_fatal(rc)) {
        h->broken = true;
    }
    h->sender = s;
    rc = pp_http2_codec_pump(h);
    h->sender = NULL;
    *taken -= s->out.n;
    s->out = PP_SPAN_NONE;
    if (rc == PP_OK && !s->over && (*taken < data.n || (end && !s->sent_end))) {
        pp_http2_codec_wait(s);
    }
    return rc;
}

int pp_http2_codec_send_trailers(struct pp_http2_stream *s, const struct pp_http_msg *m)
{
    struct pp_http2_codec *h = s->codec;
    struct outgoing o;
    size_t none;
    int rc;

    if (!can_send(s)) {
        return PP_EINVAL;
    }
    if (!m) {
        return pp_http2_codec_send_data(s, PP_SPAN_NONE, true, &none);
    }
    if (h->broken || !out_begin(&o, m)) {
        return PP_ENOMEM;
    }
    out_fields(&o, m);
    if (o.n == 0) {
        rc = pp_http2_codec_send_data(s, PP_SPAN_NONE, true, &none);
    } else if (out_submit(h, &o, (int32_t)s->id, true, NULL) == 0) {
        rc = pp_http2_codec_pump(h);
    } else {
        rc = h->broken ? PP_ENOMEM : PP_EINVAL;
    }
    out_end(&o);
    return rc;
}

/* The turns of one urgency. */
static void wake_level(struct pp_http2_codec *h, struct pp_list *turns)
{
    struct pp_list now;

    if (pp_list_is_empty(turns)) {
        return;
    }
    /* Those who come back while this goes on wait for the next round. */
    pp_list_attach(turns, &now);
    pp_list_detach(turns);
    while (!pp_list_is_empty(&now)) {
        struct pp_http2_stream *s = PP_CONTAINER_OF(now.next, struct pp_http2_stream, wait);

        pp_list_detach(&s->wait);
        s->waiting = false;
        if (pp_http2_codec_room(s) == 0) {
            pp_http2_codec_wait(s);
        } else {
            h->kind->events->writable(s);
        }
    }
}

void pp_http2_codec_wake(struct pp_http2_codec *h)
{
    pp_http2_codec_tell_over(h);
    for (unsigned u = 0; u < PP_HTTP_PRIORITY_LEVELS && !h->broken; u++) {
        wake_level(h, &h->turns[u]);
    }
}
