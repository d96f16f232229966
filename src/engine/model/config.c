#include "model/config.h"

#include <math.h>
#include <stdio.h>

#include "base/limits.h"

static void full_key(const ag_arch *a, const char *key, char out[128]) {
    snprintf(out, 128, "%s.%s", a->name, key);
}

ag_code ag_arch_key_u32(const ag_source *src, const ag_arch *a, const char *key, bool required,
                        uint32_t *out, ag_err *err) {
    char name[128];
    full_key(a, key, name);
    return required ? ag_source_get_u32(src, name, out, err)
                    : ag_source_opt_u32(src, name, out, err);
}

ag_code ag_arch_key_f32(const ag_source *src, const ag_arch *a, const char *key, bool required,
                        float *out, ag_err *err) {
    char name[128];
    full_key(a, key, name);
    return required ? ag_source_get_f32(src, name, out, err)
                    : ag_source_opt_f32(src, name, out, err);
}

/* Head counts and layer sizes are scalars in these families; newer files may repeat them per layer
 * in an array, which is fine as long as all agree. */
ag_code ag_arch_key_size(const ag_source *src, const ag_arch *a, const char *key, bool required,
                         uint32_t max, int *out, ag_err *err) {
    char name[128];
    full_key(a, key, name);
    const ag_value *v = ag_source_find(src, name);
    uint32_t x = (uint32_t)*out;
    if (v && v->kind == AG_VALUE_ARRAY && v->a.kind != AG_VALUE_STRING && v->a.n > 0) {
        int64_t first = ag_value_int(v, 0);
        for (uint64_t i = 1; i < v->a.n; i++)
            if (ag_value_int(v, i) != first)
                return ag_fail(err, AG_E_UNSUPPORTED,
                               "%s: %s differs between layers, which is not supported",
                               ag_source_path(src), name);
        x = first < 0 || first > UINT32_MAX ? UINT32_MAX : (uint32_t)first;
    } else {
        ag_code code = ag_arch_key_u32(src, a, key, required, &x, err);
        if (code)
            return code;
    }
    if (x < 1 || x > max)
        return ag_fail(err, AG_E_FORMAT, "%s: %s is %u, expected 1 to %u", ag_source_path(src),
                       name, x, max);
    *out = (int)x;
    return AG_OK;
}

static ag_code read_sizes(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    ag_code code;
    if ((code = ag_arch_key_size(src, a, "block_count", true, AG_MAX_LAYERS, &c->n_layers, err)) ||
        (code = ag_arch_key_size(src, a, "embedding_length", true, 1 << 20, &c->n_embd, err)) ||
        (code = ag_arch_key_size(src, a, "feed_forward_length", true, 1 << 22, &c->n_ff, err)) ||
        (code = ag_arch_key_size(src, a, "attention.head_count", true, AG_MAX_HEADS, &c->n_heads,
                                 err)))
        return code;
    c->n_kv_heads = c->n_heads;
    c->d_head = c->n_embd / c->n_heads;
    c->n_ctx = 2048;
    if ((code = ag_arch_key_size(src, a, "attention.head_count_kv", false, AG_MAX_HEADS,
                                 &c->n_kv_heads, err)) ||
        (code = ag_arch_key_size(src, a, "attention.key_length", false, 4096, &c->d_head, err)) ||
        (code = ag_arch_key_size(src, a, "context_length", false, AG_MAX_CONTEXT, &c->n_ctx, err)))
        return code;
    uint32_t nextn = 0;
    if ((code = ag_arch_key_u32(src, a, "nextn_predict_layers", false, &nextn, err)))
        return code;
    if (nextn >= (uint32_t)c->n_layers)
        return ag_fail(err, AG_E_FORMAT, "%s: nextn_predict_layers is %u of %d blocks",
                       ag_source_path(src), nextn, c->n_layers);
    c->n_layers -= (int)nextn; /* the last blocks only predict further tokens */
    return AG_OK;
}

/* What plain attention needs of the sizes of heads. */
static ag_code check_heads(const ag_source *src, const ag_model_config *c, ag_err *err) {
    int d_value = c->d_head;
    ag_code code =
        ag_arch_key_size(src, c->arch, "attention.value_length", false, 4096, &d_value, err);
    if (code)
        return code;
    if (c->n_heads % c->n_kv_heads)
        return ag_fail(err, AG_E_FORMAT, "%s: %d query heads cannot share %d kv heads",
                       ag_source_path(src), c->n_heads, c->n_kv_heads);
    if (d_value != c->d_head)
        return ag_fail(err, AG_E_UNSUPPORTED, "%s: keys of %d and values of %d per head differ",
                       ag_source_path(src), c->d_head, d_value);
    if (c->d_head < 16 || c->d_head % 16)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: head size %d is not a multiple of 16, which the kernels need",
                       ag_source_path(src), c->d_head);
    return AG_OK;
}

static ag_code read_window(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    if (a->window == AG_WINDOW_NONE)
        return AG_OK;
    uint32_t window = 0, pattern = a->window_pattern;
    ag_code code = ag_arch_key_u32(src, a, "attention.sliding_window", false, &window, err);
    char name[128];
    full_key(a, "attention.sliding_window_pattern", name);
    const ag_value *v = ag_source_find(src, name);
    if (!code && v && v->kind != AG_VALUE_ARRAY)
        code = ag_source_get_u32(src, name, &pattern, err);
    if (code)
        return code;
    if (v && v->kind == AG_VALUE_ARRAY) { /* one flag a layer: must be a period; all set: 0 */
        pattern = 0;
        for (uint64_t i = 0; i < v->a.n && v->a.kind != AG_VALUE_STRING; i++)
            if (!ag_value_int(v, i)) {
                pattern = (uint32_t)i + 1;
                break;
            }
        for (uint64_t i = 0; i < v->a.n && v->a.kind != AG_VALUE_STRING; i++)
            if ((ag_value_int(v, i) != 0) != (pattern == 0 || (i + 1) % pattern != 0))
                return ag_fail(err, AG_E_UNSUPPORTED, "%s: %s is not periodic", ag_source_path(src),
                               name);
    }
    c->window = window > AG_MAX_CONTEXT ? 0 : (int)window;
    c->window_pattern = pattern > AG_MAX_LAYERS ? (int)AG_MAX_LAYERS + 1 : (int)pattern;
    return AG_OK;
}

static ag_code read_rotation(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    if (a->encoder)
        return AG_OK;
    uint32_t rot = (uint32_t)c->d_head;
    ag_code code = ag_arch_key_u32(src, a, "rope.dimension_count", false, &rot, err);
    if (code)
        return code;
    if (rot < 2 || rot % 2 || rot > (uint32_t)c->d_head)
        return ag_fail(err, AG_E_FORMAT, "%s: %s.rope.dimension_count is %u of a head of %d",
                       ag_source_path(src), a->name, rot, c->d_head);
    c->rot = (int)rot;
    char name[128];
    full_key(a, "rope.dimension_sections", name);
    c->half_pairs = a->pairing == AG_PAIR_HALF ||
                    (a->pairing == AG_PAIR_GLM4 && ag_source_find(src, name) != NULL);
    return AG_OK;
}

static ag_code read_scales(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    c->rms_eps = 1e-5f;
    /* Gemma 3 27B, told by its 62 layers, scales by hidden size over heads. */
    int base = a->embed_scale && c->n_layers == 62 ? c->n_embd / c->n_heads : c->d_head;
    if (c->mla.rank > 0)
        base = c->mla.nope + c->mla.rope;
    c->attn_scale = 1.0f / sqrtf((float)base);
    float log_mul = 0, factor = 1;
    const char *eps =
        a->encoder ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    ag_code code;
    if ((code = ag_yarn_log_multiplier(src, a, &log_mul, err)) ||
        (code = ag_arch_key_f32(src, a, "rope.scaling.factor", false, &factor, err)))
        return code;
    if (log_mul != 0 && factor > 1) {
        float m = 1.0f + log_mul * logf(factor);
        c->attn_scale *= m * m;
    }
    if ((code = ag_arch_key_f32(src, a, eps, true, &c->rms_eps, err)) ||
        (code = ag_arch_key_f32(src, a, "attention.scale", false, &c->attn_scale, err)) ||
        (code = ag_arch_key_f32(src, a, "final_logit_softcapping", false, &c->logit_softcap, err)))
        return code;
    if (!(c->rms_eps >= 0 && c->rms_eps < 1) || !isfinite(c->attn_scale) ||
        !(c->logit_softcap >= 0 && c->logit_softcap < 1e6f))
        return ag_fail(err, AG_E_FORMAT,
                       "%s: epsilon %g, attention scale %g or soft cap %g is out of "
                       "range",
                       ag_source_path(src), (double)c->rms_eps, (double)c->attn_scale,
                       (double)c->logit_softcap);
    return AG_OK;
}

/* Granite's multipliers. Its logits are divided by what the file calls their scale. */
static ag_code read_multipliers(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    float divisor = 1;
    bool rotates = true;
    char name[128];
    full_key(a, "rope.scaling.finetuned", name);
    c->embed_scale = a->embed_scale ? sqrtf((float)c->n_embd) : 1;
    c->residual_scale = c->logit_scale = 1;
    if (!a->multipliers)
        return AG_OK;
    ag_code code;
    if ((code = ag_arch_key_f32(src, a, "embedding_scale", false, &c->embed_scale, err)) ||
        (code = ag_arch_key_f32(src, a, "residual_scale", false, &c->residual_scale, err)) ||
        (code = ag_arch_key_f32(src, a, "logit_scale", false, &divisor, err)) ||
        (code = ag_source_opt_bool(src, name, &rotates, err)))
        return code;
    if (!rotates)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: %s is false: a model without rotary positions is not supported",
                       ag_source_path(src), name);
    if (!isfinite(c->embed_scale) || !isfinite(c->residual_scale) || !isfinite(1 / divisor))
        return ag_fail(
            err, AG_E_FORMAT,
            "%s: embedding scale %g, residual scale %g or logit scale %g is out of range",
            ag_source_path(src), (double)c->embed_scale, (double)c->residual_scale,
            (double)divisor);
    c->logit_scale = 1 / divisor;
    return AG_OK;
}

/* Whether tokens see later ones is a property of the row; a file that says otherwise would be
 * computed wrongly. */
static ag_code read_pooling(const ag_source *src, ag_model_config *c, ag_err *err) {
    const ag_arch *a = c->arch;
    bool causal = !a->encoder;
    char name[128];
    full_key(a, "attention.causal", name);
    ag_code code = ag_source_opt_bool(src, name, &causal, err);
    if (code)
        return code;
    if (causal == a->encoder)
        return ag_fail(err, AG_E_UNSUPPORTED, "%s: %s is %s, which is not supported for this one",
                       ag_source_path(src), name, causal ? "true" : "false");
    uint32_t kind = 0;
    if ((code = ag_arch_key_u32(src, a, "pooling_type", false, &kind, err)))
        return code;
    if (kind > AG_POOLING_LAST)
        return ag_fail(
            err, AG_E_UNSUPPORTED,
            "%s: pooling_type %u is not supported; supported: 1 (mean), 2 (cls), 3 (last)",
            ag_source_path(src), kind);
    c->pooling = (ag_pooling)kind;
    if (a->encoder && c->pooling == AG_POOLING_MODEL)
        c->pooling = AG_POOLING_MEAN;
    return AG_OK;
}

ag_code ag_model_config_read(const ag_source *src, ag_model_config *c, ag_err *err) {
    *c = (ag_model_config){0};
    ag_span name;
    ag_code code = ag_source_get_str(src, "general.architecture", &name, err);
    if (code)
        return code;
    c->arch = ag_arch_find(name);
    if (!c->arch)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: architecture \"%.*s\" is not supported; supported: %s",
                       ag_source_path(src), AG_SPAN(ag_span_sub(name, 0, 64)), ag_arch_supported());
    if ((code = read_sizes(src, c, err)) ||
        (code = c->arch->latent ? ag_mla_config_read(src, c, err) : check_heads(src, c, err)) ||
        (code = read_window(src, c, err)) || (code = read_rotation(src, c, err)) ||
        (code = read_scales(src, c, err)) || (code = read_multipliers(src, c, err)) ||
        (code = ag_moe_config_read(src, c, err)) || (code = read_pooling(src, c, err)))
        return code;
    return AG_OK;
}
