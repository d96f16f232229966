/* Which tensor of a checkpoint is which of GGUF's, class by class. The tables are facts of the
 * published checkpoints and of GGUF's vocabulary; what the tensors mean is not known here. */

#include "load/hf_parts.h"

#define END                                                                                        \
    { NULL, NULL, AG_HF_SAME }

static const ag_hf_name ends[] = {
    {"embed_tokens", "token_embd", AG_HF_SAME},
    {"norm", "output_norm", AG_HF_NORM},
    {"lm_head", "output", AG_HF_SAME},
    END,
};
static const ag_hf_name attention[] = {
    {"self_attn.q_proj", "attn_q", AG_HF_Q},
    {"self_attn.k_proj", "attn_k", AG_HF_K},
    {"self_attn.v_proj", "attn_v", AG_HF_SAME},
    {"self_attn.o_proj", "attn_output", AG_HF_SAME},
    END,
};
static const ag_hf_name head_norms[] = {
    {"self_attn.q_norm", "attn_q_norm", AG_HF_NORM},
    {"self_attn.k_norm", "attn_k_norm", AG_HF_NORM},
    END,
};
static const ag_hf_name fused_attention[] = {
    {"self_attn.qkv_proj", "attn_qkv", AG_HF_SAME},
    {"self_attn.o_proj", "attn_output", AG_HF_SAME},
    END,
};
static const ag_hf_name latent_attention[] = {
    {"self_attn.q_proj", "attn_q", AG_HF_SAME},
    {"self_attn.q_a_proj", "attn_q_a", AG_HF_SAME},
    {"self_attn.q_a_layernorm", "attn_q_a_norm", AG_HF_SAME},
    {"self_attn.q_b_proj", "attn_q_b", AG_HF_SAME},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa", AG_HF_SAME},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm", AG_HF_SAME},
    {"self_attn.kv_b_proj", "", AG_HF_KV_B},
    {"self_attn.o_proj", "attn_output", AG_HF_SAME},
    END,
};
static const ag_hf_name mlp[] = {
    {"mlp.gate_proj", "ffn_gate", AG_HF_SAME},
    {"mlp.up_proj", "ffn_up", AG_HF_SAME},
    {"mlp.down_proj", "ffn_down", AG_HF_SAME},
    END,
};
static const ag_hf_name fused_mlp[] = {
    {"mlp.gate_up_proj", "ffn_up", AG_HF_SAME}, /* gate rows first, both halves in one */
    {"mlp.down_proj", "ffn_down", AG_HF_SAME},
    END,
};
/* The second norm has one name here and three meanings. */
static const ag_hf_name norms[] = {
    {"input_layernorm", "attn_norm", AG_HF_SAME},
    {"post_attention_layernorm", "ffn_norm", AG_HF_SAME},
    END,
};
static const ag_hf_name norms_glm4[] = {
    {"input_layernorm", "attn_norm", AG_HF_SAME},
    {"post_self_attn_layernorm", "post_attention_norm", AG_HF_SAME},
    {"post_attention_layernorm", "ffn_norm", AG_HF_SAME},
    {"post_mlp_layernorm", "post_ffw_norm", AG_HF_SAME},
    END,
};
static const ag_hf_name norms_glm4moe[] = {
    {"input_layernorm", "attn_norm", AG_HF_SAME},
    {"post_attention_layernorm", "post_attention_norm", AG_HF_SAME},
    END,
};
static const ag_hf_name norms_gemma[] = {
    {"input_layernorm", "attn_norm", AG_HF_NORM},
    {"post_attention_layernorm", "post_attention_norm", AG_HF_NORM},
    {"pre_feedforward_layernorm", "ffn_norm", AG_HF_NORM},
    {"post_feedforward_layernorm", "post_ffw_norm", AG_HF_NORM},
    END,
};
static const ag_hf_name norms_olmo2[] = {
    {"post_attention_layernorm", "post_attention_norm", AG_HF_SAME},
    {"post_feedforward_layernorm", "post_ffw_norm", AG_HF_SAME},
    END,
};
static const ag_hf_name experts[] = {
    {"mlp.gate.e_score_correction_bias", "exp_probs_b.bias", AG_HF_WHOLE},
    {"mlp.gate", "ffn_gate_inp", AG_HF_SAME},
    {"mlp.experts.*.gate_proj", "ffn_gate_exps", AG_HF_EXPERT},
    {"mlp.experts.*.up_proj", "ffn_up_exps", AG_HF_EXPERT},
    {"mlp.experts.*.down_proj", "ffn_down_exps", AG_HF_EXPERT},
    /* Saved stacked by transformers 5; gate rows first. */
    {"mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight", AG_HF_WHOLE},
    {"mlp.experts.down_proj", "ffn_down_exps.weight", AG_HF_WHOLE},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp", AG_HF_SAME},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp", AG_HF_SAME},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp", AG_HF_SAME},
    END,
};
static const ag_hf_name experts_mixtral[] = {
    {"block_sparse_moe.gate", "ffn_gate_inp", AG_HF_SAME},
    {"block_sparse_moe.experts.*.w1", "ffn_gate_exps", AG_HF_EXPERT},
    {"block_sparse_moe.experts.*.w3", "ffn_up_exps", AG_HF_EXPERT},
    {"block_sparse_moe.experts.*.w2", "ffn_down_exps", AG_HF_EXPERT},
    END,
};
static const ag_hf_name nextn[] = {
    {"enorm", "nextn.enorm", AG_HF_SAME},
    {"hnorm", "nextn.hnorm", AG_HF_SAME},
    {"eh_proj", "nextn.eh_proj", AG_HF_SAME},
    {"embed_tokens", "nextn.embed_tokens", AG_HF_SAME},
    {"shared_head.norm", "nextn.shared_head_norm", AG_HF_SAME},
    {"shared_head.head", "nextn.shared_head_head", AG_HF_SAME},
    END,
};
static const ag_hf_name bert_ends[] = {
    {"embeddings.word_embeddings", "token_embd", AG_HF_SAME},
    {"embeddings.position_embeddings", "position_embd", AG_HF_SAME},
    {"embeddings.token_type_embeddings", "token_types", AG_HF_SAME},
    {"embeddings.LayerNorm", "token_embd_norm", AG_HF_SAME},
    END,
};
static const ag_hf_name bert_layer[] = {
    {"attention.self.query", "attn_q", AG_HF_SAME},
    {"attention.self.key", "attn_k", AG_HF_SAME},
    {"attention.self.value", "attn_v", AG_HF_SAME},
    {"attention.output.dense", "attn_output", AG_HF_SAME},
    {"attention.output.LayerNorm", "attn_output_norm", AG_HF_SAME},
    {"intermediate.dense", "ffn_up", AG_HF_SAME},
    {"output.dense", "ffn_down", AG_HF_SAME},
    {"output.LayerNorm", "layer_output_norm", AG_HF_SAME},
    END,
};

#define DECODER .act = "silu", .layer = "layers.", .ends = ends, .partial = 1

static const ag_hf_class classes[] = {
    {.name = "LlamaForCausalLM",
     .type = "llama",
     .arch = "llama",
     .traits = AG_HF_PAIRS | AG_HF_ROT_KEY,
     .groups = {attention, mlp, norms},
     DECODER},
    {.name = "MistralForCausalLM",
     .type = "mistral",
     .arch = "llama",
     .traits = AG_HF_PAIRS | AG_HF_ROT_KEY | AG_HF_WINDOW,
     .groups = {attention, mlp, norms},
     DECODER},
    {.name = "MixtralForCausalLM",
     .type = "mixtral",
     .arch = "llama",
     .traits = AG_HF_PAIRS | AG_HF_ROT_KEY | AG_HF_WINDOW,
     .groups = {attention, experts_mixtral, experts, norms},
     DECODER},
    {.name = "Qwen2ForCausalLM",
     .type = "qwen2",
     .arch = "qwen2",
     .traits = AG_HF_QWEN,
     .groups = {attention, mlp, norms},
     DECODER},
    {.name = "Qwen3ForCausalLM",
     .type = "qwen3",
     .arch = "qwen3",
     .traits = AG_HF_QWEN,
     .d_head = 128,
     .groups = {attention, head_norms, mlp, norms},
     DECODER},
    {.name = "Qwen3MoeForCausalLM",
     .type = "qwen3_moe",
     .arch = "qwen3moe",
     .traits = AG_HF_QWEN,
     .groups = {attention, head_norms, mlp, experts, norms},
     DECODER},
    {.name = "Gemma3ForCausalLM",
     .type = "gemma3_text",
     .arch = "gemma3",
     .traits = AG_HF_GEMMA | AG_HF_PLUS_ONE,
     .partial = 1,
     .d_head = 256,
     .act = "gelu_pytorch_tanh",
     .layer = "layers.",
     .ends = ends,
     .groups = {attention, head_norms, mlp, norms_gemma}},
    {.name = "GlmForCausalLM",
     .type = "glm",
     .arch = "chatglm",
     .traits = AG_HF_ROT_KEY,
     .partial = 0.5,
     .d_head = 128,
     .act = "silu",
     .layer = "layers.",
     .ends = ends,
     .groups = {attention, fused_mlp, norms}},
    {.name = "Glm4ForCausalLM",
     .type = "glm4",
     .arch = "glm4",
     .traits = AG_HF_ROT_KEY,
     .partial = 0.5,
     .d_head = 128,
     .act = "silu",
     .layer = "layers.",
     .ends = ends,
     .groups = {attention, fused_mlp, norms_glm4}},
    /* Of models that see, the part that reads and writes; q and k rows as mrope_section wants. */
    {.name = "Glm4vForConditionalGeneration",
     .type = "glm4v",
     .arch = "glm4",
     .traits = AG_HF_ROT_KEY,
     .groups = {attention, fused_mlp, norms_glm4},
     DECODER},
    {.name = "GlmOcrForConditionalGeneration",
     .type = "glm_ocr",
     .arch = "glm4",
     .traits = AG_HF_ROT_KEY,
     .groups = {attention, fused_mlp, norms_glm4},
     DECODER},
    {.name = "Glm4vMoeForConditionalGeneration",
     .type = "glm4v_moe",
     .arch = "glm4moe",
     .traits = AG_HF_ROT_KEY | AG_HF_ROUTED | AG_HF_SIGMOID,
     .partial = 0.5,
     .act = "silu",
     .layer = "layers.",
     .ends = ends,
     .groups = {attention, mlp, experts, norms_glm4moe, nextn}},
    {.name = "Gemma3ForConditionalGeneration",
     .type = "gemma3",
     .arch = "gemma3",
     .traits = AG_HF_GEMMA | AG_HF_PLUS_ONE,
     .partial = 1,
     .d_head = 256,
     .act = "gelu_pytorch_tanh",
     .layer = "layers.",
     .ends = ends,
     .groups = {attention, head_norms, mlp, norms_gemma}},
    {.name = "Glm4MoeForCausalLM",
     .type = "glm4_moe",
     .arch = "glm4moe",
     .traits = AG_HF_ROT_KEY | AG_HF_ROUTED | AG_HF_SIGMOID,
     .partial = 0.5,
     .act = "silu",
     .layer = "layers.",
     .ends = ends,
     .groups = {attention, head_norms, mlp, experts, norms_glm4moe, nextn}},
    {.name = "Glm4MoeLiteForCausalLM",
     .type = "glm4_moe_lite",
     .arch = "deepseek2",
     .traits = AG_HF_ROT_KEY | AG_HF_ROUTED | AG_HF_SIGMOID | AG_HF_MLA,
     .groups = {latent_attention, mlp, experts, norms, nextn},
     DECODER},
    {.name = "DeepseekV2ForCausalLM",
     .type = "deepseek_v2",
     .arch = "deepseek2",
     .traits = AG_HF_ROT_KEY | AG_HF_ROUTED | AG_HF_MLA,
     .groups = {latent_attention, mlp, experts, norms},
     DECODER},
    {.name = "DeepseekV3ForCausalLM",
     .type = "deepseek_v3",
     .arch = "deepseek2",
     .traits = AG_HF_ROT_KEY | AG_HF_ROUTED | AG_HF_SIGMOID | AG_HF_MLA,
     .groups = {latent_attention, mlp, experts, norms, nextn},
     DECODER},
    {.name = "Phi3ForCausalLM",
     .type = "phi3",
     .arch = "phi3",
     .traits = AG_HF_ROT_KEY | AG_HF_WINDOW | AG_HF_WINDOW_KEY,
     .groups = {fused_attention, fused_mlp, norms},
     DECODER},
    {.name = "GraniteForCausalLM",
     .type = "granite",
     .arch = "granite",
     .traits = AG_HF_PAIRS | AG_HF_ROT_KEY | AG_HF_SCALES,
     .groups = {attention, mlp, norms},
     DECODER},
    {.name = "Olmo2ForCausalLM",
     .type = "olmo2",
     .arch = "olmo2",
     .groups = {attention, head_norms, mlp, norms_olmo2},
     DECODER},
    {.name = "Olmo3ForCausalLM",
     .type = "olmo3",
     .arch = "olmo2",
     .traits = AG_HF_LAYERS,
     .groups = {attention, head_norms, mlp, norms_olmo2},
     DECODER},
    {.name = "BertModel",
     .type = "bert",
     .arch = "bert",
     .traits = AG_HF_BERT,
     .act = "gelu",
     .layer = "encoder.layer.",
     .ends = bert_ends,
     .groups = {bert_layer}},
};
#define N_CLASSES (sizeof classes / sizeof *classes)

const ag_hf_class *ag_hf_class_find(const char *name, const char *type) {
    for (size_t i = 0; i < N_CLASSES; i++)
        if (name ? strcmp(name, classes[i].name) == 0 : type && strcmp(type, classes[i].type) == 0)
            return &classes[i];
    return NULL;
}

/* "LlamaForCausalLM" → "Llama". */
static ag_span short_name(const ag_hf_class *c) {
    ag_span name = ag_str(c->name);
    return ag_span_sub(name, 0, ag_span_find(name, ag_str("For"), 0));
}

ag_code ag_hf_class_list(ag_buf *out, ag_err *err) {
    for (size_t i = 0; i < N_CLASSES; i++) {
        ag_span name = short_name(&classes[i]);
        bool told = false;
        for (size_t k = 0; k < i && !told; k++)
            told = ag_span_eq(short_name(&classes[k]), name);
        if (!told)
            ag_buf_addf(out, "%s%.*s", i ? ", " : "", AG_SPAN(name));
    }
    return ag_buf_check(out, "the list of classes", err);
}

/* A number without sign or leading zero; -1 when there is none. *used tells its digits. */
static int64_t number_at(ag_span s, size_t *used) {
    int64_t n = 0;
    size_t i = 0;
    while (i < s.n && i < 9 && s.p[i] >= '0' && s.p[i] <= '9')
        n = n * 10 + (s.p[i++] - '0');
    *used = i;
    return i == 0 || (i > 1 && s.p[0] == '0') ? -1 : n;
}

/* Does `s` fit the pattern, in which '*' is a number? */
static bool fits(const char *pattern, ag_span s, int64_t *number) {
    const char *star = strchr(pattern, '*');
    *number = -1;
    if (!star)
        return ag_span_is(s, pattern);
    ag_span before = ag_span_of(pattern, (size_t)(star - pattern));
    if (!ag_span_starts(s, before))
        return false;
    size_t used;
    *number = number_at(ag_span_sub(s, before.n, s.n), &used);
    return *number >= 0 && ag_span_is(ag_span_sub(s, before.n + used, s.n), star + 1);
}

/* The row of `whole` in a list: stems, or whole names where the row says so. */
static bool look_up(const ag_hf_name *list, ag_span stem, ag_span whole, ag_hf_place *p) {
    for (const ag_hf_name *row = list; row->from; row++)
        if (fits(row->from, row->how == AG_HF_WHOLE ? whole : stem, &p->expert)) {
            p->row = row;
            return true;
        }
    return false;
}

static size_t last_dot(ag_span s) {
    size_t i = s.n;
    while (i > 0 && s.p[i - 1] != '.')
        i--;
    return i;
}

/* Bytes in front of what the tables know: checkpoints differ in the modules around the model. */
static size_t around(const ag_hf_class *c, ag_span name) {
    static const char *const decoder[] = {"model.language_model.", "language_model.model.",
                                          "language_model.", "model."};
    if (c->traits & AG_HF_BERT)
        return ag_span_starts(name, ag_str("bert.")) ? strlen("bert.") : 0;
    for (size_t i = 0; i < sizeof decoder / sizeof *decoder; i++)
        if (ag_span_starts(name, ag_str(decoder[i])))
            return strlen(decoder[i]);
    return 0;
}

ag_hf_place ag_hf_place_of(const ag_hf_class *c, ag_span name) {
    size_t dot = last_dot(name);
    ag_hf_place p = {.layer = -1, .expert = -1};
    p.stem = ag_span_sub(name, 0, dot ? dot - 1 : 0);
    p.ending = ag_span_sub(name, dot, name.n);
    size_t from = around(c, name);
    ag_span stem = ag_span_sub(p.stem, from, p.stem.n), whole = ag_span_sub(name, from, name.n);
    ag_span prefix = ag_str(c->layer);
    if (!ag_span_starts(whole, prefix)) {
        look_up(c->ends, stem, whole, &p);
        return p;
    }
    size_t used;
    ag_span rest = ag_span_sub(whole, prefix.n, whole.n);
    p.layer = number_at(rest, &used);
    size_t skip = prefix.n + used + 1; /* the dot after the number */
    if (p.layer < 0 || used >= rest.n || rest.p[used] != '.')
        return p;
    stem = ag_span_sub(stem, skip, stem.n);
    whole = ag_span_sub(whole, skip, whole.n);
    for (size_t g = 0; g < sizeof c->groups / sizeof *c->groups && c->groups[g]; g++)
        if (look_up(c->groups[g], stem, whole, &p))
            break;
    return p;
}

bool ag_hf_is_unneeded(ag_span name) {
    static const char *const starts[] = {"pooler.",
                                         "bert.pooler.",
                                         "cls.",
                                         "model.visual.",
                                         "vision_tower.",
                                         "multi_modal_projector.",
                                         "model.vision_tower.",
                                         "model.multi_modal_projector."};
    static const char *const tails[] = {
        ".inv_freq", "position_ids", ".input_scale", ".k_scale",    ".v_scale",
        ".q_scale",  ".prob_scale",  ".masked_bias", ".cos_cached", ".sin_cached"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (ag_span_starts(name, ag_str(starts[i])))
            return true;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ag_span_ends(name, ag_str(tails[i])))
            return true;
    return false;
}
