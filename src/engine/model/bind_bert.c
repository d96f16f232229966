/* Binding an encoder: BERT's tensor names, all with biases (forward_bert.c has the formulas). */
#include "model/bind.h"

/* LayerNorm: a weight and a bias. */
static void bind_layer_norm(ag_binder *b, int layer, const char *what, const float **w,
                            const float **bias) {
    int e = b->m->config.n_embd;
    ag_bind_norm(b, layer, what, e, w);
    const ag_tensor *t = ag_bind_find(b, layer, what, "bias");
    if (t)
        ag_bind_vector(b, t, (uint64_t)e, 0, e, bias);
    else
        ag_bind_missing(b, layer, what, "bias");
}

static void bind_layer(ag_binder *b, int i) {
    const ag_model_config *c = &b->m->config;
    ag_layer *l = &b->m->layers[i];
    int e = c->n_embd;
    ag_bind_attention(b, i, l);
    bind_layer_norm(b, i, "attn_output_norm", &l->post_attn, &l->post_attn_bias);
    ag_bind_matrix(b, i, "ffn_up", c->n_ff, e, &l->up);
    ag_bind_matrix(b, i, "ffn_down", e, c->n_ff, &l->down);
    bind_layer_norm(b, i, "layer_output_norm", &l->post_mlp, &l->post_mlp_bias);
}

void ag_bind_bert(ag_binder *b) {
    ag_model *m = b->m;
    int e = m->config.n_embd;
    const ag_tensor *t = ag_bind_find(b, -1, "position_embd", "weight");
    if (t)
        ag_bind_table(b, t, m->config.n_ctx, e, &m->positions);
    else
        ag_bind_missing(b, -1, "position_embd", "weight");
    t = ag_bind_find(b, -1, "token_types", "weight");
    if (t)
        ag_bind_table(b, t, 0, e, &m->token_types);
    bind_layer_norm(b, -1, "token_embd_norm", &m->embd_norm, &m->embd_norm_bias);
    for (int i = 0; i < m->config.n_layers && !b->code; i++)
        bind_layer(b, i);
}
