#include "cli/facts.h"

#include <stdio.h>

#include "base/limits.h"
#include "model/arch.h"

static const ag_value *find(const ag_source *g, ag_span arch, const char *key) {
    char full[192];
    if (arch.n == 0 || arch.n > 100)
        return NULL;
    snprintf(full, sizeof full, "%.*s.%s", AG_SPAN(arch), key);
    return ag_source_find(g, full);
}

static uint32_t clamp(uint64_t v) { return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v; }

static uint32_t number_of(const ag_value *v) {
    if (!v)
        return 0;
    switch (v->kind) {
    case AG_VALUE_U8:
    case AG_VALUE_U16:
    case AG_VALUE_U32:
    case AG_VALUE_U64:
        return clamp(v->u);
    case AG_VALUE_I8:
    case AG_VALUE_I16:
    case AG_VALUE_I32:
    case AG_VALUE_I64:
        return v->i < 0 ? 0 : clamp((uint64_t)v->i);
    default:
        return 0;
    }
}

static bool is_number_array(const ag_value *v) {
    return v && v->kind == AG_VALUE_ARRAY && v->a.kind != AG_VALUE_STRING && v->a.n > 0 &&
           v->a.n <= AG_MAX_LAYERS;
}

/* A number, or the largest of an array with one number per layer; *sum adds up the layers. */
static uint32_t per_layer(const ag_value *v, uint32_t layers, uint64_t *sum) {
    if (!is_number_array(v)) {
        uint32_t n = number_of(v);
        *sum = (uint64_t)n * layers;
        return n;
    }
    uint64_t most = 0;
    *sum = 0;
    for (uint64_t i = 0; i < v->a.n; i++) {
        int64_t n = ag_value_int(v, i);
        uint64_t u = n < 0 || n > UINT32_MAX ? 0 : (uint64_t)n;
        *sum += u;
        most = u > most ? u : most;
    }
    return clamp(most);
}

static ag_span text_of(const ag_source *g, const char *key) {
    const ag_value *v = ag_source_find(g, key);
    return v && v->kind == AG_VALUE_STRING ? v->s : (ag_span){0};
}

static void read_shape(const ag_source *g, ag_cli_facts *f) {
    uint64_t sum = 0;
    f->layers = number_of(find(g, f->arch, "block_count"));
    f->embd = number_of(find(g, f->arch, "embedding_length"));
    f->ff = per_layer(find(g, f->arch, "feed_forward_length"), f->layers, &sum);
    f->ctx = number_of(find(g, f->arch, "context_length"));
    f->window = number_of(find(g, f->arch, "attention.sliding_window"));
    f->heads = per_layer(find(g, f->arch, "attention.head_count"), f->layers, &sum);
    f->kv_heads = per_layer(find(g, f->arch, "attention.head_count_kv"), f->layers, &sum);
    if (f->kv_heads == 0) {
        f->kv_heads = f->heads;
        sum = (uint64_t)f->heads * f->layers;
    }
    f->kv_heads_all = clamp(sum);
    f->key_len = number_of(find(g, f->arch, "attention.key_length"));
    f->value_len = number_of(find(g, f->arch, "attention.value_length"));
    if (f->key_len == 0 && f->heads > 0)
        f->key_len = f->embd / f->heads;
    if (f->value_len == 0)
        f->value_len = f->key_len;
    uint32_t latent = number_of(find(g, f->arch, "attention.kv_lora_rank"));
    if (latent > 0) { /* one vector a token and layer is cached, with the part that rotates */
        f->kv_heads = 1;
        f->kv_heads_all = f->layers;
        f->key_len = clamp((uint64_t)latent + number_of(find(g, f->arch, "rope.dimension_count")));
        f->value_len = 0;
    }
    const ag_arch *arch = ag_arch_find(f->arch);
    f->encodes = arch && arch->encoder;
    if (f->encodes)
        f->kv_heads_all = f->kv_heads;
    f->experts = number_of(find(g, f->arch, "expert_count"));
    f->experts_used = number_of(find(g, f->arch, "expert_used_count"));
    const ag_value *tokens = ag_source_find(g, "tokenizer.ggml.tokens");
    f->vocab = tokens && tokens->kind == AG_VALUE_ARRAY ? tokens->a.n : 0;
}

/* Of bytes or parameters in an expert tensor, the part that one token uses. */
static uint64_t used_share(const ag_cli_facts *f, const ag_tensor *t, uint64_t n) {
    bool is_expert = ag_span_find(t->name, ag_str("_exps."), 0) != SIZE_MAX;
    if (!is_expert || f->experts == 0 || f->experts_used >= f->experts)
        return n;
    return (uint64_t)((double)n * f->experts_used / f->experts);
}

uint64_t ag_cli_tensor_bytes(const ag_tensor *t) {
    uint64_t n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
    return t->keep == t->type ? t->bytes : ag_type_bytes(t->keep, (size_t)n);
}

static void add_tensor(ag_cli_facts *f, const ag_tensor *t) {
    uint64_t n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
    ag_cli_type_sum *sum = &f->by_type[t->keep];
    uint64_t bytes = ag_cli_tensor_bytes(t);
    sum->tensors++;
    sum->params += n;
    sum->bytes += bytes;
    f->params += n;
    f->tensor_bytes += bytes;
    if ((uint32_t)t->file + 1 > f->n_files)
        f->n_files = (uint32_t)t->file + 1;
    if (!(f->has_output && ag_span_is(t->name, "token_embd.weight")))
        f->decode_bytes += used_share(f, t, bytes);
    if (t->n_dims >= 2 && ag_span_starts(t->name, ag_str("blk.")))
        f->prefill_params += used_share(f, t, n);
}

void ag_cli_facts_read(const ag_source *g, ag_cli_facts *f) {
    *f = (ag_cli_facts){.file_type = UINT32_MAX, .n_files = 1};
    f->arch = text_of(g, "general.architecture");
    f->name = text_of(g, "general.name");
    f->license = text_of(g, "general.license");
    f->tokenizer = text_of(g, "tokenizer.ggml.model");
    f->pre = text_of(g, "tokenizer.ggml.pre");
    f->chat_template = text_of(g, "tokenizer.chat_template");
    const ag_value *type = ag_source_find(g, "general.file_type");
    if (type)
        f->file_type = number_of(type);
    read_shape(g, f);
    f->has_output = ag_source_find_tensor(g, "output.weight") != NULL;
    for (size_t i = 0; i < ag_source_n_tensors(g); i++)
        add_tensor(f, ag_source_tensor_at(g, i));
    f->main_type = AG_T_F32;
    for (int t = 0; t < AG_T_LIMIT; t++)
        if (f->by_type[t].params > f->by_type[f->main_type].params)
            f->main_type = (ag_type)t;
}

const char *ag_cli_mixture(const ag_cli_facts *f) {
    static const char *const names[] = {
        [0] = "F32",      [1] = "F16",      [2] = "Q4_0",    [3] = "Q4_1",    [7] = "Q8_0",
        [8] = "Q5_0",     [9] = "Q5_1",     [10] = "Q2_K",   [11] = "Q3_K_S", [12] = "Q3_K_M",
        [13] = "Q3_K_L",  [14] = "Q4_K_S",  [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",
        [18] = "Q6_K",    [19] = "IQ2_XXS", [20] = "IQ2_XS", [21] = "Q2_K_S", [22] = "IQ3_XS",
        [23] = "IQ3_XXS", [24] = "IQ1_S",   [25] = "IQ4_NL", [26] = "IQ3_S",  [27] = "IQ3_M",
        [28] = "IQ2_S",   [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",  [32] = "BF16",
        [36] = "TQ1_0",   [37] = "TQ2_0",   [38] = "MXFP4",
    };
    return f->file_type < sizeof names / sizeof *names ? names[f->file_type] : NULL;
}

uint64_t ag_cli_kv_bytes(const ag_cli_facts *f, ag_kv_type type, uint64_t n_tokens) {
    const ag_kernels *k = ag_kernels_get(NULL);
    if (!k || f->key_len == 0 || f->key_len % 16 != 0 || f->value_len % 16 != 0 ||
        f->key_len > 65536 || f->value_len > 65536)
        return 0;
    uint64_t blocks = (n_tokens + AG_KV_BLOCK - 1) / AG_KV_BLOCK;
    uint64_t head = k->kv[type].k_bytes((int)f->key_len) + k->kv[type].v_bytes((int)f->value_len);
    return blocks * head * f->kv_heads_all;
}
