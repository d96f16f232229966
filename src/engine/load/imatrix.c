#include "load/imatrix.h"

#include <math.h>

#include "load/gguf.h"
#include "load/gguf_write.h"
#include "load/source_parts.h"

/* 20,000 numbers for each of 10,000 matrices are 1.6 GB. */
#define MAX_BYTES ((size_t)4 << 30)
#define SQUARES   ".in_sum2"
#define COUNTS    ".counts"

ag_code ag_imatrix_new(ag_imatrix **out, ag_err *err) {
    ag_imatrix *im = ag_calloc(AG_ROOM_LOAD, 1, sizeof *im);
    *out = NULL;
    if (!im)
        return ag_fail(err, AG_E_NOMEM, "out of memory for importances");
    ag_arena_init(&im->memory, AG_ROOM_LOAD, MAX_BYTES);
    ag_code code = ag_map_init(&im->index, AG_ROOM_LOAD, 512, err);
    if (code)
        ag_imatrix_free(&im);
    *out = im;
    return code;
}

void ag_imatrix_free(ag_imatrix **imp) {
    ag_imatrix *im = *imp;
    if (!im)
        return;
    ag_free(im->entries);
    ag_map_deinit(&im->index);
    ag_arena_deinit(&im->memory);
    ag_free(im);
    *imp = NULL;
}

static ag_code grow(ag_imatrix *im, ag_err *err) {
    if (im->n < im->room)
        return AG_OK;
    size_t want = im->room ? im->room * 2 : 256;
    void *p = ag_realloc(AG_ROOM_LOAD, im->entries, want, sizeof *im->entries);
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "out of memory for importances");
    im->entries = p;
    im->room = want;
    return AG_OK;
}

ag_code ag_imatrix_add(ag_imatrix *im, ag_span name, size_t cols, size_t slices,
                       ag_imatrix_entry **out, ag_err *err) {
    bool fresh = true;
    size_t n;
    if (__builtin_mul_overflow(cols, slices, &n))
        return ag_fail(err, AG_E_LIMIT, "%.*s: too large", AG_SPAN(name));
    ag_code code = grow(im, err);
    if (code)
        return code;
    ag_imatrix_entry *e = &im->entries[im->n];
    const char *copy = ag_arena_strndup(&im->memory, name.p, name.n);
    *e = (ag_imatrix_entry){.name = ag_span_of(copy, name.n), .cols = cols, .slices = slices};
    e->squares = ag_arena_array(&im->memory, n, sizeof *e->squares);
    e->counts = ag_arena_array(&im->memory, slices, sizeof *e->counts);
    if (!copy || !e->squares || !e->counts)
        return ag_fail(err, AG_E_NOMEM, "out of memory for importances");
    code = ag_map_add(&im->index, e->name, im->n, &fresh, err);
    if (!code && !fresh)
        code = ag_fail(err, AG_E_FORMAT, "%.*s occurs twice", AG_SPAN(name));
    if (code)
        return code;
    im->n++;
    *out = e;
    return AG_OK;
}

const ag_imatrix_entry *ag_imatrix_find(const ag_imatrix *im, ag_span name) {
    uint64_t at;
    return ag_map_find(&im->index, name, &at) ? &im->entries[at] : NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Numbers of a float32 tensor, which must be finite and not negative. */
static ag_code take_numbers(const char *path, const ag_tensor *t, double *to, ag_err *err) {
    size_t n = t->bytes / sizeof(float);
    for (size_t i = 0; i < n; i++) {
        float x;
        memcpy(&x, t->data + i * sizeof x, sizeof x);
        if (!isfinite(x) || x < 0)
            return ag_fail(err, AG_E_FORMAT, "%s: %.*s holds %g, expected numbers from 0 up", path,
                           AG_SPAN(t->name), (double)x);
        to[i] = (double)x;
    }
    return AG_OK;
}

static ag_code take_entry(ag_imatrix *im, const ag_source *src, const ag_tensor *squares,
                          ag_err *err) {
    const char *path = ag_source_path(src);
    ag_span name = ag_span_sub(squares->name, 0, squares->name.n - strlen(SQUARES));
    char other[256];
    if (name.n + sizeof COUNTS > sizeof other)
        return ag_fail(err, AG_E_FORMAT, "%s: %.*s: the name is too long", path,
                       AG_SPAN(squares->name));
    memcpy(other, name.p, name.n);
    memcpy(other + name.n, COUNTS, sizeof COUNTS);
    const ag_tensor *counts = ag_source_find_tensor(src, other);
    if (!counts || squares->type != AG_T_F32 || counts->type != AG_T_F32 ||
        counts->bytes / sizeof(float) != ag_tensor_rows(squares))
        return ag_fail(err, AG_E_FORMAT,
                       "%s: %.*s needs %s, float32 with one number for each of its %llu rows", path,
                       AG_SPAN(squares->name), other, (unsigned long long)ag_tensor_rows(squares));
    ag_imatrix_entry *e = NULL;
    ag_code code =
        ag_imatrix_add(im, name, (size_t)squares->dim[0], (size_t)ag_tensor_rows(squares), &e, err);
    if (!code)
        code = take_numbers(path, squares, e->squares, err);
    if (!code)
        code = take_numbers(path, counts, e->counts, err);
    return code;
}

static ag_code take_all(ag_imatrix *im, const ag_source *src, ag_err *err) {
    ag_code code = ag_source_opt_u32(src, "imatrix.chunk_count", &im->n_windows, err);
    if (!code)
        code = ag_source_opt_u32(src, "imatrix.chunk_size", &im->window, err);
    for (size_t i = 0; i < ag_source_n_tensors(src) && !code; i++) {
        const ag_tensor *t = ag_source_tensor_at(src, i);
        if (ag_span_ends(t->name, ag_str(SQUARES)))
            code = take_entry(im, src, t, err);
    }
    if (!code && im->n == 0)
        code = ag_fail(err, AG_E_FORMAT,
                       "%s: holds no importances (tensors named ...%s); 'autoglm imatrix' makes "
                       "such files",
                       ag_source_path(src), SQUARES);
    return code;
}

ag_code ag_imatrix_read(const char *path, ag_imatrix **out, ag_err *err) {
    ag_source *src = NULL;
    *out = NULL;
    ag_code code = ag_gguf_open(path, &src, err);
    if (!code)
        code = ag_imatrix_new(out, err);
    if (!code)
        code = take_all(*out, src, err);
    if (code)
        ag_imatrix_free(out);
    ag_source_close(&src);
    return code;
}

/* ---- writing --------------------------------------------------------------------------------- */

static ag_code add_numbers(ag_source *s, ag_span name, const char *ending, const double *from,
                           size_t cols, size_t rows, ag_err *err) {
    char *full = ag_arena_get(&s->made, name.n + strlen(ending) + 1);
    float *to = ag_arena_array(&s->made, cols * rows, sizeof *to);
    if (!full || !to)
        return ag_fail(err, AG_E_NOMEM, "out of memory for importances");
    memcpy(full, name.p, name.n);
    memcpy(full + name.n, ending, strlen(ending) + 1);
    for (size_t i = 0; i < cols * rows; i++)
        to[i] = (float)from[i];
    return ag_source_add_tensor(s,
                                &(ag_tensor){.name = ag_str(full),
                                             .type = AG_T_F32,
                                             .keep = AG_T_F32,
                                             .n_dims = 2,
                                             .dim = {cols, rows, 1, 1},
                                             .data = (const uint8_t *)to,
                                             .bytes = cols * rows * sizeof *to},
                                err);
}

/* "general.type" and the three keys without which other tools refuse the file. */
static ag_code add_keys(ag_source *s, const ag_imatrix *im, ag_span text, ag_err *err) {
    uint8_t *one = ag_arena_get(&s->made, 8 + text.n);
    if (!one)
        return ag_fail(err, AG_E_NOMEM, "out of memory for importances");
    ag_put_le(one, text.n, 8);
    if (text.n)
        memcpy(one + 8, text.p, text.n);
    const ag_source_key keys[] = {
        {ag_str("general.type"), {.kind = AG_VALUE_STRING, .s = ag_str("imatrix")}},
        {ag_str("imatrix.datasets"),
         {.kind = AG_VALUE_ARRAY,
          .a = {.kind = AG_VALUE_STRING, .n = 1, .bytes = ag_span_of(one, 8 + text.n)}}},
        {ag_str("imatrix.chunk_count"), {.kind = AG_VALUE_U32, .u = im->n_windows}},
        {ag_str("imatrix.chunk_size"), {.kind = AG_VALUE_U32, .u = im->window}},
    };
    ag_code code = AG_OK;
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !code; i++)
        code = ag_source_add_key(s, keys[i].name, keys[i].value, err);
    return code;
}

ag_code ag_imatrix_write(const ag_imatrix *im, const char *path, ag_span text, ag_err *err) {
    ag_source *s = NULL;
    ag_pool *pool = NULL;
    ag_gguf_write_opts opts = {.restart = true}; /* the head does not tell two runs apart */
    ag_code code = ag_source_new(NULL, "importances", &s, err);
    if (!code) {
        s->made.cap = MAX_BYTES;
        code = ag_source_add_file(s, NULL, ag_span_of("", 1), err);
    }
    if (!code)
        code = add_keys(s, im, text, err);
    for (size_t i = 0; i < im->n && !code; i++) {
        const ag_imatrix_entry *e = &im->entries[i];
        code = add_numbers(s, e->name, SQUARES, e->squares, e->cols, e->slices, err);
        if (!code)
            code = add_numbers(s, e->name, COUNTS, e->counts, 1, e->slices, err);
    }
    if (!code)
        code = ag_pool_new(1, &pool, err);
    if (!code)
        code = ag_gguf_write(s, path, &opts, pool, NULL, err);
    ag_pool_free(&pool);
    ag_source_close(&s);
    return code;
}

bool ag_imatrix_weights(const ag_imatrix *im, const ag_tensor *t, uint64_t slice, float *weights) {
    const ag_imatrix_entry *e = ag_imatrix_find(im, t->name);
    if (!e || e->cols != t->dim[0] || (e->slices != 1 && e->slices != t->dim[2] * t->dim[3]))
        return false;
    size_t at = e->slices == 1 ? 0 : (size_t)slice;
    for (size_t i = 0; i < e->cols; i++)
        weights[i] =
            e->counts[at] > 0 ? (float)(e->squares[at * e->cols + i] / e->counts[at]) : 1.0f;
    return true;
}
