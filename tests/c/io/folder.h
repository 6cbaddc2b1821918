/* A folder of a test's own, with what it puts there. */
#ifndef PP_IO_FOLDER_H
#define PP_IO_FOLDER_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pp_test.h"

#define FOLDER_MOST 64

struct folder {
    char path[64];
    char *made[FOLDER_MOST]; /* absolute, in the order in which they were made */
    int n;
};

static inline bool folder_make(struct folder *f)
{
    memset(f, 0, sizeof *f);
    strcpy(f->path, "/tmp/pp-folder-XXXXXX");
    return mkdtemp(f->path) != NULL;
}

/* The absolute path of <name>, which is removed at the end. */
static inline const char *folder_note(struct folder *f, const char *name)
{
    if (f->n == FOLDER_MOST)
        abort();
    char **path = &f->made[f->n++];
    if (asprintf(path, "%s/%s", f->path, name) < 0)
        abort();
    return *path;
}

static inline void folder_put(struct folder *f, const char *name, const char *bytes, size_t n)
{
    int fd = open(folder_note(f, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    PP_CHECK_EQ(write(fd, bytes, n), n);
    close(fd);
}

static inline void folder_sub(struct folder *f, const char *name)
{
    PP_CHECK_EQ(mkdir(folder_note(f, name), 0755), 0);
}

static inline void folder_link(struct folder *f, const char *name, const char *to)
{
    PP_CHECK_EQ(symlink(to, folder_note(f, name)), 0);
}

static inline void folder_pipe(struct folder *f, const char *name)
{
    PP_CHECK_EQ(mkfifo(folder_note(f, name), 0600), 0);
}

static inline void folder_remove(struct folder *f)
{
    while (f->n > 0) {
        (void)!remove(f->made[--f->n]);
        free(f->made[f->n]);
    }
    PP_CHECK_EQ(rmdir(f->path), 0);
}

#endif
