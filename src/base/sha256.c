#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

#define CHUNK ((size_t)1 << 20)

void ag_sha256_init(ag_sha256 *s) { sha256_init(&s->state); }

void ag_sha256_add(ag_sha256 *s, ag_span bytes) {
    if (bytes.n)
        sha256_update(&s->state, bytes.n, (const uint8_t *)bytes.p);
}

void ag_sha256_end(ag_sha256 *s, char text[AG_SHA256_TEXT]) {
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[AG_SHA256_BYTES];
    sha256_digest(&s->state, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * sizeof digest] = '\0';
}

bool ag_sha256_is_text(ag_span s) {
    bool good = s.n == AG_SHA256_TEXT - 1;
    for (size_t i = 0; good && i < s.n; i++)
        good = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    return good;
}

/* Read to the end instead of mapping: a file that shrinks meanwhile must not end the process. */
static ag_code hash_fd(int fd, const char *path, ag_sha256 *s, char *chunk, ag_sha256_watch *watch,
                       uint64_t *bytes, ag_err *err) {
    for (;;) {
        ssize_t got = ag_fault_hit(AG_FAULT_READ) ? (errno = EIO, -1) : read(fd, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ag_fail_errno(err, path, "read");
        if (got == 0)
            return AG_OK;
        ag_sha256_add(s, ag_span_of(chunk, (size_t)got));
        *bytes += (uint64_t)got;
        if (!watch)
            continue;
        watch->done += (uint64_t)got;
        if (watch->tell && !watch->tell(watch->ctx, watch->done, watch->total))
            return ag_fail(err, AG_E_CANCELLED, "%s: stopped while hashing", path);
    }
}

ag_code ag_sha256_file(const char *path, ag_sha256_watch *watch, char text[AG_SHA256_TEXT],
                       uint64_t *bytes, ag_err *err) {
    struct stat st;
    ag_sha256 s;
    uint64_t n = 0;
    ag_code code = AG_OK;
    char *chunk = NULL;
    /* Not blocking: opening a pipe would wait for its writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ag_fail_errno(err, path, "open");
    if (fstat(fd, &st) != 0)
        code = ag_fail_errno(err, path, "read its size");
    else if (!S_ISREG(st.st_mode))
        code = ag_fail(err, AG_E_IO, "%s: not a regular file", path);
    if (!code && !(chunk = ag_alloc(AG_ROOM_BASE, CHUNK)))
        code = ag_fail(err, AG_E_NOMEM, "%s: out of memory", path);
    if (code)
        goto out;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    ag_sha256_init(&s);
    code = hash_fd(fd, path, &s, chunk, watch, &n, err);
    ag_sha256_end(&s, text);
    if (bytes)
        *bytes = n;
out:
    ag_free(chunk);
    close(fd);
    return code;
}
