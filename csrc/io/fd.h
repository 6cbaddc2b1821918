/* Descriptors: opened, adopted and closed once, in one place; the EINTR policy is made here.
 *
 * Non-blocking socket calls never sleep and therefore never see EINTR; what may sleep (a write to a
 * file) goes through this file. */
#ifndef PP_IO_FD_H
#define PP_IO_FD_H

#include <sys/uio.h>

#include "base/err.h"

/* Make <fd> non-blocking and close-on-exec. PP_OK or PP_EIO. */
int pp_fd_prepare(int fd) PP_MUST_USE;
/* Close *fd when it is >= 0 and set it to -1. Idempotent; never retried on EINTR (Linux has closed
 * it by then). */
void pp_fd_close(int *fd);
/* One writev of <count> iovecs to <fd>, repeated only when a signal interrupted it before the first
 * byte. PP_OK with *n written (may be short), or pp_fd_error() of what went wrong with *n = 0. */
int pp_fd_writev(int fd, const struct iovec *iov, int count, size_t *n) PP_MUST_USE;
/* PP_E code of the errno value <err>, the one mapping:
 *
 *   EAGAIN                                     PP_EAGAIN
 *   ECONNRESET EPIPE ECONNABORTED              PP_ERESET
 *   ECONNREFUSED                               PP_EREFUSED
 *   EHOSTUNREACH ENETUNREACH EADDRNOTAVAIL
 *   ENETDOWN EHOSTDOWN                         PP_EUNREACH
 *   ETIMEDOUT                                  PP_ETIMEDOUT
 *   EMFILE ENFILE                              PP_EMFILE
 *   ENOMEM ENOBUFS                             PP_ENOMEM
 *   everything else                            PP_EIO */
int pp_fd_error(int err);

#endif
