/* Private to the kernels room: the vector words of words_avx2.h for AVX-512 (F, DQ). */
#ifndef AG_KERNELS_X86_WORDS_AVX512_H
#define AG_KERNELS_X86_WORDS_AVX512_H

#include <math.h>
#include <stdint.h>

#include "kernels/x86/intrin.h"

#define W_INLINE static inline __attribute__((always_inline))
#define W        16 /* lanes */
#define W_TILE   8  /* query rows: 8 x 2 sums of 32 registers; two tiles make a group of 16 */

typedef __m512 wf;

W_INLINE wf w_all(float x) { return _mm512_set1_ps(x); }
W_INLINE wf w_load(const float *p) { return _mm512_loadu_ps(p); }
W_INLINE void w_store(float *p, wf a) { _mm512_storeu_ps(p, a); }
W_INLINE wf w_add(wf a, wf b) { return _mm512_add_ps(a, b); }
W_INLINE wf w_sub(wf a, wf b) { return _mm512_sub_ps(a, b); }
W_INLINE wf w_mul(wf a, wf b) { return _mm512_mul_ps(a, b); }
W_INLINE wf w_div(wf a, wf b) { return _mm512_div_ps(a, b); }
W_INLINE wf w_fma(wf a, wf b, wf c) { return _mm512_fmadd_ps(a, b, c); }
W_INLINE wf w_fnma(wf a, wf b, wf c) { return _mm512_fnmadd_ps(a, b, c); } /* c - a b */
W_INLINE wf w_max(wf a, wf b) { return _mm512_max_ps(a, b); }              /* a > b ? a : b */
W_INLINE wf w_sign(wf a) {
    const __m512i bit = _mm512_set1_epi32((int)0x80000000u);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), bit));
}
W_INLINE wf w_abs(wf a) {
    const __m512i rest = _mm512_set1_epi32(0x7fffffff);
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(a), rest));
}
W_INLINE wf w_or(wf a, wf b) {
    return _mm512_castsi512_ps(_mm512_or_si512(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
/* a < b ? yes : no; NaN is not less. */
W_INLINE wf w_if_less(wf a, wf b, wf yes, wf no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
/* 2^n, n being the low bits of t as AG_EXP_ROUND leaves them. */
W_INLINE wf w_two_to(wf t) {
    const __m512i one = _mm512_castps_si512(_mm512_set1_ps(1.0f));
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(n, one));
}

/* A mask of the first n lanes, n below 16. */
W_INLINE __mmask16 w_first(int n) { return (__mmask16)((1u << n) - 1u); }
/* The first n of W elements; the other lanes are 0. Touches only those n. */
W_INLINE wf w_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(w_first(n), p); }
W_INLINE void w_store_n(float *p, wf a, int n) { _mm512_mask_storeu_ps(p, w_first(n), a); }
/* Lanes of a that stand for slots lo .. hi-1, lane 0 being slot `slot`; the others -infinity. */
W_INLINE wf w_show(wf a, int slot, int lo, int hi) {
    const uint64_t seen = (((uint64_t)1 << hi) - 1) & ~(((uint64_t)1 << lo) - 1);
    return _mm512_mask_blend_ps((__mmask16)(seen >> slot), _mm512_set1_ps(-INFINITY), a);
}

/* The neighbours of each pair exchanged. */
W_INLINE wf w_swap(wf a) {
    const __m512i to = _mm512_set_epi32(14, 15, 12, 13, 10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1);
    return _mm512_permutexvar_ps(to, a);
}
/* W / 2 elements, each twice. */
W_INLINE wf w_load_twice(const float *p) {
    const __m512i to = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    return _mm512_permutexvar_ps(to, _mm512_castps256_ps512(_mm256_loadu_ps(p)));
}
/* Even lanes a - b, odd lanes a + b. */
W_INLINE wf w_sub_add(wf a, wf b) {
    return _mm512_mask_blend_ps(0x5555, _mm512_add_ps(a, b), _mm512_sub_ps(a, b));
}

/* W elements of the types of a cache, exact in float32. */
W_INLINE wf w_load_f16(const uint16_t *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
W_INLINE wf w_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
W_INLINE wf w_load_i8(const int8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}

W_INLINE __m256 w_low(wf a) { return _mm512_castps512_ps256(a); }
W_INLINE __m256 w_high(wf a) {
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(a), 1));
}
/* The largest lane. */
W_INLINE float w_top(wf a) {
    __m256 eight = _mm256_max_ps(w_low(a), w_high(a));
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
/* Sums of integers. Added are the lanes of a, rounded to nearest. */
typedef __m512i ws;
W_INLINE ws ws_zero(void) { return _mm512_setzero_si512(); }
W_INLINE ws ws_add(ws sum, wf a) {
    sum = _mm512_add_epi64(sum, _mm512_cvtps_epi64(w_low(a)));
    return _mm512_add_epi64(sum, _mm512_cvtps_epi64(w_high(a)));
}
W_INLINE uint64_t ws_total(ws sum) { return (uint64_t)_mm512_reduce_add_epi64(sum); }
/* The sum of 32 values by halving: j + (j + 16), then + 8, + 4, + 2, + 1. */
W_INLINE float w_sum32(const wf a[2]) {
    wf all = _mm512_add_ps(a[0], a[1]);
    __m256 eight = _mm256_add_ps(w_low(all), w_high(all));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

#endif
