/* The head is built in memory; tensors follow in bands of rows, each re-encoded on all threads into
 * a buffer and then written. A tensor is a piece of the partial file. */
#include "load/gguf_write.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "load/partial.h"
#include "load/source_parts.h"

#define ALIGNMENT   32u
#define CHUNK_BYTES ((size_t)1 << 20) /* of float32 rows that a thread converts at a time */
#define BAND_CHUNKS 32u
#define MAX_HEAD    ((size_t)1 << 30)

typedef struct place {
    const ag_tensor *t;
    ag_type as;
    uint64_t at;    /* in the file's data */
    uint64_t bytes; /* without padding */
    float *weights; /* owned [dim[2] * dim[3], dim[0]]: importances, or NULL */
    int layer;      /* -1: the ends */
} place;

typedef struct writer {
    const ag_source *src;
    const ag_gguf_write_opts *opts;
    ag_pool *pool;
    ag_buf head;
    place *places; /* owned [n]: in the order of the file */
    size_t n;
    uint64_t data_bytes; /* with padding */
    uint8_t *band;       /* owned: rows of a band, encoded */
    size_t band_room;
    uint8_t *rooms; /* owned [threads, room_bytes]: for converting a chunk */
    size_t room_bytes;
    ag_partial file;
} writer;

/* ---- where everything goes ------------------------------------------------------------------- */

static uint64_t pad_to_alignment(uint64_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* "blk.12.attn_q.weight" → 12. */
static int layer_of(ag_span name) {
    static const char prefix[] = "blk.";
    int layer = 0;
    size_t i = sizeof prefix - 1;
    if (!ag_span_starts(name, ag_str(prefix)))
        return -1;
    for (; i < name.n && name.p[i] >= '0' && name.p[i] <= '9' && layer < 100000; i++)
        layer = layer * 10 + (name.p[i] - '0');
    return i < name.n && name.p[i] == '.' ? layer : -1;
}

static bool changes(const place *e) { return e->as != e->t->type && e->as != e->t->keep; }

static ag_code check_types(const writer *w, const place *e, ag_err *err) {
    const ag_type_info *as = ag_type_find((uint32_t)e->as);
    if (e->t->dim[0] % as->block != 0)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: rows of %.*s have %llu elements, %s needs a "
                       "multiple of %u",
                       ag_source_path(w->src), AG_SPAN(e->t->name),
                       (unsigned long long)e->t->dim[0], as->name, as->block);
    if (!changes(e))
        return AG_OK;
    if (!ag_type_find((uint32_t)e->t->type)->decoded)
        return ag_fail(
            err, AG_E_UNSUPPORTED, "%s: tensor %.*s has type %s, which this build cannot decode",
            ag_source_path(w->src), AG_SPAN(e->t->name), ag_type_find((uint32_t)e->t->type)->name);
    if (!ag_type_encodes(e->as))
        return ag_fail(err, AG_E_UNSUPPORTED, "%.*s: this build cannot encode %s",
                       AG_SPAN(e->t->name), as->name);
    return AG_OK;
}

/* By layer, and inside one as the source has them. */
static int compare_places(const void *a, const void *b) {
    const place *x = a, *y = b;
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : (x->t > y->t) - (x->t < y->t);
}

static uint64_t slices_of(const place *e) { return e->t->dim[2] * e->t->dim[3]; }

/* Importances of the columns, of each slice by itself, where they are known and make a difference.
 */
static ag_code take_weights(const writer *w, place *e, ag_err *err) {
    size_t cols = (size_t)e->t->dim[0];
    bool known = true;
    if (!w->opts->imatrix || !changes(e) || ag_type_find((uint32_t)e->as)->block == 1 ||
        !ag_imatrix_find(w->opts->imatrix, e->t->name))
        return AG_OK;
    e->weights = ag_calloc(AG_ROOM_LOAD, (size_t)slices_of(e), cols * sizeof(float));
    if (!e->weights)
        return ag_fail(err, AG_E_NOMEM, "out of memory for importances");
    for (uint64_t i = 0; i < slices_of(e) && known; i++)
        known = ag_imatrix_weights(w->opts->imatrix, e->t, i, e->weights + i * cols);
    if (!known)
        return ag_fail(err, AG_E_FORMAT,
                       "the importances of %.*s are for another shape: they were measured on "
                       "another model",
                       AG_SPAN(e->t->name));
    return AG_OK;
}

static ag_code plan(writer *w, ag_err *err) {
    w->n = ag_source_n_tensors(w->src);
    w->places = ag_calloc(AG_ROOM_LOAD, w->n, sizeof *w->places);
    if (!w->places)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a list of tensors");
    for (size_t i = 0; i < w->n; i++) {
        const ag_tensor *t = ag_source_tensor_at(w->src, i);
        w->places[i] = (place){
            .t = t, .as = w->opts->types ? w->opts->types[i] : t->keep, .layer = layer_of(t->name)};
        ag_code code = check_types(w, &w->places[i], err);
        if (!code)
            code = take_weights(w, &w->places[i], err);
        if (code)
            return code;
    }
    qsort(w->places, w->n, sizeof *w->places, compare_places);
    for (size_t i = 0; i < w->n; i++) {
        place *e = &w->places[i];
        e->at = w->data_bytes;
        e->bytes = ag_type_bytes(e->as, (size_t)e->t->dim[0]) * (uint64_t)ag_tensor_rows(e->t);
        w->data_bytes += pad_to_alignment(e->bytes);
    }
    return AG_OK;
}

/* ---- the head -------------------------------------------------------------------------------- */

static void put32(ag_buf *b, uint32_t v) { ag_buf_add_le(b, v, 4); }
static void put64(ag_buf *b, uint64_t v) { ag_buf_add_le(b, v, 8); }
static void put_str(ag_buf *b, ag_span s) {
    put64(b, s.n);
    ag_buf_add(b, s.p, s.n);
}

static void put_value(ag_buf *b, const ag_value *v) {
    uint64_t u = v->u;
    put32(b, v->kind);
    if (v->kind == AG_VALUE_STRING) {
        put_str(b, v->s);
        return;
    }
    if (v->kind == AG_VALUE_ARRAY) {
        put32(b, v->a.kind);
        put64(b, v->a.n);
        ag_buf_add(b, v->a.bytes.p, v->a.bytes.n);
        return;
    }
    if (v->kind == AG_VALUE_F32) {
        float f = (float)v->f;
        uint32_t bits;
        memcpy(&bits, &f, sizeof bits);
        u = bits;
    }
    ag_buf_add_le(b, u, ag_value_bytes(v->kind));
}

/* Keys that speak of the source's files, not of the model. */
static bool is_of_file(ag_span name) {
    return ag_span_starts(name, ag_str("split.")) || ag_span_is(name, "general.alignment");
}

static const ag_source_key *replacement(const writer *w, ag_span name) {
    for (size_t i = 0; i < w->opts->n_set; i++)
        if (ag_span_eq(w->opts->set[i].name, name))
            return &w->opts->set[i];
    return NULL;
}

/* Every key of the result to `b` (NULL: only counted). */
static uint64_t put_keys(const writer *w, ag_buf *b) {
    uint64_t n = 0;
    for (size_t i = 0; i < ag_source_n_keys(w->src); i++) {
        const ag_source_key *k = ag_source_key_at(w->src, i), *other = replacement(w, k->name);
        if (is_of_file(k->name))
            continue;
        n++;
        if (b) {
            put_str(b, k->name);
            put_value(b, other ? &other->value : &k->value);
        }
    }
    for (size_t i = 0; i < w->opts->n_set; i++) {
        const ag_source_key *k = &w->opts->set[i];
        uint64_t at;
        if (ag_map_find(&w->src->key_index, k->name, &at))
            continue;
        n++;
        if (b) {
            put_str(b, k->name);
            put_value(b, &k->value);
        }
    }
    return n;
}

static ag_code make_head(writer *w, ag_err *err) {
    ag_buf *b = &w->head;
    ag_buf_adds(b, "GGUF");
    put32(b, 3);
    put64(b, w->n);
    put64(b, put_keys(w, NULL));
    put_keys(w, b);
    for (size_t i = 0; i < w->n; i++) {
        const place *e = &w->places[i];
        put_str(b, e->t->name);
        put32(b, (uint32_t)e->t->n_dims);
        for (int d = 0; d < e->t->n_dims; d++)
            put64(b, e->t->dim[d]);
        put32(b, (uint32_t)e->as);
        put64(b, e->at);
    }
    while (b->n % ALIGNMENT && !b->failed)
        ag_buf_addc(b, 0);
    return ag_buf_check(b, "the head of the file", err);
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* Rows of a tensor that make a chunk, and a band: the same on every run, whatever the threads. */
static size_t chunk_rows(const place *e) {
    size_t rows = CHUNK_BYTES / (sizeof(float) * (size_t)e->t->dim[0]);
    return rows ? rows : 1;
}

/* Working memory of a thread: rows as float32, then as the source gives them. */
static size_t wide_bytes(const place *e) {
    return changes(e) ? ag_round_up(chunk_rows(e) * (size_t)e->t->dim[0] * sizeof(float), 64) : 0;
}

static size_t room_of(const place *e) {
    size_t n = chunk_rows(e) * (size_t)e->t->dim[0];
    return changes(e) ? wide_bytes(e) + ag_round_up(ag_type_bytes(e->t->type, n), 64) : 0;
}

static ag_code make_rooms(writer *w, ag_err *err) {
    for (size_t i = 0; i < w->n; i++) {
        const place *e = &w->places[i];
        uint64_t rows = BAND_CHUNKS * (uint64_t)chunk_rows(e), all = ag_tensor_rows(e->t);
        size_t band =
            ag_type_bytes(e->as, (size_t)e->t->dim[0]) * (size_t)(rows < all ? rows : all);
        if (band > w->band_room)
            w->band_room = band;
        if (room_of(e) > w->room_bytes)
            w->room_bytes = room_of(e);
    }
    w->band = ag_alloc(AG_ROOM_LOAD, w->band_room);
    w->rooms = ag_calloc(AG_ROOM_LOAD, (size_t)ag_pool_threads(w->pool), w->room_bytes);
    return w->band && w->rooms ? AG_OK
                               : ag_fail(err, AG_E_NOMEM,
                                         "out of memory for converting "
                                         "tensors");
}

typedef struct band {
    const writer *w;
    const place *e;
    uint64_t row0;
    size_t rows;
} band;

/* Rows from `row` on, a stretch of each slice at a time. */
static void encode(const place *e, uint64_t row, size_t n, const float *wide, uint8_t *out) {
    size_t cols = (size_t)e->t->dim[0], row_bytes = ag_type_bytes(e->as, cols);
    if (!e->weights) {
        ag_type_encode(e->as, wide, out, n * cols);
        return;
    }
    while (n > 0) {
        uint64_t slice = row / e->t->dim[1], left = (slice + 1) * e->t->dim[1] - row;
        size_t now = n < left ? n : (size_t)left;
        ag_type_encode_weighted(e->as, wide, e->weights + slice * cols, out, now, cols);
        wide += now * cols;
        out += now * row_bytes;
        row += now;
        n -= now;
    }
}

static void convert(void *ctx, int chunk, int worker) {
    const band *b = ctx;
    const place *e = b->e;
    size_t cols = (size_t)e->t->dim[0], from = (size_t)chunk * chunk_rows(e);
    size_t n = b->rows - from < chunk_rows(e) ? b->rows - from : chunk_rows(e);
    uint8_t *out = b->w->band + from * ag_type_bytes(e->as, cols);
    if (!changes(e)) {
        const void *src = ag_tensor_read(e->t, b->row0 + from, n, e->as, out);
        if (src != out)
            memcpy(out, src, n * ag_type_bytes(e->as, cols));
        return;
    }
    uint8_t *room = b->w->rooms + (size_t)worker * b->w->room_bytes;
    float *wide = (float *)(void *)room;
    const void *src = ag_tensor_read(e->t, b->row0 + from, n, e->t->type, room + wide_bytes(e));
    ag_type_decode(e->t->type, src, wide, n * cols);
    encode(e, b->row0 + from, n, wide, out);
}

/* Go through the tensor's bands: `fn` fills or checks w->band. The hash covers all of them. */
static ag_code each_band(writer *w, const place *e, uint64_t *hash,
                         ag_code (*fn)(writer *w, const band *b, uint64_t at, size_t bytes,
                                       ag_err *err),
                         ag_err *err) {
    uint64_t rows = ag_tensor_rows(e->t), each = BAND_CHUNKS * (uint64_t)chunk_rows(e);
    size_t row_bytes = ag_type_bytes(e->as, (size_t)e->t->dim[0]);
    *hash = 0;
    for (uint64_t row = 0; row < rows; row += each) {
        band b = {w, e, row, (size_t)(rows - row < each ? rows - row : each)};
        uint64_t at = w->head.n + e->at + row * row_bytes;
        ag_code code = fn(w, &b, at, b.rows * row_bytes, err);
        if (code)
            return code;
        *hash = ag_hash64(w->band, b.rows * row_bytes, *hash);
        if (w->opts->on_progress &&
            !w->opts->on_progress(w->opts->progress_ctx, e->at + row * row_bytes, w->data_bytes))
            return ag_fail(err, AG_E_CANCELLED, "writing was cancelled; run it again to go on");
    }
    return AG_OK;
}

static ag_code write_band(writer *w, const band *b, uint64_t at, size_t bytes, ag_err *err) {
    size_t each = chunk_rows(b->e);
    ag_pool_run(w->pool, (int)((b->rows + each - 1) / each), convert, (void *)(uintptr_t)b);
    ag_source_drop(w->src, b->e->t);
    return ag_partial_write(&w->file, at, ag_span_of(w->band, bytes), err);
}

/* AG_E_NOT_FOUND only means that this piece has to be written. */
static ag_code read_band(writer *w, const band *b, uint64_t at, size_t bytes, ag_err *err) {
    (void)b;
    (void)err;
    return ag_partial_read(&w->file, at, w->band, bytes) ? AG_OK : AG_E_NOT_FOUND;
}

/* How many leading tensors an earlier run left whole. */
static ag_code find_resumed(writer *w, size_t *n, ag_err *err) {
    uint64_t noted, hash;
    for (*n = 0; *n < w->n && ag_partial_noted(&w->file, &noted); ++*n) {
        ag_code code = each_band(w, &w->places[*n], &hash, read_band, err);
        if (code == AG_E_NOT_FOUND || (!code && hash != noted))
            break;
        if (code)
            return code;
        ag_partial_trust(&w->file);
    }
    return AG_OK;
}

static ag_code write_tensors(writer *w, size_t first, ag_err *err) {
    ag_code code = AG_OK;
    for (size_t i = first; i < w->n && !code; i++) {
        uint64_t hash;
        if (i + 1 < w->n)
            ag_source_want(w->src, w->places[i + 1].t);
        code = each_band(w, &w->places[i], &hash, write_band, err);
        if (!code)
            code = ag_partial_note(&w->file, hash, err);
    }
    if (!code && w->opts->on_progress &&
        !w->opts->on_progress(w->opts->progress_ctx, w->data_bytes, w->data_bytes))
        code = ag_fail(err, AG_E_CANCELLED, "writing was cancelled; run it again to go on");
    return code;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* What is being written, from what: the head says the types, the files' sizes and times the rest.
 */
static ag_code identify(const writer *w, const char *path, uint64_t *identity, ag_err *err) {
    struct stat out = {0}, in;
    bool there = stat(path, &out) == 0;
    *identity = ag_hash64(w->head.p, w->head.n, BAND_CHUNKS);
    for (size_t i = 0; i < w->n; i++)
        if (w->places[i].weights)
            *identity = ag_hash64(w->places[i].weights,
                                  (size_t)(slices_of(&w->places[i]) * w->places[i].t->dim[0]) *
                                      sizeof(float),
                                  *identity);
    for (size_t i = 0; i < w->src->n_files; i++) {
        const ag_source_file *f = &w->src->files[i];
        if (!f->path || fstat(f->map.fd, &in) != 0)
            continue;
        if (there && in.st_dev == out.st_dev && in.st_ino == out.st_ino)
            return ag_fail(err, AG_E_ARG,
                           "%s: is the model that is being read; choose another "
                           "name",
                           path);
        uint64_t facts[] = {(uint64_t)in.st_size, (uint64_t)in.st_mtim.tv_sec,
                            (uint64_t)in.st_mtim.tv_nsec, (uint64_t)in.st_ino};
        *identity = ag_hash64(facts, sizeof facts, *identity);
    }
    return AG_OK;
}

static ag_code write_file(writer *w, const char *path, ag_gguf_written *done, ag_err *err) {
    uint64_t identity, bytes = w->head.n + w->data_bytes;
    ag_code code = identify(w, path, &identity, err);
    if (!code)
        code = ag_partial_open(&w->file, path, bytes, identity, !w->opts->restart, err);
    if (code)
        return code;
    size_t resumed = 0;
    code = find_resumed(w, &resumed, err);
    if (!code)
        code = ag_partial_write(&w->file, 0, ag_buf_span(&w->head), err);
    if (!code)
        code = write_tensors(w, resumed, err);
    if (!code)
        code = ag_partial_finish(&w->file, err);
    ag_partial_close(&w->file);
    if (!code && done)
        *done = (ag_gguf_written){.bytes = bytes, .n_tensors = w->n, .n_resumed = resumed};
    for (size_t i = 0; i < w->n && !code && done; i++)
        done->n_weighted += w->places[i].weights != NULL;
    return code;
}

ag_code ag_gguf_write(const ag_source *src, const char *path, const ag_gguf_write_opts *opts,
                      ag_pool *pool, ag_gguf_written *done, ag_err *err) {
    writer w = {.src = src, .opts = opts, .pool = pool};
    ag_buf_init(&w.head, AG_ROOM_LOAD, MAX_HEAD);
    ag_code code = plan(&w, err);
    if (!code)
        code = make_head(&w, err);
    if (!code)
        code = make_rooms(&w, err);
    if (!code)
        code = write_file(&w, path, done, err);
    ag_buf_deinit(&w.head);
    for (size_t i = 0; w.places && i < w.n; i++)
        ag_free(w.places[i].weights);
    ag_free(w.places);
    ag_free(w.band);
    ag_free(w.rooms);
    return code;
}
