#include "io/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "io/fd.h"

/* ---- opening ---- */

/* O_NONBLOCK: for a named pipe; files do not care. PP_OK or a mapped error. */
static int open_path(const char *path, int *fd)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (*fd >= 0)
        return PP_OK;
    int rc = pp_fd_error(errno);
    return rc == PP_EMFILE || rc == PP_ENOMEM ? rc : PP_EIO;
}

/* Setting O_NONBLOCK on a descriptor that we were given would set it for everybody who shares the
 * description (the shell that started us, other workers). Opening it anew by its name in /proc
 * makes a description of our own. */
static int open_again(int fd)
{
    char name[sizeof "/proc/self/fd/" + PP_NUM_U64_CHARS] = "/proc/self/fd/";
    size_t n = strlen(name);

    n += pp_num_format_u64(name + n, (uint64_t)fd);
    name[n] = '\0';
    return open(name, O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* What is s->fd, and how may it be written to? */
static int recognise(struct pp_sink *s)
{
    struct stat st;

    if (fstat(s->fd, &st) < 0)
        return PP_EIO;
    if (S_ISSOCK(st.st_mode)) {
        s->kind = PP_SINK_SOCKET;
    } else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
        s->kind = PP_SINK_PIPE;
        if (!s->owned) {
            int own = open_again(s->fd);
            if (own >= 0) {
                s->fd = own;
                s->owned = true;
            } else {
                s->kind = PP_SINK_SHARED;
            }
        }
    } else {
        s->kind = PP_SINK_FILE;
    }
    return PP_OK;
}

static void on_flush_due(struct pp_timer *t)
{
    pp_sink_flush(PP_CONTAINER_OF(t, struct pp_sink, timer));
}

static void release(struct pp_sink *s)
{
    if (s->owned)
        pp_fd_close(&s->fd);
    s->fd = -1;
    s->owned = false;
    pp_mem_free(s->path);
    pp_mem_free(s->ring);
    s->path = s->ring = NULL;
}

int pp_sink_open(struct pp_sink *s, struct pp_loop *lp, const char *path, int fd)
{
    int rc = PP_OK;

    memset(s, 0, sizeof *s);
    s->fd = fd;
    s->loop = lp;
    pp_timer_init(&s->timer, on_flush_due);
    if (path != NULL) {
        rc = open_path(path, &s->fd);
        s->owned = rc == PP_OK;
    }
    if (rc == PP_OK)
        rc = recognise(s);
    if (rc == PP_OK) {
        s->ring = pp_mem_alloc(PP_SINK_RING + PP_SINK_LINE);
        s->path = path != NULL ? pp_mem_dup(path, strlen(path)) : NULL;
        if (s->ring == NULL || (path != NULL && s->path == NULL))
            rc = PP_ENOMEM;
    }
    if (rc != PP_OK)
        release(s);
    return rc;
}

/* ---- the ring ---- */

static size_t tail(const struct pp_sink *s)
{
    size_t at = s->head + s->n;
    return at >= PP_SINK_RING ? at - PP_SINK_RING : at;
}

char *pp_sink_reserve(struct pp_sink *s, size_t n)
{
    if (PP_LIKELY(n <= PP_SINK_LINE && n <= PP_SINK_RING - s->n))
        return s->ring + tail(s);
    s->dropped++;
    return NULL;
}

void pp_sink_commit(struct pp_sink *s, size_t n)
{
    size_t at = tail(s);

    if (n == 0)
        return;
    PP_ASSERT(n <= PP_SINK_LINE && n <= PP_SINK_RING - s->n);
    if (at + n > PP_SINK_RING)
        memcpy(s->ring, s->ring + PP_SINK_RING, at + n - PP_SINK_RING);
    s->n += n;
    s->lines++;
    if (s->n >= PP_SINK_FLUSH_BYTES && !s->stuck)
        pp_sink_flush(s);
    else if (!pp_timer_is_pending(&s->timer))
        pp_loop_start(s->loop, &s->timer, s->loop->now_ms + PP_SINK_FLUSH_MS);
}

static char byte_at(const struct pp_sink *s, size_t i)
{
    size_t at = s->head + i;
    return s->ring[at >= PP_SINK_RING ? at - PP_SINK_RING : at];
}

/* The oldest <n> bytes are done with. */
static void skip(struct pp_sink *s, size_t n)
{
    s->mid_line = byte_at(s, n - 1) != '\n';
    s->n -= n;
    s->head += n;
    if (s->head >= PP_SINK_RING)
        s->head -= PP_SINK_RING;
    if (s->n == 0)
        s->head = 0; /* the front of the ring is warm, and the rest may never be touched */
}

/* The first <n> waiting bytes as one or two iovecs; returns how many. */
static int view(const struct pp_sink *s, size_t n, struct iovec iov[2])
{
    size_t front = PP_MIN(n, PP_SINK_RING - s->head);

    iov[0] = (struct iovec){s->ring + s->head, front};
    iov[1] = (struct iovec){s->ring, n - front};
    return front < n ? 2 : 1;
}

/* ---- writing ---- */

/* Bytes of the next piece for a pipe: as many whole lines as the kernel writes all or nothing (then
 * the lines of several workers are not mixed), or the one line that is longer. */
static size_t pipe_piece(const struct pp_sink *s)
{
    size_t end = PP_MIN(s->n, (size_t)PIPE_BUF);

    for (size_t i = end; i > 0; i--) {
        if (byte_at(s, i - 1) == '\n')
            return i;
    }
    if (s->kind == PP_SINK_SHARED)
        return end; /* more than this could block */
    while (end < s->n && byte_at(s, end - 1) != '\n')
        end++;
    return end;
}

static bool takes_bytes(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* One write of the next piece. PP_OK with *n > 0, PP_EAGAIN, or what failed. */
static int write_piece(struct pp_sink *s, size_t *n)
{
    struct iovec iov[2];
    int count;

    switch (s->kind) {
    case PP_SINK_SOCKET: {
        struct msghdr msg = {.msg_iov = iov};
        msg.msg_iovlen = (size_t)view(s, s->n, iov);
        ssize_t r = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        *n = r > 0 ? (size_t)r : 0;
        return r < 0 ? pp_fd_error(errno) : PP_OK;
    }
    case PP_SINK_SHARED:
        if (!takes_bytes(s->fd))
            return PP_EAGAIN;
        count = view(s, pipe_piece(s), iov);
        break;
    case PP_SINK_PIPE:
        count = view(s, pipe_piece(s), iov);
        break;
    default:
        count = view(s, s->n, iov);
        break;
    }
    int rc = pp_fd_writev(s->fd, iov, count, n);
    return rc == PP_OK && *n == 0 ? PP_EAGAIN : rc;
}

void pp_sink_flush(struct pp_sink *s)
{
    int rc = PP_OK;

    if (s->fd < 0)
        return;
    while (s->n > 0) {
        size_t n = 0;
        rc = write_piece(s, &n);
        if (rc != PP_OK)
            break;
        s->bytes += n;
        skip(s, n);
    }
    s->stuck = rc != PP_OK;
    if (rc != PP_OK && rc != PP_EAGAIN)
        s->errors++;
    if (s->n > 0)
        pp_loop_start(s->loop, &s->timer, s->loop->now_ms + PP_SINK_FLUSH_MS);
    else
        pp_loop_stop(s->loop, &s->timer);
}

/* Drop waiting bytes up to and with the next line feed, or all with <all>; whole lines count. */
static void discard(struct pp_sink *s, bool all)
{
    while (s->n > 0) {
        bool end = byte_at(s, 0) == '\n';
        skip(s, 1);
        s->dropped += end;
        if (end && !all)
            break;
    }
}

int pp_sink_reopen(struct pp_sink *s)
{
    struct pp_sink fresh = *s;

    pp_sink_flush(s);
    if (s->path == NULL || s->fd < 0)
        return PP_OK;
    int rc = open_path(s->path, &fresh.fd);
    if (rc != PP_OK)
        return rc;
    rc = recognise(&fresh);
    if (rc != PP_OK) {
        pp_fd_close(&fresh.fd);
        return rc;
    }
    pp_fd_close(&s->fd);
    s->fd = fresh.fd;
    s->kind = fresh.kind;
    /* The first half of a line is in the old file (full disk): the other half alone is no line. */
    if (s->mid_line)
        discard(s, false);
    s->mid_line = false;
    s->stuck = false;
    if (s->n > 0)
        pp_sink_flush(s);
    return PP_OK;
}

void pp_sink_close(struct pp_sink *s)
{
    if (s->ring == NULL)
        return;
    pp_sink_flush(s);
    discard(s, true);
    pp_loop_stop(s->loop, &s->timer);
    release(s);
}
