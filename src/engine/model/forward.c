/* One decoder layer reads like the formulas in arch.h: norm, q k v, rotate, store, attend, project,
 * add; norm, gate up, activate, down, add. Each step is one operation of the pool; steps that touch
 * single rows only are split by rows. */
#include <string.h>

#include "model/forward_parts.h"

static void embed_row(const ag_pass *p, int row) {
    const ag_model *m = p->m;
    const ag_run *r = &p->runs[p->s->run_of[row]];
    int pos = r->pos0 + row - r->row0, half = m->config.rot / 2;
    float *h = ag_row_h(p, row);
    ag_table_read(m->embd, r->ids[row - r->row0], h);
    if (m->config.embed_scale != 1)
        m->kernels->scale(h, m->config.embed_scale, m->config.n_embd);
    size_t at = (size_t)row * (size_t)half;
    ag_rope_at(&m->rope_full, pos, p->s->cos[0] + at, p->s->sin[0] + at);
    if (m->config.window > 0)
        ag_rope_at(&m->rope_local, pos, p->s->cos[1] + at, p->s->sin[1] + at);
}

/* x = norm(h), quantised as well when that is wanted. */
static void norm_row(const ag_pass *p, int row) {
    int e = p->m->config.n_embd;
    if (p->norm)
        p->m->kernels->rms_norm(ag_row_h(p, row), p->norm, e, p->m->config.rms_eps,
                                ag_row_x(p, row));
    else
        memcpy(ag_row_x(p, row), ag_row_h(p, row), (size_t)e * sizeof(float));
    ag_quantise_row(p, row, e);
}

/* h += post_norm(y) * scale, then x = norm(h). */
static void add_row(const ag_pass *p, int row) {
    const ag_kernels *k = p->m->kernels;
    int e = p->m->config.n_embd;
    float *y = p->s->y + (size_t)row * (size_t)e;
    if (p->post_norm)
        k->rms_norm(y, p->post_norm, e, p->m->config.rms_eps, y);
    if (p->m->config.residual_scale != 1)
        k->scale(y, p->m->config.residual_scale, e);
    k->add(ag_row_h(p, row), y, e);
    if (!p->last)
        norm_row(p, row);
}

/* Each head by itself, or all of them as one vector. */
static void norm_heads(const ag_model *m, float *x, const float *w, int n_heads) {
    const ag_model_config *c = &m->config;
    int n = c->arch->wide_qk_norm ? n_heads * c->d_head : c->d_head;
    for (float *end = x + n_heads * c->d_head; x < end; x += n)
        m->kernels->rms_norm(x, w, n, c->rms_eps, x);
}

/* q and k norms, rotation, and storing k and v. */
static void rotate_row(const ag_pass *p, int row) {
    const ag_model *m = p->m;
    const ag_model_config *c = &m->config;
    const ag_kernels *kn = m->kernels;
    const ag_layer *l = p->layer;
    int d = c->d_head;
    float *q = ag_row_wide(p, row), *k = q + c->n_heads * d;
    if (l->q_norm)
        norm_heads(m, q, l->q_norm, c->n_heads);
    if (l->k_norm)
        norm_heads(m, k, l->k_norm, c->n_kv_heads);
    size_t at = (size_t)row * (size_t)(c->rot / 2);
    const float *cs = p->s->cos[l->slides] + at, *sn = p->s->sin[l->slides] + at;
    (c->half_pairs ? kn->rope_half : kn->rope_pairs)(q, c->n_heads, d, c->rot, cs, sn);
    (c->half_pairs ? kn->rope_half : kn->rope_pairs)(k, c->n_kv_heads, d, c->rot, cs, sn);
    ag_store_kv_row(p, row);
}

static void activate_row(const ag_pass *p, int row) {
    int f = p->m->config.n_ff;
    ag_activate(p, ag_row_wide(p, row), f, ag_row_x(p, row));
    ag_quantise_row(p, row, f);
}

/* ---- the layer --------------------------------------------------------------------------------
 */

static void want_attention_input(ag_pass *p, const ag_layer *l) {
    const ag_mla *x = l->mla;
    if (x)
        ag_pass_wants(
            p,
            (const ag_matrix *const[]){p->m->config.mla.q_rank > 0 ? &x->q_a : &x->q_b, &x->kv_a},
            2);
    else
        ag_pass_wants(p, (const ag_matrix *const[]){&l->q, &l->k, &l->v}, 3);
}

static void want_mlp_input(ag_pass *p, const ag_layer *l) {
    const ag_moe *x = l->moe;
    if (!x)
        ag_pass_wants(p, (const ag_matrix *const[]){&l->gate, &l->up}, 2);
    else
        ag_pass_wants(p, (const ag_matrix *const[]){x->gate, x->up, &x->shared_gate, &x->shared_up},
                      p->m->config.moe.n_ff_shared > 0 ? 4 : 2);
}

/* Reads x = pre_attn(h); leaves x = pre_mlp(h) after the attention was added. */
static void attention_half(ag_pass *p) {
    if (p->layer->mla)
        ag_forward_mla(p);
    else
        ag_plain_attention(p, rotate_row);
    want_mlp_input(p, p->layer);
    p->post_norm = p->layer->post_attn;
    p->norm = p->layer->pre_mlp;
    ag_for_rows(p, p->n_rows, add_row);
}

/* Leaves y = mlp(x). */
static void plain_mlp(ag_pass *p) {
    const ag_layer *l = p->layer;
    ag_scratch *s = p->s;
    ag_pass_multiply(p,
                     (const ag_matmul_item[]){{&l->gate, s->wide, s->wide_stride},
                                              {&l->up, s->wide + l->gate.rows, s->wide_stride}},
                     2);
    ag_pass_wants(p, (const ag_matrix *const[]){&l->down}, 1);
    ag_for_rows(p, p->n_rows, activate_row);
    ag_pass_multiply(p, (const ag_matmul_item[]){{&l->down, s->y, (size_t)p->m->config.n_embd}}, 1);
}

/* Reads x = pre_mlp(h); leaves x = the next layer's pre_attn(h). */
static void mlp_half(ag_pass *p, const ag_layer *next) {
    if (p->layer->moe)
        ag_forward_moe(p);
    else
        plain_mlp(p);
    p->post_norm = p->layer->post_mlp;
    p->last = !next;
    p->norm = NULL;
    if (next) {
        want_attention_input(p, next);
        p->norm = next->attn_norm;
    }
    ag_for_rows(p, p->n_rows, add_row);
}

void ag_forward(const ag_model *m, ag_pool *pool, ag_scratch *s, ag_run *runs, int n_runs) {
    ag_pass p = ag_pass_begin(m, pool, s, runs, n_runs);
    if (m->config.arch->encoder) {
        ag_forward_bert(&p);
        ag_pass_end(&p);
        return;
    }
    ag_for_rows(&p, p.n_rows, embed_row);
    want_attention_input(&p, &m->layers[0]);
    p.norm = m->layers[0].attn_norm;
    ag_for_rows(&p, p.n_rows, norm_row);
    for (int i = 0; i < m->config.n_layers; i++) {
        p.layer = &m->layers[i];
        p.layer_no = i;
        attention_half(&p);
        if (p.n_rows > 0)
            mlp_half(&p, i + 1 < m->config.n_layers ? &m->layers[i + 1] : NULL);
    }
    ag_pass_end(&p);
}

static void pick_row(const ag_pass *p, int i) {
    const ag_model_config *c = &p->m->config;
    p->m->kernels->rms_norm(ag_row_h(p, p->pick[i]), p->norm, c->n_embd, c->rms_eps,
                            ag_row_x(p, i));
    ag_quantise_row(p, i, c->n_embd);
}

void ag_forward_logits(const ag_model *m, ag_pool *pool, ag_scratch *s, const int *rows, int n,
                       float *out) {
    AG_ASSERT(n <= s->max_logits);
    ag_pass p = {.m = m, .pool = pool, .s = s, .n_rows = n, .pick = rows, .norm = m->output_norm};
    ag_pass_wants(&p, (const ag_matrix *const[]){&m->output}, 1);
    ag_for_rows(&p, n, pick_row);
    ag_pass_multiply(&p, (const ag_matmul_item[]){{&m->output, out, (size_t)m->config.n_vocab}}, 1);
    if (m->config.logit_scale != 1)
        for (int i = 0; i < n; i++)
            m->kernels->scale(out + (size_t)i * (size_t)m->config.n_vocab, m->config.logit_scale,
                              m->config.n_vocab);
    if (m->config.logit_softcap > 0)
        for (int i = 0; i < n; i++)
            m->kernels->softcap(out + (size_t)i * (size_t)m->config.n_vocab,
                                m->config.logit_softcap, m->config.n_vocab);
}
