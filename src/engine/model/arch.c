#include "model/arch.h"

/* One tensor name means different norms in different families: post_attention_norm, where a family
 * has it, stands after attention and before the sum. */
static const ag_arch table[] = {
    {.name = "llama",
     .families = "Llama 2, Llama 3, SmolLM2, Mistral, Mixtral",
     .pairing = AG_PAIR_ADJACENT,
     .normalises_experts = true,
     .window = AG_WINDOW_ALL,
     .pre_mlp = "ffn_norm"},
    {.name = "qwen2", .families = "Qwen2, Qwen2.5", .pairing = AG_PAIR_HALF, .pre_mlp = "ffn_norm"},
    {.name = "qwen3", .families = "Qwen3", .pairing = AG_PAIR_HALF, .pre_mlp = "ffn_norm"},
    {.name = "qwen3moe",
     .families = "Qwen3 MoE",
     .pairing = AG_PAIR_HALF,
     .normalises_experts = true,
     .pre_mlp = "ffn_norm"},
    {.name = "gemma3",
     .families = "Gemma 3 (text)",
     .pairing = AG_PAIR_HALF,
     .window = AG_WINDOW_PATTERN,
     .window_pattern = 6,
     .theta_local = 10000.0f,
     .act = AG_ACT_GEGLU,
     .embed_scale = true,
     .post_attn = "post_attention_norm",
     .pre_mlp = "ffn_norm",
     .post_mlp = "post_ffw_norm"},
    {.name = "chatglm",
     .families = "GLM-4 (glm-4-9b)",
     .pairing = AG_PAIR_ADJACENT,
     .pre_mlp = "ffn_norm"},
    {.name = "glm4",
     .families = "GLM-4-0414, GLM-Z1",
     .pairing = AG_PAIR_GLM4,
     .post_attn = "post_attention_norm",
     .pre_mlp = "ffn_norm",
     .post_mlp = "post_ffw_norm"},
    {.name = "phi3",
     .families = "Phi-3, Phi-3.5, Phi-4",
     .pairing = AG_PAIR_HALF,
     .window = AG_WINDOW_ALL,
     .pre_mlp = "ffn_norm"},
    {.name = "granite",
     .families = "Granite 3",
     .pairing = AG_PAIR_ADJACENT,
     .multipliers = true,
     .pre_mlp = "ffn_norm"},
    {.name = "olmo2",
     .families = "OLMo 2, OLMo 3",
     .pairing = AG_PAIR_HALF,
     .window = AG_WINDOW_PATTERN,
     .window_pattern = 4,
     .local_unscaled = true,
     .post_norms_only = true,
     .wide_qk_norm = true,
     .post_attn = "post_attention_norm",
     .post_mlp = "post_ffw_norm"},
    {.name = "glm4moe",
     .families = "GLM-4.5, 4.6, 4.7",
     .pairing = AG_PAIR_HALF,
     .gating = AG_GATE_SIGMOID,
     .normalises_experts = true,
     .pre_mlp = "post_attention_norm"},
    {.name = "deepseek2",
     .families = "GLM-4.7-Flash, DeepSeek V2, V3",
     .pairing = AG_PAIR_ADJACENT,
     .latent = true,
     .pre_mlp = "ffn_norm"},
    {.name = "bert", .families = "BERT, MiniLM, BGE, E5 (embeddings)", .encoder = true},
};

const ag_arch *ag_arch_find(ag_span name) {
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (ag_span_is(name, table[i].name))
            return &table[i];
    return NULL;
}

const char *ag_arch_supported(void) {
    return "llama (Llama 2/3, SmolLM2, Mistral, Mixtral), qwen2, qwen3, qwen3moe, gemma3, chatglm "
           "(GLM-4), glm4 (GLM-4-0414), glm4moe (GLM-4.5 to 4.7), deepseek2 (GLM-4.7-Flash, "
           "DeepSeek V2/V3), phi3 (Phi-3, Phi-4), granite, olmo2 (OLMo 2, OLMo 3), "
           "bert (MiniLM, BGE, E5)";
}
