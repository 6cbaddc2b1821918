/* Memory of this process, as the system sees it. */
#ifndef PP_IO_MEMORY_H
#define PP_IO_MEMORY_H

#include <stddef.h>

#include "base/err.h"

/* Bytes of this process that are in RAM, pages that it shares with others included. A few
 * microseconds. *fd is -1 before the first call, and the caller's to close (pp_fd_close): of the
 * process that made that call. PP_OK; PP_EMFILE, or PP_EIO where there is no /proc. */
int pp_memory_resident(int *fd, uint64_t *bytes) PP_MUST_USE;

/* Give memory back to the system that was freed and kept. Milliseconds. */
void pp_memory_trim(void);

#endif
