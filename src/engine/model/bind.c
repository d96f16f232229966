/* Binding: each tensor of a file to the field that stands for it, checked once.
 *
 * One walk over the architecture (bind_all) makes a plan: a list of matrices to pack and of vectors
 * to widen, with their places in two memories whose sizes are then known. Loading fills the plan.
 */
#include "model/bind.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
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

typedef struct binder {
    const ag_source *src;
    const ag_model_opts *opts;
    ag_model *m;
    ag_binding *plan;
    ag_err *err;
    ag_code code; /* the first failure sticks; later calls do nothing */
    char name[128];
} binder;

static const char *named(binder *b, int layer, const char *what, const char *suffix) {
    if (layer >= 0)
        snprintf(b->name, sizeof b->name, "blk.%d.%s.%s", layer, what, suffix);
    else
        snprintf(b->name, sizeof b->name, "%s.%s", what, suffix);
    return b->name;
}

static const ag_tensor *find(binder *b, int layer, const char *what, const char *suffix) {
    return ag_source_find_tensor(b->src, named(b, layer, what, suffix));
}

static void missing(binder *b, int layer, const char *what, const char *suffix) {
    if (!b->code)
        b->code = ag_fail(b->err, AG_E_FORMAT, "%s: tensor %s is missing", ag_source_path(b->src),
                          named(b, layer, what, suffix));
}

static void wrong_shape(binder *b, const ag_tensor *t, uint64_t cols, uint64_t rows) {
    char want[64], found[128];
    if (rows)
        snprintf(want, sizeof want, "[%llu, %llu]", (unsigned long long)cols,
                 (unsigned long long)rows);
    else
        snprintf(want, sizeof want, "[%llu]", (unsigned long long)cols);
    int n = snprintf(found, sizeof found, "[%llu", (unsigned long long)t->dim[0]);
    for (int d = 1; d < t->n_dims; d++)
        n += snprintf(found + n, sizeof found - (size_t)n, ", %llu", (unsigned long long)t->dim[d]);
    b->code =
        ag_fail(b->err, AG_E_FORMAT, "%.*s: expected %s, found %s] (%s, tensor data at byte %llu)",
                AG_SPAN(t->name), want, found, ag_source_file_path(b->src, t),
                (unsigned long long)t->file_at);
}

static bool decodable(binder *b, const ag_tensor *t) {
    const ag_type_info *info = ag_type_find(t->type);
    if (!info->decoded)
        b->code =
            ag_fail(b->err, AG_E_UNSUPPORTED,
                    "%s: tensor %.*s has type %s, which this build cannot compute with; "
                    "supported: %s",
                    ag_source_path(b->src), AG_SPAN(t->name), info->name, ag_type_supported());
    return !b->code;
}

/* A growing array of the plan, one more element; NULL (with the failure noted) out of memory. */
static void *grow(binder *b, void **array, size_t *n, size_t *room, size_t size) {
    if (*n == *room) {
        size_t want = *room ? *room * 2 : 256;
        void *p = ag_realloc(AG_ROOM_MODEL, *array, want, size);
        if (!p) {
            b->code = ag_fail(b->err, AG_E_NOMEM, "out of memory while binding tensors");
            return NULL;
        }
        *array = p;
        *room = want;
    }
    return (char *)*array + size * (*n)++;
}

/* Norm or bias of n elements, starting at element `from` of a tensor of `total`. */
static void bind_vector(binder *b, const ag_tensor *t, uint64_t total, uint64_t from, int n,
                        const float **field) {
    if (b->code || !decodable(b, t))
        return;
    if (t->n_dims != 1 || t->dim[0] != total) {
        wrong_shape(b, t, total, 0);
        return;
    }
    const ag_type_info *info = ag_type_find(t->type);
    if (info->block != 1) {
        b->code =
            ag_fail(b->err, AG_E_UNSUPPORTED,
                    "%s: %.*s is of type %s; norms and biases are expected as F32, F16 or BF16",
                    ag_source_path(b->src), AG_SPAN(t->name), info->name);
        return;
    }
    ag_plan_vector *v =
        grow(b, (void **)&b->plan->vectors, &b->plan->n_vectors, &b->plan->vectors_room, sizeof *v);
    if (!v)
        return;
    *v = (ag_plan_vector){field, t, from, n, b->plan->n_floats};
    b->plan->n_floats += ((size_t)n + 15) / 16 * 16;
}

static void need_norm(binder *b, int layer, const char *what, int n, const float **field) {
    const ag_tensor *t = find(b, layer, what, "weight");
    if (t)
        bind_vector(b, t, (uint64_t)n, 0, n, field);
    else
        missing(b, layer, what, "weight");
}

static void maybe_norm(binder *b, int layer, const char *what, int n, const float **field) {
    if (what && find(b, layer, what, "weight"))
        need_norm(b, layer, what, n, field);
}

/* Rows [row0, row0 + rows) of a tensor of total_rows × cols become one packed matrix. */
static void bind_rows(binder *b, const ag_tensor *t, uint64_t total_rows, uint64_t row0, int rows,
                      int cols, ag_matrix *field) {
    if (b->code || !decodable(b, t))
        return;
    if (t->n_dims != 2 || t->dim[0] != (uint64_t)cols || t->dim[1] != total_rows) {
        wrong_shape(b, t, (uint64_t)cols, total_rows);
        return;
    }
    ag_type as = b->opts->dtype == AG_DTYPE_KEEP ? t->keep : (ag_type)b->opts->dtype;
    const ag_matmul_ops *ops = &b->opts->kernels->matmul[as];
    AG_ASSERT(ops->run);
    *field = (ag_matrix){.ops = ops,
                         .panel_bytes = ops->panel_bytes(cols),
                         .rows = rows,
                         .cols = cols,
                         .n_panels = (rows + ops->panel - 1) / ops->panel};
    ag_plan_matrix *e = grow(b, (void **)&b->plan->matrices, &b->plan->n_matrices,
                             &b->plan->matrices_room, sizeof *e);
    if (!e)
        return;
    *e = (ag_plan_matrix){field, t, row0, as, b->plan->weight_bytes};
    b->plan->weight_bytes += (size_t)field->n_panels * field->panel_bytes;
}

/* A whole tensor with its bias, if the file has one. */
static void bind_matrix(binder *b, int layer, const char *what, int rows, int cols,
                        ag_matrix *field) {
    const ag_tensor *t = find(b, layer, what, "weight");
    if (!t) {
        missing(b, layer, what, "weight");
        return;
    }
    bind_rows(b, t, (uint64_t)rows, 0, rows, cols, field);
    t = find(b, layer, what, "bias");
    if (t)
        bind_vector(b, t, (uint64_t)rows, 0, rows, &field->bias);
}

/* Several matrices stacked in one tensor. */
static void bind_stack(binder *b, int layer, const char *what, int cols, int n,
                       ag_matrix *const fields[], const int rows[]) {
    const ag_tensor *t = find(b, layer, what, "weight");
    uint64_t total = 0, at = 0;
    for (int i = 0; i < n; i++)
        total += (uint64_t)rows[i];
    for (int i = 0; i < n; i++) {
        bind_rows(b, t, total, at, rows[i], cols, fields[i]);
        at += (uint64_t)rows[i];
    }
    t = find(b, layer, what, "bias");
    at = 0;
    for (int i = 0; i < n && t; i++) {
        bind_vector(b, t, total, at, rows[i], &fields[i]->bias);
        at += (uint64_t)rows[i];
    }
}

static void bind_layer(binder *b, int i) {
    const ag_model_config *c = &b->m->config;
    ag_layer *l = &b->m->layers[i];
    int qd = c->n_heads * c->d_head, kd = c->n_kv_heads * c->d_head, e = c->n_embd, f = c->n_ff;
    l->slides = ag_layer_slides(c, i);
    need_norm(b, i, "attn_norm", e, &l->attn_norm);
    if (find(b, i, "attn_qkv", "weight")) { /* older chatglm files: q, k, v in one tensor */
        bind_stack(b, i, "attn_qkv", e, 3, (ag_matrix *const[]){&l->q, &l->k, &l->v},
                   (const int[]){qd, kd, kd});
    } else {
        bind_matrix(b, i, "attn_q", qd, e, &l->q);
        bind_matrix(b, i, "attn_k", kd, e, &l->k);
        bind_matrix(b, i, "attn_v", kd, e, &l->v);
    }
    maybe_norm(b, i, "attn_q_norm", c->d_head, &l->q_norm);
    maybe_norm(b, i, "attn_k_norm", c->d_head, &l->k_norm);
    bind_matrix(b, i, "attn_output", e, qd, &l->o);
    if (c->arch->post_attn)
        need_norm(b, i, c->arch->post_attn, e, &l->post_attn);
    need_norm(b, i, c->arch->pre_mlp, e, &l->pre_mlp);
    if (find(b, i, "ffn_gate", "weight")) {
        bind_matrix(b, i, "ffn_gate", f, e, &l->gate);
        bind_matrix(b, i, "ffn_up", f, e, &l->up);
    } else if (find(b, i, "ffn_up", "weight")) { /* GLM: gate rows first, both in one tensor */
        bind_stack(b, i, "ffn_up", e, 2, (ag_matrix *const[]){&l->gate, &l->up},
                   (const int[]){f, f});
    } else {
        missing(b, i, "ffn_up", "weight");
    }
    bind_matrix(b, i, "ffn_down", e, f, &l->down);
    if (c->arch->post_mlp)
        need_norm(b, i, c->arch->post_mlp, e, &l->post_mlp);
}

static void bind_ends(binder *b) {
    ag_model *m = b->m;
    const ag_tensor *t = find(b, -1, "token_embd", "weight");
    if (!t) {
        missing(b, -1, "token_embd", "weight");
        return;
    }
    if (!decodable(b, t))
        return;
    if (t->n_dims != 2 || t->dim[0] != (uint64_t)m->config.n_embd || t->dim[1] > AG_MAX_VOCAB) {
        wrong_shape(b, t, (uint64_t)m->config.n_embd, t->n_dims > 1 ? t->dim[1] : 1);
        return;
    }
    if (t->view) {
        b->code = ag_fail(b->err, AG_E_UNSUPPORTED, "%s: the embedding %.*s must be stored plainly",
                          ag_source_path(b->src), AG_SPAN(t->name));
        return;
    }
    m->config.n_vocab = (int)t->dim[1];
    m->embd_type = t->type;
    m->embd = t->data;
    m->embd_row_bytes = ag_type_bytes(t->type, (size_t)t->dim[0]);
    need_norm(b, -1, "output_norm", m->config.n_embd, &m->output_norm);
    m->tied = !find(b, -1, "output", "weight");
    bind_matrix(b, -1, m->tied ? "token_embd" : "output", m->config.n_vocab, m->config.n_embd,
                &m->output);
}

ag_code ag_model_bind(const ag_source *src, const ag_model_opts *opts, ag_model *m,
                      ag_binding **plan, ag_err *err) {
    *m = (ag_model){.kernels = opts->kernels};
    *plan = NULL;
    ag_code code;
    if ((code = ag_model_config_read(src, &m->config, err)) ||
        (code = ag_rope_full(src, &m->config, &m->rope_full, err)) ||
        (code = ag_rope_local(src, &m->config, &m->rope_full, &m->rope_local, err)))
        goto out;
    m->layers = ag_calloc(AG_ROOM_MODEL, (size_t)m->config.n_layers, sizeof *m->layers);
    *plan = ag_calloc(AG_ROOM_MODEL, 1, sizeof **plan);
    if (!m->layers || !*plan) {
        code = ag_fail(err, AG_E_NOMEM, "out of memory while binding tensors");
        goto out;
    }
    binder b = {.src = src, .opts = opts, .m = m, .plan = *plan, .err = err};
    bind_ends(&b);
    for (int i = 0; i < m->config.n_layers && !b.code; i++)
        bind_layer(&b, i);
    code = b.code;
    for (size_t i = 0; i < ag_source_n_tensors(src); i++) {
        const uint64_t *d = ag_source_tensor_at(src, i)->dim;
        m->n_params += d[0] * d[1] * d[2] * d[3];
    }
    m->weight_bytes = (*plan)->weight_bytes;
    m->vector_bytes = (*plan)->n_floats * sizeof(float);
out:
    if (code) {
        ag_binding_free(plan);
        ag_model_close(m);
    }
    return code;
}

void ag_model_close(ag_model *m) {
    if (m->weights)
        ag_free_pages(AG_ROOM_WEIGHTS, m->weights, m->weight_bytes);
    if (m->vectors)
        ag_free_pages(AG_ROOM_WEIGHTS, m->vectors, m->vector_bytes);
    ag_free(m->layers);
    ag_rope_deinit(&m->rope_full);
    ag_rope_deinit(&m->rope_local);
    *m = (ag_model){0};
}
