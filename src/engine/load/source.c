/* Sources: building, reading rows, closing. */
#include "load/source.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/sha256.h"
#include "load/gguf.h"
#include "load/hf.h"
#include "load/source_parts.h"

/* What names and values of a folder may take: the largest vocabularies need some 30 MiB. */
#define MAX_MADE_BYTES ((size_t)512 << 20)

void ag_source_close(ag_source **sp) {
    ag_source *s = *sp;
    if (!s)
        return;
    for (size_t i = 0; i < s->n_files; i++) {
        ag_file_map_close(&s->files[i].map);
        ag_free(s->files[i].path);
    }
    ag_free(s->files);
    ag_free(s->path);
    ag_free(s->keys);
    ag_free(s->tensors);
    ag_map_deinit(&s->key_index);
    ag_map_deinit(&s->tensor_index);
    ag_arena_deinit(&s->made);
    ag_free(s);
    *sp = NULL;
}

ag_code ag_source_new(const char *path, const char *format, ag_source **out, ag_err *err) {
    *out = NULL;
    ag_source *s = ag_calloc(AG_ROOM_LOAD, 1, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model");
    s->format = format;
    ag_arena_init(&s->made, AG_ROOM_LOAD, MAX_MADE_BYTES);
    ag_code code = ag_map_init(&s->tensor_index, AG_ROOM_LOAD, 512, err);
    if (!code)
        code = ag_map_init(&s->key_index, AG_ROOM_LOAD, 64, err);
    if (!code && path) {
        s->path = ag_strndup(AG_ROOM_LOAD, path, strlen(path));
        if (!s->path)
            code = ag_fail(err, AG_E_NOMEM, "out of memory while opening %s", path);
    }
    if (code)
        ag_source_close(&s);
    *out = s;
    return code;
}

/* Files are counted in only once they hold something to close. */
ag_code ag_source_add_file(ag_source *s, const char *path, ag_span bytes, ag_err *err) {
    ag_source_file *files = ag_realloc(AG_ROOM_LOAD, s->files, s->n_files + 1, sizeof *files);
    if (!files)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model file");
    s->files = files;
    ag_source_file *f = &files[s->n_files];
    *f = (ag_source_file){.bytes = bytes, .map = {.fd = -1}};
    s->n_files++;
    if (!path)
        return AG_OK;
    f->path = ag_strndup(AG_ROOM_LOAD, path, strlen(path));
    if (!f->path)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening %s", path);
    ag_code code = ag_file_map_open(&f->map, path, err);
    if (!code)
        f->bytes = ag_span_of(f->map.p, f->map.n);
    return code;
}

/* Room for one more element of an array. */
static ag_code make_room(void **array, size_t n, size_t *room, size_t size, ag_err *err) {
    if (n < *room)
        return AG_OK;
    size_t want = *room ? *room * 2 : 64;
    void *p = ag_realloc(AG_ROOM_LOAD, *array, want, size);
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model");
    *array = p;
    *room = want;
    return AG_OK;
}

static ag_code add_name(ag_source *s, ag_map *index, const char *what, ag_span name, size_t n,
                        ag_err *err) {
    bool fresh;
    ag_code code = ag_map_add(index, name, n, &fresh, err);
    if (!code && !fresh)
        code = ag_fail(err, AG_E_FORMAT, "%s: %s %.*s occurs twice", ag_source_path(s), what,
                       AG_SPAN(name));
    return code;
}

ag_code ag_source_add_key(ag_source *s, ag_span name, ag_value value, ag_err *err) {
    ag_code code = make_room((void **)&s->keys, s->n_keys, &s->keys_room, sizeof *s->keys, err);
    if (!code)
        code = add_name(s, &s->key_index, "key", name, s->n_keys, err);
    if (!code)
        s->keys[s->n_keys++] = (ag_source_key){name, value};
    return code;
}

ag_code ag_source_add_tensor(ag_source *s, const ag_tensor *t, ag_err *err) {
    ag_code code =
        make_room((void **)&s->tensors, s->n_tensors, &s->tensors_room, sizeof *s->tensors, err);
    if (!code)
        code = add_name(s, &s->tensor_index, "tensor", t->name, s->n_tensors, err);
    if (!code)
        s->tensors[s->n_tensors++] = *t;
    return code;
}

ag_code ag_source_open(const char *path, ag_source **out, ag_err *err) {
    return ag_hf_is_folder(path) ? ag_hf_open(path, out, err) : ag_gguf_open(path, out, err);
}

const char *ag_source_path(const ag_source *s) { return s->path ? s->path : ""; }
const char *ag_source_format(const ag_source *s) { return s->format; }

const char *ag_source_file_path(const ag_source *s, const ag_tensor *t) {
    const char *path = s->files[t->file].path;
    return path ? path : "";
}

static bool identify(int fd, const char *path, ag_sha256 *to) {
    struct stat st;
    char text[160];
    if (fd >= 0 ? fstat(fd, &st) : stat(path, &st))
        return false;
    int n =
        snprintf(text, sizeof text, "file %jd %jd %jd %jd.%09ld %jd.%09ld\n", (intmax_t)st.st_dev,
                 (intmax_t)st.st_ino, (intmax_t)st.st_size, (intmax_t)st.st_mtim.tv_sec,
                 st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
    ag_sha256_add(to, ag_span_of(text, (size_t)n));
    return true;
}

/* Of a folder the configuration counts too: it says how weights are quantised. */
bool ag_source_identify(const ag_source *s, ag_sha256 *to) {
    char config[PATH_MAX];
    bool known = s->path && s->n_files > 0;
    for (size_t i = 0; i < s->n_files && known; i++)
        known = s->files[i].path && identify(s->files[i].map.fd, NULL, to);
    if (!known || !ag_hf_is_folder(s->path))
        return known;
    size_t n = strlen(s->path), name = strlen("config.json");
    bool named = n >= name && strcmp(s->path + n - name, "config.json") == 0;
    int put = snprintf(config, sizeof config, "%s%s", s->path, named ? "" : "/config.json");
    return put < (int)sizeof config && identify(-1, config, to);
}

uint64_t ag_source_file_bytes(const ag_source *s) {
    uint64_t n = 0;
    for (size_t i = 0; i < s->n_files; i++)
        n += s->files[i].bytes.n;
    return n;
}

const void *ag_tensor_read(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *room) {
    if (!t->view)
        return t->data + row * ag_type_bytes(t->type, (size_t)t->dim[0]);
    t->view->read(t, row, n, as, room);
    return room;
}

/* What lies at piece i of a tensor; a plain one is one piece. */
static bool piece_of(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    if (t->view)
        return t->view->piece(t, i, file, at, bytes);
    *file = t->file;
    *at = t->file_at;
    *bytes = t->bytes;
    return i == 0;
}

static void hint(const ag_source *s, const ag_tensor *t,
                 void (*fn)(const ag_file_map *, size_t, size_t)) {
    int file;
    uint64_t at;
    size_t bytes;
    for (size_t i = 0; piece_of(t, i, &file, &at, &bytes); i++)
        fn(&s->files[file].map, (size_t)at, bytes);
}

void ag_source_want(const ag_source *s, const ag_tensor *t) { hint(s, t, ag_file_map_want); }
void ag_source_scatter(const ag_source *s, const ag_tensor *t) { hint(s, t, ag_file_map_scatter); }
void ag_source_drop(const ag_source *s, const ag_tensor *t) { hint(s, t, ag_file_map_drop); }
