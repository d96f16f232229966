/* Searches for scales: see encode_fit.h. */
#include "kernels/ref/encode_fit.h"

#include <math.h>

#include "kernels/blocks.h"
#include "kernels/ref/clones.h"

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 8, REFINE = 3 };

INLINE float fold(const float a[LANES]) {
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* The nearest entry of the table: each threshold passed adds the gap to the next entry. */
INLINE float nearest_iq4(float v) {
    static const float values[16] = {AG_IQ4_VALUES};
    float sum = values[0];
    for (int j = 0; j < 15; j++)
        sum += v > (values[j] + values[j + 1]) * 0.5f ? values[j + 1] - values[j] : 0.0f;
    return sum;
}

INLINE float lowest(ag_codes codes) {
    return codes == AG_CODES_3   ? -4.0f
           : codes == AG_CODES_4 ? -8.0f
           : codes == AG_CODES_5 ? -16.0f
           : codes == AG_CODES_6 ? -32.0f
                                 : -127.0f;
}
INLINE float highest(ag_codes codes) {
    return codes == AG_CODES_8 ? 127.0f : codes == AG_CODES_IQ4 ? 113.0f : -lowest(codes) - 1.0f;
}

INLINE float nearest(ag_codes codes, float v) {
    return codes == AG_CODES_IQ4 ? nearest_iq4(v)
                                 : ag_fit_nearest(v, lowest(codes), highest(codes));
}

/* The value of largest magnitude. */
INLINE float signed_top(const float *x, int n) {
    float low = x[0], high = x[0];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    return -low > high ? low : high;
}

/* For the codes nearest to x * inverse: the best scale, and by how much it lowers sum w x^2. */
INLINE float refit(const float *x, const float *w, int n, ag_codes codes, float inverse,
                   float *gain) {
    float xv[LANES] = {0}, vv[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float v = nearest(codes, x[i + l] * inverse), wv = w[i + l] * v;
            xv[l] += wv * x[i + l];
            vv[l] += wv * v;
        }
    const float a = fold(xv), b = fold(vv);
    *gain = b > 0.0f ? a * a / b : -1.0f;
    return b > 0.0f ? a / b : 0.0f;
}

/* Steps of the grid, as parts of the lowest code: coarse codes gain from clipping or stretching
 * more than fine ones. */
INLINE float fit_scale(const float *x, const float *w, int n, ag_codes codes) {
    const float top = signed_top(x, n);
    if (top == 0.0f)
        return 0.0f;
    const float low = lowest(codes);
    const float step = codes == AG_CODES_IQ4 || codes == AG_CODES_8 ? 4.0f : 0.1f;
    float best = top / low, gain, most = -1.0f;
    for (int k = -9; k <= 9; k++) {
        const float scale = refit(x, w, n, codes, (low + (float)k * step) / top, &gain);
        if (gain > most) {
            most = gain;
            best = scale;
        }
    }
    for (int k = 0; k < REFINE && best != 0.0f; k++) {
        const float scale = refit(x, w, n, codes, 1.0f / best, &gain);
        if (!(gain > most))
            break;
        most = gain;
        best = scale;
    }
    return best;
}

INLINE float inverse_of(float scale) { return scale == 0.0f ? 0.0f : 1.0f / scale; }

INLINE float scale_error(const float *x, const float *w, int n, ag_codes codes, float scale) {
    const float inverse = inverse_of(scale);
    float sum[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float e = x[i + l] - scale * nearest(codes, x[i + l] * inverse);
            sum[l] += w[i + l] * e * e;
        }
    return fold(sum);
}

INLINE void values_of(const float *x, int n, ag_codes codes, float scale, int8_t *values) {
    const float inverse = inverse_of(scale);
    for (int i = 0; i < n; i++)
        values[i] = (int8_t)(int)nearest(codes, x[i] * inverse);
}

/* Each kind of codes gets its own loops. */
#define EACH(f, ...)                                                                               \
    switch (codes) {                                                                               \
    case AG_CODES_3:                                                                               \
        return f(__VA_ARGS__, AG_CODES_3);                                                         \
    case AG_CODES_4:                                                                               \
        return f(__VA_ARGS__, AG_CODES_4);                                                         \
    case AG_CODES_5:                                                                               \
        return f(__VA_ARGS__, AG_CODES_5);                                                         \
    case AG_CODES_6:                                                                               \
        return f(__VA_ARGS__, AG_CODES_6);                                                         \
    case AG_CODES_8:                                                                               \
        return f(__VA_ARGS__, AG_CODES_8);                                                         \
    default:                                                                                       \
        return f(__VA_ARGS__, AG_CODES_IQ4);                                                       \
    }

AG_CLONES static float clone_fit_scale(const float *x, const float *w, int n,
                                       ag_codes codes){EACH(fit_scale, x, w, n)}

/* The kind comes last in EACH. */
#define ERROR(x, w, n, scale, codes) scale_error(x, w, n, codes, scale)
AG_CLONES static float clone_fit_scale_error(const float *x, const float *w, int n, ag_codes codes,
                                             float scale){EACH(ERROR, x, w, n, scale)}

#define VALUES(x, n, scale, values, codes) values_of(x, n, codes, scale, values)
AG_CLONES static void clone_fit_values(const float *x, int n, ag_codes codes, float scale,
                                       int8_t *values) {
    EACH(VALUES, x, n, scale, values)
}

/* Sums over a run that the fits of one run share. */
typedef struct moments {
    float w, wx;
} moments;

/* For the codes nearest to (x + min) / scale: least squares for scale and minimum, and by how much
 * they lower sum w x^2. */
INLINE ag_affine refit_affine(const float *x, const float *w, int n, int levels, bool down,
                              moments m, float inverse, float min, float *gain) {
    float q1[LANES] = {0}, q2[LANES] = {0}, xq[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float q = ag_fit_nearest((x[i + l] + min) * inverse, 0.0f, (float)levels);
            const float wq = w[i + l] * q;
            q1[l] += wq;
            q2[l] += wq * q;
            xq[l] += wq * x[i + l];
        }
    const double s1 = fold(q1), s2 = fold(q2), sx = fold(xq), w0 = m.w, wx = m.wx;
    const double det = w0 * s2 - s1 * s1;
    double scale = 0, base = 0;
    if (det > 0) {
        scale = (w0 * sx - wx * s1) / det;
        base = (s2 * wx - s1 * sx) / det;
    }
    if (!(det > 0) || (down && base > 0)) {
        scale = s2 > 0 ? sx / s2 : 0;
        base = 0;
    }
    if (!(scale > 0)) {
        *gain = -1.0f;
        return (ag_affine){0.0f, min};
    }
    *gain = (float)(2 * (scale * sx + base * wx) - scale * scale * s2 - 2 * scale * base * s1 -
                    base * base * w0);
    return (ag_affine){(float)scale, (float)-base};
}

AG_CLONES static ag_affine clone_fit_affine(const float *x, const float *w, int n, int levels,
                                            bool down) {
    float low = x[0], high = x[0], sum_w[LANES] = {0}, sum_wx[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            low = x[i + l] < low ? x[i + l] : low;
            high = x[i + l] > high ? x[i + l] : high;
            sum_w[l] += w[i + l];
            sum_wx[l] += w[i + l] * x[i + l];
        }
    if (down && low > 0.0f)
        low = 0.0f;
    const float range = high - low;
    ag_affine best = {range / (float)levels, -low};
    if (!(range > 0.0f))
        return (ag_affine){0.0f, -low};
    const moments m = {fold(sum_w), fold(sum_wx)};
    const float step = levels > 3 ? 0.1f : 0.05f;
    float gain, most = -INFINITY;
    for (int k = -10; k <= 10; k++) {
        const float inverse = ((float)levels + (float)k * step) / range;
        const ag_affine a = refit_affine(x, w, n, levels, down, m, inverse, -low, &gain);
        if (a.scale > 0.0f && gain > most) {
            most = gain;
            best = a;
        }
    }
    for (int k = 0; k < REFINE; k++) {
        const ag_affine a =
            refit_affine(x, w, n, levels, down, m, 1.0f / best.scale, best.min, &gain);
        if (!(a.scale > 0.0f && gain > most))
            break;
        most = gain;
        best = a;
    }
    return best;
}

AG_CLONES static float clone_fit_affine_error(const float *x, const float *w, int n, int levels,
                                              ag_affine a) {
    const float inverse = inverse_of(a.scale);
    float sum[LANES] = {0};
    for (int i = 0; i < n; i += LANES)
        for (int l = 0; l < LANES; l++) {
            const float q = ag_fit_nearest((x[i + l] + a.min) * inverse, 0.0f, (float)levels);
            const float e = x[i + l] - (a.scale * q - a.min);
            sum[l] += w[i + l] * e * e;
        }
    return fold(sum);
}

AG_CLONES static void clone_fit_affine_codes(const float *x, int n, int levels, ag_affine a,
                                             uint8_t *q) {
    const float inverse = inverse_of(a.scale);
    for (int i = 0; i < n; i++)
        q[i] = (uint8_t)(int)ag_fit_nearest((x[i] + a.min) * inverse, 0.0f, (float)levels);
}

/* Clones are chosen through a symbol of their own, which gcc 12 exports from the library when the
 * function is not static, whatever -fvisibility says. So the functions of the header call them. */
float ag_fit_scale(const float *x, const float *w, int n, ag_codes codes) {
    return clone_fit_scale(x, w, n, codes);
}
float ag_fit_scale_error(const float *x, const float *w, int n, ag_codes codes, float scale) {
    return clone_fit_scale_error(x, w, n, codes, scale);
}
void ag_fit_values(const float *x, int n, ag_codes codes, float scale, int8_t *values) {
    clone_fit_values(x, n, codes, scale, values);
}
ag_affine ag_fit_affine(const float *x, const float *w, int n, int levels, bool down) {
    return clone_fit_affine(x, w, n, levels, down);
}
float ag_fit_affine_error(const float *x, const float *w, int n, int levels, ag_affine a) {
    return clone_fit_affine_error(x, w, n, levels, a);
}
void ag_fit_affine_codes(const float *x, int n, int levels, ag_affine a, uint8_t *q) {
    clone_fit_affine_codes(x, n, levels, a, q);
}
