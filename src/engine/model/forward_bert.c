/* BERT's encoder (Devlin et al. 2019), all norms being LayerNorm after the sum:
 *
 *     h = norm(token[id] + position[i] + type[0])
 *     h = norm(h + o(attn(q k v of h)));   h = norm(h + down(gelu_erf(up(h))))
 *
 * A run is a whole input: its rows see each other, in both directions. Keys and values are needed
 * within a layer only, so every layer stores them in the same place. */
#include <string.h>

#include "model/forward_parts.h"

/* What norm_row() is about to apply: p->norm is the weight. */
static const float *norm_bias(const ag_pass *p) {
    const ag_layer *l = p->layer;
    return !l                        ? p->m->embd_norm_bias
           : p->norm == l->post_attn ? l->post_attn_bias
                                     : l->post_mlp_bias;
}

/* h = norm(h), and x is a copy of it, quantised as well when that is wanted. */
static void norm_row(const ag_pass *p, int row) {
    const ag_model_config *c = &p->m->config;
    float *h = ag_row_h(p, row);
    p->m->kernels->layer_norm(h, p->norm, norm_bias(p), c->n_embd, c->rms_eps, h);
    memcpy(ag_row_x(p, row), h, (size_t)c->n_embd * sizeof *h);
    ag_quantise_row(p, row, c->n_embd);
}

static void add_table(const ag_pass *p, const ag_tensor *t, int at, int row) {
    float *x = ag_row_x(p, row);
    ag_table_read(t, at, x);
    p->m->kernels->add(ag_row_h(p, row), x, p->m->config.n_embd);
}

static void embed_row(const ag_pass *p, int row) {
    const ag_model *m = p->m;
    const ag_run *r = &p->runs[p->s->run_of[row]];
    int i = row - r->row0;
    ag_table_read(m->embd, r->ids[i], ag_row_h(p, row));
    if (m->token_types)
        add_table(p, m->token_types, 0, row);
    add_table(p, m->positions, i, row);
    norm_row(p, row);
}

/* h = norm(h + y). */
static void add_row(const ag_pass *p, int row) {
    int e = p->m->config.n_embd;
    p->m->kernels->add(ag_row_h(p, row), p->s->y + (size_t)row * (size_t)e, e);
    norm_row(p, row);
}

static void activate_row(const ag_pass *p, int row) {
    int f = p->m->config.n_ff;
    p->m->kernels->gelu_erf(ag_row_wide(p, row), f, ag_row_x(p, row));
    ag_quantise_row(p, row, f);
}

/* Reads x = h; leaves x = h after the attention was added. */
static void attention_half(ag_pass *p) {
    const ag_layer *l = p->layer;
    ag_plain_attention(p, ag_store_kv_row);
    ag_pass_wants(p, (const ag_matrix *const[]){&l->up}, 1);
    p->norm = l->post_attn;
    ag_for_rows(p, p->n_rows, add_row);
}

static void wants_qkv(ag_pass *p, const ag_layer *l) {
    ag_pass_wants(p, (const ag_matrix *const[]){&l->q, &l->k, &l->v}, 3);
}

static void mlp_half(ag_pass *p, const ag_layer *next) {
    const ag_layer *l = p->layer;
    ag_scratch *s = p->s;
    ag_pass_multiply(p, (const ag_matmul_item[]){{&l->up, s->wide, s->wide_stride}}, 1);
    ag_pass_wants(p, (const ag_matrix *const[]){&l->down}, 1);
    ag_for_rows(p, p->n_rows, activate_row);
    ag_pass_multiply(p, (const ag_matmul_item[]){{&l->down, s->y, (size_t)p->m->config.n_embd}}, 1);
    wants_qkv(p, next);
    p->norm = l->post_mlp;
    ag_for_rows(p, p->n_rows, add_row);
}

void ag_forward_bert(ag_pass *p) {
    const ag_model *m = p->m;
    wants_qkv(p, &m->layers[0]);
    p->norm = m->embd_norm;
    ag_for_rows(p, p->n_rows, embed_row);
    for (int i = 0; i < m->config.n_layers; i++) {
        p->layer = &m->layers[i];
        attention_half(p);
        mlp_half(p, &m->layers[i + 1 < m->config.n_layers ? i + 1 : i]);
    }
}
