#include "engine/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"

const char *const model_names[] = {"tiny-glm",           "tiny-glm4",
                                   "tiny-llama2",        "tiny-llama3",
                                   "tiny-smollm2",       "tiny-mistral",
                                   "tiny-qwen2",         "tiny-qwen3",
                                   "tiny-qwen3-yarn",    "tiny-gemma3",
                                   "tiny-gemma3-scaled", "tiny-phi3",
                                   "tiny-phi4-mini",     "tiny-granite",
                                   "tiny-olmo2",         "tiny-olmo3",
                                   "tiny-qwen3-moe",     "tiny-mixtral",
                                   "tiny-glm4-moe",      "tiny-glm4-moe-lite",
                                   "tiny-deepseek2",     NULL};
const char *const type_names[] = {"f32",  "f16",    "bf16",   "q8_0",  "q4_0", "q4_1",
                                  "q5_0", "q5_1",   "q4_k",   "q5_k",  "q6_k", "q2_k",
                                  "q3_k", "iq4_nl", "iq4_xs", "mxfp4", NULL};

bool has_type(const char *name, const char *type) {
    FILE *f = fopen(model_path(name, type), "rb");
    if (f)
        fclose(f);
    return f != NULL;
}

bool has_experts(const char *name) {
    return strstr(name, "moe") || strstr(name, "mixtral") || strstr(name, "deepseek");
}

const char *model_path(const char *name, const char *type) {
    static _Thread_local char path[4][512];
    static _Thread_local int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s%s%s.gguf", AG_MODELS_DIR, name, type ? "-" : "",
             type ? type : "");
    return p;
}

const char *models_dir(void) { return AG_MODELS_DIR; }

uint8_t *must_read(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("cannot open %s", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    uint8_t *all = malloc(*n + 1);
    assert_int_equal(fread(all, 1, *n, f), *n);
    fclose(f);
    return all;
}

static size_t int_array(const json_t *array, int32_t **out) {
    size_t n = json_array_size(array);
    *out = calloc(n + 1, sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = (int32_t)json_integer_value(json_array_get(array, i));
    return n;
}

static void read_case(golden *g, size_t n_all, const json_t *prompt, const json_t *run,
                      golden_case *c) {
    c->text = json_string_value(json_object_get(prompt, "text"));
    c->n_ids = int_array(json_object_get(prompt, "ids"), &c->ids);
    int32_t *rows = NULL;
    c->n_rows = int_array(json_object_get(run, "rows"), &rows);
    c->rows = (uint32_t *)rows;
    size_t at = (size_t)json_integer_value(json_object_get(run, "at"));
    assert_true(c->n_ids > 0 && c->n_rows > 0 && (at + c->n_rows) * g->n_vocab <= n_all);
    c->logits = g->all + at * g->n_vocab;
    for (size_t k = 0; k < 16; k++) {
        c->greedy[k] =
            (int32_t)json_integer_value(json_array_get(json_object_get(run, "greedy"), k));
        c->margin[k] = (float)json_number_value(json_array_get(json_object_get(run, "margins"), k));
    }
}

void golden_open(golden *g, const char *name, const char *type) {
    char path[512];
    json_error_t error;
    *g = (golden){0};
    snprintf(path, sizeof path, "%s/%s.json", AG_GOLDENS_DIR, name);
    g->json = json_load_file(path, 0, &error);
    if (!g->json)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    g->n_vocab = (size_t)json_integer_value(json_object_get(g->json, "n_vocab"));
    snprintf(path, sizeof path, "%s/%s.f32", AG_GOLDENS_DIR, name);
    size_t bytes = 0;
    g->all = (float *)(void *)must_read(path, &bytes);
    const json_t *runs = json_object_get(json_object_get(g->json, "types"), type);
    for (size_t i = 0; i < 3; i++)
        read_case(g, bytes / sizeof(float), json_array_get(json_object_get(g->json, "prompts"), i),
                  json_array_get(runs, i), &g->prompt[i]);
}

json_t *embeddings_open(const char *name, const char *type, float **all, float **want) {
    json_error_t error;
    json_t *json = json_load_file(AG_GOLDENS_DIR "/embeddings.json", 0, &error);
    if (!json)
        fail_msg("embeddings.json:%d: %s", error.line, error.text);
    json_t *model = json_incref(json_object_get(json_object_get(json, "models"), name));
    size_t bytes = 0;
    *all = (float *)(void *)must_read(AG_GOLDENS_DIR "/embeddings.f32", &bytes);
    size_t at = (size_t)json_integer_value(json_object_get(json_object_get(model, "types"), type));
    size_t n = json_array_size(json_object_get(model, "prompts")) * 3 *
               (size_t)json_integer_value(json_object_get(model, "n_embd"));
    assert_true(n > 0 && at + n <= bytes / sizeof(float));
    *want = *all + at;
    json_decref(json);
    return model;
}

void golden_close(golden *g) {
    for (size_t i = 0; i < 3; i++) {
        free(g->prompt[i].ids);
        free(g->prompt[i].rows);
    }
    free(g->all);
    json_decref(g->json);
    *g = (golden){0};
}

ag_engine_opts test_opts(const char *model) {
    ag_engine_opts o = ag_engine_default();
    o.model = model;
    o.max_context_length = 256;
    o.max_sequences = 8;
    o.kv_tokens = 1024;
    o.n_threads = 1;
    o.batch_tokens = 128;
    return o;
}

ag_engine *must_open(const ag_engine_opts *opts) {
    ag_engine *engine = NULL;
    ag_err err = {0};
    ag_code code = ag_engine_open(opts, &engine, &err);
    if (code)
        fail_msg("%s: %s: %s", opts->model, ag_code_name(code), err.msg);
    assert_non_null(engine);
    return engine;
}

uint32_t vocab_of(ag_engine *engine) {
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    return info.n_vocab;
}

float *must_logits(ag_engine *engine, const int32_t *ids, size_t n) {
    float *out = malloc(n * vocab_of(engine) * sizeof *out);
    ag_err err = {0};
    if (ag_engine_logits(engine, ids, n, out, &err))
        fail_msg("logits: %s", err.msg);
    return out;
}

bool cpu_runs(const char *tier) {
    for (int t = 0; t < AG_TIERS; t++)
        if (strcmp(ag_tier_name((ag_tier)t), tier) == 0)
            return ag_cpu_runs((ag_tier)t);
    return false;
}
