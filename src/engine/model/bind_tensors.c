/* The steps of binding: find a tensor, check its type and shape, and plan where it goes. */
#include <stdio.h>

#include "base/limits.h"
#include "base/mem.h"
#include "model/bind.h"

static const char *named(ag_binder *b, int layer, const char *what, const char *suffix) {
    if (layer >= 0)
        snprintf(b->name, sizeof b->name, "blk.%d.%s.%s", layer, what, suffix);
    else
        snprintf(b->name, sizeof b->name, "%s.%s", what, suffix);
    return b->name;
}

const ag_tensor *ag_bind_find(ag_binder *b, int layer, const char *what, const char *suffix) {
    return ag_source_find_tensor(b->src, named(b, layer, what, suffix));
}

void ag_bind_missing(ag_binder *b, int layer, const char *what, const char *suffix) {
    if (!b->code)
        b->code = ag_fail(b->err, AG_E_FORMAT, "%s: tensor %s is missing", ag_source_path(b->src),
                          named(b, layer, what, suffix));
}

/* "[2048, 768, 128]" */
static void shape_text(const uint64_t *dim, int n, char text[128]) {
    int at = snprintf(text, 128, "[%llu", (unsigned long long)dim[0]);
    for (int d = 1; d < n; d++)
        at += snprintf(text + at, 128 - (size_t)at, ", %llu", (unsigned long long)dim[d]);
    snprintf(text + at, 128 - (size_t)at, "]");
}

static void wrong_shape(ag_binder *b, const ag_tensor *t, const uint64_t *dim, int n) {
    char want[128], found[128];
    shape_text(dim, n, want);
    shape_text(t->dim, t->n_dims, found);
    b->code =
        ag_fail(b->err, AG_E_FORMAT, "%.*s: expected %s, found %s (%s, tensor data at byte %llu)",
                AG_SPAN(t->name), want, found, ag_source_file_path(b->src, t),
                (unsigned long long)t->file_at);
}

void ag_bind_wrong_shape(ag_binder *b, const ag_tensor *t, uint64_t cols, uint64_t rows) {
    wrong_shape(b, t, (const uint64_t[]){cols, rows}, rows ? 2 : 1);
}

bool ag_bind_decodable(ag_binder *b, const ag_tensor *t) {
    const ag_type_info *info = ag_type_find(t->type);
    if (!info->decoded)
        b->code =
            ag_fail(b->err, AG_E_UNSUPPORTED,
                    "%s: tensor %.*s has type %s, which this build cannot compute with; "
                    "supported: %s",
                    ag_source_path(b->src), AG_SPAN(t->name), info->name, ag_type_supported());
    return !b->code;
}

/* A growing array of the plan, one more element; NULL (with the failure noted) out of memory. */
static void *grow(ag_binder *b, void **array, size_t *n, size_t *room, size_t size) {
    if (*n == *room) {
        size_t want = *room ? *room * 2 : 256;
        void *p = ag_realloc(AG_ROOM_MODEL, *array, want, size);
        if (!p) {
            b->code = ag_fail(b->err, AG_E_NOMEM, "out of memory while binding tensors");
            return NULL;
        }
        *array = p;
        *room = want;
    }
    return (char *)*array + size * (*n)++;
}

void ag_bind_vector(ag_binder *b, const ag_tensor *t, uint64_t total, uint64_t from, int n,
                    const float **field) {
    if (b->code || !ag_bind_decodable(b, t))
        return;
    if (t->n_dims != 1 || t->dim[0] != total) {
        ag_bind_wrong_shape(b, t, total, 0);
        return;
    }
    const ag_type_info *info = ag_type_find(t->type);
    if (info->block != 1) {
        b->code =
            ag_fail(b->err, AG_E_UNSUPPORTED,
                    "%s: %.*s is of type %s; norms and biases are expected as F32, F16 or BF16",
                    ag_source_path(b->src), AG_SPAN(t->name), info->name);
        return;
    }
    ag_plan_vector *v =
        grow(b, (void **)&b->plan->vectors, &b->plan->n_vectors, &b->plan->vectors_room, sizeof *v);
    if (!v)
        return;
    *v = (ag_plan_vector){field, t, from, n, b->plan->n_floats};
    b->plan->n_floats += ((size_t)n + 15) / 16 * 16;
}

void ag_bind_norm(ag_binder *b, int layer, const char *what, int n, const float **field) {
    const ag_tensor *t = ag_bind_find(b, layer, what, "weight");
    if (t)
        ag_bind_vector(b, t, (uint64_t)n, 0, n, field);
    else
        ag_bind_missing(b, layer, what, "weight");
}

void ag_bind_opt_norm(ag_binder *b, int layer, const char *what, int n, const float **field) {
    if (what && ag_bind_find(b, layer, what, "weight"))
        ag_bind_norm(b, layer, what, n, field);
}

/* The type a tensor's rows are packed as. */
static ag_type type_of(const ag_binder *b, const ag_tensor *t) {
    if (b->types)
        return b->types[t - ag_source_tensor_at(b->src, 0)];
    return b->opts->dtype == AG_DTYPE_KEEP ? t->keep : (ag_type)b->opts->dtype;
}

static void plan_matrix(ag_binder *b, const ag_tensor *t, uint64_t row0, int rows, int cols,
                        ag_type as, ag_matrix *field) {
    const ag_matmul_ops *ops = &b->opts->kernels->matmul[as];
    AG_ASSERT(ops->run);
    *field = (ag_matrix){.ops = ops,
                         .panel_bytes = ops->panel_bytes(cols),
                         .rows = rows,
                         .cols = cols,
                         .n_panels = (rows + ops->panel - 1) / ops->panel};
    ag_plan_matrix *e = grow(b, (void **)&b->plan->matrices, &b->plan->n_matrices,
                             &b->plan->matrices_room, sizeof *e);
    if (!e)
        return;
    *e = (ag_plan_matrix){
        .field = field, .t = t, .row0 = row0, .as = as, .at = b->plan->weight_bytes};
    b->plan->weight_bytes += (size_t)field->n_panels * field->panel_bytes;
}

void ag_bind_rows(ag_binder *b, const ag_tensor *t, uint64_t total_rows, uint64_t row0, int rows,
                  int cols, ag_matrix *field) {
    if (b->code || !ag_bind_decodable(b, t))
        return;
    if (t->n_dims != 2 || t->dim[0] != (uint64_t)cols || t->dim[1] != total_rows)
        ag_bind_wrong_shape(b, t, (uint64_t)cols, total_rows);
    else
        plan_matrix(b, t, row0, rows, cols, type_of(b, t), field);
}

void ag_bind_slices(ag_binder *b, const ag_tensor *t, int n, int total_rows, int row0, int rows,
                    int cols, ag_matrix *fields) {
    if (b->code || !ag_bind_decodable(b, t))
        return;
    const uint64_t want[] = {(uint64_t)cols, (uint64_t)total_rows, (uint64_t)n, 1};
    if (memcmp(t->dim, want, sizeof want) != 0) { /* a last dimension of 1 may be left out */
        wrong_shape(b, t, want, 3);
        return;
    }
    for (int i = 0; i < n && !b->code; i++)
        plan_matrix(b, t, (uint64_t)i * (uint64_t)total_rows + (uint64_t)row0, rows, cols,
                    type_of(b, t), &fields[i]);
}

void ag_bind_turned(ag_binder *b, const ag_tensor *t, uint64_t total_rows, uint64_t row0, int n,
                    int cols, ag_matrix *field) {
    if (b->code || !ag_bind_decodable(b, t))
        return;
    if (t->n_dims != 2 || t->dim[0] != (uint64_t)cols || t->dim[1] != total_rows) {
        ag_bind_wrong_shape(b, t, (uint64_t)cols, total_rows);
        return;
    }
    ag_type as = type_of(b, t);
    plan_matrix(b, t, row0, cols, n, ag_type_find(as)->block == 1 ? as : AG_T_F16, field);
    if (!b->code)
        b->plan->matrices[b->plan->n_matrices - 1].turned = true;
}

void ag_bind_router(ag_binder *b, int layer, const char *what, int rows, int cols,
                    ag_matrix *field) {
    const ag_tensor *t = ag_bind_find(b, layer, what, "weight");
    if (!t) {
        ag_bind_missing(b, layer, what, "weight");
        return;
    }
    if (b->code || !ag_bind_decodable(b, t))
        return;
    if (t->n_dims != 2 || t->dim[0] != (uint64_t)cols || t->dim[1] != (uint64_t)rows)
        ag_bind_wrong_shape(b, t, (uint64_t)cols, (uint64_t)rows);
    else
        plan_matrix(b, t, 0, rows, cols, AG_T_F32, field);
}

void ag_bind_matrix(ag_binder *b, int layer, const char *what, int rows, int cols,
                    ag_matrix *field) {
    const ag_tensor *t = ag_bind_find(b, layer, what, "weight");
    if (!t) {
        ag_bind_missing(b, layer, what, "weight");
        return;
    }
    ag_bind_rows(b, t, (uint64_t)rows, 0, rows, cols, field);
    t = ag_bind_find(b, layer, what, "bias");
    if (t)
        ag_bind_vector(b, t, (uint64_t)rows, 0, rows, &field->bias);
}

void ag_bind_stack(ag_binder *b, int layer, const char *what, int cols, int n,
                   ag_matrix *const fields[], const int rows[]) {
    const ag_tensor *t = ag_bind_find(b, layer, what, "weight");
    uint64_t total = 0, at = 0;
    for (int i = 0; i < n; i++)
        total += (uint64_t)rows[i];
    for (int i = 0; i < n; i++) {
        ag_bind_rows(b, t, total, at, rows[i], cols, fields[i]);
        at += (uint64_t)rows[i];
    }
    t = ag_bind_find(b, layer, what, "bias");
    at = 0;
    for (int i = 0; i < n && t; i++) {
        ag_bind_vector(b, t, total, at, rows[i], &fields[i]->bias);
        at += (uint64_t)rows[i];
    }
}

void ag_bind_table(ag_binder *b, const ag_tensor *t, int rows, int cols, const ag_tensor **field) {
    if (b->code || !ag_bind_decodable(b, t))
        return;
    uint64_t n = t->n_dims > 1 ? t->dim[1] : 1;
    if (t->n_dims > 2 || t->dim[0] != (uint64_t)cols || n > AG_MAX_VOCAB ||
        (rows > 0 && n != (uint64_t)rows)) {
        ag_bind_wrong_shape(b, t, (uint64_t)cols, rows > 0 ? (uint64_t)rows : n);
        return;
    }
    if (t->view) {
        b->code = ag_fail(b->err, AG_E_UNSUPPORTED, "%s: the embedding %.*s must be stored plainly",
                          ag_source_path(b->src), AG_SPAN(t->name));
        return;
    }
    *field = t;
}
