/* Folders: config.json of every class as keys, the files that make one up, the order of rows. */
#include "unit/load/folder.h"

#include "base/fault.h"

static folder f;

static void put_text(const char *file, const char *text) { folder_put(&f, file, ag_str(text)); }

/* ---- keys ------------------------------------------------------------------------------------ */

#define COMMON                                                                                     \
    "\"hidden_size\":64,\"intermediate_size\":96,\"num_hidden_layers\":6,"                         \
    "\"num_attention_heads\":4,\"max_position_embeddings\":512"
#define CONFIG(class, more) "{\"architectures\":[\"" class "\"]," COMMON more "}"

typedef struct expected {
    const char *config, *key;
    double number; /* NaN-free: -1 means that the key is absent */
    const char *text;
} expected;

#define ABSENT -1

static const expected keys[] = {
    {CONFIG("LlamaForCausalLM", ""), "general.architecture", 0, "llama"},
    {CONFIG("LlamaForCausalLM", ""), "llama.block_count", 6, NULL},
    {CONFIG("LlamaForCausalLM", ""), "llama.context_length", 512, NULL},
    {CONFIG("LlamaForCausalLM", ""), "llama.attention.head_count_kv", 4, NULL},
    {CONFIG("LlamaForCausalLM", ",\"num_key_value_heads\":2"), "llama.attention.head_count_kv", 2,
     NULL},
    {CONFIG("LlamaForCausalLM", ""), "llama.rope.dimension_count", 16, NULL},
    {CONFIG("LlamaForCausalLM", ""), "llama.rope.freq_base", 10000, NULL},
    {CONFIG("LlamaForCausalLM", ""), "llama.attention.key_length", ABSENT, NULL},
    {CONFIG("LlamaForCausalLM", ",\"head_dim\":32"), "llama.attention.key_length", 32, NULL},
    {CONFIG("LlamaForCausalLM", ",\"head_dim\":null"), "llama.attention.key_length", ABSENT, NULL},
    {CONFIG("LlamaForCausalLM", ",\"sliding_window\":8"), "llama.attention.sliding_window", ABSENT,
     NULL},
    /* both spellings of the rotation */
    {CONFIG("LlamaForCausalLM", ",\"rope_theta\":5e5"), "llama.rope.freq_base", 5e5, NULL},
    {CONFIG("LlamaForCausalLM",
            ",\"rope_parameters\":{\"rope_theta\":3e5,\"rope_type\":\"default\"}"),
     "llama.rope.freq_base", 3e5, NULL},
    {CONFIG("LlamaForCausalLM", ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"),
     "llama.rope.scaling.factor", 2, NULL},
    {CONFIG("LlamaForCausalLM", ",\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}"),
     "llama.rope.scaling.type", 0, "linear"},
    {CONFIG("Qwen3ForCausalLM", ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,"
                                "\"original_max_position_embeddings\":128}"),
     "qwen3.rope.scaling.original_context_length", 128, NULL},
    {CONFIG("Qwen3ForCausalLM", ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0}"),
     "qwen3.rope.scaling.original_context_length", 512, NULL},
    {CONFIG("Qwen3ForCausalLM", ""), "qwen3.attention.key_length", 128, NULL},
    {CONFIG("Qwen2ForCausalLM", ",\"use_sliding_window\":false,\"sliding_window\":8"),
     "qwen2.attention.sliding_window", ABSENT, NULL},
    {CONFIG("MistralForCausalLM", ",\"sliding_window\":8"), "llama.attention.sliding_window", 8,
     NULL},
    {CONFIG("MistralForCausalLM", ",\"sliding_window\":null"), "llama.attention.sliding_window",
     ABSENT, NULL},
    {CONFIG("GlmForCausalLM", ",\"head_dim\":16"), "chatglm.rope.dimension_count", 8, NULL},
    {CONFIG("Glm4ForCausalLM", ",\"head_dim\":16,\"partial_rotary_factor\":1.0"),
     "glm4.rope.dimension_count", 16, NULL},
    {CONFIG("Gemma3ForCausalLM", ""), "gemma3.rope.freq_base", 1e6, NULL},
    {CONFIG("Gemma3ForCausalLM", ""), "gemma3.rope.freq_base_swa", 1e4, NULL},
    {CONFIG("Gemma3ForCausalLM", ",\"rope_parameters\":{\"full_attention\":{\"rope_theta\":2e6},"
                                 "\"sliding_attention\":{\"rope_theta\":2e4}}"),
     "gemma3.rope.freq_base_swa", 2e4, NULL},
    {CONFIG("Gemma3ForCausalLM", ""), "gemma3.attention.sliding_window_pattern", ABSENT, NULL},
    {CONFIG("Gemma3ForCausalLM", ",\"sliding_window_pattern\":3"),
     "gemma3.attention.sliding_window_pattern", 3, NULL},
    {CONFIG("Gemma3ForCausalLM", ",\"query_pre_attn_scalar\":64"), "gemma3.attention.scale", 0.125,
     NULL},
    {CONFIG("Gemma3ForCausalLM", ",\"query_pre_attn_scalar\":256"), "gemma3.attention.scale",
     ABSENT, NULL},
    {CONFIG("Phi3ForCausalLM", ",\"sliding_window\":null"), "phi3.attention.sliding_window", 0,
     NULL},
    {CONFIG("GraniteForCausalLM", ",\"logits_scaling\":8"), "granite.logit_scale", 8, NULL},
    {CONFIG("MixtralForCausalLM", ",\"num_local_experts\":4,\"num_experts_per_tok\":2"),
     "llama.expert_used_count", 2, NULL},
    {CONFIG("Qwen3MoeForCausalLM",
            ",\"num_experts\":4,\"num_experts_per_tok\":2,\"norm_topk_prob\":false"),
     "qwen3moe.expert_weights_norm", 0, NULL},
    {CONFIG("Glm4MoeForCausalLM", ",\"n_routed_experts\":4,\"num_experts_per_tok\":2,"
                                  "\"num_nextn_predict_layers\":1"),
     "glm4moe.block_count", 7, NULL},
    {CONFIG("BertModel", ""), "bert.pooling_type", 1, NULL},
    {CONFIG("BertModel", ""), "tokenizer.ggml.token_type_count", 2, NULL},
    {CONFIG("BertModel", ""), "bert.attention.causal", 0, NULL},
    {"{\"model_type\":\"llama\"," COMMON "}", "general.architecture", 0, "llama"},
    /* models that see: numbers in text_config, or all at the top */
    {"{\"architectures\":[\"Glm4vForConditionalGeneration\"],\"text_config\":{" COMMON
     ",\"partial_rotary_factor\":0.5}}",
     "glm4.rope.dimension_count", 8, NULL},
    {CONFIG("Glm4vForConditionalGeneration", ",\"vision_config\":{}"), "glm4.block_count", 6, NULL},
    {"{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{\"hidden_size\":64,"
     "\"intermediate_size\":96,\"num_hidden_layers\":6,\"rope_scaling\":{\"rope_type\":\"linear\","
     "\"factor\":8.0}}}",
     "gemma3.attention.head_count_kv", 4, NULL},
};

static void empty_weights(void) { folder_write(&f, "model.safetensors"); }

static void config_json_becomes_keys(void **state) {
    (void)state;
    folder_new(&f);
    empty_weights();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const expected *e = &keys[i];
        put_text("config.json", e->config);
        ag_source *s = folder_open(&f);
        const ag_value *v = ag_source_find(s, e->key);
        float number = 0;
        ag_span text = {0};
        if (e->text)
            assert_true(ag_source_get_str(s, e->key, &text, NULL) == AG_OK &&
                        ag_span_is(text, e->text));
        else if (e->number == ABSENT && v)
            fail_msg("%s: %s should be absent", e->config, e->key);
        else if (e->number != ABSENT && (ag_source_get_f32(s, e->key, &number, NULL) != AG_OK ||
                                         number != (float)e->number))
            fail_msg("%s: %s is %g, expected %g", e->config, e->key, (double)number, e->number);
        ag_source_close(&s);
    }
    folder_free(&f);
}

static const struct {
    const char *config;
    ag_code code;
    const char *text;
} refused[] = {
    {CONFIG("MambaForCausalLM", ""), AG_E_UNSUPPORTED,
     "\"MambaForCausalLM\" is not supported; supported: Llama, "},
    {"{" COMMON "}", AG_E_UNSUPPORTED, "(not named)"},
    {"{", AG_E_FORMAT, "config.json: not valid JSON at line 1"},
    {"{\"architectures\":[\"LlamaForCausalLM\"]}", AG_E_FORMAT,
     "num_hidden_layers: expected an integer"},
    {CONFIG("LlamaForCausalLM", ",\"head_dim\":0"), AG_E_FORMAT, "head_dim is 0, expected 1 to"},
    {CONFIG("LlamaForCausalLM", ",\"head_dim\":\"x\""), AG_E_FORMAT,
     "head_dim: expected an integer from 0 to 4294967295, found a string"},
    {CONFIG("LlamaForCausalLM", ",\"hidden_act\":\"gelu\""), AG_E_UNSUPPORTED,
     "activation \"gelu\""},
    {CONFIG("LlamaForCausalLM", ",\"rope_scaling\":{\"rope_type\":\"dynamic\",\"factor\":2}"),
     AG_E_UNSUPPORTED, "rope scaling \"dynamic\" is not supported"},
    {CONFIG("LlamaForCausalLM", ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":-2}"),
     AG_E_FORMAT, "factor is -2, out of range"},
    {CONFIG("LlamaForCausalLM", ",\"rope_theta\":1e400"), AG_E_FORMAT, "config.json"},
    {CONFIG("Qwen2ForCausalLM",
            ",\"use_sliding_window\":true,\"sliding_window\":8,\"max_window_layers\":2"),
     AG_E_UNSUPPORTED, "use_sliding_window is true"},
    {CONFIG("Gemma3ForCausalLM", ",\"layer_types\":[\"full_attention\"]"), AG_E_FORMAT,
     "layer_types has 1 of 6 layers"},
    {CONFIG("Phi3ForCausalLM",
            ",\"rope_scaling\":{\"type\":\"longrope\",\"long_factor\":[1],\"short_factor\":[1]}"),
     AG_E_FORMAT, "long_factor should have 8 numbers, it has 1"},
    {CONFIG("BertModel", ",\"position_embedding_type\":\"relative_key\""), AG_E_UNSUPPORTED,
     "supported: absolute"},
    {CONFIG("Qwen3MoeForCausalLM", ",\"num_experts\":4"), AG_E_FORMAT,
     "num_experts_per_tok: expected"},
};

static void wrong_configurations_are_refused_with_the_reason(void **state) {
    (void)state;
    folder_new(&f);
    empty_weights();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        put_text("config.json", refused[i].config);
        folder_refused(&f, refused[i].code, refused[i].text);
    }
    folder_free(&f);
}

/* ---- files ----------------------------------------------------------------------------------- */

static const char llama[] = CONFIG("LlamaForCausalLM", "");
#define NORM "model.norm.weight"

static void missing_files_are_named_and_explained(void **state) {
    (void)state;
    folder_new(&f);
    folder_refused(&f, AG_E_NOT_FOUND, "is a directory without config.json");
    put_text("model.gguf", "x");
    folder_refused(&f, AG_E_NOT_FOUND, "the folder holds GGUF files");
    put_text("config.json", llama);
    put_text("pytorch_model.bin", "x");
    folder_refused(&f, AG_E_NOT_FOUND,
                   "neither model.safetensors nor model.safetensors.index.json");
    put_text("model-00001-of-00002.safetensors.incomplete", "x");
    folder_refused(&f, AG_E_NOT_FOUND, "a download is incomplete");
    put_text("model.safetensors.index.json",
             "{\"weight_map\":{\"" NORM "\":\"model-00001-of-00002.safetensors\"}}");
    folder_refused(&f, AG_E_NOT_FOUND,
                   "shard model-00001-of-00002.safetensors is missing; a download");
    folder_free(&f);
}

static void an_index_must_fit_its_shards(void **state) {
    (void)state;
    static const float norm[64];
    folder_new(&f);
    put_text("config.json", llama);
    folder_tensor(&f, NORM, "F32", "64", norm, sizeof norm);
    folder_write(&f, "a.safetensors");
    put_text("model.safetensors.index.json", "{\"weight_map\":{\"" NORM "\":\"a.safetensors\"}}");
    ag_source *s = folder_open(&f);
    assert_non_null(ag_source_find_tensor(s, "output_norm.weight"));
    ag_source_close(&s);
    put_text("model.safetensors.index.json",
             "{\"weight_map\":{\"" NORM
             "\":\"a.safetensors\",\"lm_head.weight\":\"a.safetensors\"}}");
    folder_refused(&f, AG_E_FORMAT, "tensor lm_head.weight is not in a.safetensors");
    put_text("model.safetensors.index.json",
             "{\"weight_map\":{\"" NORM "\":\"../a.safetensors\"}}");
    folder_refused(&f, AG_E_FORMAT, "\"../a.safetensors\" is not a file name");
    put_text("model.safetensors.index.json", "{\"weight_map\":{\"" NORM "\":3}}");
    folder_refused(&f, AG_E_FORMAT, "is an integer, not a name");
    put_text("model.safetensors.index.json", "{}");
    folder_refused(&f, AG_E_FORMAT, "weight_map should be an object");
    folder_free(&f);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const float numbers[64 * 64];

static void refuse_tensor(const char *config, const char *name, const char *dtype,
                          const char *shape, size_t n, ag_code code, const char *text) {
    folder_new(&f);
    put_text("config.json", config);
    folder_tensor(&f, name, dtype, shape, numbers, n);
    empty_weights();
    folder_refused(&f, code, text);
    folder_free(&f);
}

static void tensors_without_a_place_are_refused(void **state) {
    (void)state;
    refuse_tensor(llama, "model.layers.0.self_attn.q_norm.weight", "F32", "64", 256,
                  AG_E_UNSUPPORTED, "is not known in a LlamaForCausalLM");
    refuse_tensor(llama, "model.layers.x.input_layernorm.weight", "F32", "64", 256,
                  AG_E_UNSUPPORTED, "is not known");
    refuse_tensor(llama, NORM, "I32", "64", 256, AG_E_UNSUPPORTED, "dtype I32");
    refuse_tensor(llama, NORM, "F32", "", 4, AG_E_FORMAT, "has 0 dimensions");
    refuse_tensor(llama, "model.layers.0.self_attn.q_proj.weight", "F32", "10,64", 2560,
                  AG_E_FORMAT, "does not fit the number and size of the heads");
    refuse_tensor(CONFIG("Qwen3MoeForCausalLM", ",\"num_experts\":4,\"num_experts_per_tok\":2"),
                  "model.layers.0.mlp.experts.1.up_proj.weight", "F32", "2,64", 512, AG_E_FORMAT,
                  "expert 0 of 4 is missing");
    refuse_tensor(CONFIG("Qwen3MoeForCausalLM", ",\"num_experts\":4,\"num_experts_per_tok\":2"),
                  "model.layers.0.mlp.experts.4.up_proj.weight", "F32", "2,64", 512, AG_E_FORMAT,
                  "expert 4 of 4");
    refuse_tensor(CONFIG("Gemma3ForCausalLM", ""), "model.layers.0.mlp.up_proj.weight", "F8_E4M3",
                  "2,64", 128, AG_E_UNSUPPORTED, "without the parts that a quantised weight has");
    refuse_tensor(CONFIG("Qwen3MoeForCausalLM", ",\"num_experts\":4,\"num_experts_per_tok\":2"),
                  "model.layers.99999999.mlp.experts.1.up_proj.weight", "F32", "2,64", 512,
                  AG_E_FORMAT, "is in layer 99999999 of 6");
}

static void buffers_and_further_layers_are_left_out(void **state) {
    (void)state;
    folder_new(&f);
    put_text("config.json", llama);
    folder_tensor(&f, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", "8", numbers, 32);
    folder_tensor(&f, "model.layers.6.eh_proj.weight", "F32", "64,2", numbers, 512);
    empty_weights();
    ag_source *s = folder_open(&f);
    assert_int_equal(ag_source_n_tensors(s), 0);
    ag_source_close(&s);
    folder_free(&f);
}

/* Row 2p of a head is row p of the checkpoint, row 2p + 1 row p + d/2; vectors move likewise. */
static void llama_query_rows_become_pairs(void **state) {
    (void)state;
    static float w[64][64], b[64];
    for (int i = 0; i < 64; i++)
        w[i][0] = b[i] = (float)i;
    folder_new(&f);
    put_text("config.json", llama);
    folder_tensor(&f, "model.layers.3.self_attn.q_proj.weight", "F32", "64,64", w, sizeof w);
    folder_tensor(&f, "model.layers.3.self_attn.q_proj.bias", "F32", "64", b, sizeof b);
    empty_weights();
    ag_source *s = folder_open(&f);
    const ag_tensor *t = ag_source_find_tensor(s, "blk.3.attn_q.weight"),
                    *v = ag_source_find_tensor(s, "blk.3.attn_q.bias");
    static float rows[64][64], bias[64];
    const float *got = ag_tensor_read(t, 0, 64, AG_T_F32, rows);
    const float *moved = ag_tensor_read(v, 0, 1, AG_T_F32, bias);
    for (int i = 0; i < 64; i++) {
        int p = i % 16, want = i - p + p / 2 + (p % 2 ? 8 : 0);
        assert_int_equal((int)got[i * 64], want);
        assert_int_equal((int)moved[i], want);
    }
    ag_source_close(&s);
    folder_free(&f);
}

/* Of the rotating rows of a head GLM-4.1V's pairs become halves; the others stay. */
static void rows_of_models_that_see_become_halves(void **state) {
    (void)state;
    static float w[64][64];
    for (int i = 0; i < 64; i++)
        w[i][0] = (float)i;
    folder_new(&f);
    put_text("config.json",
             "{\"architectures\":[\"Glm4vForConditionalGeneration\"],\"text_config\":{" COMMON
             ",\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":1e4,"
             "\"partial_rotary_factor\":0.5,\"mrope_section\":[1,1,2]}}}");
    folder_tensor(&f, "model.language_model.layers.3.self_attn.q_proj.weight", "F32", "64,64", w,
                  sizeof w);
    folder_tensor(&f, "model.visual.post_layernorm.weight", "F32", "64", numbers, 256);
    empty_weights();
    ag_source *s = folder_open(&f);
    const ag_value *v = ag_source_find(s, "glm4.rope.dimension_sections");
    assert_int_equal(v->a.n, 4);
    assert_int_equal(ag_value_int(v, 2), 2);
    assert_int_equal(ag_source_n_tensors(s), 1);
    static float rows[64][64];
    const float *got =
        ag_tensor_read(ag_source_find_tensor(s, "blk.3.attn_q.weight"), 0, 64, AG_T_F32, rows);
    for (int i = 0; i < 64; i++) {
        int p = i % 16;
        assert_int_equal((int)got[i * 64], i - p + (p < 4 ? 2 * p : p < 8 ? 2 * (p - 4) + 1 : p));
    }
    ag_source_close(&s);
    folder_free(&f);
}

/* An allocation, a read or a mapping that fails is an error and leaks nothing. */
static void each_failure_is_survived(void **state) {
    (void)state;
    static const ag_fault kinds[] = {AG_FAULT_ALLOC, AG_FAULT_READ, AG_FAULT_MMAP};
    folder_new(&f);
    put_text("config.json",
             CONFIG("Qwen3MoeForCausalLM", ",\"num_experts\":2,\"num_experts_per_tok\":1"));
    folder_tensor(&f, NORM, "F32", "64", numbers, 256);
    folder_tensor(&f, "model.layers.0.mlp.experts.0.up_proj.weight", "F32", "2,64", numbers, 512);
    folder_tensor(&f, "model.layers.0.mlp.experts.1.up_proj.weight", "F32", "2,64", numbers, 512);
    empty_weights();
    size_t before = ag_mem_bytes(AG_ROOM_LOAD);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        ag_code code = AG_E_NOMEM;
        for (long n = 1; code; n++) {
            ag_source *s = NULL;
            ag_err err = {0};
            ag_fault_arm(kinds[k], n, false);
            code = ag_hf_open(f.path, &s, &err);
            bool fired = ag_fault_fired(kinds[k]);
            ag_fault_arm(kinds[k], 0, false);
            if (fired == !code)
                fail_msg("fault %d, %ld: %s \"%s\"", (int)kinds[k], n, ag_code_name(code), err.msg);
            ag_source_close(&s);
            assert_int_equal(ag_mem_bytes(AG_ROOM_LOAD), before);
        }
    }
    folder_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_json_becomes_keys),
        cmocka_unit_test(wrong_configurations_are_refused_with_the_reason),
        cmocka_unit_test(missing_files_are_named_and_explained),
        cmocka_unit_test(an_index_must_fit_its_shards),
        cmocka_unit_test(tensors_without_a_place_are_refused),
        cmocka_unit_test(buffers_and_further_layers_are_left_out),
        cmocka_unit_test(llama_query_rows_become_pairs),
        cmocka_unit_test(rows_of_models_that_see_become_halves),
        cmocka_unit_test(each_failure_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
