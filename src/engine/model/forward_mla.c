/* Latent attention in its absorbed form.
 *
 * A token's cache is one vector c of R numbers and one rotated key k_r. A head's key would be
 * [k_b' c | k_r] and its value v_b c, so its score is q_nope . k_b' c + q_rope . k_r =
 * [k_b q_nope | q_rope] . [c | k_r], and its output v_b (weighted sum of c): heads look at [c |
 * k_r] as at one key that all share, whose beginning is the value too. (DeepSeek-V2, section 2.1.)
 */
#include <string.h>

#include "model/forward_parts.h"

/* The norms of the two low-rank vectors keep an epsilon of their own in every model of the kind. */
#define LATENT_EPS 1e-6f

/* `latent` holds a head's absorbed query and then its weighted sum, `heads` what it is made of. */
static float *row_latent(const ag_pass *p, int row) {
    return p->s->latent + (size_t)row * p->s->latent_stride;
}
static uint8_t *head_q8(const ag_pass *p, int row, int head) {
    return p->s->head8 + (size_t)row * p->s->head8_stride +
           (size_t)head * p->s->head8_stride / (size_t)p->m->config.n_heads;
}
static uint8_t *head_bf16(const ag_pass *p, int row, int head) {
    return p->s->head16 + (size_t)row * p->s->head16_stride +
           (size_t)head * p->s->head16_stride / (size_t)p->m->config.n_heads;
}
/* What a head's matrix reads, from n numbers, in the forms that are wanted. */
static void quantise_head(const ag_pass *p, int row, int head, const float *x, int n) {
    if (p->want_q8)
        p->m->kernels->quantize_q8(x, n, head_q8(p, row, head));
    if (p->want_bf16)
        p->m->kernels->round_bf16(x, n, head_bf16(p, row, head));
}
/* In a row of wide: the heads' queries, and behind them the latent vector with its key. */
static int latent_at(const ag_model_config *c) {
    return c->n_heads * (c->mla.nope + c->mla.rope) > c->mla.q_rank
               ? c->n_heads * (c->mla.nope + c->mla.rope)
               : c->mla.q_rank;
}

static void rotate(const ag_pass *p, int row, float *x, int n_heads, int d) {
    const ag_model_config *c = &p->m->config;
    size_t at = (size_t)row * (size_t)(c->rot / 2);
    (c->half_pairs ? p->m->kernels->rope_half : p->m->kernels->rope_pairs)(
        x, n_heads, d, c->rot, p->s->cos[0] + at, p->s->sin[0] + at);
}

/* Norm the latent vector, rotate its key, store both as one key; norm the query's. */
static void store_row(const ag_pass *p, int row) {
    const ag_model_config *c = &p->m->config;
    const ag_kernels *k = p->m->kernels;
    const ag_mla *x = p->layer->mla;
    const ag_run *r = &p->runs[p->s->run_of[row]];
    int pos = r->pos0 + row - r->row0;
    float *wide = ag_row_wide(p, row), *latent = wide + latent_at(c);
    k->rms_norm(latent, x->kv_a_norm, c->mla.rank, LATENT_EPS, latent);
    rotate(p, row, latent + c->mla.rank, 1, c->mla.rope);
    const ag_kv *kv = r->kv->kv;
    uint8_t *block = r->kv->at[pos / AG_KV_BLOCK];
    kv->shape.ops->store_k(block + ag_kv_at(kv, p->layer_no, 0), c->d_head, pos % AG_KV_BLOCK,
                           latent);
    if (c->mla.q_rank > 0) {
        k->rms_norm(wide, x->q_a_norm, c->mla.q_rank, LATENT_EPS, ag_row_x(p, row));
        ag_quantise_row(p, row, c->mla.q_rank);
    }
}

/* Rotate the queries and put their rotated parts where the absorbed ones will stand before them. */
static void query_row(const ag_pass *p, int row) {
    const ag_model_config *c = &p->m->config;
    const ag_mla_config *m = &c->mla;
    int d = m->nope + m->rope;
    float *q = ag_row_wide(p, row), *latent = row_latent(p, row);
    rotate(p, row, q + m->nope, c->n_heads, d);
    for (int h = 0; h < c->n_heads; h++, q += d, latent += c->d_head) {
        memcpy(latent + m->rank, q + m->nope, (size_t)m->rope * sizeof *q);
        quantise_head(p, row, h, q, m->nope);
    }
}

static void quantise_latent_row(const ag_pass *p, int row) {
    const ag_model_config *c = &p->m->config;
    for (int h = 0; h < c->n_heads; h++)
        quantise_head(p, row, h, row_latent(p, row) + h * c->d_head, c->mla.rank);
}

static void quantise_output_row(const ag_pass *p, int row) {
    ag_quantise_row(p, row, p->m->config.n_heads * p->m->config.mla.value);
}

/* A matrix for every head: head h reads x + h * x_step and writes out + h * out_step. */
static void multiply_heads(const ag_pass *p, const ag_matrix *w, const float *x, size_t x_stride,
                           int x_step, float *out, size_t out_stride, int out_step) {
    int heads = p->m->config.n_heads;
    for (int h = 0; h < heads; h++)
        p->s->jobs[h] = (ag_matmul_job){.w = &w[h],
                                        .x = x + h * x_step,
                                        .x_stride = x_stride,
                                        .x8 = head_q8(p, 0, h),
                                        .x8_stride = p->s->head8_stride,
                                        .x16 = head_bf16(p, 0, h),
                                        .x16_stride = p->s->head16_stride,
                                        .n_rows = p->n_rows,
                                        .out = out + h * out_step,
                                        .out_stride = out_stride};
    ag_matmul_run(p->pool, p->s->jobs, heads);
}

/* The queries [H * (nope + rope)] and the stored latent vectors of all rows, from x. */
static void project(ag_pass *p) {
    const ag_model_config *c = &p->m->config;
    const ag_mla *x = p->layer->mla;
    ag_scratch *s = p->s;
    ag_pass_multiply(
        p,
        (const ag_matmul_item[]){{c->mla.q_rank > 0 ? &x->q_a : &x->q_b, s->wide, s->wide_stride},
                                 {&x->kv_a, s->wide + latent_at(c), s->wide_stride}},
        2);
    ag_pass_wants(p, (const ag_matrix *const[]){&x->q_b}, 1);
    ag_for_rows(p, p->n_rows, store_row);
    if (c->mla.q_rank > 0)
        ag_pass_multiply(p, (const ag_matmul_item[]){{&x->q_b, s->wide, s->wide_stride}}, 1);
}

void ag_forward_mla(ag_pass *p) {
    const ag_model_config *c = &p->m->config;
    const ag_mla *x = p->layer->mla;
    ag_scratch *s = p->s;
    project(p);
    ag_pass_wants(p, (const ag_matrix *const[]){x->k_b}, 1);
    ag_for_rows(p, p->n_rows, query_row);
    multiply_heads(p, x->k_b, s->wide, s->wide_stride, c->mla.nope + c->mla.rope, s->latent,
                   s->latent_stride, c->d_head);
    if (!ag_pass_keep_wanted(p, s->latent, s->latent_stride))
        return;
    ag_pass_attend(p, s->latent, s->latent_stride, s->latent, s->latent_stride);
    if (ag_pass_wants(p, (const ag_matrix *const[]){x->v_b}, 1))
        ag_for_rows(p, p->n_rows, quantise_latent_row);
    multiply_heads(p, x->v_b, s->latent, s->latent_stride, c->d_head, s->x, s->x_stride,
                   c->mla.value);
    if (ag_pass_wants(p, (const ag_matrix *const[]){&p->layer->o}, 1))
        ag_for_rows(p, p->n_rows, quantise_output_row);
    ag_pass_multiply(p, (const ag_matmul_item[]){{&p->layer->o, s->y, (size_t)c->n_embd}}, 1);
}
