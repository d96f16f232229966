/* Binding: each tensor of a file to the field that stands for it, checked once.
 *
 * One walk over the layers makes a plan: a list of matrices to pack and of vectors to widen, with
 * their places in two memories whose sizes are then known. Loading fills the plan.
 */
#include "model/bind.h"

#include "base/mem.h"

void ag_binding_free(ag_binding **pp) {
    ag_binding *p = *pp;
    if (!p)
        return;
    ag_free(p->matrices);
    ag_free(p->vectors);
    ag_free(p);
    *pp = NULL;
}

void ag_bind_attention(ag_binder *b, int i, ag_layer *l) {
    const ag_model_config *c = &b->m->config;
    int qd = c->n_heads * c->d_head, kd = c->n_kv_heads * c->d_head, e = c->n_embd;
    if (ag_bind_find(b, i, "attn_qkv", "weight")) { /* Phi, old chatglm: all in one */
        ag_bind_stack(b, i, "attn_qkv", e, 3, (ag_matrix *const[]){&l->q, &l->k, &l->v},
                      (const int[]){qd, kd, kd});
    } else {
        ag_bind_matrix(b, i, "attn_q", qd, e, &l->q);
        ag_bind_matrix(b, i, "attn_k", kd, e, &l->k);
        ag_bind_matrix(b, i, "attn_v", kd, e, &l->v);
    }
    ag_bind_matrix(b, i, "attn_output", e, qd, &l->o);
}

static void bind_attention(ag_binder *b, int i, ag_layer *l) {
    const ag_model_config *c = &b->m->config;
    bool wide = c->arch->wide_qk_norm;
    ag_bind_attention(b, i, l);
    ag_bind_opt_norm(b, i, "attn_q_norm", c->d_head * (wide ? c->n_heads : 1), &l->q_norm);
    ag_bind_opt_norm(b, i, "attn_k_norm", c->d_head * (wide ? c->n_kv_heads : 1), &l->k_norm);
}

static void bind_mlp(ag_binder *b, int i, ag_layer *l) {
    int e = b->m->config.n_embd, f = b->m->config.n_ff;
    if (ag_bind_find(b, i, "ffn_gate", "weight")) {
        ag_bind_matrix(b, i, "ffn_gate", f, e, &l->gate);
        ag_bind_matrix(b, i, "ffn_up", f, e, &l->up);
    } else if (ag_bind_find(b, i, "ffn_up", "weight")) { /* GLM: gate rows first in one tensor */
        ag_bind_stack(b, i, "ffn_up", e, 2, (ag_matrix *const[]){&l->gate, &l->up},
                      (const int[]){f, f});
    } else {
        ag_bind_missing(b, i, "ffn_up", "weight");
    }
    ag_bind_matrix(b, i, "ffn_down", e, f, &l->down);
}

static void bind_layer(ag_binder *b, int i) {
    const ag_arch *a = b->m->config.arch;
    int e = b->m->config.n_embd;
    ag_layer *l = &b->m->layers[i];
    l->slides = ag_layer_slides(&b->m->config, i);
    if (!a->post_norms_only)
        ag_bind_norm(b, i, "attn_norm", e, &l->attn_norm);
    if (b->m->config.mla.rank > 0)
        ag_bind_mla(b, i, l);
    else
        bind_attention(b, i, l);
    if (a->post_attn)
        ag_bind_norm(b, i, a->post_attn, e, &l->post_attn);
    if (!a->post_norms_only)
        ag_bind_norm(b, i, a->pre_mlp, e, &l->pre_mlp);
    if (b->m->config.moe.n_experts > 0 && ag_bind_find(b, i, "ffn_gate_inp", "weight"))
        ag_bind_moe(b, i, l);
    else
        bind_mlp(b, i, l);
    if (a->post_mlp)
        ag_bind_norm(b, i, a->post_mlp, e, &l->post_mlp);
}

static void bind_embedding(ag_binder *b) {
    ag_model *m = b->m;
    const ag_tensor *t = ag_bind_find(b, -1, "token_embd", "weight");
    if (t)
        ag_bind_table(b, t, 0, m->config.n_embd, &m->embd);
    else
        ag_bind_missing(b, -1, "token_embd", "weight");
    m->config.n_vocab = m->embd ? (int)m->embd->dim[1] : 0;
}

static void bind_decoder(ag_binder *b) {
    ag_model *m = b->m;
    ag_bind_norm(b, -1, "output_norm", m->config.n_embd, &m->output_norm);
    m->tied = !ag_bind_find(b, -1, "output", "weight");
    ag_bind_matrix(b, -1, m->tied ? "token_embd" : "output", m->config.n_vocab, m->config.n_embd,
                   &m->output);
    for (int i = 0; i < m->config.n_layers && !b->code; i++)
        bind_layer(b, i);
}

/* What each tensor becomes, when the options ask for a mix. */
static void choose_types(ag_binder *b) {
    if (!b->opts->quantize)
        return;
    b->types = ag_calloc(AG_ROOM_MODEL, ag_source_n_tensors(b->src), sizeof *b->types);
    b->code = b->types ? ag_mix_choose(b->opts->quantize, b->src, false, false, b->types, b->err)
                       : ag_fail(b->err, AG_E_NOMEM, "out of memory while binding tensors");
}

/* What all of it comes to. */
static void add_up(ag_model *m, const ag_binding *plan, const ag_source *src) {
    uint64_t by_type[AG_T_LIMIT] = {0}, n_all = 0, n_bytes = 0;
    for (size_t i = 0; i < ag_source_n_tensors(src); i++) {
        const uint64_t *d = ag_source_tensor_at(src, i)->dim;
        m->n_params += d[0] * d[1] * d[2] * d[3];
    }
    for (size_t i = 0; i < plan->n_matrices; i++) {
        const ag_plan_matrix *e = &plan->matrices[i];
        size_t n = (size_t)e->field->rows * (size_t)e->field->cols;
        by_type[e->as] += n;
        n_all += n;
        n_bytes += ag_type_bytes(e->as, n);
        if (by_type[e->as] > by_type[m->main_type])
            m->main_type = e->as;
    }
    m->bits_per_weight = n_all ? (float)(8.0 * (double)n_bytes / (double)n_all) : 0;
    m->weight_bytes = plan->weight_bytes;
    m->vector_bytes = plan->n_floats * sizeof(float);
}

ag_code ag_model_bind(const ag_source *src, const ag_model_opts *opts, ag_model *m,
                      ag_binding **plan, ag_err *err) {
    *m = (ag_model){.kernels = opts->kernels};
    *plan = NULL;
    ag_code code;
    if ((code = ag_model_config_read(src, &m->config, err)))
        goto out;
    if (!m->config.arch->encoder &&
        ((code = ag_rope_full(src, &m->config, &m->rope_full, err)) ||
         (code = ag_rope_local(src, &m->config, &m->rope_full, &m->rope_local, err))))
        goto out;
    m->layers = ag_calloc(AG_ROOM_MODEL, (size_t)m->config.n_layers, sizeof *m->layers);
    *plan = ag_calloc(AG_ROOM_MODEL, 1, sizeof **plan);
    if (!m->layers || !*plan) {
        code = ag_fail(err, AG_E_NOMEM, "out of memory while binding tensors");
        goto out;
    }
    ag_binder b = {.src = src, .opts = opts, .m = m, .plan = *plan, .err = err};
    choose_types(&b);
    if (!b.code)
        bind_embedding(&b);
    if (!b.code && m->config.arch->encoder)
        ag_bind_bert(&b);
    else if (!b.code)
        bind_decoder(&b);
    ag_free(b.types);
    code = b.code;
    if (!code)
        add_up(m, *plan, src);
out:
    if (code) {
        ag_binding_free(plan);
        ag_model_close(m);
    }
    return code;
}

void ag_model_close(ag_model *m) {
    ag_image_writer_free(&m->writer); /* it reads the weights */
    if (m->image.contents)
        ag_image_close(&m->image);
    else if (m->weights)
        ag_free_pages(AG_ROOM_WEIGHTS, (void *)(uintptr_t)m->weights, m->weight_bytes);
    if (m->vectors)
        ag_free_pages(AG_ROOM_WEIGHTS, m->vectors, m->vector_bytes);
    for (int i = 0; m->layers && i < m->config.n_layers; i++) {
        ag_free(m->layers[i].moe);
        ag_free(m->layers[i].mla);
    }
    ag_free(m->layers);
    ag_free(m->bound);
    ag_rope_deinit(&m->rope_full);
    ag_rope_deinit(&m->rope_local);
    *m = (ag_model){0};
}
