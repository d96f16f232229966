/* Filling the plan: packing matrices on all threads, widening vectors, dropping the file's pages.
 */
#include "base/mem.h"
#include "model/bind.h"
#include "model/prepared.h"

/* Of a tensor in its file, between two times that its pages are let go of. */
#define BAND_BYTES ((size_t)32 << 20)

/* One matrix being packed; chunk = one panel. */
typedef struct packing {
    const ag_plan_matrix *e;
    int panel0; /* of chunk 0 */
    uint8_t *panels;
    uint8_t *temp; /* [threads, temp_bytes] */
    size_t temp_bytes;
    bool last;   /* no other matrix of its tensor follows */
    size_t held; /* bytes read of the tensor since its pages were let go of */
} packing;

/* Working memory of a thread for one panel: rows as the source gives them, as float32, and
 * re-encoded; each part begins at a multiple of 64 bytes. */
typedef struct panel_room {
    size_t wide, narrow, end; /* offsets; the rows themselves are at 0 */
} panel_room;

static bool changes_type(const ag_plan_matrix *e) {
    return e->turned || (e->as != e->t->type && e->as != e->t->keep);
}

static panel_room room_of(const ag_plan_matrix *e) {
    size_t n = (size_t)e->field->ops->panel * (size_t)e->field->cols;
    size_t read = e->turned ? (size_t)e->t->dim[0] : n; /* elements read at a time */
    panel_room r = {0};
    if (e->t->view)
        r.wide = ag_round_up(ag_type_bytes(changes_type(e) ? e->t->type : e->as, read), 64);
    r.narrow = r.end = r.wide;
    if (changes_type(e)) {
        r.narrow = r.wide + ag_round_up((e->turned ? n + read : n) * sizeof(float), 64);
        r.end = r.narrow + ag_round_up(ag_type_bytes(e->as, n), 64);
    }
    return r;
}

/* wide[rows, cols] = the elements [row, row + rows) of each of the tensor's rows that are columns
 * here. Only the blocks that hold them are decoded, behind wide. */
static void read_turned(const ag_plan_matrix *e, int row, int rows, uint8_t *temp, float *wide) {
    size_t block = ag_type_find(e->t->type)->block, cols = (size_t)e->field->cols;
    size_t from = (size_t)row / block * block;
    size_t n = ((size_t)(row + rows) + block - 1) / block * block - from;
    float *line = wide + (size_t)e->field->ops->panel * cols;
    for (size_t i = 0; i < cols; i++) {
        const uint8_t *src = ag_tensor_read(e->t, e->row0 + i, 1, e->t->type, temp);
        ag_type_decode(e->t->type, src + ag_type_bytes(e->t->type, from), line, n);
        for (int r = 0; r < rows; r++)
            wide[(size_t)r * cols + i] = line[(size_t)(row + r) - from];
    }
}

/* Rows [row, row + rows) of the matrix in the format they are packed from. */
static const void *rows_to_pack(const packing *p, int row, int rows, uint8_t *temp) {
    const ag_plan_matrix *e = p->e;
    uint64_t at = e->row0 + (uint64_t)row;
    if (!changes_type(e))
        return ag_tensor_read(e->t, at, (size_t)rows, e->as, temp);
    panel_room r = room_of(e);
    size_t n = (size_t)rows * (size_t)e->field->cols;
    float *wide = (float *)(void *)(temp + r.wide);
    if (e->turned)
        read_turned(e, row, rows, temp, wide);
    else
        ag_type_decode(e->t->type, ag_tensor_read(e->t, at, (size_t)rows, e->t->type, temp), wide,
                       n);
    ag_type_encode(e->as, wide, temp + r.narrow, n);
    return temp + r.narrow;
}

static void pack_panel(void *ctx, int chunk, int worker) {
    const packing *p = ctx;
    const ag_matrix *m = p->e->field;
    int panel = p->panel0 + chunk;
    int row = panel * m->ops->panel, rows = m->rows - row;
    if (rows > m->ops->panel)
        rows = m->ops->panel;
    uint8_t *temp = p->temp ? p->temp + (size_t)worker * p->temp_bytes : NULL;
    const void *src = rows_to_pack(p, row, rows, temp);
    m->ops->pack(src, rows, m->cols, p->panels + (size_t)panel * m->panel_bytes);
}

/* What the most demanding matrix needs. */
static size_t temp_bytes_of(const ag_binding *plan) {
    size_t most = 0;
    for (size_t i = 0; i < plan->n_matrices; i++) {
        size_t bytes = room_of(&plan->matrices[i]).end;
        if (bytes > most)
            most = bytes;
    }
    return most;
}

/* Pack a matrix in bands, letting go of the file's pages behind each, so that what is resident
 * grows by little more than the packed weights; small matrices of one tensor, as experts are, make
 * a band together. Embeddings that are read from the file while running come back from the
 * system's cache row by row. */
static void pack_matrix(packing *p, const ag_source *src, ag_pool *pool) {
    const ag_matrix *m = p->e->field;
    size_t row_bytes = ag_type_bytes(p->e->t->type, (size_t)p->e->t->dim[0]);
    size_t panels = BAND_BYTES / ((size_t)m->ops->panel * row_bytes) + 1;
    for (int n, at = 0; at < m->n_panels; at += n) {
        n = m->n_panels - at < (int)panels ? m->n_panels - at : (int)panels;
        p->panel0 = at;
        ag_pool_run(pool, n, pack_panel, p);
        p->held += (size_t)(n * m->ops->panel) * row_bytes;
        if (p->held >= BAND_BYTES || (p->last && at + n == m->n_panels)) {
            ag_source_drop(src, p->e->t);
            p->held = 0;
        }
    }
}

static ag_code tell(const ag_binding *plan, const ag_model_opts *opts, size_t done, ag_err *err) {
    return !opts->on_progress || opts->on_progress(opts->progress_ctx, done, plan->weight_bytes)
               ? AG_OK
               : ag_fail(err, AG_E_CANCELLED, "loading was cancelled");
}

static ag_code pack_all(uint8_t *weights, const ag_binding *plan, const ag_source *src,
                        const ag_model_opts *opts, ag_pool *pool, ag_err *err) {
    size_t each = temp_bytes_of(plan), temp_bytes = each * (size_t)ag_pool_threads(pool);
    uint8_t *temp = temp_bytes ? ag_alloc_pages(AG_ROOM_LOAD, temp_bytes) : NULL;
    if (temp_bytes && !temp)
        return ag_fail(err, AG_E_NOMEM, "out of memory for re-encoding weights");
    ag_code code = AG_OK;
    packing p = {.temp = temp, .temp_bytes = each};
    for (size_t i = 0; i < plan->n_matrices && !code; i++) {
        const ag_plan_matrix *e = &plan->matrices[i];
        if ((code = tell(plan, opts, e->at, err)))
            break;
        const ag_tensor *next = i + 1 < plan->n_matrices ? plan->matrices[i + 1].t : NULL;
        if (next && next != e->t) /* matrices of one tensor follow each other */
            ag_source_want(src, next);
        p.e = e;
        p.panels = weights + e->at;
        p.last = next != e->t;
        pack_matrix(&p, src, pool);
    }
    if (temp)
        ag_free_pages(AG_ROOM_LOAD, temp, temp_bytes);
    return code;
}

/* Norms and biases as float32. A view gives whole rows only, so it needs `room` for one. */
static ag_code widen_all(ag_model *m, const ag_binding *plan, ag_err *err) {
    for (size_t i = 0; i < plan->n_vectors; i++) {
        const ag_plan_vector *v = &plan->vectors[i];
        void *room = v->t->view ? ag_alloc(AG_ROOM_LOAD, v->t->bytes) : NULL;
        if (v->t->view && !room)
            return ag_fail(err, AG_E_NOMEM, "out of memory for %.*s", AG_SPAN(v->t->name));
        const uint8_t *row = ag_tensor_read(v->t, 0, 1, v->t->type, room);
        ag_type_decode(v->t->type, row + ag_type_bytes(v->t->type, (size_t)v->from),
                       m->vectors + v->at, (size_t)v->n);
        ag_free(room);
        *v->field = m->vectors + v->at;
    }
    return AG_OK;
}

/* Packed here, from the file. */
static ag_code pack_weights(ag_model *m, const ag_binding *plan, const ag_source *src,
                            const ag_model_opts *opts, ag_pool *pool, ag_err *err) {
    uint8_t *weights = ag_alloc_small_pages(AG_ROOM_WEIGHTS, m->weight_bytes);
    m->weights = weights;
    if (!weights)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu bytes of weights", m->weight_bytes);
    (void)ag_numa_place(opts->numa, weights, m->weight_bytes); /* core/ tells a refusal */
    return pack_all(weights, plan, src, opts, pool, err);
}

ag_code ag_model_load(ag_model *m, ag_binding **plan_p, const ag_source *src,
                      const ag_model_opts *opts, ag_pool *pool, ag_err *err) {
    ag_binding *plan = *plan_p;
    ag_prepared prepared;
    m->vectors = ag_alloc_pages(AG_ROOM_WEIGHTS, m->vector_bytes);
    ag_code code = m->vectors ? widen_all(m, plan, err)
                              : ag_fail(err, AG_E_NOMEM, "out of memory for %zu bytes of weights",
                                        m->vector_bytes);
    if (!code)
        ag_prepared_find(&prepared, m, plan, src, opts, pool);
    if (!code && !m->image.contents)
        code = pack_weights(m, plan, src, opts, pool, err);
    if (!code)
        code = tell(plan, opts, plan->weight_bytes, err);
    for (size_t i = 0; i < plan->n_matrices && !code; i++)
        plan->matrices[i].field->panels = m->weights + plan->matrices[i].at;
    if (!code && !m->image.contents)
        ag_prepared_keep(&prepared, m, opts);
    m->bound = plan->matrices;
    m->n_bound = plan->n_matrices;
    plan->matrices = NULL;
    ag_binding_free(plan_p);
    return code;
}

ag_matrix *ag_model_matrix(const ag_model *m, size_t i, const ag_tensor **t, uint64_t *row0) {
    *t = m->bound[i].t;
    *row0 = m->bound[i].row0;
    return m->bound[i].field;
}
