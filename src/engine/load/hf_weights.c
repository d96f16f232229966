/* The tensors of a folder → those of the source. Every one of them must find its place: one that is
 * neither known nor known to be unneeded would silently change what the model computes. */
#include <stdio.h>

#include "load/hf_parts.h"

#define N_STACKS 3 /* of a layer's experts: gate, up, down */

typedef struct stack {
    const ag_tensor **parts; /* [experts] in the arena, NULL where none was seen; NULL: no stack */
    const ag_hf_name *row;
    ag_span stem; /* of an expert that was seen, for messages */
} stack;

typedef struct placing {
    ag_hf *h;
    stack *stacks; /* owned [layers, N_STACKS] */
} placing;

static const char *path_of(const ag_hf *h, const ag_st_tensor *x) {
    const char *path = h->s->files[x->file].path;
    return path ? path : "(memory)";
}

static ag_code no_memory(const ag_hf *h) {
    return ag_fail(h->err, AG_E_NOMEM, "out of memory while opening %s", h->folder);
}

ag_code ag_hf_plain(const ag_st_tensor *x, const char *path, ag_tensor *t, ag_err *err) {
    static const int8_t type_of[AG_ST_TYPES] = {
        [AG_ST_F32] = AG_T_F32, [AG_ST_F16] = AG_T_F16, [AG_ST_BF16] = AG_T_BF16,
        [AG_ST_F8_E4M3] = -1,   [AG_ST_I8] = -1,        [AG_ST_U8] = -1,
        [AG_ST_I32] = -1,       [AG_ST_I64] = -1,       [AG_ST_BOOL] = -1,
        [AG_ST_F64] = -1};
    if (type_of[x->type] < 0)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: tensor %s is of dtype %s, without the parts that a quantised weight "
                       "has; supported: F32, F16, BF16",
                       path, x->name.p, ag_st_type_name(x->type));
    if (x->n_dims < 1 || x->n_dims > 4 || x->bytes == 0)
        return ag_fail(err, AG_E_FORMAT, "%s: tensor %s has %d dimensions, %zu bytes", path,
                       x->name.p, x->n_dims, x->bytes);
    *t = (ag_tensor){.type = (ag_type)type_of[x->type],
                     .keep = (ag_type)type_of[x->type],
                     .n_dims = x->n_dims,
                     .dim = {1, 1, 1, 1},
                     .data = x->data,
                     .bytes = x->bytes,
                     .file_at = x->at,
                     .file = x->file};
    for (int d = 0; d < x->n_dims; d++)
        t->dim[d] = x->dim[x->n_dims - 1 - d];
    return AG_OK;
}

/* A module's weight under the name of one of its parts. */
ag_code ag_hf_weight(ag_hf *h, ag_span stem, ag_span ending, ag_tensor *t) {
    char name[512];
    int n = snprintf(name, sizeof name, "%.*s.%.*s", AG_SPAN(stem), AG_SPAN(ending));
    ag_st_tensor *x = ag_st_find(&h->st, ag_span_of(name, (size_t)n));
    if (!x)
        return ag_fail(h->err, AG_E_FORMAT, "%s: tensor %s is missing", h->folder, name);
    bool plain = x->type == AG_ST_F32 || x->type == AG_ST_F16 || x->type == AG_ST_BF16;
    bool weight = ag_span_is(ending, "weight") || ag_span_is(ending, "gamma");
    if (!weight || (!plain && h->quant.method != AG_HFQ_NONE))
        return ag_hf_quant_weight(h, stem, ending, t);
    x->used = true;
    return ag_hf_plain(x, path_of(h, x), t, h->err);
}

/* ---- placing --------------------------------------------------------------------------------- */

/* A copy that lives as long as the source; NULL out of memory. */
static const ag_tensor *keep(placing *p, const ag_tensor *t) {
    ag_tensor *copy = ag_arena_get(&p->h->s->made, sizeof *copy);
    if (copy)
        *copy = *t;
    return copy;
}

static ag_code add(placing *p, const ag_hf_place *at, const char *to, const char *ending,
                   ag_tensor *t) {
    char name[160];
    const char *dot = *ending ? "." : "";
    int n = at->layer >= 0 ? snprintf(name, sizeof name, "blk.%lld.%s%s%s", (long long)at->layer,
                                      to, dot, ending)
                           : snprintf(name, sizeof name, "%s%s%s", to, dot, ending);
    char *copy = ag_arena_strndup(&p->h->s->made, name, (size_t)n);
    if (!copy)
        return no_memory(p->h);
    t->name = ag_span_of(copy, (size_t)n);
    return ag_source_add_tensor(p->h->s, t, p->h->err);
}

/* Query and key rows in the order that GGUF's readers of this architecture rotate. */
static ag_code ordered(placing *p, const ag_hf_place *at, const ag_tensor *base, ag_tensor *t) {
    const ag_hf_sizes *z = &p->h->sizes;
    ag_view_order o = {.heads = at->row->how == AG_HF_Q ? z->heads : z->kv_heads,
                       .d = z->d_head,
                       .d_base = z->d_head,
                       .rot = z->rot};
    bool glm = strcmp(p->h->cls->arch, "glm4") == 0 && z->sections;
    if (p->h->cls->traits & AG_HF_PAIRS)
        o.how = AG_ORDER_PAIRS;
    else if (glm)
        o.how = AG_ORDER_HALVES;
    else {
        *t = *base;
        return AG_OK;
    }
    return ag_view_rows(&p->h->s->made, base, o, t, p->h->err);
}

/* Latent attention: each head's rows are keys, then values. */
static ag_code add_kv_b(placing *p, const ag_hf_place *at, const ag_tensor *base) {
    const ag_hf_sizes *z = &p->h->sizes;
    ag_tensor t;
    ag_code code = ag_view_transposed(&p->h->s->made, base, z->heads, z->qk_nope,
                                      z->qk_nope + z->v_head, &t, p->h->err);
    if (!code)
        code = add(p, at, "attn_k_b", "weight", &t);
    ag_view_order o = {.how = AG_ORDER_SLICE,
                       .heads = z->heads,
                       .d = z->v_head,
                       .d_base = z->qk_nope + z->v_head,
                       .from = z->qk_nope};
    if (!code)
        code = ag_view_rows(&p->h->s->made, base, o, &t, p->h->err);
    t.n_dims = 3;
    t.dim[1] = z->v_head;
    t.dim[2] = z->heads;
    return code ? code : add(p, at, "attn_v_b", "weight", &t);
}

static ag_code add_expert(placing *p, const ag_hf_place *at, const ag_tensor *base) {
    const ag_hf *h = p->h;
    char kind = at->row->to[4]; /* ffn_gate_exps, ffn_up_exps, ffn_down_exps */
    stack *s = &p->stacks[at->layer * N_STACKS + (kind == 'g' ? 0 : kind == 'u' ? 1 : 2)];
    if (at->expert >= (int64_t)h->sizes.experts)
        return ag_fail(h->err, AG_E_FORMAT, "expert %lld of %u", (long long)at->expert,
                       h->sizes.experts);
    if (!s->parts)
        s->parts = ag_arena_array(&h->s->made, h->sizes.experts, sizeof(ag_tensor *));
    if (!s->parts)
        return no_memory(h);
    s->parts[at->expert] = base;
    s->row = at->row;
    s->stem = at->stem;
    return AG_OK;
}

static ag_code place_weight(placing *p, const ag_hf_place *at) {
    ag_hf *h = p->h;
    ag_tensor base, t;
    ag_code code = ag_hf_weight(h, at->stem, at->ending, &base);
    const ag_tensor *kept = code ? NULL : keep(p, &base);
    if (!code && !kept)
        code = no_memory(h);
    if (code)
        return code;
    switch (at->row->how) {
    case AG_HF_SAME:
    case AG_HF_WHOLE:
        t = base;
        break;
    case AG_HF_Q:
    case AG_HF_K:
        code = ordered(p, at, kept, &t);
        break;
    case AG_HF_NORM:
        t = base;
        if (h->cls->traits & AG_HF_PLUS_ONE)
            code = ag_view_plus_one(&h->s->made, kept, &t, h->err);
        break;
    case AG_HF_EXPERT:
        return add_expert(p, at, kept);
    case AG_HF_KV_B:
        return add_kv_b(p, at, kept);
    }
    return code ? code : add(p, at, at->row->to, "weight", &t);
}

/* A bias, or a tensor that its row names whole. */
static ag_code place_plain(placing *p, const ag_hf_place *at, ag_st_tensor *x) {
    ag_hf *h = p->h;
    ag_tensor base, t;
    const char *ending = at->row->how == AG_HF_WHOLE ? "" : "bias";
    ag_code code = ag_hf_plain(x, path_of(h, x), &base, h->err);
    x->used = true;
    const ag_tensor *kept = code ? NULL : keep(p, &base);
    if (!code && !kept)
        code = no_memory(h);
    t = base;
    if (!code && (at->row->how == AG_HF_EXPERT || at->row->how == AG_HF_KV_B))
        code = ag_fail(h->err, AG_E_UNSUPPORTED, "a bias of this module is not supported");
    else if (!code && (at->row->how == AG_HF_Q || at->row->how == AG_HF_K))
        code = ordered(p, at, kept, &t);
    return code ? code : add(p, at, at->row->to, ending, &t);
}

/* Endings under which a module's weight may lie; old BERT files say gamma and beta. */
static bool is_weight(ag_span ending) {
    return ag_span_is(ending, "weight") || ag_span_is(ending, "gamma") ||
           ag_span_is(ending, "qweight") || ag_span_is(ending, "weight_packed");
}

static ag_code place(placing *p, ag_st_tensor *x) {
    ag_hf *h = p->h;
    ag_hf_place at = ag_hf_place_of(h->cls, x->name);
    uint32_t layers = h->sizes.layers + h->sizes.nextn;
    ag_code code = AG_OK;
    if (at.layer >= (int64_t)layers && at.layer < (int64_t)layers + 8) {
        x->used = true; /* predicts further tokens, but config.json does not count it in */
        return AG_OK;
    }
    if (at.layer >= (int64_t)layers)
        return ag_fail(h->err, AG_E_FORMAT, "%s: tensor %s is in layer %lld of %u", path_of(h, x),
                       x->name.p, (long long)at.layer, layers);
    if (!at.row) {
        x->used = ag_hf_is_unneeded(x->name);
        return x->used ? AG_OK
                       : ag_fail(h->err, AG_E_UNSUPPORTED,
                                 "%s: tensor %s is not known in a %s, so the model would not "
                                 "compute what it should",
                                 path_of(h, x), x->name.p, h->cls->name);
    }
    if (at.row->how == AG_HF_WHOLE || ag_span_is(at.ending, "bias") ||
        ag_span_is(at.ending, "beta"))
        code = place_plain(p, &at, x);
    else if (is_weight(at.ending))
        code = place_weight(p, &at);
    else
        x->used = x->used || ag_hf_is_unneeded(x->name); /* else a part: its weight takes it */
    return code ? ag_err_wrap(h->err, code, "%s: tensor %s", path_of(h, x), x->name.p) : AG_OK;
}

/* ---- all ------------------------------------------------------------------------------------- */

static ag_code add_stacks(placing *p) {
    ag_hf *h = p->h;
    size_t n = (size_t)(h->sizes.layers + h->sizes.nextn) * N_STACKS;
    ag_code code = AG_OK;
    for (size_t i = 0; i < n && !code; i++) {
        const stack *s = &p->stacks[i];
        if (!s->parts)
            continue;
        for (uint32_t e = 0; e < h->sizes.experts; e++)
            if (!s->parts[e])
                return ag_fail(h->err, AG_E_FORMAT,
                               "%s: expert %u of %u is missing beside %.*s: a shard may be "
                               "incomplete",
                               h->folder, e, h->sizes.experts, AG_SPAN(s->stem));
        ag_hf_place at = {.row = s->row, .layer = (int64_t)(i / N_STACKS)};
        ag_tensor t;
        code = ag_view_stack(&h->s->made, s->parts, h->sizes.experts, &t, h->err);
        if (code)
            code = ag_err_wrap(h->err, code, "%s: experts like %.*s", h->folder, AG_SPAN(s->stem));
        else
            code = add(p, &at, s->row->to, "weight", &t);
    }
    return code;
}

static ag_code check_all_used(const ag_hf *h) {
    for (size_t i = 0; i < h->st.n; i++)
        if (!h->st.tensors[i].used)
            return ag_fail(h->err, AG_E_FORMAT,
                           "%s: tensor %s belongs to no weight (quantisation \"%s\")",
                           path_of(h, &h->st.tensors[i]), h->st.tensors[i].name.p,
                           h->quant.method == AG_HFQ_NONE ? "none" : "as in config.json");
    return AG_OK;
}

ag_code ag_hf_weights_read(ag_hf *h) {
    placing p = {.h = h};
    p.stacks = ag_calloc(AG_ROOM_LOAD, (size_t)(h->sizes.layers + h->sizes.nextn) * N_STACKS,
                         sizeof *p.stacks);
    if (!p.stacks)
        return no_memory(h);
    ag_code code = AG_OK;
    for (size_t i = 0; i < h->st.n && !code; i++)
        if (!h->st.tensors[i].used)
            code = place(&p, &h->st.tensors[i]);
    if (!code)
        code = add_stacks(&p);
    if (!code)
        code = check_all_used(h);
    ag_free(p.stacks);
    return code;
}
