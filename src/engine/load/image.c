#include "load/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "load/partial.h"

#define MAGIC       "AGIMAGE2"
#define HEAD_BYTES  4096u
#define PIECE_BYTES ((size_t)4 << 20)
#define SYNC_PIECES 16 /* after so many they go to the disk: giving up need not wait for more */
#define SUFFIX      ".image"
#define UNFINISHED  ".image.partial"
#define KEY_CHARS   (AG_SHA256_TEXT - 1)

static double mib(uint64_t bytes) { return (double)bytes / (1024.0 * 1024.0); }

/* ---- sums ------------------------------------------------------------------------------------ */

/* A quarter each for four strands: neither a chain of multiplications is the limit nor one stream
 * of reads. */
static uint64_t hash_piece(const uint8_t *p, size_t n, uint64_t seed) {
    uint64_t h[4] = {seed, seed + 1, seed + 2, seed + 3};
    size_t quarter = n / 64 * 16;
    for (size_t at = 0; at < quarter; at += 16) {
        _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
            uint64_t a, b;
            memcpy(&a, p + i * quarter + at, 8);
            memcpy(&b, p + i * quarter + at + 8, 8);
            h[i] = ag_mix64(a ^ 0xe7037ed1a0b428dbull, b ^ h[i]);
        }
    }
    return ag_hash64(p + 4 * quarter, n - 4 * quarter, ag_hash64(h, sizeof h, seed));
}

/* Of all pieces, in whatever order they are summed. */
typedef struct summing {
    const uint8_t *p;
    uint64_t bytes;
    _Atomic uint64_t sum;
} summing;

static uint64_t sum_of_piece(const uint8_t *contents, uint64_t bytes, uint64_t piece) {
    uint64_t at = piece * PIECE_BYTES, n = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
    return hash_piece(contents + at, n, piece * 4);
}

static void add_piece(void *ctx, int chunk, int worker) {
    summing *s = ctx;
    (void)worker;
    atomic_fetch_add_explicit(&s->sum, sum_of_piece(s->p, s->bytes, (uint64_t)chunk),
                              memory_order_relaxed);
}

static int n_pieces(uint64_t bytes) { return (int)((bytes + PIECE_BYTES - 1) / PIECE_BYTES); }

/* ---- opening --------------------------------------------------------------------------------- */

static void fill_head(uint8_t head[HEAD_BYTES], const char *key, uint64_t bytes, uint64_t sum) {
    memset(head, 0, HEAD_BYTES);
    memcpy(head, MAGIC, 8);
    memcpy(head + 8, key, KEY_CHARS);
    ag_put_le(head + 8 + KEY_CHARS, bytes, 8);
    ag_put_le(head + 16 + KEY_CHARS, sum, 8);
    ag_put_le(head + 24 + KEY_CHARS, ag_hash64(head, 24 + KEY_CHARS, 0), 8);
}

/* The head is right when it is the one that we would have written. */
static ag_code check_head(const uint8_t *head, const char *key, uint64_t bytes, uint64_t *sum,
                          ag_err *err) {
    uint8_t want[HEAD_BYTES];
    ag_cursor c = ag_cursor_of(head + 16 + KEY_CHARS, 8);
    *sum = ag_cursor_u64(&c);
    fill_head(want, key, bytes, *sum);
    return memcmp(head, want, HEAD_BYTES) == 0
               ? AG_OK
               : ag_fail(err, AG_E_FORMAT, "its head is damaged, or of another program");
}

/* Nobody else can have written it, and it is whole. */
static ag_code check_file(const ag_file_map *map, uint64_t bytes, ag_err *err) {
    struct stat st;
    if (fstat(map->fd, &st) != 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return ag_fail(err, AG_E_IO, "others can write it");
    if (map->n != HEAD_BYTES + bytes)
        return ag_fail(err, AG_E_FORMAT, "expected %llu bytes, found %zu",
                       (unsigned long long)(HEAD_BYTES + bytes), map->n);
    return AG_OK;
}

static bool path_of(char path[PATH_MAX], const char *folder, const char *name, const char *suffix) {
    int n = snprintf(path, PATH_MAX, "%s/%s%s", folder, name, suffix);
    return n > 0 && n < PATH_MAX;
}

ag_code ag_image_open(const char *folder, const char *key, uint64_t bytes, ag_pool *pool,
                      ag_image *out, ag_err *err) {
    char path[PATH_MAX];
    uint64_t want = 0;
    *out = (ag_image){.map = {.fd = -1}};
    if (!path_of(path, folder, key, SUFFIX))
        return ag_fail(err, AG_E_LIMIT, "the path of the folder is too long");
    ag_code code = ag_file_map_open(&out->map, path, err);
    if (code)
        return code;
    code = check_file(&out->map, bytes, err);
    if (!code)
        code = check_head(out->map.p, key, bytes, &want, err);
    if (!code) {
        summing s = {.p = out->map.p + HEAD_BYTES, .bytes = bytes};
        ag_file_map_want(&out->map, 0, out->map.n);
        ag_pool_run(pool, n_pieces(bytes), add_piece, &s);
        if (atomic_load(&s.sum) != want)
            code = ag_fail(err, AG_E_FORMAT, "its contents are damaged");
    }
    if (code) {
        ag_file_map_close(&out->map);
        return ag_err_wrap(err, code, "%s", path);
    }
    (void)futimens(out->map.fd, NULL); /* when it was last used */
    out->contents = out->map.p + HEAD_BYTES;
    out->bytes = bytes;
    ag_mem_count(AG_ROOM_WEIGHTS, bytes);
    return AG_OK;
}

void ag_image_close(ag_image *image) {
    if (image->contents) {
        ag_mem_uncount(AG_ROOM_WEIGHTS, image->bytes);
        ag_file_map_close(&image->map);
    }
    *image = (ag_image){.map = {.fd = -1}};
}

/* ---- making room ----------------------------------------------------------------------------- */

bool ag_image_is_folder(const char *folder) {
    return folder && *folder && strcasecmp(folder, "off") != 0;
}

ag_code ag_image_make_folder(const char *folder, ag_err *err) {
    struct stat st;
    if (stat(folder, &st) == 0 && S_ISDIR(st.st_mode))
        return AG_OK; /* a server made it before it entered its sandbox */
    ag_code code = ag_file_make_parents(folder, err);
    if (!code && mkdir(folder, 0700) != 0 && errno != EEXIST)
        code = ag_fail_errno(err, folder, "make the folder");
    return code;
}

/* An image of the folder that nobody has used for the longest time. */
typedef struct oldest {
    char path[PATH_MAX];
    struct timespec used;
    uint64_t bytes;
} oldest;

static bool is_before(struct timespec a, struct timespec b) {
    return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* What somebody left who was stopped while writing: nobody holds its lock. */
static void remove_unfinished(const char *path) {
    char journal[PATH_MAX];
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        unlink(path);
        if (snprintf(journal, sizeof journal, "%s.journal", path) < (int)sizeof journal)
            unlink(journal);
    }
    if (fd >= 0)
        close(fd);
}

/* Bytes of all images, and which of them is the oldest. */
static uint64_t look(const char *folder, oldest *old) {
    uint64_t all = 0;
    DIR *dir = opendir(folder);
    *old = (oldest){0};
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[PATH_MAX];
        struct stat st;
        ag_span name = ag_str(e->d_name);
        if (!path_of(path, folder, e->d_name, ""))
            continue;
        if (ag_span_ends(name, ag_str(UNFINISHED)))
            remove_unfinished(path);
        if (!ag_span_ends(name, ag_str(SUFFIX)) || lstat(path, &st) != 0)
            continue;
        all += (uint64_t)st.st_size;
        if (!old->path[0] || is_before(st.st_mtim, old->used)) {
            memcpy(old->path, path, sizeof path);
            old->used = st.st_mtim;
            old->bytes = (uint64_t)st.st_size;
        }
    }
    if (dir)
        closedir(dir);
    return all;
}

/* Remove the longest unused images until so many bytes more stay within the limit. Whoever has one
 * open keeps it. */
static void prune(const char *folder, uint64_t more, uint64_t max_bytes, const ag_logger *log) {
    oldest old;
    uint64_t all;
    while ((all = look(folder, &old)) > 0 && all + more > max_bytes) {
        if (unlink(old.path) != 0)
            return;
        ag_log(log, AG_LOG_INFO, "image", "removed %s (%.1f MiB), unused for the longest time",
               old.path, mib(old.bytes));
    }
}

/* A cache must not be what fills a disk: as much stays free as it takes. */
static ag_code check_room(const char *folder, uint64_t bytes, ag_err *err) {
    struct statvfs fs;
    if (statvfs(folder, &fs) != 0)
        return ag_fail_errno(err, folder, "read its free space");
    uint64_t free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_frsize;
    if (free_bytes / 2 >= bytes)
        return AG_OK;
    return ag_fail(err, AG_E_IO, "%s: %.1f MiB are free, an image of %.1f MiB wants twice as much",
                   folder, mib(free_bytes), mib(bytes));
}

/* ---- writing --------------------------------------------------------------------------------- */

struct ag_image_writer {
    pthread_t thread;
    bool joined;
    atomic_bool stop;
    ag_span contents; /* borrowed */
    uint64_t max_bytes;
    ag_logger log;
    char key[AG_SHA256_TEXT];
    char path[PATH_MAX]; /* of the image; its folder is owned by `folder` */
    char *folder;        /* owned */
};

static ag_code write_pieces(ag_image_writer *w, ag_partial *file, ag_err *err) {
    const uint8_t *p = (const uint8_t *)w->contents.p;
    uint8_t head[HEAD_BYTES];
    uint64_t sum = 0;
    ag_code code = AG_OK;
    for (uint64_t at = 0, i = 0; at < w->contents.n && !code; at += PIECE_BYTES, i++) {
        if (atomic_load_explicit(&w->stop, memory_order_relaxed))
            return ag_fail(err, AG_E_CANCELLED, "the model is closed");
        code = ag_partial_write(file, HEAD_BYTES + at,
                                ag_span_sub(w->contents, at, at + PIECE_BYTES), err);
        sum += sum_of_piece(p, w->contents.n, i);
        if (i % SYNC_PIECES == SYNC_PIECES - 1)
            (void)fdatasync(file->fd); /* the last one tells what failed */
    }
    fill_head(head, w->key, w->contents.n, sum);
    return code ? code : ag_partial_write(file, 0, ag_span_of(head, sizeof head), err);
}

static ag_code write_file(ag_image_writer *w, ag_err *err) {
    uint64_t bytes = HEAD_BYTES + w->contents.n;
    ag_partial file;
    ag_code code = ag_image_make_folder(w->folder, err);
    if (!code && bytes > w->max_bytes)
        code = ag_fail(err, AG_E_LIMIT, "%s may hold %.1f MiB, this image has %.1f MiB", w->folder,
                       mib(w->max_bytes), mib(bytes));
    if (code)
        return code;
    prune(w->folder, bytes, w->max_bytes, &w->log);
    if ((code = check_room(w->folder, bytes, err)) ||
        (code = ag_partial_open(&file, w->path, bytes, 0, false, err)))
        return code;
    code = write_pieces(w, &file, err);
    if (!code)
        code = ag_partial_finish(&file, err);
    ag_partial_close(&file);
    return code;
}

static void *write_main(void *arg) {
    ag_image_writer *w = arg;
    ag_err err = {0};
    pthread_setname_np(pthread_self(), "ag-image");
    (void)setpriority(PRIO_PROCESS, 0, 19); /* of this thread alone: Linux */
    ag_code code = write_file(w, &err);
    if (!code)
        ag_log(&w->log, AG_LOG_INFO, "image", "%s (%.1f MiB) is kept for the next start", w->path,
               mib(w->contents.n));
    else
        ag_log(&w->log, code == AG_E_CANCELLED || code == AG_E_AGAIN ? AG_LOG_DEBUG : AG_LOG_WARN,
               "image", "no prepared image is kept, so the next start packs again: %s", err.msg);
    return NULL;
}

/* With all signals blocked: they are others' to handle, and a file limit is then an error. */
static ag_code start(ag_image_writer *w, ag_err *err) {
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&w->thread, NULL, write_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    w->joined = failed != 0;
    return failed ? ag_fail(err, AG_E_NOMEM, "cannot start a thread to write an image") : AG_OK;
}

ag_code ag_image_write(const ag_image_store *store, const char *key, ag_span contents,
                       const ag_logger *log, ag_image_writer **out, ag_err *err) {
    *out = NULL;
    ag_image_writer *w = ag_calloc(AG_ROOM_LOAD, 1, sizeof *w);
    if (!w)
        return ag_fail(err, AG_E_NOMEM, "out of memory for writing an image");
    w->joined = true;
    w->contents = contents;
    w->max_bytes = store->max_bytes;
    w->log = log ? *log : (ag_logger){0};
    memcpy(w->key, key, KEY_CHARS);
    w->folder = ag_strndup(AG_ROOM_LOAD, store->folder, strlen(store->folder));
    ag_code code = AG_OK;
    if (!w->folder)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for writing an image");
    else if (!path_of(w->path, w->folder, key, SUFFIX))
        code = ag_fail(err, AG_E_LIMIT, "the path of the folder is too long");
    if (!code)
        code = start(w, err);
    if (code)
        ag_image_writer_free(&w);
    *out = w;
    return code;
}

void ag_image_writer_wait(ag_image_writer *w) {
    if (w && !w->joined)
        pthread_join(w->thread, NULL);
    if (w)
        w->joined = true;
}

void ag_image_writer_free(ag_image_writer **wp) {
    ag_image_writer *w = *wp;
    if (!w)
        return;
    atomic_store(&w->stop, true);
    ag_image_writer_wait(w);
    ag_free(w->folder);
    ag_free(w);
    *wp = NULL;
}
