#include "hub/parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"

#define CHUNK ((size_t)1 << 20)

void ag_hub_digest_init(ag_hub_digest *d, const ag_hub_file *f) {
    d->is_sha256 = f->sha256[0] != '\0';
    ag_sha256_init(&d->sha256);
    sha1_init(&d->sha1);
    if (!d->is_sha256) {
        char head[40];
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)f->bytes);
        sha1_update(&d->sha1, (size_t)n + 1, (const uint8_t *)head); /* with its NUL */
    }
}

void ag_hub_digest_add(ag_hub_digest *d, ag_span bytes) {
    if (d->is_sha256)
        ag_sha256_add(&d->sha256, bytes);
    else
        sha1_update(&d->sha1, bytes.n, (const uint8_t *)bytes.p);
}

void ag_hub_digest_end(ag_hub_digest *d, char text[AG_SHA256_TEXT]) {
    uint8_t out[SHA1_DIGEST_SIZE];
    if (d->is_sha256) {
        ag_sha256_end(&d->sha256, text);
        return;
    }
    sha1_digest(&d->sha1, sizeof out, out);
    for (size_t i = 0; i < sizeof out; i++)
        snprintf(text + 2 * i, 3, "%02x", out[i]);
}

const char *ag_hub_digest_wanted(const ag_hub_file *f) {
    return f->sha256[0] ? f->sha256 : f->blob;
}

ag_code ag_hub_digest_read(ag_hub *h, ag_hub_digest *d, int fd, const char *path, uint64_t n,
                           ag_err *err) {
    ag_code code = AG_OK;
    char *chunk = ag_alloc(AG_ROOM_HUB, CHUNK);
    if (!chunk)
        return ag_fail(err, AG_E_NOMEM, "%s: out of memory", path);
    for (uint64_t at = 0; at < n && !code;) {
        size_t want = n - at < CHUNK ? (size_t)(n - at) : CHUNK;
        ssize_t got =
            ag_fault_hit(AG_FAULT_READ) ? (errno = EIO, -1) : pread(fd, chunk, want, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            errno = got < 0 ? errno : EIO; /* it shrank */
            code = ag_hub_fail_errno(path, "read", err);
            break;
        }
        ag_hub_digest_add(d, ag_span_of(chunk, (size_t)got));
        at += (uint64_t)got;
        h->done += (uint64_t)got;
        ag_hub_tell(h, AG_HUB_CHECKING);
        if (ag_hub_is_stopped(h))
            code = ag_fail(err, AG_E_CANCELLED, "%s: stopped while checking it", path);
    }
    ag_free(chunk);
    return code;
}

ag_code ag_hub_is_there(ag_hub *h, const ag_hub_file *f, const char *path, bool *yes, ag_err *err) {
    ag_hub_digest d;
    char text[AG_SHA256_TEXT];
    struct stat st;
    *yes = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? AG_OK : ag_hub_fail_errno(path, "open", err);
    ag_code code = AG_OK;
    if (fstat(fd, &st) != 0)
        code = ag_hub_fail_errno(path, "read its size", err);
    else if (!S_ISREG(st.st_mode))
        code = ag_fail(err, AG_E_IO, "%s: not a regular file", path);
    else if ((uint64_t)st.st_size == f->bytes) {
        ag_hub_digest_init(&d, f);
        code = ag_hub_digest_read(h, &d, fd, path, f->bytes, err);
        ag_hub_digest_end(&d, text);
        *yes = !code && strcmp(text, ag_hub_digest_wanted(f)) == 0;
    }
    close(fd);
    return code;
}
