/* Private to the kernels room: kernels/exp.h eight at a time, the same operations in the same
 * order. _mm256_max_ps(a, b) is a > b ? a : b, hence the order of its operands. */
#ifndef AG_KERNELS_X86_EXP_AVX2_H
#define AG_KERNELS_X86_EXP_AVX2_H

#include <immintrin.h>

#include "kernels/exp.h"

static inline __m256 ag_exp_neg_avx2(__m256 x) {
    const __m256 min = _mm256_set1_ps(AG_EXP_MIN), magic = _mm256_set1_ps(AG_EXP_ROUND);
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 c = _mm256_max_ps(min, x);
    __m256 t = _mm256_fmadd_ps(c, _mm256_set1_ps(AG_EXP_LOG2E), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(AG_EXP_LN2_HI), c);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(AG_EXP_LN2_LO), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(AG_EXP_C6), r, _mm256_set1_ps(AG_EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(AG_EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(AG_EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(AG_EXP_C2));
    p = _mm256_fmadd_ps(p, r, one);
    p = _mm256_fmadd_ps(p, r, one);
    __m256i two_n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    two_n = _mm256_add_epi32(two_n, _mm256_castps_si256(one));
    __m256 e = _mm256_mul_ps(p, _mm256_castsi256_ps(two_n));
    return _mm256_andnot_ps(_mm256_cmp_ps(x, min, _CMP_LT_OQ), e);
}

static inline __m256 ag_abs_avx2(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

static inline __m256 ag_tanh_avx2(__m256 x) {
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 u = ag_abs_avx2(x), z = _mm256_mul_ps(u, u);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(AG_TANH_C11), z, _mm256_set1_ps(AG_TANH_C9));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(AG_TANH_C7));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(AG_TANH_C5));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(AG_TANH_C3));
    __m256 small = _mm256_fmadd_ps(p, _mm256_mul_ps(z, u), u);
    __m256 e = ag_exp_neg_avx2(_mm256_mul_ps(_mm256_set1_ps(-2.0f), u));
    __m256 large = _mm256_div_ps(_mm256_sub_ps(one, e), _mm256_add_ps(one, e));
    __m256 is_small = _mm256_cmp_ps(u, _mm256_set1_ps(AG_TANH_SMALL), _CMP_LT_OQ);
    __m256 sign = _mm256_and_ps(_mm256_set1_ps(-0.0f), x);
    return _mm256_or_ps(sign, ag_abs_avx2(_mm256_blendv_ps(large, small, is_small)));
}

static inline __m256 ag_sigmoid_avx2(__m256 x) {
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 e = ag_exp_neg_avx2(_mm256_or_ps(_mm256_set1_ps(-0.0f), x));
    __m256 top = _mm256_blendv_ps(one, e, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
    return _mm256_div_ps(top, _mm256_add_ps(one, e));
}

static inline __m256 ag_silu_avx2(__m256 x) { return _mm256_mul_ps(x, ag_sigmoid_avx2(x)); }

static inline __m256 ag_gelu_tanh_avx2(__m256 x) {
    __m256 bx = _mm256_mul_ps(_mm256_set1_ps(AG_GELU_B), x);
    __m256 ax = _mm256_mul_ps(_mm256_set1_ps(AG_GELU_A), x);
    __m256 u = _mm256_mul_ps(ax, _mm256_fmadd_ps(bx, x, _mm256_set1_ps(1.0f)));
    return _mm256_mul_ps(x, ag_sigmoid_avx2(u));
}

#endif
