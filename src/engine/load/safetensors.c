/* The header of a safetensors file → tensor records. */
#include "load/safetensors.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "load/json.h"

static const struct {
    const char *name;
    size_t bytes;
} types[AG_ST_TYPES] = {
#define ROW(id, name, bytes) [AG_ST_##id] = {name, bytes},
    AG_ST_TYPE_MAP(ROW)
#undef ROW
};

const char *ag_st_type_name(ag_st_type type) { return types[type].name; }
size_t ag_st_type_bytes(ag_st_type type) { return types[type].bytes; }

ag_code ag_st_init(ag_st_table *t, ag_arena *arena, ag_err *err) {
    *t = (ag_st_table){.arena = arena};
    return ag_map_init(&t->index, AG_ROOM_LOAD, 256, err);
}

void ag_st_deinit(ag_st_table *t) {
    ag_free(t->tensors);
    ag_map_deinit(&t->index);
    *t = (ag_st_table){0};
}

ag_st_tensor *ag_st_find(const ag_st_table *t, ag_span name) {
    uint64_t i;
    return ag_map_find(&t->index, name, &i) ? &t->tensors[i] : NULL;
}

/* A header being read. */
typedef struct reader {
    ag_st_table *t;
    const char *path;
    int file;
    const uint8_t *file_bytes;
    uint64_t data_at; /* where data begins in the file */
    uint64_t data_n;  /* bytes of data */
    ag_err *err;
} reader;

static ag_code parse_type(const reader *r, const char *name, const json_t *v, ag_st_type *out) {
    if (!json_is_string(v))
        return ag_fail(r->err, AG_E_FORMAT, "%s: tensor %s: dtype should be a string, it is %s",
                       r->path, name, ag_json_kind(v));
    for (int i = 0; i < AG_ST_TYPES; i++)
        if (strcmp(json_string_value(v), types[i].name) == 0) {
            *out = (ag_st_type)i;
            return AG_OK;
        }
    return ag_fail(r->err, AG_E_UNSUPPORTED,
                   "%s: tensor %s has dtype %.32s; supported: F32, F16, BF16, F8_E4M3, I8, U8, "
                   "I32, I64",
                   r->path, name, json_string_value(v));
}

/* Shape and type → bytes, with every factor checked. */
static ag_code parse_shape(const reader *r, const json_t *v, ag_st_tensor *x, uint64_t *bytes) {
    if (!json_is_array(v) || json_array_size(v) > AG_MAX_ST_DIMS)
        return ag_fail(r->err, AG_E_FORMAT,
                       "%s: tensor %s: shape should be an array of up to %d numbers", r->path,
                       x->name.p, AG_MAX_ST_DIMS);
    x->n_dims = (int)json_array_size(v);
    *bytes = types[x->type].bytes;
    for (int d = 0; d < AG_MAX_ST_DIMS; d++) {
        const json_t *dim = json_array_get(v, (size_t)d);
        x->dim[d] = 1;
        if (d >= x->n_dims)
            continue;
        json_int_t n = json_is_integer(dim) ? json_integer_value(dim) : -1;
        if (n < 0 || (uint64_t)n > AG_MAX_DIM || __builtin_mul_overflow(*bytes, n, bytes) ||
            *bytes > (uint64_t)1 << 50)
            return ag_fail(r->err, AG_E_FORMAT, "%s: tensor %s: shape[%d] is out of range", r->path,
                           x->name.p, d);
        x->dim[d] = (uint64_t)n;
    }
    return AG_OK;
}

static ag_code parse_place(const reader *r, const json_t *v, uint64_t bytes, ag_st_tensor *x) {
    const json_t *b = json_array_get(v, 0), *e = json_array_get(v, 1);
    if (json_array_size(v) != 2 || !json_is_integer(b) || !json_is_integer(e) ||
        json_integer_value(b) < 0 || json_integer_value(e) < json_integer_value(b))
        return ag_fail(r->err, AG_E_FORMAT,
                       "%s: tensor %s: data_offsets should be [begin, end], counted from 0",
                       r->path, x->name.p);
    uint64_t begin = (uint64_t)json_integer_value(b), end = (uint64_t)json_integer_value(e);
    if (end - begin != bytes)
        return ag_fail(r->err, AG_E_FORMAT,
                       "%s: tensor %s has %llu bytes of data, but its shape and dtype need %llu",
                       r->path, x->name.p, (unsigned long long)(end - begin),
                       (unsigned long long)bytes);
    if (end > r->data_n)
        return ag_fail(r->err, AG_E_FORMAT,
                       "%s: tensor %s ends at byte %llu, but the file has %llu: it is truncated, "
                       "download it again",
                       r->path, x->name.p, (unsigned long long)r->data_at + end,
                       (unsigned long long)(r->data_at + r->data_n));
    x->bytes = (size_t)bytes;
    x->at = r->data_at + begin;
    x->data = r->file_bytes + x->at;
    return AG_OK;
}

static ag_code add(const reader *r, const ag_st_tensor *x) {
    ag_st_table *t = r->t;
    if (t->n == t->room) {
        size_t want = t->room ? t->room * 2 : 256;
        ag_st_tensor *p = ag_realloc(AG_ROOM_LOAD, t->tensors, want, sizeof *p);
        if (!p)
            return ag_fail(r->err, AG_E_NOMEM, "out of memory while reading %s", r->path);
        t->tensors = p;
        t->room = want;
    }
    bool fresh;
    ag_code code = ag_map_add(&t->index, x->name, t->n, &fresh, r->err);
    if (!code && !fresh)
        code = ag_fail(r->err, AG_E_FORMAT, "%s: tensor %s is in another shard already", r->path,
                       x->name.p);
    if (!code)
        t->tensors[t->n++] = *x;
    return code;
}

static ag_code parse_tensor(const reader *r, const char *name, const json_t *v) {
    ag_st_tensor x = {.file = r->file};
    size_t n = strlen(name);
    char *copy = ag_arena_strndup(r->t->arena, name, n);
    if (!copy)
        return ag_fail(r->err, AG_E_NOMEM, "out of memory while reading %s", r->path);
    x.name = ag_span_of(copy, n);
    if (!json_is_object(v))
        return ag_fail(r->err, AG_E_FORMAT, "%s: tensor %s should be an object, it is %s", r->path,
                       name, ag_json_kind(v));
    uint64_t bytes = 0;
    ag_code code;
    if ((code = parse_type(r, copy, json_object_get(v, "dtype"), &x.type)) ||
        (code = parse_shape(r, json_object_get(v, "shape"), &x, &bytes)) ||
        (code = parse_place(r, json_object_get(v, "data_offsets"), bytes, &x)))
        return code;
    return add(r, &x);
}

static int by_place(const void *a, const void *b) {
    const ag_st_tensor *x = *(ag_st_tensor *const *)a, *y = *(ag_st_tensor *const *)b;
    return x->at != y->at        ? (x->at < y->at ? -1 : 1)
           : x->bytes < y->bytes ? -1
                                 : x->bytes > y->bytes;
}

static ag_code check_overlap(const reader *r, size_t first) {
    size_t n = r->t->n - first;
    ag_st_tensor **list = ag_calloc(AG_ROOM_LOAD, n, sizeof(ag_st_tensor *));
    if (!list)
        return ag_fail(r->err, AG_E_NOMEM, "out of memory while reading %s", r->path);
    for (size_t i = 0; i < n; i++)
        list[i] = &r->t->tensors[first + i];
    qsort(list, n, sizeof(ag_st_tensor *), by_place);
    ag_code code = AG_OK;
    for (size_t i = 1; i < n && !code; i++)
        if (list[i]->at < list[i - 1]->at + list[i - 1]->bytes)
            code =
                ag_fail(r->err, AG_E_FORMAT, "%s: tensors %s and %s overlap at byte %llu", r->path,
                        list[i - 1]->name.p, list[i]->name.p, (unsigned long long)list[i]->at);
    ag_free(list);
    return code;
}

static ag_code parse_head(ag_span bytes, const char *path, json_t **head, uint64_t *data_at,
                          ag_err *err) {
    ag_cursor c = ag_cursor_of(bytes.p, bytes.n);
    uint64_t n = ag_cursor_u64(&c);
    if (ag_span_starts(bytes, ag_str("version https://git-lfs")))
        return ag_fail(err, AG_E_FORMAT,
                       "%s: a Git LFS pointer, not the file itself; fetch it with: git lfs pull",
                       path);
    if (c.failed || n > bytes.n - 8)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: the file ends inside its header (%zu bytes): not a safetensors file, "
                       "or truncated",
                       path, bytes.n);
    if (n > AG_MAX_ST_HEADER)
        return ag_fail(err, AG_E_LIMIT, "%s: its header of %llu bytes is past the limit of %zu",
                       path, (unsigned long long)n, AG_MAX_ST_HEADER);
    const uint8_t *p = ag_cursor_take(&c, (size_t)n);
    *data_at = c.at;
    return ag_json_parse(ag_span_of(p, (size_t)n), path, head, err);
}

ag_code ag_st_parse(ag_st_table *t, ag_span bytes, int file, const char *path, ag_err *err) {
    json_t *head;
    reader r = {
        .t = t, .path = path, .file = file, .file_bytes = (const uint8_t *)bytes.p, .err = err};
    ag_code code = parse_head(bytes, path, &head, &r.data_at, err);
    if (code)
        return code;
    r.data_n = bytes.n - r.data_at;
    size_t first = t->n;
    const char *name;
    json_t *v;
    json_object_foreach(head, name, v) {
        if (strcmp(name, "__metadata__") != 0)
            code = parse_tensor(&r, name, v);
        if (code)
            break;
    }
    if (!code)
        code = check_overlap(&r, first);
    json_decref(head);
    return code;
}
