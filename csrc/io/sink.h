/* Batched line writer: lines are collected in a ring and written in large pieces, when
 * PP_SINK_FLUSH_BYTES wait or PP_SINK_FLUSH_MS have passed; never one write a line.
 *
 *   ring: [ free | waiting: head .. head + n | free ][ slack ]
 *
 * The slack behind the ring lets a line that would cross its end be written in one piece; commit
 * moves the part that stands over to the front.
 *
 * The descriptor may be a file, a pipe, a terminal or a socket (stdout). A sink that cannot keep up
 * drops whole lines and counts them; it never blocks the worker for long: a regular file's write is
 * bounded by the ring; the others are written only while they take bytes. Lines that several
 * processes write to one descriptor are not mixed: files are appended to in whole lines, pipes get
 * whole lines in pieces that the kernel does not split (PIPE_BUF), except for longer lines.
 *
 * SIGPIPE must be ignored in the process. */
#ifndef PP_IO_SINK_H
#define PP_IO_SINK_H

#include "io/loop.h"

#define PP_SINK_RING (256 * 1024)
#define PP_SINK_LINE (64 * 1024)        /* longest line */
#define PP_SINK_FLUSH_BYTES (32 * 1024) /* written at once when this much waits */
#define PP_SINK_FLUSH_MS 200            /* and otherwise after this time */

enum pp_sink_kind {
    PP_SINK_FILE = 0,
    PP_SINK_PIPE,   /* pipe or terminal, over a non-blocking description of our own */
    PP_SINK_SHARED, /* the same, but only the given, maybe blocking description was to be had */
    PP_SINK_SOCKET
};

struct pp_sink {
    int fd;
    bool owned;    /* opened here: closed here */
    bool stuck;    /* the last write failed or did not take all: not before the timer again */
    bool mid_line; /* the last byte written was not the end of a line */
    enum pp_sink_kind kind;
    char *path;              /* NULL: the descriptor was given */
    char *ring;              /* PP_SINK_RING + PP_SINK_LINE bytes, allocated at open */
    size_t head, n;          /* waiting bytes [head, head + n) modulo PP_SINK_RING */
    uint64_t lines, dropped; /* committed; not taken, or thrown away */
    uint64_t bytes, errors;  /* written; failed writes */
    struct pp_loop *loop;
    struct pp_timer timer;
};

/* Append to <path> (opened O_APPEND | O_CREAT, 0640) or, with <path> NULL, to <fd> (borrowed).
 * PP_OK or PP_EIO / PP_ENOMEM / PP_EMFILE with nothing kept. */
int pp_sink_open(struct pp_sink *s, struct pp_loop *lp, const char *path, int fd) PP_MUST_USE;
/* Room for a line of at most <n> bytes, contiguous: write it there, with its line feed, and commit
 * its real length before anything else is done with <s>. NULL: no room; the line counts as
 * dropped. */
char *pp_sink_reserve(struct pp_sink *s, size_t n);
/* The line in the reserved room is complete and <n> bytes long (0: given up). */
void pp_sink_commit(struct pp_sink *s, size_t n);
/* Write what waits, as far as the descriptor takes it. */
void pp_sink_flush(struct pp_sink *s);
/* Flush and open <path> again (log rotation). On failure the old file stays in use and PP_EIO,
 * PP_EMFILE or PP_ENOMEM is returned. Without a path: flush only. */
int pp_sink_reopen(struct pp_sink *s);
/* Flush and close; lines that cannot be written any more count as dropped. Idempotent; accepts
 * zeroed storage. */
void pp_sink_close(struct pp_sink *s);

#endif
