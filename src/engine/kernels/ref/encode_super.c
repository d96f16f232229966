/* Fits of super-blocks, in three steps: each run gets its own scale; the largest sets the common
 * one; then integer scales and the common one are improved in turn, each judged by the error that
 * the decoder will see. */
#include "kernels/ref/encode_super.h"

#include <math.h>
#include <string.h>

#include "kernels/ref/encode.h"

enum { ROUNDS = 3 }; /* of improving the common scale */

/* ---- one scale ---- */

typedef struct source {
    const float *x, *w;
    int run, runs;
    ag_codes codes;
    float low; /* least integer scale; the greatest is -low - 1 */
} source;

/* The best integer scales near s[j] / d; returns the error. */
static float choose_scales(const source *a, const float *s, float d, int8_t *sc) {
    const float inverse = ag_encode_inverse(d);
    float sum = 0.0f;
    for (int j = 0; j < a->runs; j++) {
        const float *x = a->x + j * a->run, *w = a->w + j * a->run;
        const float near = ag_fit_nearest(s[j] * inverse, a->low, -a->low - 1.0f);
        float least = INFINITY;
        for (float k = near - 1.0f; k <= near + 1.0f; k += 1.0f) {
            if (k < a->low || k >= -a->low)
                continue;
            const float e = ag_fit_scale_error(x, w, a->run, a->codes, d * k);
            if (e < least) {
                least = e;
                sc[j] = (int8_t)(int)k;
            }
        }
        sum += least;
    }
    return sum;
}

static void values(const source *a, float d, const int8_t *sc, int8_t *v) {
    for (int j = 0; j < a->runs; j++)
        ag_fit_values(a->x + j * a->run, a->run, a->codes, d * (float)sc[j], v + j * a->run);
}

/* Least squares for d with everything else as it is. */
static float refit(const source *a, const int8_t *sc, const int8_t *v) {
    double xv = 0, vv = 0;
    for (int j = 0; j < a->runs; j++)
        for (int i = j * a->run; i < (j + 1) * a->run; i++) {
            const float u = (float)(sc[j] * v[i]), wu = a->w[i] * u;
            xv += (double)(wu * a->x[i]);
            vv += (double)(wu * u);
        }
    return vv > 0 ? (float)(xv / vv) : 0.0f;
}

void ag_super_fit(const float *x, const float *w, int run, ag_codes codes, int low, ag_super *out) {
    const source a = {x, w, run, 256 / run, codes, (float)low};
    float s[16], top = 0.0f;
    memset(out, 0, sizeof *out);
    for (int j = 0; j < a.runs; j++) {
        s[j] = ag_fit_scale(x + j * run, w + j * run, run, codes);
        top = fabsf(s[j]) > fabsf(top) ? s[j] : top;
    }
    float d = ag_encode_f16(top / a.low, &out->d);
    float least = choose_scales(&a, s, d, out->sc);
    values(&a, d, out->sc, out->v);
    for (int k = 0; k < ROUNDS; k++) {
        ag_super next = *out;
        d = ag_encode_f16(refit(&a, out->sc, out->v), &next.d);
        const float e = choose_scales(&a, s, d, next.sc);
        if (!(e < least))
            break;
        least = e;
        values(&a, d, next.sc, next.v);
        *out = next;
    }
}

/* ---- a scale and a minimum ---- */

typedef struct affine_source {
    const float *x, *w;
    int run, runs, levels;
    float top; /* greatest integer scale and minimum */
} affine_source;

/* The best integers near those of one run; returns the error. */
static float choose_pair(const affine_source *a, int j, ag_affine near, float d, float dmin,
                         uint8_t *sc, uint8_t *mn) {
    const float *x = a->x + j * a->run, *w = a->w + j * a->run;
    float least = INFINITY;
    for (float s = near.scale - 1.0f; s <= near.scale + 1.0f; s += 1.0f)
        for (float m = near.min - 1.0f; m <= near.min + 1.0f; m += 1.0f) {
            if (s < 0.0f || s > a->top || m < 0.0f || m > a->top)
                continue;
            const float e =
                ag_fit_affine_error(x, w, a->run, a->levels, (ag_affine){d * s, dmin * m});
            if (e < least) {
                least = e;
                *sc = (uint8_t)(int)s;
                *mn = (uint8_t)(int)m;
            }
        }
    return least;
}

static float choose_pairs(const affine_source *a, const ag_affine *s, float d, float dmin,
                          ag_super_affine *out) {
    const float inverse = ag_encode_inverse(d), inverse_min = ag_encode_inverse(dmin);
    float sum = 0.0f;
    for (int j = 0; j < a->runs; j++) {
        const ag_affine near = {ag_fit_nearest(s[j].scale * inverse, 0.0f, a->top),
                                ag_fit_nearest(s[j].min * inverse_min, 0.0f, a->top)};
        sum += choose_pair(a, j, near, d, dmin, &out->sc[j], &out->mn[j]);
    }
    return sum;
}

static void codes_of(const affine_source *a, float d, float dmin, ag_super_affine *out) {
    for (int j = 0; j < a->runs; j++)
        ag_fit_affine_codes(a->x + j * a->run, a->run, a->levels,
                            (ag_affine){d * (float)out->sc[j], dmin * (float)out->mn[j]},
                            out->q + j * a->run);
}

/* Least squares for d and dmin with everything else as it is. False: there is no better pair. */
static bool refit_pair(const affine_source *a, const ag_super_affine *b, float *d, float *dmin) {
    double uu = 0, ut = 0, tt = 0, xu = 0, xt = 0;
    for (int j = 0; j < a->runs; j++) {
        const float t = (float)b->mn[j];
        for (int i = j * a->run; i < (j + 1) * a->run; i++) {
            const float u = (float)(b->sc[j] * b->q[i]), w = a->w[i], x = a->x[i];
            uu += (double)(w * u * u);
            ut += (double)(w * u * t);
            tt += (double)(w * t * t);
            xu += (double)(w * x * u);
            xt += (double)(w * x * t);
        }
    }
    /* Minimise sum w (x - d u + dmin t)^2. */
    const double det = uu * tt - ut * ut;
    if (!(uu > 0))
        return false;
    *d = (float)(det > 0 ? (xu * tt - xt * ut) / det : xu / uu);
    *dmin = (float)(det > 0 ? (xu * ut - xt * uu) / det : 0.0);
    return *d > 0.0f && *dmin >= 0.0f;
}

void ag_super_fit_affine(const float *x, const float *w, int run, int levels, int top,
                         ag_super_affine *out) {
    const affine_source a = {x, w, run, 256 / run, levels, (float)top};
    ag_affine s[16];
    float most = 0.0f, most_min = 0.0f;
    memset(out, 0, sizeof *out);
    for (int j = 0; j < a.runs; j++) {
        s[j] = ag_fit_affine(x + j * run, w + j * run, run, levels, true);
        most = s[j].scale > most ? s[j].scale : most;
        most_min = s[j].min > most_min ? s[j].min : most_min;
    }
    float d = ag_encode_f16(most / a.top, &out->d);
    float dmin = ag_encode_f16(most_min / a.top, &out->dmin);
    float least = choose_pairs(&a, s, d, dmin, out);
    codes_of(&a, d, dmin, out);
    for (int k = 0; k < ROUNDS && refit_pair(&a, out, &d, &dmin); k++) {
        ag_super_affine next = *out;
        d = ag_encode_f16(d, &next.d);
        dmin = ag_encode_f16(dmin, &next.dmin);
        const float e = choose_pairs(&a, s, d, dmin, &next);
        if (!(e < least))
            break;
        least = e;
        codes_of(&a, d, dmin, &next);
        *out = next;
    }
}
