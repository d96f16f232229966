/* Binding latent attention. Files have keys' and values' halves of what is absorbed by head, the
 * former turned (attn_k_b, attn_v_b), or, older ones, both in one tensor as they were trained. */
#include "base/mem.h"
#include "model/bind.h"

/* Of each head of attn_kv_b [R, H * (nope + value)]: the rows of the key, turned, and those of the
 * value. */
static void bind_kv_b(ag_binder *b, int layer, ag_mla *x) {
    const ag_model_config *c = &b->m->config;
    const ag_mla_config *m = &c->mla;
    const ag_tensor *t = ag_bind_find(b, layer, "attn_kv_b", "weight");
    if (!t) {
        ag_bind_missing(b, layer, "attn_k_b", "weight");
        return;
    }
    uint64_t each = (uint64_t)(m->nope + m->value), total = each * (uint64_t)c->n_heads;
    for (int h = 0; h < c->n_heads; h++) {
        uint64_t row = each * (uint64_t)h;
        ag_bind_turned(b, t, total, row, m->nope, m->rank, &x->k_b[h]);
        ag_bind_rows(b, t, total, row + (uint64_t)m->nope, m->value, m->rank, &x->v_b[h]);
    }
}

void ag_bind_mla(ag_binder *b, int layer, ag_layer *l) {
    const ag_model_config *c = &b->m->config;
    const ag_mla_config *m = &c->mla;
    int e = c->n_embd, heads = c->n_heads, q = heads * (m->nope + m->rope);
    ag_mla *x = ag_calloc(AG_ROOM_MODEL, 1, sizeof *x + 2 * (size_t)heads * sizeof(ag_matrix));
    if (!x) {
        b->code = ag_fail(b->err, AG_E_NOMEM, "out of memory while binding attention");
        return;
    }
    l->mla = x;
    x->k_b = x->matrices;
    x->v_b = x->k_b + heads;
    if (m->q_rank > 0) {
        ag_bind_matrix(b, layer, "attn_q_a", m->q_rank, e, &x->q_a);
        ag_bind_norm(b, layer, "attn_q_a_norm", m->q_rank, &x->q_a_norm);
        ag_bind_matrix(b, layer, "attn_q_b", q, m->q_rank, &x->q_b);
    } else {
        ag_bind_matrix(b, layer, "attn_q", q, e, &x->q_b);
    }
    ag_bind_matrix(b, layer, "attn_kv_a_mqa", m->rank + m->rope, e, &x->kv_a);
    ag_bind_norm(b, layer, "attn_kv_a_norm", m->rank, &x->kv_a_norm);
    const ag_tensor *k_b = ag_bind_find(b, layer, "attn_k_b", "weight");
    const ag_tensor *v_b = ag_bind_find(b, layer, "attn_v_b", "weight");
    if (k_b && v_b) {
        ag_bind_slices(b, k_b, heads, m->rank, 0, m->rank, m->nope, x->k_b);
        ag_bind_slices(b, v_b, heads, m->value, 0, m->value, m->rank, x->v_b);
    } else {
        bind_kv_b(b, layer, x);
    }
    ag_bind_matrix(b, layer, "attn_output", e, heads * m->value, &l->o);
}
