/* What the files of the HTTP/2 codec share. Only they include it, and nghttp2. */
#ifndef PP_WIRE_HTTP2_CODEC_IMPL_H
#define PP_WIRE_HTTP2_CODEC_IMPL_H

#include <nghttp2/nghttp2.h>

#include "wire/http2_codec.h"
#include "wire/http2_msg.h"
#include "wire/http_priority.h"

#define PP_HTTP2_FRAME_HEAD 9
/* Streams that are remembered as reset by us: frames for them may be on their way. */
#define PP_HTTP2_RESETS_KEPT 16

struct pp_http2_kind {
    const struct pp_http2_events *events;
    struct pp_slab *chunks;
    struct pp_http2_limits limits;
    struct pp_http2_section_limits section;
    uint32_t refs;
    bool server;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
};

/* What the frame was that nghttp2 had in hand, for dispatch. */
enum pp_http2_note {
    PP_HTTP2_NOTE_NONE = 0,
    PP_HTTP2_NOTE_SECTION,
    PP_HTTP2_NOTE_DATA,
    PP_HTTP2_NOTE_PRIORITY
};

struct pp_http2_codec {
    nghttp2_session *ng;
    const struct pp_http2_kind *kind;
    void *owner;
    struct pp_buf out;
    uint64_t now_ms;
    uint32_t n_open;  /* streams open now */
    uint32_t replies; /* answers to frames since the output was last empty */
    uint32_t error;   /* code of our GOAWAY */

    uint8_t flood;  /* enum pp_http2_flood */
    bool flooded;   /* its GOAWAY is written */
    bool broken;    /* memory was out: nothing works any more */
    bool ended;     /* feed has said so */
    bool leaving;   /* a GOAWAY was sent or received */
    bool own_reset; /* the RST_STREAM being written is our wish */
    bool bare_end;  /* an empty field section stands for an empty DATA frame */

    /* the frame that is being received */
    bool timed;     /* now_ms is known */
    uint8_t head_n; /* bytes of <head> */
    uint8_t head[PP_HTTP2_FRAME_HEAD + 4];
    uint32_t frame_left; /* bytes that nghttp2 has not seen */
    uint32_t mistake;    /* error code for one that ends the connection */
    uint32_t last_id;    /* server: the highest stream that the client has opened */
    uint32_t reset_by_us[PP_HTTP2_RESETS_KEPT]; /* the last streams that were */
    uint32_t n_reset_by_us;
    uint32_t unsure;       /* up to this one, streams may have been reset by us too */
    uint32_t preface_left; /* of the client's preface, on a server */
    struct pp_http2_section section;

    /* what nghttp2 has said about it */
    uint8_t note; /* enum pp_http2_note */
    bool note_end;
    bool settings_noted, goaway_noted, pong_noted;
    uint32_t goaway_code, goaway_last;
    uint64_t pong_tag;
    struct pp_http2_stream *noted;
    struct pp_span note_data;

    struct pp_list blocks;          /* memory of nghttp2 */
    struct pp_http2_stream *sender; /* the one that send_data is about */
    struct pp_list streams;         /* all that are attached, but for those in <over> */
    struct pp_list over;            /* those that have ended with an event to tell */
    struct pp_list turns[PP_HTTP_PRIORITY_LEVELS];
    struct pp_http2_floods floods;
};

/* The attached stream of that id, or NULL. */
struct pp_http2_stream *pp_http2_codec_find(const struct pp_http2_codec *h, int32_t id);
/* <s> is a new stream from now on. */
void pp_http2_codec_attach(struct pp_http2_codec *h, struct pp_http2_stream *s, int32_t id);
/* The stream is its owner's again. */
void pp_http2_codec_detach(struct pp_http2_stream *s);
/* <s> wants to send and cannot now. */
void pp_http2_codec_wait(struct pp_http2_stream *s);

/* Something happened that floods are made of. */
void pp_http2_codec_charge(struct pp_http2_codec *h, enum pp_http2_flood kind, unsigned quarters);
/* This flood it is, when there was none before. */
void pp_http2_codec_name_flood(struct pp_http2_codec *h, enum pp_http2_flood kind);

/* We have reset stream <id>. */
void pp_http2_codec_forget(struct pp_http2_codec *h, uint32_t id);

/* Append to the output. False when memory is out: then the connection is broken. */
bool pp_http2_codec_put(struct pp_http2_codec *h, const void *p, size_t n);
/* Write all that nghttp2 has to say into the output. PP_OK or PP_ENOMEM. Not in its callbacks. */
int pp_http2_codec_pump(struct pp_http2_codec *h);
/* The same, for when there probably is nothing: acknowledgements and windows. */
int pp_http2_codec_pump_waiting(struct pp_http2_codec *h);

/* Events `reset` for the streams in <over>. */
void pp_http2_codec_tell_over(struct pp_http2_codec *h);

/* What nghttp2 calls while it is fed, and while it is drained. */
void pp_http2_codec_set_receive(nghttp2_session_callbacks *c);
void pp_http2_codec_set_send(nghttp2_session_callbacks *c);

#endif
