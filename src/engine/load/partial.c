#include "load/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/fault.h"
#include "base/hash.h"

#define MAGIC        "AGPART1\n"
#define HEAD_BYTES   16u
#define RECORD_BYTES 16u

static double mib(uint64_t bytes) { return (double)bytes / (1024.0 * 1024.0); }

/* A failed call of the system as an error; a full disk says what would help. */
static ag_code fail(const ag_partial *p, const char *file, const char *verb, ag_err *err) {
    int e = errno;
    char room[128];
    struct statvfs fs;
    if (e != ENOSPC && e != EDQUOT)
        return ag_fail(err, AG_E_IO, "%s: cannot %s: %s", file, verb,
                       strerror_r(e, room, sizeof room));
    uint64_t left = fstatvfs(p->fd, &fs) == 0 ? (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize : 0;
    return ag_fail(err, AG_E_IO,
                   "%s: the disk is full: the file needs %.1f MiB, %.1f MiB are free; make room "
                   "and run the same command again",
                   p->path, mib(p->bytes), mib(left));
}

static ag_code write_all(const ag_partial *p, int fd, const char *file, uint64_t at, ag_span bytes,
                         ag_err *err) {
    while (bytes.n > 0) {
        ssize_t put = ag_fault_hit(AG_FAULT_WRITE) ? (errno = ENOSPC, -1)
                                                   : pwrite(fd, bytes.p, bytes.n, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail(p, file, "write", err);
        bytes = ag_span_sub(bytes, (size_t)put, bytes.n);
        at += (uint64_t)put;
    }
    return AG_OK;
}

static bool read_all(int fd, uint64_t at, void *to, size_t n) {
    uint8_t *out = to;
    while (n > 0) {
        ssize_t got =
            ag_fault_hit(AG_FAULT_READ) ? (errno = EIO, -1) : pread(fd, out, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        out += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

/* Ties a record to its place and to what is being written. */
static uint64_t check_of(const ag_partial *p, size_t piece, uint64_t hash) {
    return ag_mix64(hash ^ 0x9e3779b97f4a7c15u, p->identity ^ (uint64_t)piece);
}

/* ---- opening --------------------------------------------------------------------------------- */

static ag_code make_names(ag_partial *p, ag_err *err) {
    size_t n = strlen(p->path);
    ag_buf name;
    ag_buf_init(&name, AG_ROOM_LOAD, n + 32);
    ag_buf_addf(&name, "%s.partial", p->path);
    if (!name.failed)
        p->name = ag_strndup(AG_ROOM_LOAD, name.p, name.n);
    ag_buf_adds(&name, ".journal");
    if (!name.failed)
        p->journal = ag_strndup(AG_ROOM_LOAD, name.p, name.n);
    ag_buf_deinit(&name);
    return p->name && p->journal ? AG_OK : ag_fail(err, AG_E_NOMEM, "%s: out of memory", p->path);
}

/* Between opening and locking, another process may have finished the file and given it its name:
 * then what we hold is no longer ours to empty. */
static bool is_still_there(const ag_partial *p) {
    struct stat ours, named;
    return fstat(p->fd, &ours) == 0 && stat(p->name, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

static ag_code open_both(ag_partial *p, ag_err *err) {
    p->fd = open(p->name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (p->fd < 0)
        return fail(p, p->name, "create", err);
    if (flock(p->fd, LOCK_EX | LOCK_NB) != 0 || !is_still_there(p))
        return ag_fail(err, AG_E_AGAIN, "%s: another process is writing this file", p->name);
    p->journal_fd = open(p->journal, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    return p->journal_fd < 0 ? fail(p, p->journal, "create", err) : AG_OK;
}

/* How many records the journal holds, when it speaks of this file. */
static size_t count_records(const ag_partial *p) {
    uint8_t head[HEAD_BYTES];
    struct stat st;
    if (fstat(p->journal_fd, &st) != 0 || st.st_size < (off_t)HEAD_BYTES ||
        !read_all(p->journal_fd, 0, head, sizeof head))
        return 0;
    ag_cursor c = ag_cursor_of(head, sizeof head);
    if (memcmp(ag_cursor_take(&c, 8), MAGIC, 8) != 0 || ag_cursor_u64(&c) != p->identity)
        return 0;
    return ((size_t)st.st_size - HEAD_BYTES) / RECORD_BYTES;
}

static ag_code start_over(ag_partial *p, ag_err *err) {
    uint8_t head[HEAD_BYTES] = MAGIC;
    ag_put_le(head + 8, p->identity, 8);
    if (ftruncate(p->fd, 0) != 0)
        return fail(p, p->name, "empty", err);
    if (ftruncate(p->journal_fd, 0) != 0)
        return fail(p, p->journal, "empty", err);
    return write_all(p, p->journal_fd, p->journal, 0, ag_span_of(head, sizeof head), err);
}

/* Full size at once: a disk that is too small is found out before hours of work. */
static ag_code reserve(ag_partial *p, ag_err *err) {
    int e;
    do
        e = fallocate(p->fd, 0, 0, (off_t)p->bytes) == 0 ? 0 : errno;
    while (e == EINTR);
    if (e == EOPNOTSUPP || e == ENOSYS) /* then pieces are allocated as they are written */
        e = ftruncate(p->fd, (off_t)p->bytes) == 0 ? 0 : errno;
    errno = e;
    return e ? fail(p, p->name, "reserve space for", err) : AG_OK;
}

ag_code ag_partial_open(ag_partial *p, const char *path, uint64_t bytes, uint64_t identity,
                        bool resume, ag_err *err) {
    *p = (ag_partial){
        .path = path, .fd = -1, .journal_fd = -1, .identity = identity, .bytes = bytes};
    ag_code code = make_names(p, err);
    if (!code)
        code = open_both(p, err);
    if (code) {
        p->keep = true; /* whatever is there belongs to somebody else */
        ag_partial_close(p);
        return code;
    }
    p->n_found = resume ? count_records(p) : 0;
    if (p->n_found == 0)
        code = start_over(p, err);
    if (!code)
        code = reserve(p, err);
    p->keep = p->n_found > 0;
    if (code)
        ag_partial_close(p);
    return code;
}

void ag_partial_close(ag_partial *p) {
    if (p->fd >= 0 && !p->keep) {
        unlink(p->name);
        unlink(p->journal);
    }
    if (p->fd >= 0)
        close(p->fd);
    if (p->journal_fd >= 0)
        close(p->journal_fd);
    ag_free(p->name);
    ag_free(p->journal);
    *p = (ag_partial){.fd = -1, .journal_fd = -1};
}

/* ---- pieces ---------------------------------------------------------------------------------- */

bool ag_partial_noted(const ag_partial *p, uint64_t *hash) {
    uint8_t record[RECORD_BYTES];
    if (p->n_pieces >= p->n_found ||
        !read_all(p->journal_fd, HEAD_BYTES + (uint64_t)p->n_pieces * RECORD_BYTES, record,
                  sizeof record))
        return false;
    ag_cursor c = ag_cursor_of(record, sizeof record);
    *hash = ag_cursor_u64(&c);
    return ag_cursor_u64(&c) == check_of(p, p->n_pieces, *hash);
}

void ag_partial_trust(ag_partial *p) { p->n_pieces++; }

bool ag_partial_read(const ag_partial *p, uint64_t at, void *to, size_t n) {
    return read_all(p->fd, at, to, n);
}

ag_code ag_partial_write(ag_partial *p, uint64_t at, ag_span bytes, ag_err *err) {
    return write_all(p, p->fd, p->name, at, bytes, err);
}

ag_code ag_partial_note(ag_partial *p, uint64_t hash, ag_err *err) {
    uint8_t record[RECORD_BYTES];
    ag_put_le(record, hash, 8);
    ag_put_le(record + 8, check_of(p, p->n_pieces, hash), 8);
    ag_code code =
        write_all(p, p->journal_fd, p->journal, HEAD_BYTES + (uint64_t)p->n_pieces * RECORD_BYTES,
                  ag_span_of(record, sizeof record), err);
    if (code)
        return code;
    p->n_pieces++;
    p->n_found = p->n_pieces; /* older records behind this one are void */
    p->keep = true;
    return AG_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* A rename lasts through a power cut only once the folder is synced. */
static void sync_folder(const char *path) {
    char *copy = ag_strndup(AG_ROOM_LOAD, path, strlen(path));
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    ag_free(copy);
}

ag_code ag_partial_finish(ag_partial *p, ag_err *err) {
    if (ftruncate(p->fd, (off_t)p->bytes) != 0 || fsync(p->fd) != 0)
        return fail(p, p->name, "write", err);
    if (rename(p->name, p->path) != 0)
        return fail(p, p->path, "give the finished file its name", err);
    unlink(p->journal);
    sync_folder(p->path);
    p->keep = true; /* there is nothing left to remove */
    return AG_OK;
}
