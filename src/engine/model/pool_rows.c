/* Pooling: one vector of an input from those of its tokens. Rows are added in the order of their
 * positions, whatever the chunks they came in. */
#include <string.h>

#include "model/forward_parts.h"

/* What a token's vector is: an encoder's output as it stands, a decoder's after its last norm. */
static const float *hidden(const ag_pass *p, int row) {
    const ag_model_config *c = &p->m->config;
    if (c->arch->encoder)
        return ag_row_h(p, row);
    p->m->kernels->rms_norm(ag_row_h(p, row), p->norm, c->n_embd, c->rms_eps, ag_row_x(p, row));
    return ag_row_x(p, row);
}

static void pool_run(void *ctx, int chunk, int worker) {
    (void)worker;
    const ag_pass *p = ctx;
    const ag_run *r = &p->runs[chunk];
    int e = p->m->config.n_embd;
    size_t bytes = (size_t)e * sizeof(float);
    if (!r->pooled)
        return;
    if (r->pooling == AG_POOLING_LAST) {
        memcpy(r->pooled, hidden(p, r->row0 + r->n - 1), bytes);
        return;
    }
    if (r->pos0 == 0)
        memcpy(r->pooled, hidden(p, r->row0), bytes);
    for (int i = r->pos0 == 0; i < r->n && r->pooling == AG_POOLING_MEAN; i++)
        p->m->kernels->add(r->pooled, hidden(p, r->row0 + i), e);
}

void ag_forward_pool(const ag_model *m, ag_pool *pool, ag_scratch *s, ag_run *runs, int n_runs) {
    ag_pass p = {
        .m = m, .pool = pool, .s = s, .runs = runs, .n_runs = n_runs, .norm = m->output_norm};
    ag_pool_run_uneven(pool, n_runs, pool_run, &p);
}
