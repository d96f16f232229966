#include "model/rope.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"

typedef struct scaling {
    bool yarn, linear;
    float factor;
    uint32_t old_ctx;
    float beta_fast, beta_slow, attn_factor;
} scaling;

static ag_code read_scaling(const ag_source *src, const ag_model_config *c, scaling *s,
                            ag_err *err) {
    const ag_arch *a = c->arch;
    char name[128];
    snprintf(name, sizeof name, "%s.rope.scaling.type", a->name);
    ag_span type = ag_str("none");
    *s = (scaling){.factor = 1, .beta_fast = 32, .beta_slow = 1, .attn_factor = 1};
    s->old_ctx = (uint32_t)c->n_ctx;
    ag_code code;
    if ((code = ag_source_opt_str(src, name, &type, err)) ||
        (code = ag_arch_key_f32(src, a, "rope.scale_linear", false, &s->factor, err)))
        return code;
    s->linear = s->factor != 1.0f && ag_span_is(type, "none"); /* the old key alone */
    if ((code = ag_arch_key_f32(src, a, "rope.scaling.factor", false, &s->factor, err)) ||
        (code = ag_arch_key_u32(src, a, "rope.scaling.original_context_length", false, &s->old_ctx,
                                err)) ||
        (code = ag_arch_key_f32(src, a, "rope.scaling.attn_factor", false, &s->attn_factor, err)) ||
        (code =
             ag_arch_key_f32(src, a, "rope.scaling.yarn_beta_fast", false, &s->beta_fast, err)) ||
        (code = ag_arch_key_f32(src, a, "rope.scaling.yarn_beta_slow", false, &s->beta_slow, err)))
        return code;
    s->yarn = ag_span_is(type, "yarn");
    s->linear = s->linear || ag_span_is(type, "linear");
    if (!s->yarn && !s->linear && !ag_span_is(type, "none"))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: rope scaling \"%.*s\" is not supported; supported: none, linear, yarn",
                       ag_source_path(src), AG_SPAN(ag_span_sub(type, 0, 32)));
    if ((s->yarn || s->linear) && !(s->factor >= 1e-3f && s->factor <= 1e6f))
        return ag_fail(err, AG_E_FORMAT, "%s: rope scaling factor %g is out of range",
                       ag_source_path(src), (double)s->factor);
    return AG_OK;
}

static ag_code plain(const ag_model_config *c, float theta, const char *path, ag_rope *r,
                     ag_err *err) {
    if (!(theta >= 1.0f && theta <= 1e12f))
        return ag_fail(err, AG_E_FORMAT, "%s: rope base %g is out of range", path, (double)theta);
    *r = (ag_rope){.half = c->rot / 2, .magnify = 1};
    r->inv = ag_calloc(AG_ROOM_MODEL, (size_t)r->half, sizeof *r->inv);
    if (!r->inv)
        return ag_fail(err, AG_E_NOMEM, "out of memory for rope frequencies");
    /* In float32 as the reference computes it, so that far positions round alike. */
    for (int f = 0; f < r->half; f++)
        r->inv[f] = 1.0f / powf(theta, (float)(2 * f) / (float)c->rot);
    return AG_OK;
}

/* YaRN (Peng et al. 2023): high frequencies stay, low ones are divided, a ramp between. */
static void apply_yarn(const scaling *s, int rot, float theta, ag_rope *r) {
    const double pi = 3.14159265358979323846, old = s->old_ctx, base = log((double)theta);
    double low = floor(rot * log(old / ((double)s->beta_fast * 2 * pi)) / (2 * base));
    double high = ceil(rot * log(old / ((double)s->beta_slow * 2 * pi)) / (2 * base));
    low = fmax(low, 0);
    high = fmin(high, rot - 1);
    if (low == high)
        high += 0.001;
    for (int f = 0; f < r->half; f++) {
        float ramp = (float)fmin(fmax((f - low) / (high - low), 0), 1);
        r->inv[f] = r->inv[f] / s->factor * ramp + r->inv[f] * (1 - ramp);
    }
    r->magnify = s->attn_factor;
    if (s->factor > 1)
        r->magnify *= (float)(0.1 * log((double)s->factor) + 1.0);
}

/* Llama 3's scaling comes as one divisor a frequency. */
static ag_code apply_divisors(const ag_source *src, ag_rope *r, ag_err *err) {
    const ag_tensor *t = ag_source_find_tensor(src, "rope_freqs.weight");
    if (!t)
        return AG_OK;
    if (t->type != AG_T_F32 || t->n_dims != 1 || t->dim[0] != (uint64_t)r->half)
        return ag_fail(err, AG_E_FORMAT,
                       "%s: rope_freqs.weight: expected [%d] of F32, found [%llu] of type %s",
                       ag_source_path(src), r->half, (unsigned long long)t->dim[0],
                       ag_type_find(t->type)->name);
    for (int f = 0; f < r->half; f++) {
        float by;
        memcpy(&by, t->data + 4 * (size_t)f, sizeof by);
        if (!(by > 0 && by < 1e9f))
            return ag_fail(err, AG_E_FORMAT, "%s: rope_freqs.weight[%d] is %g", ag_source_path(src),
                           f, (double)by);
        r->inv[f] /= by;
    }
    return AG_OK;
}

ag_code ag_rope_full(const ag_source *src, const ag_model_config *c, ag_rope *r, ag_err *err) {
    *r = (ag_rope){0};
    float theta = 10000.0f;
    scaling s;
    ag_code code;
    if ((code = ag_arch_key_f32(src, c->arch, "rope.freq_base", false, &theta, err)) ||
        (code = read_scaling(src, c, &s, err)) ||
        (code = plain(c, theta, ag_source_path(src), r, err)))
        return code;
    if (s.yarn)
        apply_yarn(&s, c->rot, theta, r);
    else if (s.linear)
        for (int f = 0; f < r->half; f++)
            r->inv[f] /= s.factor;
    code = apply_divisors(src, r, err);
    if (code)
        ag_rope_deinit(r);
    return code;
}

ag_code ag_rope_local(const ag_source *src, const ag_model_config *c, const ag_rope *full,
                      ag_rope *r, ag_err *err) {
    *r = (ag_rope){0};
    float theta = c->arch->theta_local;
    if (theta > 0) {
        ag_code code = ag_arch_key_f32(src, c->arch, "rope.freq_base_swa", false, &theta, err);
        return code ? code : plain(c, theta, ag_source_path(src), r, err);
    }
    ag_code code = plain(c, 10000.0f, ag_source_path(src), r, err);
    if (code)
        return code;
    memcpy(r->inv, full->inv, (size_t)r->half * sizeof *r->inv);
    r->magnify = full->magnify;
    return AG_OK;
}

void ag_rope_deinit(ag_rope *r) {
    ag_free(r->inv);
    *r = (ag_rope){0};
}

void ag_rope_at(const ag_rope *r, int position, float *cos, float *sin) {
    for (int f = 0; f < r->half; f++) {
        float angle = (float)position * r->inv[f];
        cos[f] = cosf(angle) * r->magnify;
        sin[f] = sinf(angle) * r->magnify;
    }
}
