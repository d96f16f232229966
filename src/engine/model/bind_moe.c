/* Binding a layer with experts. Three layouts are in use: a tensor each for gate, up and down with
 * the experts as slices; gate and up in one; and, in the oldest files, a tensor for every expert.
 */
#include <stdio.h>

#include "base/mem.h"
#include "model/bind.h"

/* "ffn_gate_exps", or ffn_gate.0, ffn_gate.1, ... of which all must have one type. */
static void bind_experts(ag_binder *b, int layer, const char *part, int rows, int cols,
                         ag_matrix *fields) {
    const ag_moe_config *c = &b->m->config.moe;
    char name[48];
    snprintf(name, sizeof name, "ffn_%s_exps", part);
    const ag_tensor *t = ag_bind_find(b, layer, name, "weight");
    if (t) {
        ag_bind_slices(b, t, c->n_experts, rows, 0, rows, cols, fields);
        return;
    }
    char first[48];
    snprintf(first, sizeof first, "ffn_%s.0", part);
    if (!ag_bind_find(b, layer, first, "weight")) {
        ag_bind_missing(b, layer, name, "weight");
        return;
    }
    for (int i = 0; i < c->n_experts && !b->code; i++) {
        snprintf(name, sizeof name, "ffn_%s.%d", part, i);
        ag_bind_matrix(b, layer, name, rows, cols, &fields[i]);
        if (!b->code && fields[i].ops != fields[0].ops)
            b->code = ag_fail(b->err, AG_E_UNSUPPORTED,
                              "%s: blk.%d.%s.weight is of another type than %s, which is not "
                              "supported: convert the file anew",
                              ag_source_path(b->src), layer, name, first);
    }
}

void ag_bind_moe(ag_binder *b, int layer, ag_layer *l) {
    const ag_moe_config *c = &b->m->config.moe;
    int e = b->m->config.n_embd, f = c->n_ff, n = c->n_experts, shared = c->n_ff_shared;
    ag_moe *x = ag_calloc(AG_ROOM_MODEL, 1, sizeof *x + 3 * (size_t)n * sizeof(ag_matrix));
    if (!x) {
        b->code = ag_fail(b->err, AG_E_NOMEM, "out of memory while binding experts");
        return;
    }
    l->moe = x;
    x->gate = x->matrices;
    x->up = x->gate + n;
    x->down = x->up + n;
    ag_bind_router(b, layer, "ffn_gate_inp", n, e, &x->router);
    const ag_tensor *bias = ag_bind_find(b, layer, "exp_probs_b", "bias");
    if (bias)
        ag_bind_vector(b, bias, (uint64_t)n, 0, n, &x->bias);
    const ag_tensor *both = ag_bind_find(b, layer, "ffn_gate_up_exps", "weight");
    if (both) { /* gate rows first in each expert */
        ag_bind_slices(b, both, n, 2 * f, 0, f, e, x->gate);
        ag_bind_slices(b, both, n, 2 * f, f, f, e, x->up);
    } else {
        bind_experts(b, layer, "gate", f, e, x->gate);
        bind_experts(b, layer, "up", f, e, x->up);
    }
    bind_experts(b, layer, "down", e, f, x->down);
    if (shared > 0) {
        ag_bind_matrix(b, layer, "ffn_gate_shexp", shared, e, &x->shared_gate);
        ag_bind_matrix(b, layer, "ffn_up_shexp", shared, e, &x->shared_up);
        ag_bind_matrix(b, layer, "ffn_down_shexp", e, shared, &x->shared_down);
    }
}
