/* config.json → the class, the sizes, and GGUF's keys. Defaults of absent numbers are those of the
 * reference implementation's configuration classes. */
#include <math.h>
#include <stdio.h>

#include "load/hf_parts.h"

static ag_code find_class(ag_hf *h) {
    const char *type = json_string_value(json_object_get(h->root, "model_type"));
    const json_t *list = json_object_get(h->root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    h->cls = ag_hf_class_find(name, type);
    if (h->cls)
        return AG_OK;
    ag_buf known;
    ag_buf_init(&known, AG_ROOM_LOAD, 1024);
    ag_code code = ag_hf_class_list(&known, h->err);
    if (!code)
        code = ag_fail(h->err, AG_E_UNSUPPORTED,
                       "%s/config.json: model class \"%.64s\" is not supported; supported: %.*s",
                       h->folder,
                       name   ? name
                       : type ? type
                              : "(not named)",
                       AG_SPAN(ag_buf_span(&known)));
    ag_buf_deinit(&known);
    return code;
}

/* A size that later code divides by or allocates for. */
static uint32_t bounded(ag_hf_keys *k, const char *name, uint32_t v, uint32_t least,
                        uint32_t most) {
    if (!k->code && (v < least || v > most))
        k->code = ag_fail(k->h->err, AG_E_FORMAT, "%s/config.json: %s is %u, expected %u to %u",
                          k->h->folder, name, v, least, most);
    return k->code ? least : v;
}

static void read_sizes(ag_hf_keys *k) {
    ag_hf_sizes *z = &k->h->sizes;
    const ag_hf_class *c = k->h->cls;
    const char *const heads = "num_attention_heads", *const kv = "num_key_value_heads";
    z->layers = bounded(k, "num_hidden_layers", ag_hf_cfg_need_u32(k, "num_hidden_layers"), 1,
                        AG_MAX_LAYERS);
    z->nextn = bounded(k, "num_nextn_predict_layers",
                       ag_hf_cfg_u32(k, "num_nextn_predict_layers", 0), 0, AG_MAX_LAYERS);
    z->embd = bounded(k, "hidden_size", ag_hf_cfg_need_u32(k, "hidden_size"), 1, 1u << 20);
    bool gemma = c->traits & AG_HF_GEMMA; /* published files rely on its class's defaults */
    z->heads = gemma ? ag_hf_cfg_u32(k, heads, 8) : ag_hf_cfg_need_u32(k, heads);
    z->heads = bounded(k, heads, z->heads, 1, AG_MAX_HEADS);
    z->kv_heads = bounded(k, kv, ag_hf_cfg_u32(k, kv, gemma ? 4 : z->heads), 1, AG_MAX_HEADS);
    uint32_t d = c->d_head ? (uint32_t)c->d_head : z->embd / z->heads;
    z->d_head = bounded(k, "head_dim", ag_hf_cfg_u32(k, "head_dim", d), 1, 1u << 16);
    if (c->traits & AG_HF_SCALES) /* Granite's own code has no head_dim */
        z->d_head = z->embd / z->heads;
    z->experts =
        ag_hf_cfg_u32(k, "n_routed_experts",
                      ag_hf_cfg_u32(k, "num_experts", ag_hf_cfg_u32(k, "num_local_experts", 0)));
    z->experts = bounded(k, "number of experts", z->experts, 0, AG_MAX_EXPERTS);
}

static void put_sizes(ag_hf_keys *k) {
    const ag_hf_sizes *z = &k->h->sizes;
    unsigned traits = k->h->cls->traits;
    ag_hf_key_u32(k, "block_count", z->layers + z->nextn);
    ag_hf_key_u32(k, "context_length",
                  ag_hf_cfg_u32(k, "max_position_embeddings",
                                traits & AG_HF_BERT    ? 512
                                : traits & AG_HF_GEMMA ? 131072
                                                       : 2048));
    ag_hf_key_u32(k, "embedding_length", z->embd);
    ag_hf_key_u32(k, "feed_forward_length", ag_hf_cfg_need_u32(k, "intermediate_size"));
    ag_hf_key_u32(k, "attention.head_count", z->heads);
    if (!(traits & AG_HF_BERT))
        ag_hf_key_u32(k, "attention.head_count_kv", traits & AG_HF_MLA ? 1 : z->kv_heads);
}

static void check_activation(ag_hf_keys *k) {
    const char *act = NULL;
    if (k->h->cls->traits & AG_HF_GEMMA)
        act = ag_hf_cfg_str(k, "hidden_activation");
    else
        act = ag_hf_cfg_str(k, "hidden_act");
    if (!k->code && act && strcmp(act, k->h->cls->act) != 0)
        k->code = ag_fail(k->h->err, AG_E_UNSUPPORTED,
                          "%s/config.json: activation \"%.32s\" is not supported for %s, which is "
                          "run with %s",
                          k->h->folder, act, k->h->cls->name, k->h->cls->act);
}

/* ---- attention ------------------------------------------------------------------------------- */

static void put_heads(ag_hf_keys *k) {
    ag_hf_sizes *z = &k->h->sizes;
    if (!(k->h->cls->traits & AG_HF_MLA)) {
        bool given = ag_hf_cfg_has(k, "head_dim") && !(k->h->cls->traits & AG_HF_SCALES);
        if (given || z->d_head != z->embd / z->heads) {
            ag_hf_key_u32(k, "attention.key_length", z->d_head);
            ag_hf_key_u32(k, "attention.value_length", z->d_head);
        }
        return;
    }
    uint32_t latent = ag_hf_cfg_need_u32(k, "kv_lora_rank"),
             rot = ag_hf_cfg_need_u32(k, "qk_rope_head_dim");
    z->qk_nope =
        bounded(k, "qk_nope_head_dim", ag_hf_cfg_need_u32(k, "qk_nope_head_dim"), 1, 1u << 16);
    z->v_head = bounded(k, "v_head_dim", ag_hf_cfg_need_u32(k, "v_head_dim"), 1, 1u << 16);
    latent = bounded(k, "kv_lora_rank", latent, 1, 1u << 16);
    z->d_head = bounded(k, "qk_rope_head_dim", rot, 1, 1u << 16);
    if (ag_hf_cfg_has(k, "q_lora_rank"))
        ag_hf_key_u32(k, "attention.q_lora_rank", ag_hf_cfg_need_u32(k, "q_lora_rank"));
    ag_hf_key_u32(k, "attention.kv_lora_rank", latent);
    ag_hf_key_u32(k, "attention.key_length", latent + z->d_head); /* of an entry of the cache */
    ag_hf_key_u32(k, "attention.value_length", latent);
    ag_hf_key_u32(k, "attention.key_length_mla", z->qk_nope + z->d_head); /* of a head */
    ag_hf_key_u32(k, "attention.value_length_mla", z->v_head);
}

static bool slides(const json_t *types, size_t layer, uint32_t pattern) {
    const char *type = json_string_value(json_array_get(types, layer));
    if (types)
        return type && strcmp(type, "sliding_attention") == 0;
    return pattern == 0 || (layer + 1) % pattern != 0;
}

/* Does every layer slide but each p-th? */
static bool is_period(const json_t *types, size_t n, size_t p) {
    for (size_t i = 0; i < n; i++)
        if (slides(types, i, 0) != ((i + 1) % p != 0))
            return false;
    return true;
}

static void put_flags(ag_hf_keys *k, const json_t *types, uint32_t period) {
    size_t n = k->h->sizes.layers;
    uint8_t *flags = ag_arena_get(&k->h->s->made, n);
    for (size_t i = 0; flags && i < n; i++)
        flags[i] = slides(types, i, period);
    if (flags)
        ag_hf_key_array(k, "attention.sliding_window_pattern", AG_VALUE_BOOL, flags, n);
    else if (!k->code)
        k->code = ag_fail(k->h->err, AG_E_NOMEM, "out of memory while opening %s", k->h->folder);
}

/* Which layers slide. Of Gemma, GGUF's default goes without saying: every sixth does not. */
static void put_pattern(ag_hf_keys *k) {
    const json_t *types = ag_hf_cfg_list(k, "layer_types");
    bool gemma = k->h->cls->traits & AG_HF_GEMMA;
    size_t n = k->h->sizes.layers;
    uint32_t period = ag_hf_cfg_u32(k, "sliding_window_pattern",
                                    ag_hf_cfg_u32(k, "_sliding_window_pattern", gemma ? 6 : 4));
    if (types && json_array_size(types) != n && !k->code)
        k->code =
            ag_fail(k->h->err, AG_E_FORMAT, "%s/config.json: layer_types has %zu of %zu layers",
                    k->h->folder, json_array_size(types), n);
    if (k->code)
        return;
    if (!gemma) {
        put_flags(k, types, period);
        return;
    }
    if (types) {
        period = is_period(types, n, 6) ? 6 : 0;
        for (uint32_t p = 1; !period && p <= n; p++)
            period = is_period(types, n, p) ? p : 0;
    }
    if (types && !period)
        put_flags(k, types, 0);
    else if (period != 6)
        ag_hf_key_u32(k, "attention.sliding_window_pattern", period);
}

/* Qwen's windows begin at a layer, which GGUF cannot say; published models do not use them. */
static void refuse_qwen_window(ag_hf_keys *k) {
    const json_t *types = ag_hf_cfg_list(k, "layer_types");
    bool used = ag_hf_cfg_bool(k, "use_sliding_window", false), any = false;
    uint32_t from = ag_hf_cfg_u32(k, "max_window_layers", 28);
    for (size_t i = 0; i < k->h->sizes.layers; i++)
        any = any || (types ? slides(types, i, 0) : i >= from);
    if (!k->code && used && any && ag_hf_cfg_has(k, "sliding_window"))
        k->code = ag_fail(k->h->err, AG_E_UNSUPPORTED,
                          "%s/config.json: use_sliding_window is true, which is not supported for "
                          "%s; set it to false for contexts within the window",
                          k->h->folder, k->h->cls->name);
}

static void put_window(ag_hf_keys *k) {
    unsigned traits = k->h->cls->traits;
    const char *const name = "attention.sliding_window";
    uint32_t window =
        ag_hf_cfg_u32(k, "sliding_window", traits & (AG_HF_GEMMA | AG_HF_LAYERS) ? 4096 : 0);
    if (traits & (AG_HF_GEMMA | AG_HF_LAYERS)) {
        ag_hf_key_u32(k, name, window);
        put_pattern(k);
    } else if (traits & AG_HF_WINDOW && (window || traits & AG_HF_WINDOW_KEY)) {
        ag_hf_key_u32(k, name, window);
    } else if (traits & AG_HF_QWEN) {
        refuse_qwen_window(k);
    }
}

/* Gemma's scale of scores, where it is not what GGUF readers assume. */
static void put_gemma_scale(ag_hf_keys *k) {
    const ag_hf_sizes *z = &k->h->sizes;
    double base = ag_hf_cfg_num(k, "query_pre_attn_scalar", 256);
    double usual = z->layers == 62 ? z->embd / z->heads : z->d_head;
    if (base != usual && base > 0)
        ag_hf_key_f32(k, "attention.scale", pow(base, -0.5));
    if (ag_hf_cfg_has(k, "final_logit_softcapping"))
        ag_hf_key_f32(k, "final_logit_softcapping", ag_hf_cfg_num(k, "final_logit_softcapping", 0));
}

static void put_granite_scales(ag_hf_keys *k) {
    ag_hf_key_f32(k, "attention.scale", ag_hf_cfg_num(k, "attention_multiplier", 1));
    ag_hf_key_f32(k, "embedding_scale", ag_hf_cfg_num(k, "embedding_multiplier", 1));
    ag_hf_key_f32(k, "residual_scale", ag_hf_cfg_num(k, "residual_multiplier", 1));
    ag_hf_key_f32(k, "logit_scale", ag_hf_cfg_num(k, "logits_scaling", 1));
}

/* ---- experts --------------------------------------------------------------------------------- */

static void put_experts(ag_hf_keys *k) {
    if (!k->h->sizes.experts)
        return;
    ag_hf_key_u32(k, "expert_count", k->h->sizes.experts);
    ag_hf_key_u32(k, "expert_used_count", ag_hf_cfg_need_u32(k, "num_experts_per_tok"));
    if (ag_hf_cfg_has(k, "moe_intermediate_size"))
        ag_hf_key_u32(k, "expert_feed_forward_length",
                      ag_hf_cfg_need_u32(k, "moe_intermediate_size"));
    unsigned traits = k->h->cls->traits;
    const char *method = ag_hf_cfg_str(k, "topk_method");
    bool grouped = !method || strcmp(method, "greedy") != 0; /* DeepSeek: greedy knows no groups */
    bool norm = ag_hf_cfg_bool(k, "norm_topk_prob", traits & AG_HF_SIGMOID || !method);
    if (traits & AG_HF_ROUTED) {
        ag_hf_key_u32(k, "expert_group_count", grouped ? ag_hf_cfg_u32(k, "n_group", 1) : 1);
        ag_hf_key_u32(k, "expert_group_used_count",
                      grouped ? ag_hf_cfg_u32(k, "topk_group", 1) : 1);
        ag_hf_key_u32(k, "expert_shared_count", ag_hf_cfg_u32(k, "n_shared_experts", 1));
        ag_hf_key_u32(k, "leading_dense_block_count", ag_hf_cfg_u32(k, "first_k_dense_replace", 1));
        ag_hf_key_u32(k, "expert_gating_func", traits & AG_HF_SIGMOID ? 2 : 1);
        ag_hf_key_f32(k, "expert_weights_scale", ag_hf_cfg_num(k, "routed_scaling_factor", 1));
        ag_hf_key_bool(k, "expert_weights_norm", norm);
    } else if (!norm) { /* readers of GGUF renormalise unless told */
        ag_hf_key_bool(k, "expert_weights_norm", false);
    }
}

/* ---- embedders and BERT ---------------------------------------------------------------------- */

/* sentence-transformers says in a folder beside the weights how vectors are pooled; it may stand
 * beside a decoder as well, which is an embedder then. */
static void put_pooling(ag_hf_keys *k) {
    ag_hf *h = k->h;
    bool encoder = h->cls->traits & AG_HF_BERT;
    uint32_t kind = encoder; /* 0 none, 1 mean, 2 first token, 3 last */
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/1_Pooling/config.json", h->folder);
    json_t *v = NULL;
    ag_err why; /* there need not be such a file */
    ag_code code = h->s->path && n < (int)sizeof path
                       ? ag_json_read(path, AG_MAX_CONFIG_BYTES, &v, &why)
                       : AG_E_NOT_FOUND;
    if (code && code != AG_E_NOT_FOUND && !k->code)
        k->code = ag_fail(h->err, code, "%s", why.msg);
    if (json_is_true(json_object_get(v, "pooling_mode_cls_token")))
        kind = 2;
    else if (json_is_true(json_object_get(v, "pooling_mode_lasttoken")))
        kind = 3;
    else if (json_is_true(json_object_get(v, "pooling_mode_mean_tokens")))
        kind = 1;
    else if (v && encoder && !k->code)
        k->code =
            ag_fail(h->err, AG_E_UNSUPPORTED,
                    "%s: the pooling is not supported; supported: mean, cls, last token", path);
    json_decref(v);
    if (kind > 0)
        ag_hf_key_u32(k, "pooling_type", kind);
}

static void put_bert(ag_hf_keys *k) {
    const char *position = ag_hf_cfg_str(k, "position_embedding_type");
    if (position && strcmp(position, "absolute") != 0 && !k->code)
        k->code = ag_fail(k->h->err, AG_E_UNSUPPORTED,
                          "%s/config.json: position_embedding_type \"%.32s\" is not supported; "
                          "supported: absolute",
                          k->h->folder, position);
    ag_hf_key_f32(k, "attention.layer_norm_epsilon", ag_hf_cfg_num(k, "layer_norm_eps", 1e-12));
    ag_hf_key_bool(k, "attention.causal", false);
    double kinds = ag_hf_cfg_num(k, "type_vocab_size", 2);
    if (kinds >= 1 && kinds < 65536) /* other readers of GGUF refuse a file without it */
        ag_hf_key_plain_u32(k, "tokenizer.ggml.token_type_count", (uint32_t)kinds);
}

/* ---- all ------------------------------------------------------------------------------------- */

/* The name a model was published by, or that of its folder. */
static void put_name(ag_hf_keys *k) {
    const char *name = ag_hf_cfg_str(k, "_name_or_path");
    ag_span s = ag_str(name && *name ? name : k->h->folder);
    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    for (size_t i = s.n; i > 0; i--)
        if (s.p[i - 1] == '/') {
            s = ag_span_sub(s, i, s.n);
            break;
        }
    char text[256];
    snprintf(text, sizeof text, "%.*s", AG_SPAN(ag_span_sub(s, 0, 255)));
    ag_hf_key_general(k, "general.name", text);
}

static void put_decoder(ag_hf_keys *k) {
    unsigned traits = k->h->cls->traits;
    ag_hf_key_f32(k, "attention.layer_norm_rms_epsilon", ag_hf_cfg_num(k, "rms_norm_eps", 1e-6));
    put_heads(k);
    put_window(k);
    put_experts(k);
    if (traits & AG_HF_GEMMA)
        put_gemma_scale(k);
    if (traits & AG_HF_SCALES)
        put_granite_scales(k);
    if (k->h->sizes.nextn)
        ag_hf_key_u32(k, "nextn_predict_layers", k->h->sizes.nextn);
}

ag_code ag_hf_config_read(ag_hf *h) {
    const json_t *text = json_object_get(h->root, "text_config");
    h->text = json_is_object(text) ? (json_t *)text : h->root;
    ag_code code = find_class(h);
    if (code)
        return code;
    ag_hf_keys k = {.h = h, .from = h->root};
    ag_hf_key_general(&k, "general.architecture", h->cls->arch);
    ag_hf_key_general(&k, "general.type", "model");
    put_name(&k);
    k.from = h->text;
    read_sizes(&k);
    check_activation(&k);
    put_sizes(&k);
    if (h->cls->traits & AG_HF_BERT)
        put_bert(&k);
    else
        put_decoder(&k);
    put_pooling(&k);
    if (!k.code && !(h->cls->traits & AG_HF_BERT))
        k.code = ag_hf_rope_read(h);
    return k.code;
}
