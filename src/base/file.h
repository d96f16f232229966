/* Files: read-only mappings and whole small files, with errors that name the path. */
#ifndef AG_BASE_FILE_H
#define AG_BASE_FILE_H

#include "base/span.h"

/* "PATH: cannot VERB: why", from errno. AG_E_NOT_FOUND when there is no such file, else AG_E_IO. */
ag_code ag_fail_errno(ag_err *err, const char *path, const char *verb);

typedef struct ag_file_map {
    const uint8_t *p; /* mapped read-only; NULL when closed */
    size_t n;         /* bytes */
    int fd;           /* kept open for read-ahead hints; -1 when closed */
} ag_file_map;

/* Map a regular file. AG_E_NOT_FOUND (no such file), AG_E_IO (directory, permission, empty, ...).
 */
ag_code ag_file_map_open(ag_file_map *m, const char *path, ag_err *err) AG_MUST_USE;
void ag_file_map_close(ag_file_map *m);
/* Tell the system that bytes [at, at + n) will be read soon / in small parts far apart, for which
 * it should not bring in their surroundings / are no longer needed. */
void ag_file_map_want(const ag_file_map *m, size_t at, size_t n);
void ag_file_map_scatter(const ag_file_map *m, size_t at, size_t n);
void ag_file_map_drop(const ag_file_map *m, size_t at, size_t n);

/* Append the whole file ("-" is standard input) to out, whose cap bounds it.
 * AG_E_NOT_FOUND, AG_E_IO, AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_file_read(const char *path, ag_buf *out, ag_err *err) AG_MUST_USE;
/* Write a file whole: a temporary beside it, fsync, rename. Nothing half-written is left behind. */
ag_code ag_file_write(const char *path, ag_span bytes, ag_err *err) AG_MUST_USE;
/* Make the folders that a file at `path` lies in, where they are missing. AG_E_IO, AG_E_LIMIT. */
ag_code ag_file_make_parents(const char *path, ag_err *err) AG_MUST_USE;

#endif
