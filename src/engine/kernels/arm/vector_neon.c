/* Vector kernels for AArch64: see vector_loops.h. Thread: any. */
#include "kernels/arm/words_neon.h"
#include "kernels/fill.h"

/* Sixteen double sums in eight registers, in the order that the plain version states: register j
 * has the elements 2 j and 2 j + 1 mod 16. A missing element adds 0 * 0 to a sum that is never
 * -0. */
W_INLINE void add_squares(const float *x, float64x2_t s[8]) {
    for (int j = 0; j < 8; j += 2) {
        const float32x4_t v = vld1q_f32(x + 2 * j);
        const float64x2_t lo = vcvt_f64_f32(vget_low_f32(v)), hi = vcvt_high_f64_f32(v);
        s[j] = vfmaq_f64(s[j], lo, lo);
        s[j + 1] = vfmaq_f64(s[j + 1], hi, hi);
    }
}

W_INLINE double w_sum_squares(const float *x, int n) {
    float64x2_t s[8];
    for (int j = 0; j < 8; j++)
        s[j] = vdupq_n_f64(0);
    int i = 0;
    for (; i + 16 <= n; i += 16)
        add_squares(x + i, s);
    float rest[16] = {0};
    for (int j = 0; i + j < n; j++)
        rest[j] = x[i + j];
    add_squares(rest, s);
    for (int half = 4; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            s[j] = vaddq_f64(s[j], s[j + half]);
    return vgetq_lane_f64(s[0], 0) + vgetq_lane_f64(s[0], 1);
}

#include "kernels/simd/vector_loops.h"

void ag_k_vector_fill_neon(ag_kernels *k) { vector_serve(k); }
