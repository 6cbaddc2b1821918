/* Files that are read to be sent: opened beneath a folder, whatever their path says.
 *
 * The kernel resolves the path (openat2, Linux 5.6): neither "..", an absolute path nor a symbolic
 * link leads out of the folder, also not when the tree is changed meanwhile.
 *
 * Opening and reading wait for the disk when the page cache does not have what is asked for: meant
 * for local disks, not for file systems that a network can hold up. */
#ifndef PP_IO_FILE_H
#define PP_IO_FILE_H

#include "base/err.h"

struct pp_file_stat {
    uint64_t size;
    int64_t modified_ns; /* since the epoch */
    bool is_folder;      /* else a regular file */
};

/* Open the folder <path> (NUL-terminated), only to open what is beneath it. PP_OK with *fd,
 * PP_ENOENT (none, or no right to it), PP_EINVAL (the kernel cannot keep paths beneath it), or
 * pp_fd_error() of what went wrong. */
int pp_file_open_root(const char *path, int *fd) PP_MUST_USE;

/* Open <path> (NUL-terminated, relative) beneath <root> for reading. PP_OK with *fd and *st;
 * PP_ENOENT: there is no such file or folder beneath it that may be read (pipes, sockets and
 * devices are none); or pp_fd_error() of what went wrong. Never waits for a pipe. */
int pp_file_open_beneath(int root, const char *path, int *fd, struct pp_file_stat *st) PP_MUST_USE;

/* Read at most <n> > 0 bytes at <at>. PP_OK with 1 <= *got <= n, PP_EEOF: the file ends there; or
 * pp_fd_error() of what went wrong. */
int pp_file_read(int fd, uint64_t at, char *dst, size_t n, size_t *got) PP_MUST_USE;

/* Move at most <n> > 0 bytes at <at> of the file <fd> to the socket <to>, inside the kernel. PP_OK
 * with 1 <= *sent <= n, PP_EAGAIN: the socket is full; PP_EEOF: the file ends there; or
 * pp_fd_error() of what went wrong (PP_EIO, too, when it is no file that can be moved so). */
int pp_file_send(int to, int fd, uint64_t at, size_t n, size_t *sent) PP_MUST_USE;

#endif
