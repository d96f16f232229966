/* Where a choice depends on the layer, tensors of a kind are counted in the order of layers, so
 * that models in which only some layers have one (hybrids) spread the better types over those. */
#include "model/mix.h"

#include <stdio.h>
#include <strings.h>

#include "base/limits.h"

static const ag_mix mixes[] = {
    {"f32", 0, AG_T_F32},        {"f16", 1, AG_T_F16},      {"bf16", 32, AG_T_BF16},
    {"q8_0", 7, AG_T_Q8_0},      {"q4_0", 2, AG_T_Q4_0},    {"q4_1", 3, AG_T_Q4_1},
    {"q5_0", 8, AG_T_Q5_0},      {"q5_1", 9, AG_T_Q5_1},    {"q2_k", 10, AG_T_Q2_K},
    {"q3_k_s", 11, AG_T_Q3_K},   {"q3_k_m", 12, AG_T_Q3_K}, {"q3_k_l", 13, AG_T_Q3_K},
    {"q4_k_s", 14, AG_T_Q4_K},   {"q4_k_m", 15, AG_T_Q4_K}, {"q5_k_s", 16, AG_T_Q5_K},
    {"q5_k_m", 17, AG_T_Q5_K},   {"q6_k", 18, AG_T_Q6_K},   {"iq4_nl", 25, AG_T_IQ4_NL},
    {"iq4_xs", 30, AG_T_IQ4_XS}, {"mxfp4", 38, AG_T_MXFP4},
};

enum { /* file types that the rules name */
       Q4_0 = 2,
       Q5_0 = 8,
       Q2_K = 10,
       Q3_K_S = 11,
       Q3_K_M = 12,
       Q3_K_L = 13,
       Q4_K_S = 14,
       Q4_K_M = 15,
       Q5_K_M = 17,
       IQ4_NL = 25,
       IQ4_XS = 30,
       MXFP4 = 38,
};

static const char *const aliases[][2] = {
    {"int8", "q8_0"},   {"int4", "q4_k_m"}, {"fp16", "f16"},        {"q3_k", "q3_k_m"},
    {"q4_k", "q4_k_m"}, {"q5_k", "q5_k_m"}, {"mxfp4_moe", "mxfp4"},
};

const ag_mix *ag_mix_find(const char *name) {
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strcasecmp(name, aliases[i][0]) == 0)
            name = aliases[i][1];
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (strcasecmp(name, mixes[i].name) == 0)
            return &mixes[i];
    return NULL;
}

void ag_mix_list(char *text, size_t n) {
    size_t at = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes && at < n; i++) {
        if (!ag_type_encodes(mixes[i].base))
            continue;
        int k = snprintf(text + at, n - at, "%s%s", at ? ", " : "", mixes[i].name);
        at += k > 0 ? (size_t)k : 0;
    }
}

/* ---- what a tensor is ------------------------------------------------------------------------ */

typedef enum kind {             /* in the order of a layer */
                    KIND_PLAIN, /* stays float32 */
                    KIND_EMBD,
                    KIND_OUTPUT,
                    KIND_QKV,
                    KIND_KV_B,
                    KIND_K,
                    KIND_V,
                    KIND_ATTN_OUT,
                    KIND_DOWN,
                    KIND_OTHER,
} kind;

static bool has(ag_span name, const char *part) {
    return ag_span_find(name, ag_str(part), 0) != SIZE_MAX;
}

/* Small, or read as float32 by every engine: not worth the loss. */
static bool stays_plain(const ag_tensor *t) {
    static const char *const parts[] = {
        "_norm.weight", "ffn_gate_inp.weight",  "position_embd", "token_types.weight",
        "ssm_conv1d",   "shortconv.conv",       "attn_rel_b",    "altup",
        "laurel",       "per_layer_model_proj", "patch_embd",    "time_mix_",
    };
    if (t->n_dims < 2 || !ag_span_ends(t->name, ag_str("weight")))
        return true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (has(t->name, parts[i]))
            return true;
    return false;
}

static kind kind_of(const ag_tensor *t) {
    static const struct {
        const char *part;
        kind kind;
    } parts[] = {
        {"attn_qkv.weight", KIND_QKV},
        {"attn_kv_b.weight", KIND_KV_B},
        {"attn_v.weight", KIND_V},
        {"attn_k.weight", KIND_K},
        {"attn_output.weight", KIND_ATTN_OUT},
        {"ffn_down", KIND_DOWN},
    };
    if (stays_plain(t))
        return KIND_PLAIN;
    if (ag_span_is(t->name, "output.weight"))
        return KIND_OUTPUT;
    if (ag_span_is(t->name, "token_embd.weight") ||
        ag_span_is(t->name, "per_layer_token_embd.weight"))
        return KIND_EMBD;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (has(t->name, parts[i].part))
            return parts[i].kind;
    return KIND_OTHER;
}

/* ---- the numbers of a model that choices depend on ---------------------------------------------
 */

typedef struct facts {
    const ag_mix *mix;
    bool weighted, tied;
    bool wide_gqa; /* 4 or more query heads share a key head */
    bool is_70b;   /* 80 layers with shared key heads: attn_v is small, so more bits cost little */
    uint32_t n_layers, n_experts;
    uint32_t n_v; /* tensors of attn_v's kind */
} facts;

/* A key of the architecture as a number, of an array its first; 0 when absent. */
static uint32_t number(const ag_source *src, const char *what) {
    const ag_value *arch = ag_source_find(src, "general.architecture"), *v;
    char key[128];
    if (!arch || arch->kind != AG_VALUE_STRING)
        return 0;
    snprintf(key, sizeof key, "%.*s.%s", AG_SPAN(ag_span_sub(arch->s, 0, 64)), what);
    v = ag_source_find(src, key);
    if (v && v->kind == AG_VALUE_ARRAY && v->a.kind != AG_VALUE_STRING && v->a.n > 0) {
        int64_t first = ag_value_int(&(ag_value){.kind = AG_VALUE_ARRAY, .a = v->a}, 0);
        return first > 0 && first < INT32_MAX ? (uint32_t)first : 0;
    }
    uint32_t n = 0;
    return v && ag_source_get_u32(src, key, &n, NULL) == AG_OK ? n : 0;
}

static facts facts_of(const ag_mix *mix, const ag_source *src, bool weighted) {
    facts f = {.mix = mix, .weighted = weighted, .tied = true};
    uint32_t heads = number(src, "attention.head_count"),
             kv = number(src, "attention.head_count_kv");
    kv = kv ? kv : heads;
    f.n_layers = number(src, "block_count");
    f.n_experts = number(src, "expert_count");
    f.wide_gqa = kv && heads / kv >= 4;
    f.is_70b = f.n_layers == 80 && kv && heads > kv;
    for (size_t i = 0; i < ag_source_n_tensors(src); i++) {
        kind k = kind_of(ag_source_tensor_at(src, i));
        f.tied = f.tied && k != KIND_OUTPUT;
        f.n_v += k == KIND_V || k == KIND_QKV || k == KIND_KV_B;
    }
    return f;
}

/* The first and last eighths, and every third layer between. */
static bool deserves_more(uint32_t i, uint32_t n) {
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

/* ---- the rules ---------------------------------------------------------------------------------
 */

static ag_type choose_v(const facts *f, uint32_t i) {
    ag_type t = f->mix->base;
    switch (f->mix->file_type) {
    case Q2_K:
        t = f->wide_gqa ? AG_T_Q4_K : AG_T_Q3_K;
        break;
    case Q3_K_M:
        t = i < 2 ? AG_T_Q5_K : AG_T_Q4_K;
        break;
    case Q3_K_L:
        t = AG_T_Q5_K;
        break;
    case Q4_K_S:
        t = i < 4 ? AG_T_Q5_K : t;
        break;
    case Q4_K_M:
    case Q5_K_M:
        t = deserves_more(i, f->n_v) ? AG_T_Q6_K : t;
        break;
    case IQ4_NL:
    case IQ4_XS:
        t = f->wide_gqa ? AG_T_Q5_K : t;
        break;
    }
    if (f->is_70b && (t == AG_T_Q3_K || t == AG_T_Q4_K))
        t = AG_T_Q5_K;
    return f->n_experts == 8 ? AG_T_Q8_0 : t;
}

static ag_type choose_down(const facts *f, uint32_t i) {
    bool early = i < f->n_layers / 8;
    ag_type t = f->mix->base;
    switch (f->mix->file_type) {
    case Q2_K:
        return AG_T_Q3_K;
    case Q3_K_M:
        return i < f->n_layers / 16 ? AG_T_Q5_K : AG_T_Q4_K;
    case Q3_K_L:
        return AG_T_Q5_K;
    case Q4_K_S:
        return early ? AG_T_Q5_K : t;
    case Q4_K_M:
    case Q5_K_M:
        return deserves_more(i, f->n_layers) ? AG_T_Q6_K : t;
    case IQ4_NL:
    case IQ4_XS:
        return early && !f->weighted ? AG_T_Q5_K : t;
    case Q4_0:
        return early && f->weighted ? AG_T_Q4_1 : t;
    case Q5_0:
        return early && f->weighted ? AG_T_Q5_1 : t;
    }
    return t;
}

static ag_type choose_attn_out(const facts *f) {
    uint32_t ft = f->mix->file_type;
    if (f->n_experts == 8)
        return ft == Q2_K || ft == Q3_K_S || ft == Q3_K_M || ft == Q4_K_S || ft == Q4_K_M ||
                       ft == IQ4_NL || ft == IQ4_XS
                   ? AG_T_Q5_K
                   : f->mix->base;
    return ft == Q2_K     ? AG_T_Q3_K
           : ft == Q3_K_M ? AG_T_Q4_K
           : ft == Q3_K_L ? AG_T_Q5_K
                          : f->mix->base;
}

/* Experts are what this type is for; the rest is small beside them. Without any, all layers are. */
static ag_type choose_mxfp4(const facts *f, kind k, const ag_tensor *t) {
    bool is_expert = t->dim[2] > 1;
    bool is_end = k == KIND_OUTPUT || k == KIND_EMBD;
    return is_end || (f->n_experts > 1 && !is_expert) ? AG_T_Q8_0 : AG_T_MXFP4;
}

/* `i` counts tensors of the kind, layer by layer. */
static ag_type choose(const facts *f, kind k, uint32_t i, const ag_tensor *t) {
    const ag_type base = f->mix->base;
    if (f->mix->file_type == MXFP4)
        return choose_mxfp4(f, k, t);
    switch (k) {
    case KIND_OUTPUT:
    case KIND_EMBD:
        if (k == KIND_EMBD && !f->tied)
            return base;
        return base == AG_T_Q8_0 || t->dim[0] % ag_type_find((uint32_t)base)->block ? AG_T_Q8_0
                                                                                    : AG_T_Q6_K;
    case KIND_V:
    case KIND_QKV: /* in these mixes fused tensors follow attn_v's rule */
    case KIND_KV_B:
        return choose_v(f, i);
    case KIND_K:
        return f->n_experts == 8 ? AG_T_Q8_0 : base;
    case KIND_DOWN:
        return choose_down(f, i);
    case KIND_ATTN_OUT:
        return choose_attn_out(f);
    case KIND_PLAIN:
    case KIND_OTHER:
        break;
    }
    return base;
}

/* The nearest type whose blocks fit into rows of this length. */
static ag_type fall_back(ag_type type, uint64_t cols) {
    if (cols % ag_type_find((uint32_t)type)->block == 0)
        return type;
    switch (type) {
    case AG_T_Q2_K:
    case AG_T_Q3_K:
        type = AG_T_Q4_0;
        break;
    case AG_T_IQ4_XS:
        type = AG_T_IQ4_NL;
        break;
    case AG_T_Q4_K:
        type = AG_T_Q5_0;
        break;
    case AG_T_Q5_K:
        type = AG_T_Q5_1;
        break;
    case AG_T_Q6_K:
        type = AG_T_Q8_0;
        break;
    default:
        break;
    }
    return cols % ag_type_find((uint32_t)type)->block == 0 ? type : AG_T_F16;
}

/* ---- all tensors of a model --------------------------------------------------------------------
 */

/* "blk.12.ffn_down.weight" → 12; 0 for what is in no layer. */
static uint32_t layer_of(ag_span name) {
    uint32_t layer = 0;
    if (!ag_span_starts(name, ag_str("blk.")))
        return 0;
    for (size_t i = 4; i < name.n && name.p[i] >= '0' && name.p[i] <= '9'; i++)
        if ((layer = layer * 10 + (uint32_t)(name.p[i] - '0')) >= AG_MAX_LAYERS)
            return AG_MAX_LAYERS - 1;
    return layer;
}

/* A tensor's place among those of its rule: how many earlier layers have one. A model with experts
 * has several ffn_down in a layer, which belong together: there the layer itself counts. */
typedef struct places {
    uint32_t v[AG_MAX_LAYERS], down[AG_MAX_LAYERS];
} places;

static bool is_v(kind k) { return k == KIND_V || k == KIND_QKV || k == KIND_KV_B; }

static void count_places(const ag_source *src, const facts *f, places *p) {
    for (size_t i = 0; i < ag_source_n_tensors(src); i++) {
        const ag_tensor *t = ag_source_tensor_at(src, i);
        kind k = kind_of(t);
        p->v[layer_of(t->name)] += is_v(k);
        p->down[layer_of(t->name)] += k == KIND_DOWN;
    }
    uint32_t v = 0, down = 0;
    for (uint32_t i = 0; i < AG_MAX_LAYERS; i++) {
        uint32_t here = p->v[i];
        p->v[i] = v;
        v += here;
        here = p->down[i];
        p->down[i] = f->n_experts > 1 ? i : down;
        down += here;
    }
}

static ag_code check_encoder(const ag_mix *mix, const ag_tensor *t, ag_type type, ag_err *err) {
    char list[256];
    if (type == t->type || type == t->keep || ag_type_encodes(type))
        return AG_OK;
    ag_mix_list(list, sizeof list);
    return ag_fail(err, AG_E_UNSUPPORTED,
                   "%s: tensor %.*s would become %s, which this build cannot encode; it has: %s",
                   mix ? mix->name : "copy", AG_SPAN(t->name), ag_type_find((uint32_t)type)->name,
                   list);
}

static ag_type choose_one(const facts *f, const places *p, const ag_tensor *t, bool pure) {
    kind k = kind_of(t);
    const ag_type_info *info = ag_type_find((uint32_t)t->type);
    uint32_t layer = layer_of(t->name);
    if (k == KIND_PLAIN && info->block == 1)
        return AG_T_F32;
    if (k == KIND_PLAIN || !f->mix)
        return t->keep;
    ag_type type = f->mix->base;
    if (ag_type_find((uint32_t)type)->block > 1) {
        if (!pure)
            type = choose(f, k, k == KIND_DOWN ? p->down[layer] : p->v[layer], t);
        type = fall_back(type, t->dim[0]);
    }
    return type;
}

ag_code ag_mix_choose(const ag_mix *mix, const ag_source *src, bool pure, bool weighted,
                      ag_type *types, ag_err *err) {
    facts f = facts_of(mix, src, weighted);
    places *p = ag_calloc(AG_ROOM_MODEL, 1, sizeof *p);
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "out of memory for choosing types");
    count_places(src, &f, p);
    ag_code code = AG_OK;
    for (size_t i = 0; i < ag_source_n_tensors(src) && !code; i++) {
        const ag_tensor *t = ag_source_tensor_at(src, i);
        types[i] = choose_one(&f, p, t, pure);
        code = check_encoder(mix, t, types[i], err);
    }
    ag_free(p);
    return code;
}
