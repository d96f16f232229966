/* Views that give the rows of one other tensor in another order, or its values plus one. */
#include "load/hf_parts.h"

typedef struct rows_state {
    const ag_tensor *base;
    ag_view_order order;
} rows_state;

static ag_code no_memory(ag_err *err) {
    return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model");
}

static ag_code wrong_shape(const ag_tensor *base, const char *what, ag_err *err) {
    return ag_fail(err, AG_E_FORMAT, "shape [%llu, %llu] (innermost first) does not fit %s",
                   (unsigned long long)base->dim[0], (unsigned long long)base->dim[1], what);
}

/* The row of the base that is row p of a head. */
static uint64_t source_row(const ag_view_order *o, uint64_t p) {
    switch (o->how) {
    case AG_ORDER_PAIRS: /* rotary partners from d/2 apart to side by side */
        return p / 2 + (p % 2 ? o->d / 2 : 0);
    case AG_ORDER_HALVES: /* the other way round, of the leading rows only */
        return p >= o->rot ? p : p < o->rot / 2 ? 2 * p : 2 * (p - o->rot / 2) + 1;
    case AG_ORDER_SLICE:
        return o->from + p;
    }
    AG_NEVER();
}

static uint64_t row_of(const ag_view_order *o, uint64_t row) {
    return row / o->d * o->d_base + source_row(o, row % o->d);
}

static void read_rows(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst) {
    const rows_state *s = t->state;
    size_t bytes = ag_type_bytes(as, (size_t)t->dim[0]);
    char *out = dst;
    for (size_t i = 0; i < n; i++, out += bytes) {
        const void *from = ag_tensor_read(s->base, row_of(&s->order, row + i), 1, as, out);
        if (from != out)
            memcpy(out, from, bytes);
    }
}

/* A vector is one row: its elements change places. */
static void read_elements(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst) {
    const rows_state *s = t->state;
    size_t each = ag_type_bytes(as, 1);
    (void)row;
    for (uint64_t i = 0; n && i < t->dim[0]; i++)
        memcpy((char *)dst + i * each, s->base->data + row_of(&s->order, i) * each, each);
}

static bool piece_of_base(const ag_tensor *base, size_t i, int *file, uint64_t *at, size_t *bytes) {
    if (base->view)
        return base->view->piece(base, i, file, at, bytes);
    *file = base->file;
    *at = base->file_at;
    *bytes = base->bytes;
    return i == 0;
}

static bool rows_piece(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    return piece_of_base(((const rows_state *)t->state)->base, i, file, at, bytes);
}

static const ag_view rows_view = {read_rows, rows_piece};
static const ag_view elements_view = {read_elements, rows_piece};

ag_code ag_view_rows(ag_arena *arena, const ag_tensor *base, ag_view_order order, ag_tensor *out,
                     ag_err *err) {
    bool vector = base->n_dims == 1;
    uint64_t rows = vector ? base->dim[0] : ag_tensor_rows(base);
    if (base->n_dims > 2 || rows != (uint64_t)order.heads * order.d_base ||
        (vector && base->view) || (order.how == AG_ORDER_PAIRS && order.d % 2))
        return wrong_shape(base, "the number and size of the heads", err);
    rows_state *s = ag_arena_get(arena, sizeof *s);
    if (!s)
        return no_memory(err);
    *s = (rows_state){base, order};
    *out = *base;
    out->name = (ag_span){0};
    out->data = NULL;
    out->view = vector ? &elements_view : &rows_view;
    out->state = s;
    out->dim[vector ? 0 : 1] = (uint64_t)order.heads * order.d;
    out->bytes = ag_type_bytes(out->type, (size_t)out->dim[0]) * (size_t)ag_tensor_rows(out);
    return AG_OK;
}

/* ---- plus one -------------------------------------------------------------------------------- */

static void read_plus_one(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst) {
    const ag_tensor *base = t->state;
    size_t cols = (size_t)t->dim[0], each = ag_type_bytes(base->type, cols);
    (void)as; /* type and keep are both F32 */
    for (size_t r = 0; r < n; r++) {
        float *out = (float *)dst + r * cols;
        ag_type_decode(base->type, base->data + (row + r) * each, out, cols);
        for (size_t i = 0; i < cols; i++)
            out[i] += 1.0f;
    }
}

static bool plus_one_piece(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    return piece_of_base(t->state, i, file, at, bytes);
}

static const ag_view plus_one_view = {read_plus_one, plus_one_piece};

ag_code ag_view_plus_one(ag_arena *arena, const ag_tensor *base, ag_tensor *out, ag_err *err) {
    (void)arena;
    if (base->view)
        return wrong_shape(base, "a norm, which is stored plainly", err);
    *out = *base;
    out->name = (ag_span){0};
    out->type = out->keep = AG_T_F32;
    out->bytes = (size_t)(base->dim[0] * ag_tensor_rows(base)) * sizeof(float);
    out->data = NULL;
    out->view = &plus_one_view;
    out->state = base;
    return AG_OK;
}
