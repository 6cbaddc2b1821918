/* The HTTP/2 codec, receiving: frames counted, fed to nghttp2, and what it says made events. */
#include "base/check.h"
#include "base/mem.h"
#include "wire/http2_codec_impl.h"

/* A field section that decodes to so many times its limit is no accident. */
#define LIST_BOMB 4
/* Of a PRIORITY frame the stream it depends on is read too. */
#define WITH_PRIORITY (PP_HTTP2_FRAME_HEAD + 4)

/* ---- what nghttp2 tells ---- */

/* Stop decoding into a stream that is not wanted. */
static int refuse(struct pp_http2_codec *h, int32_t id, uint32_t code)
{
    return nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, id, code) == 0
               ? 0
               : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_section_begin(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct pp_http2_codec *h = arg;
    const struct pp_http2_kind *kind = h->kind;
    int32_t id = frame->hd.stream_id;
    struct pp_http2_stream *s = pp_http2_codec_find(h, id);
    struct pp_http_msg *m;
    bool trailers;

    h->noted = NULL;
    if (!s && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        if (!(s = kind->events->open(h->owner))) {
            return refuse(h, id, NGHTTP2_REFUSED_STREAM);
        }
        pp_http2_codec_attach(h, s, id);
        (void)nghttp2_session_set_stream_user_data(ng, id, s);
    }
    if (!s) {
        return 0; /* its owner has released it */
    }
    trailers = s->head_done;
    m = kind->events->message(s, trailers ? PP_HTTP2_TRAILERS : PP_HTTP2_HEAD);
    if (!m && !trailers) {
        s->code = NGHTTP2_REFUSED_STREAM;
        return refuse(h, id, NGHTTP2_REFUSED_STREAM);
    }
    pp_http2_msg_begin(&h->section,
                       trailers       ? PP_HTTP2_TRAILER_SECTION
                       : kind->server ? PP_HTTP2_REQUEST
                                      : PP_HTTP2_RESPONSE,
                       m, &kind->section);
    h->noted = s;
    return 0;
}

static struct pp_span span_of(nghttp2_rcbuf *b)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(b);

    return pp_span((const char *)v.base, v.len);
}

static int on_field(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                    nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    struct pp_http2_codec *h = arg;

    if (!h->noted) {
        return 0;
    }
    pp_http2_msg_field(&h->section, span_of(name), span_of(value),
                       flags & NGHTTP2_NV_FLAG_NO_INDEX);
    if (h->section.bytes / LIST_BOMB > h->kind->section.bytes) {
        pp_http2_codec_name_flood(h, PP_HTTP2_FLOOD_HEADER_LIST);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                    void *arg)
{
    struct pp_http2_codec *h = arg;
    struct pp_http2_stream *s = pp_http2_codec_find(h, id);

    if (!s) {
        /* Its owner has released it and the reset is on its way. */
        return nghttp2_session_consume_connection(ng, n) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    s->held += (uint32_t)n;
    h->noted = s;
    h->note = PP_HTTP2_NOTE_DATA;
    h->note_data = pp_span((const char *)p, n);
    return 0;
}

static void on_reset_received(struct pp_http2_codec *h, int32_t id)
{
    struct pp_http2_stream *s = pp_http2_codec_find(h, id);

    /* Full price for work that was begun and is now for nothing. */
    pp_http2_codec_charge(h, PP_HTTP2_FLOOD_RAPID_RESET, s && !s->answered ? 4 : 1);
    if (s) {
        s->by_peer = true;
    }
}

static void on_priority_update(struct pp_http2_codec *h, const nghttp2_ext_priority_update *u)
{
    struct pp_http2_stream *s = pp_http2_codec_find(h, u->stream_id);
    uint8_t urgency = PP_HTTP_PRIORITY_URGENCY;
    bool incremental = false;

    if (!s) {
        return;
    }
    pp_http_priority_read(pp_span((const char *)u->field_value, u->field_value_len), &urgency,
                          &incremental);
    s->urgency = urgency;
    s->incremental = incremental;
    s->prioritized = true;
    if (s->waiting) {
        pp_list_detach(&s->wait);
        s->waiting = false;
        pp_http2_codec_wait(s);
    }
    if (s->head_done) {
        h->noted = s;
        h->note = PP_HTTP2_NOTE_PRIORITY;
    }
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct pp_http2_codec *h = arg;
    const nghttp2_frame_hd *hd = &frame->hd;
    bool end = hd->flags & NGHTTP2_FLAG_END_STREAM;

    switch (hd->type) {
    case NGHTTP2_HEADERS:
        h->note = h->noted ? PP_HTTP2_NOTE_SECTION : PP_HTTP2_NOTE_NONE;
        h->note_end = end;
        if (h->noted && end) {
            h->noted->received_end = true;
        }
        break;
    case NGHTTP2_DATA:
        if (end && (h->noted = pp_http2_codec_find(h, hd->stream_id))) {
            h->noted->received_end = true;
            h->note = PP_HTTP2_NOTE_DATA;
            h->note_end = true;
        } else if (!end && hd->length == frame->data.padlen) {
            pp_http2_codec_charge(h, PP_HTTP2_FLOOD_EMPTY, 4);
        }
        break;
    case NGHTTP2_RST_STREAM:
        on_reset_received(h, hd->stream_id);
        break;
    case NGHTTP2_SETTINGS:
        h->settings_noted |= !(hd->flags & NGHTTP2_FLAG_ACK);
        break;
    case NGHTTP2_PING:
        if (hd->flags & NGHTTP2_FLAG_ACK) {
            h->pong_noted = true;
            memcpy(&h->pong_tag, frame->ping.opaque_data, sizeof(h->pong_tag));
        }
        break;
    case NGHTTP2_GOAWAY:
        h->goaway_noted = h->leaving = true;
        h->goaway_code = frame->goaway.error_code;
        h->goaway_last = (uint32_t)frame->goaway.last_stream_id;
        break;
    case NGHTTP2_PRIORITY_UPDATE:
        on_priority_update(h, frame->ext.payload);
        break;
    default:
        break;
    }
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct pp_http2_codec *h = arg;
    struct pp_http2_stream *s = pp_http2_codec_find(h, id);

    if (!s) {
        return 0;
    }
    h->n_open--;
    s->over = true;
    if (s->code == NGHTTP2_NO_ERROR) {
        s->code = code;
    }
    if (!s->received_end || !s->sent_end) {
        pp_list_detach(&s->link);
        pp_list_attach_back(&h->over, &s->link);
    }
    return 0;
}

/* ---- events ---- */

/* The peer's mistake: reset the stream and tell its owner. */
static void reject(struct pp_http2_stream *s, int verdict, uint32_t code)
{
    struct pp_http2_codec *h = s->codec;
    const struct pp_http2_events *events = h->kind->events;

    s->verdict = (int16_t)verdict;
    if (!s->over && !h->broken) {
        if (nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, (int32_t)s->id, code) != 0) {
            h->broken = true;
        }
        h->n_open--;
    }
    pp_http2_codec_detach(s);
    (void)pp_http2_codec_pump(h);
    events->reset(s, code, false);
}

static void read_priority(struct pp_http2_stream *s, const struct pp_http_msg *m)
{
    const struct pp_http_field *f = pp_http_msg_find_id(m, PP_NAME_PRIORITY);

    for (; f; f = pp_http_msg_find_next(m, f)) {
        s->prioritized = true;
        pp_http_priority_read(pp_http_field_value(f), &s->urgency, &s->incremental);
    }
}

/* From here on the length of the body is watched. */
static void expect_body(struct pp_http2_stream *s, struct pp_http_msg *m, bool end)
{
    s->counted = m->body == PP_HTTP_BODY_LENGTH || m->body == PP_HTTP_BODY_NONE;
    s->left = m->body == PP_HTTP_BODY_LENGTH ? m->content_length : 0;
    m->end_follows = !end && m->body == PP_HTTP_BODY_LENGTH && m->content_length == 0;
}

static void dispatch_head(struct pp_http2_codec *h, struct pp_http2_stream *s, bool end)
{
    const struct pp_http2_events *events = h->kind->events;
    struct pp_http_msg *m = h->section.m;
    int rc = pp_http2_msg_end(&h->section, end, s->request_method, &s->declared);

    if (rc == PP_ENOMEM) {
        h->broken = true;
        return;
    }
    if (rc != PP_OK && !(h->kind->server && pp_http2_msg_is_limit(rc))) {
        reject(s, rc, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    s->head_done = h->kind->server || m->status >= 200;
    if (rc != PP_OK) {
        s->verdict = (int16_t)rc;
        events->bad_head(s, rc);
        return;
    }
    if (s->head_done) {
        if (h->kind->server) {
            read_priority(s, m);
        }
        expect_body(s, m, end);
    }
    events->head(s, end);
}

static void dispatch_trailers(struct pp_http2_codec *h, struct pp_http2_stream *s, bool end)
{
    bool none;
    int rc = pp_http2_msg_end(&h->section, end, s->request_method, &none);

    if (rc == PP_ENOMEM) {
        h->broken = true;
    } else if (rc != PP_OK) {
        reject(s, rc, NGHTTP2_PROTOCOL_ERROR);
    } else if (s->counted && s->left > 0) {
        reject(s, PP_EHTTP_BODY_SHORT, NGHTTP2_PROTOCOL_ERROR);
    } else {
        h->kind->events->trailers(s);
    }
}

static void dispatch_data(struct pp_http2_codec *h, struct pp_http2_stream *s, struct pp_span data,
                          bool end)
{
    const struct pp_http2_events *events = h->kind->events;
    int verdict = PP_OK;

    if (!s->head_done) {
        reject(s, PP_EHTTP_BODY_BYTES, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (s->counted && data.n > s->left) {
        verdict = PP_EHTTP_BODY_BYTES;
        data.n = s->left;
    }
    s->left -= s->counted ? data.n : 0;
    if (verdict == PP_OK && end && s->counted && s->left > 0) {
        verdict = PP_EHTTP_BODY_SHORT;
    }
    if (verdict == PP_OK) {
        events->data(s, data, end);
        return;
    }
    /* What was right is told first, so that it does not matter how the bytes were cut. */
    if (data.n > 0) {
        events->data(s, data, false);
    }
    if (s->codec == h) {
        reject(s, verdict, NGHTTP2_PROTOCOL_ERROR);
    }
}

/* Tell the owners of streams that are over. */
void pp_http2_codec_tell_over(struct pp_http2_codec *h)
{
    while (!pp_list_is_empty(&h->over)) {
        struct pp_http2_stream *s = PP_CONTAINER_OF(h->over.next, struct pp_http2_stream, link);

        pp_http2_codec_detach(s);
        h->kind->events->reset(s, s->code, s->by_peer);
    }
}

static void dispatch(struct pp_http2_codec *h)
{
    const struct pp_http2_events *events = h->kind->events;
    struct pp_http2_stream *s = h->noted;
    enum pp_http2_note note = (enum pp_http2_note)h->note;
    bool end = h->note_end;

    if (note != PP_HTTP2_NOTE_NONE) {
        h->note = PP_HTTP2_NOTE_NONE;
        h->note_end = false;
        h->noted = NULL;
        /* What ends in the frame that brought it is told all the same, but for a reset. */
        if (s && note == PP_HTTP2_NOTE_DATA) {
            struct pp_span data = h->note_data;
            h->note_data = PP_SPAN_NONE;
            dispatch_data(h, s, data, end);
        } else if (s && note == PP_HTTP2_NOTE_PRIORITY) {
            if (events->priority) {
                events->priority(s);
            }
        } else if (s && s->head_done) {
            dispatch_trailers(h, s, end);
        } else if (s) {
            dispatch_head(h, s, end);
        }
    }
    if (h->settings_noted) {
        h->settings_noted = false;
        if (events->settings) {
            events->settings(h->owner);
        }
    }
    if (h->pong_noted) {
        h->pong_noted = false;
        if (events->pong) {
            events->pong(h->owner, h->pong_tag);
        }
    }
    if (h->goaway_noted) {
        h->goaway_noted = false;
        if (events->goaway) {
            events->goaway(h->owner, h->goaway_code, h->goaway_last);
        }
    }
    pp_http2_codec_tell_over(h);
}

static uint32_t id_at(const uint8_t *p)
{
    return (uint32_t)(p[0] & 0x7f) << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t frame_stream(const struct pp_http2_codec *h)
{
    return id_at(h->head + 5);
}

/* ---- closed streams ---- */

void pp_http2_codec_forget(struct pp_http2_codec *h, uint32_t id)
{
    uint32_t *slot = &h->reset_by_us[h->n_reset_by_us++ % PP_HTTP2_RESETS_KEPT];

    h->unsure = PP_MAX(h->unsure, *slot);
    *slot = id;
}

static bool was_reset_by_us(const struct pp_http2_codec *h, uint32_t id)
{
    for (unsigned i = 0; i < PP_HTTP2_RESETS_KEPT; i++) {
        if (h->reset_by_us[i] == id) {
            return true;
        }
    }
    return id <= h->unsure;
}

/* A client sends DATA or HEADERS on a stream that has ended or that it has skipped (RFC 9113
 * section 5.1). nghttp2 ignores those, because frames may be on their way when we reset a stream:
 * but we know which streams these are. */
static void check_stream(struct pp_http2_codec *h)
{
    uint32_t id = frame_stream(h);

    if (!h->kind->server || id % 2 == 0 || h->leaving) {
        return;
    }
    if (id > h->last_id) {
        h->last_id = h->head[3] == NGHTTP2_HEADERS ? id : h->last_id;
        return;
    }
    if (nghttp2_session_find_stream(h->ng, (int32_t)id)) {
        return;
    }
    (void)pp_http2_codec_pump_waiting(h); /* a reset may wait to be written */
    if (!was_reset_by_us(h, id) && !h->leaving) {
        h->mistake = NGHTTP2_STREAM_CLOSED;
    }
    /* A few are on their way when a stream is reset; more are work for nothing. */
    pp_http2_codec_charge(h, PP_HTTP2_FLOOD_EMPTY, h->frame_left > 0 ? 1 : 4);
}

/* ---- frames ---- */

static void count(struct pp_http2_codec *h)
{
    bool ack = h->head[4] & NGHTTP2_FLAG_ACK;

    h->frame_left = (uint32_t)h->head[0] << 16 | (uint32_t)h->head[1] << 8 | h->head[2];
    switch (h->head[3]) {
    case NGHTTP2_RST_STREAM:
        return;
    case NGHTTP2_HEADERS:
        pp_http2_flood_fill(&h->floods, PP_HTTP2_FLOOD_CONTINUATION);
        check_stream(h);
        return;
    case NGHTTP2_DATA:
        check_stream(h);
        return;
    case NGHTTP2_CONTINUATION:
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_CONTINUATION, 4);
        return;
    case NGHTTP2_SETTINGS:
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_SETTINGS, ack ? 1 : 4);
        return;
    case NGHTTP2_PING:
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_PING, ack ? 1 : 4);
        return;
    case NGHTTP2_WINDOW_UPDATE:
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_WINDOW_UPDATE, 4);
        return;
    case NGHTTP2_PRIORITY:
        if (frame_stream(h) == 0) {
            h->mistake = NGHTTP2_PROTOCOL_ERROR;
        }
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_PRIORITY, 4);
        return;
    case NGHTTP2_PRIORITY_UPDATE:
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_PRIORITY, 4);
        return;
    default:
        pp_http2_codec_charge(h, PP_HTTP2_FLOOD_UNKNOWN, 4);
    }
}

/* Nothing is made of RFC 7540's priorities, but a stream that depends on itself is an error (its
 * section 5.3.1). */
static void check_dependency(struct pp_http2_codec *h, const char *p, size_t n)
{
    size_t part = PP_MIN(n, (size_t)(WITH_PRIORITY - h->head_n));

    memcpy(h->head + h->head_n, p, part);
    h->head_n += (uint8_t)part;
    if (part > 0 && h->head_n == WITH_PRIORITY &&
        id_at(h->head + PP_HTTP2_FRAME_HEAD) == frame_stream(h)) {
        h->mistake = NGHTTP2_PROTOCOL_ERROR;
    }
}

/* How many of the <n> bytes at <p> belong to the present frame. Counts it when it begins; what is
 * wrong with it is in h->flood or h->mistake. *late: as many of them end a head that began in
 * earlier input; nghttp2 has not seen that head yet. */
static size_t cut(struct pp_http2_codec *h, const char *p, size_t n, size_t *late)
{
    size_t used = 0;

    *late = 0;
    if (h->preface_left > 0) {
        used = PP_MIN(n, h->preface_left);
        h->preface_left -= (uint32_t)used;
        return used;
    }
    if (h->head_n < PP_HTTP2_FRAME_HEAD) {
        bool begun = h->head_n > 0;
        used = PP_MIN(n, (size_t)(PP_HTTP2_FRAME_HEAD - h->head_n));
        memcpy(h->head + h->head_n, p, used);
        h->head_n += (uint8_t)used;
        if (h->head_n < PP_HTTP2_FRAME_HEAD) {
            return used;
        }
        *late = begun ? used : 0;
        count(h);
    }
    n = PP_MIN(n - used, (size_t)h->frame_left);
    if (h->head[3] == NGHTTP2_PRIORITY && h->head[2] == 5 && !h->head[1] && !h->head[0]) {
        check_dependency(h, p + used, n);
    }
    h->frame_left -= (uint32_t)n;
    if (h->frame_left == 0) {
        h->head_n = 0;
    }
    return used + n;
}

/* ---- feed ---- */

bool pp_http2_codec_wants_input(const struct pp_http2_codec *h)
{
    return h->out.n < h->kind->limits.output_bytes && !pp_http2_codec_is_over(h);
}

static int end_feed(struct pp_http2_codec *h)
{
    int rc = pp_http2_codec_pump_waiting(h);

    if (rc == PP_OK && !pp_list_is_empty(&h->over)) {
        pp_http2_codec_tell_over(h);
        rc = pp_http2_codec_pump_waiting(h);
    }
    if (rc != PP_OK) {
        return rc;
    }
    h->ended = h->flooded || pp_http2_codec_is_over(h);
    return h->ended ? PP_EEND : PP_OK;
}

/* The peer has made a mistake that ends the connection. */
static void end_with(struct pp_http2_codec *h, uint32_t code)
{
    h->broken |= nghttp2_session_terminate_session(h->ng, code) != 0;
    h->ended = true;
}

/* Give nghttp2 bytes of one frame, and tell what came of them. */
static void take(struct pp_http2_codec *h, const void *p, size_t n)
{
    ssize_t got = nghttp2_session_mem_recv(h->ng, p, n);

    if (got == NGHTTP2_ERR_NOMEM || got == NGHTTP2_ERR_CALLBACK_FAILURE) {
        h->broken = true;
    } else if (got < 0) {
        end_with(h, NGHTTP2_PROTOCOL_ERROR); /* the preface, or a limit of its own */
    } else {
        dispatch(h);
        /* What comes after the end counts no more, be it in the same piece of input. */
        (void)pp_http2_codec_pump_waiting(h);
        if (h->leaving) {
            h->ended = h->flooded || pp_http2_codec_is_over(h);
        }
    }
}

/* The bytes that cut has cut off. Heads of frames are given in one piece: patched versions count
 * the pieces in which the head of a CONTINUATION comes as so many frames. */
static void take_frame(struct pp_http2_codec *h, const char *p, size_t n, size_t late)
{
    if (h->head_n > 0 && h->head_n < PP_HTTP2_FRAME_HEAD) {
        return; /* not all there */
    }
    if (late > 0) {
        take(h, h->head, PP_HTTP2_FRAME_HEAD);
    }
    if (n > late && !h->broken && !h->ended) {
        take(h, p + late, n - late);
    }
}

int pp_http2_codec_feed(struct pp_http2_codec *h, const char *p, size_t n, uint64_t now_ms)
{
    if (!h->timed) {
        h->timed = true;
        pp_http2_flood_init(&h->floods, now_ms);
    }
    h->now_ms = now_ms;
    while (n > 0 && !h->broken && !h->ended) {
        size_t late, used = cut(h, p, n, &late);

        if (h->flood != PP_HTTP2_FLOOD_NONE || h->broken) {
            break;
        }
        if (h->mistake != NGHTTP2_NO_ERROR) {
            end_with(h, h->mistake);
            break;
        }
        take_frame(h, p, used, late);
        p += used;
        n -= used;
    }
    return h->broken ? PP_ENOMEM : end_feed(h);
}

void pp_http2_codec_consume(struct pp_http2_stream *s, size_t n)
{
    struct pp_http2_codec *h = s->codec;
    int rc;

    if (!h || !PP_EXPECT(n <= s->held)) {
        return;
    }
    s->held -= (uint32_t)n;
    if (h->broken) {
        return;
    }
    rc = s->over ? nghttp2_session_consume_connection(h->ng, n)
                 : nghttp2_session_consume(h->ng, (int32_t)s->id, n);
    if (rc != 0) {
        h->broken = true;
    }
}

void pp_http2_codec_forget_trailers(struct pp_http2_stream *s)
{
    struct pp_http2_codec *h = s->codec;

    if (h && h->noted == s && s->head_done) {
        pp_http2_msg_forget(&h->section);
    }
}

void pp_http2_codec_set_receive(nghttp2_session_callbacks *c)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_section_begin);
    nghttp2_session_callbacks_set_on_header_callback2(c, on_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
}
