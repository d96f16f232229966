/* Views over several matrices, and the transposed one of latent attention. */
#include "load/hf_parts.h"

static bool piece_of(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    if (t->view)
        return t->view->piece(t, i, file, at, bytes);
    *file = t->file;
    *at = t->file_at;
    *bytes = t->bytes;
    return i == 0;
}

/* ---- a stack --------------------------------------------------------------------------------- */

typedef struct stack_state {
    const ag_tensor *const *parts; /* [n] of equal shape and type */
    size_t n;
    uint64_t rows; /* of each */
} stack_state;

static void read_stack(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst) {
    const stack_state *s = t->state;
    size_t bytes = ag_type_bytes(as, (size_t)t->dim[0]);
    char *out = dst;
    while (n) {
        uint64_t first = row % s->rows;
        size_t run = s->rows - first < n ? (size_t)(s->rows - first) : n;
        const void *from = ag_tensor_read(s->parts[row / s->rows], first, run, as, out);
        if (from != out)
            memcpy(out, from, run * bytes);
        row += run;
        n -= run;
        out += run * bytes;
    }
}

static bool stack_piece(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    const stack_state *s = t->state;
    int f;
    uint64_t a;
    size_t b, each = 0;
    while (piece_of(s->parts[0], each, &f, &a, &b))
        each++;
    return each && i / each < s->n && piece_of(s->parts[i / each], i % each, file, at, bytes);
}

static const ag_view stack_view = {read_stack, stack_piece};

ag_code ag_view_stack(ag_arena *arena, const ag_tensor *const *parts, size_t n, ag_tensor *out,
                      ag_err *err) {
    const ag_tensor *a = parts[0];
    for (size_t i = 0; i < n; i++) {
        const ag_tensor *b = parts[i];
        if (b->n_dims != 2 || b->dim[0] != a->dim[0] || b->dim[1] != a->dim[1] ||
            b->type != a->type || b->keep != a->keep)
            return ag_fail(err, AG_E_FORMAT,
                           "expert %zu is [%llu, %llu] of %s, but expert 0 is [%llu, %llu] of %s "
                           "(innermost first)",
                           i, (unsigned long long)b->dim[0], (unsigned long long)b->dim[1],
                           ag_type_find(b->keep)->name, (unsigned long long)a->dim[0],
                           (unsigned long long)a->dim[1], ag_type_find(a->keep)->name);
    }
    stack_state *s = ag_arena_get(arena, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model");
    *s = (stack_state){parts, n, a->dim[1]};
    *out = *a;
    out->name = (ag_span){0};
    out->n_dims = 3;
    out->dim[2] = n;
    if (__builtin_mul_overflow(a->bytes, n, &out->bytes))
        return ag_fail(err, AG_E_FORMAT, "%zu experts of %zu bytes are too large", n, a->bytes);
    out->data = NULL;
    out->view = &stack_view;
    out->state = s;
    return AG_OK;
}

/* ---- transposed heads ------------------------------------------------------------------------ */

#define MAX_LATENT 8192 /* columns of a base row, which is read whole into a buffer */

typedef struct transposed_state {
    const ag_tensor *base;
    uint32_t d, d_base;
} transposed_state;

/* Column `col` of n rows from `row` on, as float32: one base row after the other is decoded, and
 * what belongs to the wanted rows is picked out of it. */
static void gather(const transposed_state *s, uint64_t row, size_t n, float *dst) {
    uint64_t latent = s->base->dim[0];
    float wide[MAX_LATENT];
    while (n) {
        uint64_t head = row / latent, first = row % latent;
        size_t run = latent - first < n ? (size_t)(latent - first) : n;
        for (uint32_t j = 0; j < s->d; j++) {
            uint64_t at = head * s->d_base + j;
            if (s->base->view)
                s->base->view->read(s->base, at, 1, AG_T_F32, wide);
            else
                ag_type_decode(s->base->type,
                               s->base->data + at * ag_type_bytes(s->base->type, latent), wide,
                               (size_t)latent);
            for (size_t r = 0; r < run; r++)
                dst[r * s->d + j] = wide[first + r];
        }
        row += run;
        n -= run;
        dst += run * s->d;
    }
}

static void read_transposed(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst) {
    const transposed_state *s = t->state;
    size_t bytes = ag_type_bytes(as, s->d), run = MAX_LATENT / s->d;
    float rows[MAX_LATENT];
    if (as == AG_T_F32) {
        gather(s, row, n, dst);
        return;
    }
    for (char *out = dst; n; out += run * bytes) {
        if (run > n)
            run = n;
        gather(s, row, run, rows);
        ag_type_encode(as, rows, out, run * s->d);
        row += run;
        n -= run;
    }
}

static bool transposed_piece(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    return piece_of(((const transposed_state *)t->state)->base, i, file, at, bytes);
}

static const ag_view transposed_view = {read_transposed, transposed_piece};

ag_code ag_view_transposed(ag_arena *arena, const ag_tensor *base, uint32_t heads, uint32_t d,
                           uint32_t d_base, ag_tensor *out, ag_err *err) {
    uint64_t latent = base->dim[0];
    if (base->n_dims != 2 || base->dim[1] != (uint64_t)heads * d_base || latent > MAX_LATENT ||
        d > MAX_LATENT || d > d_base)
        return ag_fail(err, AG_E_FORMAT,
                       "shape [%llu, %llu] (innermost first) does not fit %u heads of %u",
                       (unsigned long long)latent, (unsigned long long)base->dim[1], heads, d_base);
    transposed_state *s = ag_arena_get(arena, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model");
    *s = (transposed_state){base, d, d_base};
    *out = *base;
    out->name = (ag_span){0};
    out->n_dims = 3;
    out->dim[0] = d;
    out->dim[1] = latent;
    out->dim[2] = heads;
    /* Blocks cannot be transposed: what was quantised is encoded anew. */
    if (base->view)
        out->keep = d % 32 == 0 ? AG_T_Q8_0 : AG_T_BF16;
    out->bytes = ag_type_bytes(out->type, d) * (size_t)(latent * heads);
    out->data = NULL;
    out->view = &transposed_view;
    out->state = s;
    return AG_OK;
}
