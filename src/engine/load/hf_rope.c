/* Rotary embedding: both spellings of config.json → keys, and divisors of frequencies as tensors.
 *
 * Old: rope_theta, partial_rotary_factor and rope_scaling {type or rope_type, factor, ...} at the
 * top. New (transformers 5): all of it in rope_parameters, which for Gemma 3 holds two, under
 * "full_attention" and "sliding_attention". */
#include <math.h>

#include "load/hf_parts.h"

typedef struct rope {
    ag_hf *h;
    ag_hf_keys k;          /* its `from` changes with the object asked */
    const json_t *now;     /* rope_parameters, or its part for full attention; may be NULL */
    const json_t *scaling; /* rope_scaling; may be NULL */
} rope;

/* Ask the object that holds `name`: the new spelling wins. */
static ag_hf_keys *where(rope *r, const char *name) {
    const json_t *const order[] = {r->now, r->scaling, r->h->text};
    for (size_t i = 0; i < 3; i++) {
        r->k.from = order[i];
        if (order[i] && ag_hf_cfg_has(&r->k, name))
            break;
    }
    return &r->k;
}

static double num(rope *r, const char *name, double otherwise) {
    return ag_hf_cfg_num(where(r, name), name, otherwise);
}
static bool has(rope *r, const char *name) { return ag_hf_cfg_has(where(r, name), name); }
static const char *str(rope *r, const char *name) { return ag_hf_cfg_str(where(r, name), name); }

static void fail(rope *r, ag_code code, const char *what, double value) {
    if (!r->k.code)
        r->k.code = ag_fail(r->h->err, code, "%s/config.json: %s is %g, out of range", r->h->folder,
                            what, value);
}

/* A factor that must be a sensible positive number. */
static double factor(rope *r, const char *name, double otherwise) {
    double v = num(r, name, otherwise);
    if (!(v >= 1e-3 && v <= 1e6))
        fail(r, AG_E_FORMAT, name, v);
    return v;
}

static double original_context(rope *r) {
    const char *const name = "original_max_position_embeddings";
    double v = num(r, name, num(r, "max_position_embeddings", 2048));
    if (!(v >= 1 && v <= AG_MAX_CONTEXT))
        fail(r, AG_E_FORMAT, name, v);
    return r->k.code ? 1 : v;
}

/* n float32 made here, as a tensor of one dimension. */
static float *add_vector(rope *r, const char *name, size_t n) {
    ag_source *s = r->h->s;
    float *p = r->k.code ? NULL : ag_arena_array(&s->made, n, sizeof *p);
    if (!p) {
        if (!r->k.code)
            r->k.code = ag_fail(r->h->err, AG_E_NOMEM, "out of memory for %s", name);
        return NULL;
    }
    ag_tensor t = {.name = ag_str(name),
                   .type = AG_T_F32,
                   .keep = AG_T_F32,
                   .n_dims = 1,
                   .dim = {n, 1, 1, 1},
                   .data = (const uint8_t *)p,
                   .bytes = n * sizeof *p};
    r->k.code = ag_source_add_tensor(s, &t, r->h->err);
    return p;
}

/* Llama 3 (the formula of its published model code): long waves are divided by the factor, short
 * ones stay, between them a ramp. GGUF holds the divisors. */
static void llama3(rope *r, double theta) {
    double by = factor(r, "factor", 8), low = factor(r, "low_freq_factor", 1),
           high = factor(r, "high_freq_factor", 4), old = original_context(r);
    if (!(high > low))
        fail(r, AG_E_FORMAT, "high_freq_factor", high);
    uint32_t rot = r->h->sizes.rot;
    float *out = add_vector(r, "rope_freqs.weight", rot / 2);
    for (uint32_t f = 0; out && f < rot / 2; f++) {
        double turns = old * pow(theta, -2.0 * f / rot) / (2 * 3.14159265358979323846);
        double smooth = fmin(fmax((turns - low) / (high - low), 0), 1);
        out[f] = (float)(1 / ((1 - smooth) / by + smooth));
    }
}

static double yarn_magnitude(double by, double m) { return by <= 1 ? 1 : 0.1 * m * log(by) + 1; }

/* YaRN. Readers of GGUF multiply the factor of attention by 0.1 ln(factor) + 1 themselves, but not
 * where a multiplier for the scale of scores is given (DeepSeek). */
static void yarn(rope *r) {
    double by = factor(r, "factor", 1), attention = -1;
    ag_hf_key_str(&r->k, "rope.scaling.type", "yarn");
    ag_hf_key_f32(&r->k, "rope.scaling.factor", by);
    ag_hf_key_u32(&r->k, "rope.scaling.original_context_length", (uint32_t)original_context(r));
    double all = num(r, "mscale_all_dim", 0), one = num(r, "mscale", 0);
    if (has(r, "attention_factor"))
        attention = factor(r, "attention_factor", 1);
    else if (all > 0 && one > 0)
        attention = yarn_magnitude(by, one) / yarn_magnitude(by, all);
    if (all > 0)
        ag_hf_key_f32(&r->k, "rope.scaling.yarn_log_multiplier", 0.1 * all);
    else if (attention > 0)
        attention /= yarn_magnitude(by, 1);
    if (attention > 0 && attention != 1)
        ag_hf_key_f32(&r->k, "rope.scaling.attn_factor", attention);
    double fast = factor(r, "beta_fast", 32), slow = factor(r, "beta_slow", 1);
    if (fast != 32)
        ag_hf_key_f32(&r->k, "rope.scaling.yarn_beta_fast", fast);
    if (slow != 1)
        ag_hf_key_f32(&r->k, "rope.scaling.yarn_beta_slow", slow);
    if (!ag_hf_cfg_bool(where(r, "truncate"), "truncate", true) && !r->k.code)
        r->k.code =
            ag_fail(r->h->err, AG_E_UNSUPPORTED,
                    "%s/config.json: yarn with truncate = false is not supported", r->h->folder);
}

static void divisors(rope *r, const char *from, const char *name) {
    const json_t *list = ag_hf_cfg_list(where(r, from), from);
    size_t n = r->h->sizes.rot / 2;
    if (!r->k.code && json_array_size(list) != n)
        r->k.code = ag_fail(r->h->err, AG_E_FORMAT,
                            "%s/config.json: %s should have %zu numbers, it has %zu", r->h->folder,
                            from, n, json_array_size(list));
    float *out = add_vector(r, name, n);
    for (size_t f = 0; out && f < n; f++) {
        out[f] = (float)json_number_value(json_array_get(list, f));
        if (!(out[f] > 0 && out[f] < 1e9f))
            fail(r, AG_E_FORMAT, from, (double)out[f]);
    }
}

/* LongRoPE (Phi-3): a divisor a frequency, for contexts within the original one and beyond. */
static void longrope(rope *r) {
    double old = original_context(r), now = num(r, "max_position_embeddings", old);
    double by = now / old, attention = by > 1 ? sqrt(1 + log(by) / log(old)) : 1;
    if (has(r, "attention_factor"))
        attention = factor(r, "attention_factor", 1);
    ag_hf_key_str(&r->k, "rope.scaling.type", "longrope");
    ag_hf_key_f32(&r->k, "rope.scaling.attn_factor", attention);
    divisors(r, "long_factor", "rope_factors_long.weight");
    divisors(r, "short_factor", "rope_factors_short.weight");
}

static void put_scaling(rope *r, double theta) {
    const char *type = str(r, "rope_type");
    bool phi = strcmp(r->h->cls->arch, "phi3") == 0;
    if (phi && has(r, "original_max_position_embeddings"))
        ag_hf_key_u32(&r->k, "rope.scaling.original_context_length", (uint32_t)original_context(r));
    if (!type)
        type = str(r, "type");
    if (r->k.code || !type || strcmp(type, "default") == 0 || strcmp(type, "mrope") == 0)
        return;
    if (strcmp(type, "linear") == 0) {
        ag_hf_key_str(&r->k, "rope.scaling.type", "linear");
        ag_hf_key_f32(&r->k, "rope.scaling.factor", factor(r, "factor", 1));
    } else if (strcmp(type, "yarn") == 0) {
        yarn(r);
    } else if (strcmp(type, "llama3") == 0) {
        llama3(r, theta);
    } else if (phi && (strcmp(type, "longrope") == 0 || strcmp(type, "su") == 0)) {
        longrope(r);
    } else {
        r->k.code = ag_fail(r->h->err, AG_E_UNSUPPORTED,
                            "%s/config.json: rope scaling \"%.32s\" is not supported for %s; "
                            "supported: linear, yarn, llama3%s",
                            r->h->folder, type, r->h->cls->name, phi ? ", longrope" : "");
    }
}

static void put_sections(rope *r) {
    const char *const name = "mrope_section";
    const json_t *list = ag_hf_cfg_list(where(r, name), name);
    int32_t sections[4] = {0};
    if (!list)
        return;
    for (size_t i = 0; i < 4; i++) {
        json_int_t n = json_integer_value(json_array_get(list, i));
        if (n < 0 || n > 1 << 16)
            fail(r, AG_E_FORMAT, name, (double)n);
        else
            sections[i] = (int32_t)n;
    }
    r->h->sizes.sections = true;
    ag_hf_key_array(&r->k, "rope.dimension_sections", AG_VALUE_I32, sections, 4);
}

static void put_rotation(rope *r) {
    const ag_hf_class *c = r->h->cls;
    ag_hf_sizes *z = &r->h->sizes;
    double part = num(r, "partial_rotary_factor", c->partial), rot = floor(z->d_head * part);
    if (!(rot >= 2 && rot <= z->d_head))
        fail(r, AG_E_FORMAT, "partial_rotary_factor", part);
    z->rot = r->k.code ? 2 : (uint32_t)rot;
    if (c->traits & AG_HF_ROT_KEY || z->rot != z->d_head)
        ag_hf_key_u32(&r->k, "rope.dimension_count", z->rot);
}

ag_code ag_hf_rope_read(ag_hf *h) {
    rope r = {.h = h, .k = {.h = h, .from = h->text}};
    const json_t *now = json_object_get(h->text, "rope_parameters"),
                 *full = json_object_get(now, "full_attention"),
                 *local = json_object_get(now, "sliding_attention");
    bool gemma = h->cls->traits & AG_HF_GEMMA;
    r.now = json_is_object(full) ? full : json_is_object(now) ? now : NULL;
    r.scaling = json_object_get(h->text, "rope_scaling");
    if (!json_is_object(r.scaling))
        r.scaling = NULL;
    put_rotation(&r);
    put_sections(&r);
    double theta = num(&r, "rope_theta", gemma ? 1e6 : 1e4);
    if (!(theta >= 1 && theta <= 1e12))
        fail(&r, AG_E_FORMAT, "rope_theta", theta);
    ag_hf_key_f32(&r.k, "rope.freq_base", theta);
    if (gemma) {
        double base = num(&r, "rope_local_base_freq", 1e4);
        if (json_is_object(local)) {
            r.k.from = local;
            base = ag_hf_cfg_num(&r.k, "rope_theta", base);
        }
        ag_hf_key_f32(&r.k, "rope.freq_base_swa", base);
    }
    put_scaling(&r, theta);
    return r.k.code;
}
