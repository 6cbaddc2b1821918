#include "io/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "base/num.h"
#include "io/fd.h"

/* "size resident shared text lib data dt", in pages (proc_pid_statm(5)). */
static int resident_pages(struct pp_span s, uint64_t *pages)
{
    size_t from = 0, to;
    while (from < s.n && s.p[from] != ' ')
        from++;
    from++;
    for (to = from; to < s.n && s.p[to] != ' '; to++)
        continue;
    if (to >= s.n)
        return PP_EIO;
    return pp_num_parse_u64(pp_span(s.p + from, to - from), pages) == PP_OK ? PP_OK : PP_EIO;
}

int pp_memory_resident(int *fd, uint64_t *bytes)
{
    char text[160];
    uint64_t pages;
    if (*fd < 0)
        *fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        return pp_fd_error(errno);
    ssize_t n = pread(*fd, text, sizeof(text), 0);
    if (n <= 0)
        return PP_EIO;
    int rc = resident_pages(pp_span(text, (size_t)n), &pages);
    if (rc == PP_OK)
        *bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return rc;
}

void pp_memory_trim(void)
{
    (void)malloc_trim(0);
}
