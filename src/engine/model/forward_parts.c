#include "model/forward_parts.h"

#include <string.h>

ag_pass ag_pass_begin(const ag_model *m, ag_pool *pool, ag_scratch *s, ag_run *runs, int n_runs) {
    ag_pass p = {.m = m, .pool = pool, .s = s, .runs = runs, .n_runs = n_runs};
    for (int i = 0; i < n_runs; i++) {
        AG_ASSERT(runs[i].n > 0 && p.n_rows + runs[i].n <= s->max_rows);
        runs[i].row0 = p.n_rows;
        for (int t = 0; t < runs[i].n; t++)
            s->run_of[p.n_rows++] = i;
    }
    return p;
}

void ag_pass_end(const ag_pass *p) {
    for (int i = 0; i < p->n_runs; i++)
        p->runs[i].kv->n_tokens = p->runs[i].pos0 + p->runs[i].n;
}

static void move_row(const ag_pass *p, int from, int to, float *q, size_t q_stride) {
    const ag_model_config *c = &p->m->config;
    if (from == to)
        return;
    memcpy(ag_row_h(p, to), ag_row_h(p, from), (size_t)c->n_embd * sizeof(float));
    memcpy(q + (size_t)to * q_stride, q + (size_t)from * q_stride,
           (size_t)(c->n_heads * c->d_head) * sizeof(float));
}

bool ag_pass_keep_wanted(ag_pass *p, float *q, size_t q_stride) {
    if (p->layer_no + 1 < p->m->config.n_layers || p->m->config.arch->encoder)
        return true;
    p->n_rows = 0;
    for (int i = 0; i < p->n_runs; i++) {
        ag_run *r = &p->runs[i];
        int from = r->row0 + r->n - r->n_out;
        r->pos0 += r->n - r->n_out;
        r->row0 = p->n_rows;
        r->n = r->n_out;
        for (int t = 0; t < r->n; t++, p->n_rows++) {
            move_row(p, from + t, p->n_rows, q, q_stride);
            p->s->run_of[p->n_rows] = i;
        }
    }
    return p->n_rows > 0;
}

/* Fewer numbers are the calling thread's alone: they take 2 to 4 us. */
#define ALONE_NUMBERS 4096

typedef struct row_job {
    const ag_pass *p;
    ag_row_fn fn;
    int n, per_chunk;
} row_job;

static void run_rows(void *ctx, int chunk, int worker) {
    (void)worker;
    const row_job *j = ctx;
    int end = (chunk + 1) * j->per_chunk;
    for (int row = chunk * j->per_chunk; row < end && row < j->n; row++)
        j->fn(j->p, row);
}

void ag_for_rows(const ag_pass *p, int n, ag_row_fn fn) {
    int threads = ag_pool_threads(p->pool);
    int per_chunk = n < 2 * threads ? 1 : (n + 4 * threads - 1) / (4 * threads);
    if (n * p->m->config.n_embd < ALONE_NUMBERS)
        per_chunk = n > 0 ? n : 1;
    row_job j = {p, fn, n, per_chunk};
    ag_pool_run(p->pool, (n + per_chunk - 1) / per_chunk, run_rows, &j);
}

void ag_quantise_row(const ag_pass *p, int row, int n) {
    if (p->want_q8)
        p->m->kernels->quantize_q8(ag_row_x(p, row), n, p->s->x8 + (size_t)row * p->s->x8_stride);
    if (p->want_bf16)
        p->m->kernels->round_bf16(ag_row_x(p, row), n, p->s->x16 + (size_t)row * p->s->x16_stride);
}

bool ag_pass_wants(ag_pass *p, const ag_matrix *const *w, int n) {
    p->want_q8 = p->want_bf16 = false;
    for (int i = 0; i < n; i++) {
        p->want_q8 |= w[i]->ops->act == AG_ACT_Q8;
        p->want_bf16 |= w[i]->ops->act == AG_ACT_BF16;
    }
    return p->want_q8 || p->want_bf16;
}

ag_matmul_job ag_pass_job(const ag_pass *p, ag_matmul_item item) {
    return (ag_matmul_job){.w = item.w,
                           .x = p->s->x,
                           .x_stride = p->s->x_stride,
                           .x8 = p->s->x8,
                           .x8_stride = p->s->x8_stride,
                           .x16 = p->s->x16,
                           .x16_stride = p->s->x16_stride,
                           .n_rows = p->n_rows,
                           .out = item.out,
                           .out_stride = item.out_stride};
}

void ag_pass_multiply(const ag_pass *p, const ag_matmul_item *items, int n) {
    ag_matmul_job jobs[AG_GROUP_MAX];
    for (int i = 0; i < n; i++)
        jobs[i] = ag_pass_job(p, items[i]);
    ag_matmul_run(p->pool, jobs, n);
}
