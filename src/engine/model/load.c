/* Filling the plan: packing matrices on all threads, widening vectors, dropping the file's pages.
 */
#include "base/mem.h"
#include "kernels/half.h"
#include "model/bind.h"

/* One matrix being packed; chunk = one panel. */
typedef struct packing {
    const ag_plan_matrix *e;
    uint8_t *panels;
    float *wide;     /* [threads, panel, cols] when the type changes */
    uint8_t *narrow; /* the same rows in the new type */
} packing;

/* Rows of any type → rows of F32, F16 or BF16, in file format. */
static const void *re_encode(const packing *p, const uint8_t *src, int rows, int worker) {
    const ag_plan_matrix *e = p->e;
    size_t cols = (size_t)e->field->cols, slot = (size_t)worker * (size_t)e->field->ops->panel;
    float *wide = p->wide + slot * cols;
    for (int r = 0; r < rows; r++)
        ag_type_decode(e->t->type, src + (size_t)r * e->row_bytes, wide + (size_t)r * cols, cols);
    if (e->as == AG_T_F32)
        return wide;
    uint16_t *narrow = (uint16_t *)(void *)p->narrow + slot * cols;
    size_t n = (size_t)rows * cols;
    for (size_t i = 0; i < n; i++)
        narrow[i] = e->as == AG_T_F16 ? ag_f32_to_f16(wide[i]) : ag_f32_to_bf16(wide[i]);
    return narrow;
}

static void pack_panel(void *ctx, int panel, int worker) {
    const packing *p = ctx;
    const ag_matrix *m = p->e->field;
    int row = panel * m->ops->panel, rows = m->rows - row;
    if (rows > m->ops->panel)
        rows = m->ops->panel;
    const void *src = p->e->src + (size_t)row * p->e->row_bytes;
    if (p->e->as != p->e->t->type)
        src = re_encode(p, src, rows, worker);
    m->ops->pack(src, rows, m->cols, p->panels + (size_t)panel * m->panel_bytes);
}

/* Room to re-encode one panel of the widest matrix on each thread; 0 when no type changes. */
static size_t wide_floats(const ag_binding *plan, int threads) {
    size_t most = 0;
    for (size_t i = 0; i < plan->n_matrices; i++) {
        const ag_plan_matrix *e = &plan->matrices[i];
        size_t n = (size_t)e->field->ops->panel * (size_t)e->field->cols * (size_t)threads;
        if (e->as != e->t->type && n > most)
            most = n;
    }
    return most;
}

static ag_code pack_all(ag_model *m, const ag_binding *plan, const ag_gguf *g,
                        const ag_model_opts *opts, ag_pool *pool, ag_err *err) {
    size_t n_wide = wide_floats(plan, ag_pool_threads(pool));
    size_t temp_bytes = n_wide * (sizeof(float) + sizeof(uint16_t));
    float *wide = n_wide ? ag_alloc_pages(AG_ROOM_LOAD, temp_bytes) : NULL;
    if (n_wide && !wide)
        return ag_fail(err, AG_E_NOMEM, "out of memory for re-encoding weights");
    ag_code code = AG_OK;
    for (size_t i = 0; i < plan->n_matrices && !code; i++) {
        const ag_plan_matrix *e = &plan->matrices[i];
        if (opts->on_progress && !opts->on_progress(opts->progress_ctx, e->at, plan->weight_bytes))
            code = ag_fail(err, AG_E_CANCELLED, "loading was cancelled");
        if (code)
            break;
        if (i + 1 < plan->n_matrices)
            ag_gguf_want(g, plan->matrices[i + 1].t);
        packing p = {.e = e,
                     .panels = m->weights + e->at,
                     .wide = wide,
                     .narrow = (uint8_t *)(wide + n_wide)};
        e->field->panels = p.panels;
        ag_pool_run(pool, e->field->n_panels, pack_panel, &p);
        if (e->t->data != m->embd) /* embeddings are read from the file while running */
            ag_gguf_drop(g, e->t);
    }
    if (!code && opts->on_progress &&
        !opts->on_progress(opts->progress_ctx, plan->weight_bytes, plan->weight_bytes))
        code = ag_fail(err, AG_E_CANCELLED, "loading was cancelled");
    if (wide)
        ag_free_pages(AG_ROOM_LOAD, wide, temp_bytes);
    return code;
}

ag_code ag_model_load(ag_model *m, ag_binding **plan_p, const ag_gguf *g, const ag_model_opts *opts,
                      ag_pool *pool, ag_err *err) {
    ag_binding *plan = *plan_p;
    ag_code code;
    m->weights = ag_alloc_pages(AG_ROOM_WEIGHTS, m->weight_bytes);
    m->vectors = m->weights ? ag_alloc_pages(AG_ROOM_WEIGHTS, m->vector_bytes) : NULL;
    if (!m->vectors) {
        code = ag_fail(err, AG_E_NOMEM, "out of memory for %zu bytes of weights", m->weight_bytes);
    } else {
        for (size_t i = 0; i < plan->n_vectors; i++) {
            const ag_plan_vector *v = &plan->vectors[i];
            ag_type_decode(v->type, v->src, m->vectors + v->at, (size_t)v->n);
            *v->field = m->vectors + v->at;
        }
        code = pack_all(m, plan, g, opts, pool, err);
    }
    ag_binding_free(plan_p);
    return code;
}
