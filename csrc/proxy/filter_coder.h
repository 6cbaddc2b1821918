/* Streams of a content coding (wire/compress.h), lent to exchanges by the filters that compress and
 * decompress: pools of them, and the memory of their results. */
#ifndef PP_PROXY_FILTER_CODER_H
#define PP_PROXY_FILTER_CODER_H

#include "proxy/filter.h"
#include "wire/compress.h"

/* Most memory that a pool keeps in streams that nobody uses: a dozen of encoders. */
#define PP_FILTER_CODER_KEEP ((size_t)8 << 20)
/* Results of more than that are not kept for the next piece. */
#define PP_FILTER_CODER_RESULT ((size_t)256 << 10)

/* Streams of one kind. Zeroed storage, with <conf> filled in. */
struct pp_filter_coders {
    struct pp_compress_conf conf;
    struct pp_filter_coder *idle;
    size_t idle_bytes;
};

struct pp_filter_coder {
    struct pp_filter_coders *pool;
    struct pp_compress *stream;
    char *result;
    size_t cap;
    struct pp_filter_coder *next;
};

/* A stream at its beginning, which goes back to its pool with <x>; NULL: memory is out. */
struct pp_filter_coder *pp_filter_coder_lend(struct pp_filter_coders *pool, struct pp_exchange *x)
    PP_MUST_USE;

/* Prove that streams of this kind can be made (they fit PP_COMPRESS_BYTES), and see to it that the
 * idle ones go with <arena>. PP_OK or PP_ENOMEM. */
int pp_filter_coder_prepare(struct pp_filter_coders *pool, struct pp_arena *arena) PP_MUST_USE;

/* What becomes of <piece>: in *out, which is good until the next call or the end of the exchange.
 * PP_OK, PP_EEND, or what pp_compress_run refuses; PP_ELIMIT: more than <most> bytes. */
int pp_filter_coder_run(struct pp_filter_coder *c, struct pp_span piece, enum pp_compress_how how,
                        size_t most, struct pp_span *out) PP_MUST_USE;

/* ---- heads of responses whose content is encoded or decoded on the way ---- */

/* May it be? Not what has no content or is a part of something (206), and not when either side says
 * `no-transform` (RFC 9110 section 7.7). */
bool pp_filter_coder_may(const struct pp_exchange *x);

/* The response varies with Accept-Encoding. PP_OK or PP_ENOMEM. */
int pp_filter_coder_vary(struct pp_exchange *x) PP_MUST_USE;

/* The content is other bytes now: a strong entity tag becomes weak, length, digests and the offer
 * of ranges go. PP_OK or PP_ENOMEM. */
int pp_filter_coder_rewritten(struct pp_exchange *x) PP_MUST_USE;

#endif
