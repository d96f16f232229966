#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

ag_code ag_fail_errno(ag_err *err, const char *path, const char *verb) {
    int e = errno;
    char room[128];
    const char *text = strerror_r(e, room, sizeof room); /* GNU's: the text, maybe not in room */
    return ag_fail(err, e == ENOENT ? AG_E_NOT_FOUND : AG_E_IO, "%s: cannot %s: %s", path, verb,
                   text);
}

ag_code ag_file_map_open(ag_file_map *m, const char *path, ag_err *err) {
    *m = (ag_file_map){.fd = -1};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ag_fail_errno(err, path, "open");
    struct stat st;
    ag_code code = AG_OK;
    if (fstat(fd, &st) != 0)
        code = ag_fail_errno(err, path, "read its size");
    else if (S_ISDIR(st.st_mode))
        code = ag_fail(err, AG_E_IO, "%s: is a directory, not a file", path);
    else if (!S_ISREG(st.st_mode))
        code = ag_fail(err, AG_E_IO, "%s: not a regular file", path);
    else if (st.st_size == 0)
        code = ag_fail(err, AG_E_FORMAT, "%s: the file is empty", path);
    if (code)
        goto out;
    void *p = ag_fault_hit(AG_FAULT_MMAP)
                  ? (errno = ENOMEM, MAP_FAILED)
                  : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        code = ag_fail_errno(err, path, "map");
        goto out;
    }
    *m = (ag_file_map){.p = p, .n = (size_t)st.st_size, .fd = fd};
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    return code;
}

void ag_file_map_close(ag_file_map *m) {
    if (m->p)
        munmap((void *)(uintptr_t)m->p, m->n);
    if (m->p && m->fd >= 0)
        close(m->fd);
    *m = (ag_file_map){.fd = -1};
}

static void advise(const ag_file_map *m, size_t at, size_t n, int advice, size_t round_up) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!m->p || at >= m->n)
        return;
    size_t end = n > m->n - at ? m->n : at + n;
    at = (at + (round_up ? page - 1 : 0)) / page * page;
    if (at < end)
        (void)madvise((void *)(uintptr_t)(m->p + at), end - at, advice);
}

void ag_file_map_want(const ag_file_map *m, size_t at, size_t n) {
    advise(m, at, n, MADV_WILLNEED, 0);
}

void ag_file_map_scatter(const ag_file_map *m, size_t at, size_t n) {
    advise(m, at, n, MADV_RANDOM, 1);
#ifdef MADV_NOHUGEPAGE
    advise(m, at, n, MADV_NOHUGEPAGE, 1); /* a page of 2 MiB of the cache is mapped as a whole */
#endif
}

void ag_file_map_drop(const ag_file_map *m, size_t at, size_t n) {
    advise(m, at, n, MADV_DONTNEED, 1);
}

ag_code ag_file_read(const char *path, ag_buf *out, ag_err *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? 0 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ag_fail_errno(err, path, "open");
    ag_code code = AG_OK;
    for (;;) {
        size_t chunk = out->cap - out->n < 65536 ? out->cap - out->n + 1 : 65536;
        char small[1]; /* finds out whether there is a byte past the cap */
        char *to = small;
        if (out->cap > out->n) {
            chunk = out->cap - out->n < 65536 ? out->cap - out->n : 65536;
            if (!ag_buf_reserve(out, chunk)) {
                code = ag_buf_check(out, path, err);
                break;
            }
            to = out->p + out->n;
        } else {
            chunk = 1;
        }
        ssize_t got = ag_fault_hit(AG_FAULT_READ) ? (errno = EIO, -1) : read(fd, to, chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            code = ag_fail_errno(err, is_stdin ? "standard input" : path, "read");
            break;
        }
        if (got == 0)
            break;
        if (to == small) {
            code =
                ag_fail(err, AG_E_LIMIT, "%s: larger than the limit of %zu bytes", path, out->cap);
            break;
        }
        out->n += (size_t)got;
    }
    if (!is_stdin)
        close(fd);
    return code;
}

ag_code ag_file_write(const char *path, ag_span bytes, ag_err *err) {
    ag_buf tmp;
    ag_buf_init(&tmp, AG_ROOM_BASE, 4096 + 16);
    ag_buf_addf(&tmp, "%s.tmp.%ld", path, (long)getpid());
    const char *name = ag_buf_cstr(&tmp);
    ag_code code = ag_buf_check(&tmp, "the name of a temporary file", err);
    if (code || !name) {
        ag_buf_deinit(&tmp);
        return code ? code : ag_fail(err, AG_E_NOMEM, "%s: out of memory", path);
    }
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        code = ag_fail_errno(err, path, "create");
        ag_buf_deinit(&tmp);
        return code;
    }
    while (bytes.n > 0 && !code) {
        ssize_t put = write(fd, bytes.p, bytes.n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            code = ag_fail_errno(err, path, "write");
        else
            bytes = ag_span_sub(bytes, (size_t)put, bytes.n);
    }
    if (!code && fsync(fd) != 0)
        code = ag_fail_errno(err, path, "write");
    if (close(fd) != 0 && !code)
        code = ag_fail_errno(err, path, "write");
    if (!code && rename(name, path) != 0)
        code = ag_fail_errno(err, path, "rename into place");
    if (code)
        unlink(name);
    ag_buf_deinit(&tmp);
    return code;
}

ag_code ag_file_make_parents(const char *path, ag_err *err) {
    char part[4096];
    size_t n = strlen(path);
    if (n >= sizeof part)
        return ag_fail(err, AG_E_LIMIT, "a path of %zu bytes is too long", n);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (part[i] != '/')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return ag_fail_errno(err, part, "make the folder");
        part[i] = '/';
    }
    return AG_OK;
}
