/* One file: from nothing or from what an interrupted fetch left, to its digest and its name.
 *
 * PATH.partial holds the bytes so far: its length is where the next request goes on. Its lock says
 * that somebody is at it. PATH.partial.note says which content it is the beginning of, and the
 * server's ETag for If-Range, so that a server with other bytes sends the whole file instead of a
 * wrong rest. Neither is trusted: the digest over all bytes decides. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "hub/parts.h"

#define MAX_REDIRECTS 8
#define MAX_NOTE      512u
#define PROGRESS      ((uint64_t)64 << 10) /* a try that brought less did not work */
#define MAX_WAIT_S    60u                  /* of what a server may ask for */

typedef struct fetch {
    ag_hub *h;
    const ag_hub_file *f;
    char *path, *partial, *note, *url; /* owned */
    int fd;                            /* of the partial, locked; -1 */
    uint64_t at;                       /* bytes of it that count, and are in the digest */
    uint64_t base;                     /* h->done without this file */
    ag_hub_digest digest;
    char etag[256];  /* strong, of what is being sent; "": none */
    bool resumed;    /* bytes of an earlier run count */
    bool whole_only; /* the server refused to go on from where we are */
    bool is_locked;
} fetch;

/* ---- the unfinished file --------------------------------------------------------------------- */

/* First line: digest and size; second line: ETag. */
static bool read_note(const char *path, const ag_hub_file *f, char *etag, size_t room) {
    ag_buf text;
    char first[128];
    ag_buf_init(&text, AG_ROOM_HUB, MAX_NOTE);
    int n = snprintf(first, sizeof first, "%s %llu\n", ag_hub_digest_wanted(f),
                     (unsigned long long)f->bytes);
    bool ok = ag_file_read(path, &text, NULL) == AG_OK &&
              ag_span_starts(ag_buf_span(&text), ag_span_of(first, (size_t)n));
    etag[0] = '\0';
    if (ok && text.n - (size_t)n < room) {
        memcpy(etag, text.p + n, text.n - (size_t)n);
        etag[text.n - (size_t)n] = '\0';
        etag[strcspn(etag, "\n")] = '\0';
        if (!ag_hub_etag_is_strong(etag))
            etag[0] = '\0';
    }
    ag_buf_deinit(&text);
    return ok;
}

static ag_code write_note(const fetch *x, ag_err *err) {
    char text[MAX_NOTE];
    int n = snprintf(text, sizeof text, "%s %llu\n%s\n", ag_hub_digest_wanted(x->f),
                     (unsigned long long)x->f->bytes, x->etag);
    return ag_file_write(x->note, ag_span_of(text, (size_t)n), err);
}

uint64_t ag_hub_unfinished(const ag_hub *h, const ag_hub_file *f) {
    char etag[256];
    struct stat st;
    char *partial = ag_hub_join(h->folder, f->path, AG_HUB_PARTIAL);
    char *note = ag_hub_join(h->folder, f->path, AG_HUB_NOTE);
    uint64_t n = 0;
    if (partial && note && lstat(partial, &st) == 0 && S_ISREG(st.st_mode) &&
        (uint64_t)st.st_size <= f->bytes && read_note(note, f, etag, sizeof etag))
        n = (uint64_t)st.st_size;
    ag_free(partial);
    ag_free(note);
    return n;
}

/* Open and lock it. Whoever had the lock may have renamed the file in between: then the name leads
 * elsewhere, and the new one is taken. */
static ag_code lock(fetch *x, ag_err *err) {
    struct stat mine, there;
    for (int tries = 0; tries < 16; tries++) {
        x->fd = open(x->partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (x->fd < 0)
            return ag_hub_fail_errno(x->partial, "create", err);
        if (flock(x->fd, LOCK_EX | LOCK_NB) != 0)
            return ag_fail(err, AG_E_AGAIN, "%s: another pull is fetching this file", x->path);
        if (fstat(x->fd, &mine) == 0 && lstat(x->partial, &there) == 0 &&
            mine.st_ino == there.st_ino && mine.st_dev == there.st_dev && S_ISREG(mine.st_mode)) {
            x->is_locked = true;
            return AG_OK;
        }
        close(x->fd);
        x->fd = -1;
    }
    return ag_fail(err, AG_E_IO, "%s: cannot be locked", x->partial);
}

static ag_code begin_anew(fetch *x, ag_err *err) {
    if (ftruncate(x->fd, 0) != 0)
        return ag_hub_fail_errno(x->partial, "empty", err);
    x->at = 0;
    x->resumed = false;
    x->h->done = x->base;
    ag_hub_digest_init(&x->digest, x->f);
    return AG_OK;
}

/* Go on with what is there, if it is the beginning of this file. */
static ag_code take_up(fetch *x, ag_err *err) {
    ag_hub *h = x->h;
    struct stat st;
    if (fstat(x->fd, &st) != 0)
        return ag_hub_fail_errno(x->partial, "read its size", err);
    uint64_t n = (uint64_t)st.st_size, done = h->done, total = h->total;
    bool known = read_note(x->note, x->f, x->etag, sizeof x->etag);
    if (n > 0 && !known)
        ag_hub_note(h, "%s: an unfinished file of something else is there: starting over",
                    x->f->path);
    if (n == 0 || n > x->f->bytes || !known) {
        ag_code code = begin_anew(x, err);
        return code || known ? code : write_note(x, err);
    }
    ag_hub_digest_init(&x->digest, x->f);
    h->done = 0;
    h->total = n;
    ag_code code = ag_hub_digest_read(h, &x->digest, x->fd, x->partial, n, err);
    h->done = done + n;
    h->total = total;
    x->at = n;
    x->resumed = true;
    return code;
}

/* ---- receiving ------------------------------------------------------------------------------- */

static ag_code disagree(const fetch *x, const char *what, const char *found, ag_err *err) {
    return ag_fail(err, AG_E_FORMAT, "%s: the hub lists %llu bytes, but %s %s", x->f->path,
                   (unsigned long long)x->f->bytes, what, found);
}

/* What the hub says beside its redirect, before any byte is fetched for nothing. */
static ag_code check_links(const fetch *x, const ag_net_reply *r, ag_err *err) {
    const char *size = r->value[AG_HUB_H_LINKED_SIZE], *etag = r->value[AG_HUB_H_LINKED_ETAG];
    char text[32], sha256[AG_SHA256_TEXT];
    snprintf(text, sizeof text, "%llu", (unsigned long long)x->f->bytes);
    if (size && strcmp(size, text) != 0)
        return disagree(x, "X-Linked-Size is", size, err);
    if (etag && x->f->sha256[0] && ag_hub_etag_sha256(etag, sha256) &&
        strcmp(sha256, x->f->sha256) != 0)
        return ag_fail(err, AG_E_FORMAT, "%s: the hub lists SHA-256 %s and sends %s", x->f->path,
                       x->f->sha256, sha256);
    return AG_OK;
}

static ag_code keep_etag(fetch *x, const ag_net_reply *r, ag_err *err) {
    const char *etag = r->value[AG_HUB_H_ETAG];
    if (!etag || !ag_hub_etag_is_strong(etag))
        etag = "";
    if (strcmp(etag, x->etag) == 0)
        return AG_OK;
    snprintf(x->etag, sizeof x->etag, "%s", etag);
    return write_note(x, err);
}

/* A 206 goes on where we are; a 200 is the whole file, whatever was asked for. */
static ag_code on_head(void *ctx, const ag_net_reply *r, ag_err *err) {
    fetch *x = ctx;
    char text[32];
    ag_code code = check_links(x, r, err);
    if (code)
        return code;
    if (r->status == 206) {
        const char *range = r->value[AG_HUB_H_RANGE];
        if (x->at == 0 || !range || !ag_hub_range_is(range, x->at, x->f->bytes))
            return ag_fail(err, AG_E_FORMAT,
                           "%s: asked for bytes from %llu on, the server sends %.100s", x->f->path,
                           (unsigned long long)x->at, range ? range : "others");
    } else if (r->status != 200) {
        return ag_fail(err, AG_E_FORMAT, "%s: HTTP status %d is no file", x->f->path, r->status);
    } else if (x->at > 0) {
        ag_hub_note(x->h, "%s: the server sends it from its beginning: starting over", x->f->path);
        code = begin_anew(x, err);
    }
    if (!code && r->length != AG_NET_UNKNOWN && r->length != x->f->bytes - x->at) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)r->length);
        code = disagree(x, "the server sends", text, err);
    }
    return code ? code : keep_etag(x, r, err);
}

static ag_code on_body(void *ctx, ag_span piece, ag_err *err) {
    fetch *x = ctx;
    if (piece.n > x->f->bytes - x->at)
        return disagree(x, "the server sends", "more", err);
    ag_hub_digest_add(&x->digest, piece);
    x->h->out->fetched += piece.n;
    while (piece.n > 0) {
        ssize_t put = ag_fault_hit(AG_FAULT_WRITE) ? (errno = ENOSPC, -1)
                                                   : pwrite(x->fd, piece.p, piece.n, (off_t)x->at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return ag_hub_fail_errno(x->partial, "write", err);
        piece = ag_span_sub(piece, (size_t)put, piece.n);
        x->at += (uint64_t)put;
    }
    x->h->done = x->base + x->at;
    ag_hub_tell(x->h, AG_HUB_FETCHING);
    return AG_OK;
}

static bool stop(void *ctx) { return ag_hub_is_stopped(((fetch *)ctx)->h); }

/* One request for what is missing. AG_OK when the answer ended well, short or not. */
static ag_code ask(fetch *x, uint32_t *wait_s, ag_err *err) {
    char range[48];
    ag_net_reply r;
    ag_net_header headers[4];
    size_t n = 0;
    headers[n++] = (ag_net_header){"Accept-Encoding", "identity", false};
    if (x->h->bearer)
        headers[n++] = (ag_net_header){"Authorization", x->h->bearer, true};
    snprintf(range, sizeof range, "bytes=%llu-", (unsigned long long)x->at);
    if (x->at > 0 && !x->whole_only) {
        headers[n++] = (ag_net_header){"Range", range, false};
        if (x->etag[0])
            headers[n++] = (ag_net_header){"If-Range", x->etag, false};
    }
    const ag_net_request q = {.url = x->url,
                              .headers = headers,
                              .n_headers = n,
                              .want = ag_hub_headers,
                              .on_head = on_head,
                              .on_body = on_body,
                              .is_stopped = stop,
                              .ctx = x,
                              .max_bytes = UINT64_MAX,
                              .max_redirects = MAX_REDIRECTS};
    ag_code code = ag_net_do(x->h->net, &q, &r, err);
    *wait_s = r.retry_after_s;
    if (code)
        return code;
    if (r.status == 416 && x->at > 0 && !x->whole_only) { /* the file there is shorter than ours */
        x->whole_only = true;
        code = begin_anew(x, err);
        return code ? code : ask(x, wait_s, err);
    }
    return r.status == 200 || r.status == 206 ? AG_OK : ag_hub_refused(x->h, x->f->path, &r, err);
}

/* Until all bytes are there, or as many tries in a row as allowed brought nothing. */
static ag_code receive(fetch *x, ag_err *err) {
    ag_net_backoff backoff;
    ag_net_backoff_init(&backoff, 0, 0, ag_random_seed());
    int failures = 0;
    while (x->at < x->f->bytes) {
        uint64_t before = x->at;
        uint32_t wait_s = 0;
        ag_code code = ask(x, &wait_s, err);
        if (!code && x->at == x->f->bytes)
            return AG_OK;
        if (!code)
            code = ag_fail(err, AG_E_AGAIN, "%s: ended after %llu of %llu bytes", x->f->path,
                           (unsigned long long)x->at, (unsigned long long)x->f->bytes);
        if (x->at > before + PROGRESS) {
            failures = 0;
            ag_net_backoff_reset(&backoff);
        }
        if (code != AG_E_AGAIN || ++failures > x->h->opts->retries || wait_s > MAX_WAIT_S)
            return code;
        if (err)
            ag_hub_note(x->h, "%s; trying again", err->msg);
        if (!ag_net_sleep(ag_net_backoff_next(&backoff, wait_s * 1000u), stop, x))
            return ag_fail(err, AG_E_CANCELLED, "%s: stopped", x->f->path);
    }
    return AG_OK;
}

/* ---- the end --------------------------------------------------------------------------------- */

static void remove_unfinished(const fetch *x) {
    unlink(x->partial);
    unlink(x->note);
}

/* A rename lasts through a power cut only once the folder is synced. */
static void sync_folder_of(const fetch *x) {
    const char *slash = strrchr(x->path, '/');
    char *folder = ag_strndup(AG_ROOM_HUB, x->path, (size_t)(slash - x->path) + 1);
    int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    ag_free(folder);
}

static ag_code finish(fetch *x, ag_err *err) {
    if (fsync(x->fd) != 0)
        return ag_hub_fail_errno(x->partial, "write", err);
    if (rename(x->partial, x->path) != 0)
        return ag_hub_fail_errno(x->path, "give the finished file its name", err);
    unlink(x->note);
    sync_folder_of(x);
    return AG_OK;
}

/* Receive, and compare digests. What an earlier run left may be to blame for a difference: then
 * once more from the beginning. */
static ag_code receive_right(fetch *x, ag_hub_state *state, ag_err *err) {
    char found[AG_SHA256_TEXT];
    for (;;) {
        ag_code code = receive(x, err);
        if (code)
            return code;
        bool resumed = x->resumed;
        const char *wanted = ag_hub_digest_wanted(x->f);
        *state = resumed ? AG_HUB_RESUMED : AG_HUB_FETCHED;
        ag_hub_digest_end(&x->digest, found);
        if (strcmp(found, wanted) == 0)
            return finish(x, err);
        if (!resumed) {
            remove_unfinished(x);
            return ag_fail(err, AG_E_FORMAT,
                           "%s: what came has %s %s, the hub lists %s; it was deleted", x->f->path,
                           x->digest.is_sha256 ? "SHA-256" : "blob SHA-1", found, wanted);
        }
        ag_hub_note(x->h, "%s: the resumed file is not what the hub lists: starting over",
                    x->f->path);
        code = begin_anew(x, err);
        if (code)
            return code;
    }
}

ag_code ag_hub_fetch(ag_hub *h, const ag_hub_file *f, ag_hub_state *state, ag_err *err) {
    fetch x = {.h = h,
               .f = f,
               .path = ag_hub_join(h->folder, f->path, ""),
               .partial = ag_hub_join(h->folder, f->path, AG_HUB_PARTIAL),
               .note = ag_hub_join(h->folder, f->path, AG_HUB_NOTE),
               .url = ag_hub_file_url(h, f->path),
               .fd = -1,
               .base = h->done};
    ag_code code = AG_OK;
    if (!x.path || !x.partial || !x.note || !x.url)
        code = ag_fail(err, AG_E_NOMEM, "%s: out of memory", f->path);
    if (!code)
        code = ag_file_make_parents(x.path, err);
    if (!code)
        code = lock(&x, err);
    if (!code)
        code = take_up(&x, err);
    if (!code)
        code = receive_right(&x, state, err);
    uint64_t there = code ? ag_hub_unfinished(h, f) : f->bytes;
    if (code && x.is_locked && there == 0)
        remove_unfinished(&x);
    h->out->there += there;
    if (x.fd >= 0)
        close(x.fd);
    ag_free(x.path);
    ag_free(x.partial);
    ag_free(x.note);
    ag_free(x.url);
    return code;
}
