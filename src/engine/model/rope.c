#include "model/rope.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "base/mem.h"

typedef struct scaling {
    bool yarn, linear, longrope;
    float factor;
    uint32_t old_ctx;
    float beta_fast, beta_slow;
    float attn_factor; /* 0: the file gives none */
    float log_mul;     /* not 0: YaRN's factor is in the scale of scores (config.c) */
} scaling;

static ag_code read_scaling(const ag_source *src, const ag_model_config *c, scaling *s,
                            ag_err *err) {
    const ag_arch *a = c->arch;
    char name[128];
    snprintf(name, sizeof name, "%s.rope.scaling.type", a->name);
    ag_span type = ag_str("none");
    *s = (scaling){.factor = 1, .beta_fast = 32, .beta_slow = 1};
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
        (code = ag_yarn_log_multiplier(src, a, &s->log_mul, err)) ||
        (code =
             ag_arch_key_f32(src, a, "rope.scaling.yarn_beta_fast", false, &s->beta_fast, err)) ||
        (code = ag_arch_key_f32(src, a, "rope.scaling.yarn_beta_slow", false, &s->beta_slow, err)))
        return code;
    s->yarn = ag_span_is(type, "yarn");
    s->linear = s->linear || ag_span_is(type, "linear");
    s->longrope = ag_span_is(type, "longrope") || /* not every file of Phi says so */
                  ag_source_find_tensor(src, "rope_factors_long.weight");
    if (!s->yarn && !s->linear && !s->longrope && !ag_span_is(type, "none"))
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s: rope scaling \"%.*s\" is not supported; supported: none, linear, yarn, "
                       "longrope",
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
    r->magnify = s->attn_factor > 0 ? s->attn_factor : 1;
    if (s->factor > 1 && s->log_mul == 0)
        r->magnify *= (float)(0.1 * log((double)s->factor) + 1.0);
}

/* inv[half] divided by the elements of a tensor. */
static ag_code divide(const ag_source *src, const char *name, float *inv, int half, ag_err *err) {
    const ag_tensor *t = ag_source_find_tensor(src, name);
    if (!t)
        return ag_fail(err, AG_E_FORMAT, "%s: tensor %s is missing", ag_source_path(src), name);
    if (t->type != AG_T_F32 || t->n_dims != 1 || t->dim[0] != (uint64_t)half || t->view)
        return ag_fail(err, AG_E_FORMAT, "%s: %s: expected [%d] of F32, found [%llu] of type %s",
                       ag_source_path(src), name, half, (unsigned long long)t->dim[0],
                       ag_type_find(t->type)->name);
    for (int f = 0; f < half; f++) {
        float by;
        memcpy(&by, t->data + 4 * (size_t)f, sizeof by);
        if (!(by > 0 && by < 1e9f))
            return ag_fail(err, AG_E_FORMAT, "%s: %s[%d] is %g", ag_source_path(src), name, f,
                           (double)by);
        inv[f] /= by;
    }
    return AG_OK;
}

/* Llama 3's scaling comes as one divisor a frequency. */
static ag_code apply_divisors(const ag_source *src, ag_rope *r, ag_err *err) {
    const char *name = "rope_freqs.weight";
    return ag_source_find_tensor(src, name) ? divide(src, name, r->inv, r->half, err) : AG_OK;
}

/* LongRoPE: two sets of divisors, and one factor of attention for both. */
static ag_code apply_longrope(const ag_source *src, const ag_model_config *c, const scaling *s,
                              ag_rope *r, ag_err *err) {
    r->far = ag_calloc(AG_ROOM_MODEL, (size_t)r->half, sizeof *r->far);
    if (!r->far)
        return ag_fail(err, AG_E_NOMEM, "out of memory for rope frequencies");
    memcpy(r->far, r->inv, (size_t)r->half * sizeof *r->inv);
    r->far_from = s->old_ctx > INT_MAX ? INT_MAX : (int)s->old_ctx;
    float longer = (float)c->n_ctx / (float)s->old_ctx;
    if (s->attn_factor > 0)
        r->magnify = s->attn_factor;
    else if (longer > 1 && s->old_ctx > 1)
        r->magnify = sqrtf(1 + logf(longer) / logf((float)s->old_ctx));
    ag_code code = divide(src, "rope_factors_short.weight", r->inv, r->half, err);
    return code ? code : divide(src, "rope_factors_long.weight", r->far, r->half, err);
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
    code = s.longrope ? apply_longrope(src, c, &s, r, err) : apply_divisors(src, r, err);
    if (code)
        ag_rope_deinit(r);
    return code;
}

ag_code ag_rope_local(const ag_source *src, const ag_model_config *c, const ag_rope *full,
                      ag_rope *r, ag_err *err) {
    *r = (ag_rope){0};
    const ag_arch *a = c->arch;
    float theta = a->theta_local > 0 ? a->theta_local : 10000.0f;
    if (a->theta_local > 0 || a->local_unscaled) {
        ag_code code = AG_OK;
        if (a->local_unscaled)
            code = ag_arch_key_f32(src, a, "rope.freq_base", false, &theta, err);
        if (!code)
            code = ag_arch_key_f32(src, a, "rope.freq_base_swa", false, &theta, err);
        return code ? code : plain(c, theta, ag_source_path(src), r, err);
    }
    size_t bytes = (size_t)full->half * sizeof *full->inv;
    r->inv = ag_alloc(AG_ROOM_MODEL, bytes);
    r->far = full->far ? ag_alloc(AG_ROOM_MODEL, bytes) : NULL;
    if (!r->inv || (full->far && !r->far)) {
        ag_rope_deinit(r);
        return ag_fail(err, AG_E_NOMEM, "out of memory for rope frequencies");
    }
    memcpy(r->inv, full->inv, bytes);
    if (full->far)
        memcpy(r->far, full->far, bytes);
    r->half = full->half;
    r->magnify = full->magnify;
    r->far_from = full->far_from;
    return AG_OK;
}

void ag_rope_fit(ag_rope *r, int max_context) {
    if (r->far && max_context > r->far_from)
        memcpy(r->inv, r->far, (size_t)r->half * sizeof *r->inv);
}

void ag_rope_deinit(ag_rope *r) {
    ag_free(r->inv);
    ag_free(r->far);
    *r = (ag_rope){0};
}

void ag_rope_at(const ag_rope *r, int position, float *cos, float *sin) {
    for (int f = 0; f < r->half; f++) {
        float angle = (float)position * r->inv[f];
        cos[f] = cosf(angle) * r->magnify;
        sin[f] = sinf(angle) * r->magnify;
    }
}
