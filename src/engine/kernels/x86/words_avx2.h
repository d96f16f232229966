/* Private to the kernels room: the vector words of the attention and vector loops for AVX2. A word
 * is one operation on W lanes; the loops are written once in them (exp_words.h, attend_loops.h,
 * vector_loops.h), so that every ISA does the same operations in the same order. */
#ifndef AG_KERNELS_X86_WORDS_AVX2_H
#define AG_KERNELS_X86_WORDS_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

#define W_INLINE static inline __attribute__((always_inline))
#define W        8 /* lanes */
#define W_TILE   6 /* query rows: 6 x 2 sums, 2 values and 1 factor in 16 registers */

typedef __m256 wf;

W_INLINE wf w_all(float x) { return _mm256_set1_ps(x); }
W_INLINE wf w_load(const float *p) { return _mm256_loadu_ps(p); }
W_INLINE void w_store(float *p, wf a) { _mm256_storeu_ps(p, a); }
W_INLINE wf w_add(wf a, wf b) { return _mm256_add_ps(a, b); }
W_INLINE wf w_sub(wf a, wf b) { return _mm256_sub_ps(a, b); }
W_INLINE wf w_mul(wf a, wf b) { return _mm256_mul_ps(a, b); }
W_INLINE wf w_div(wf a, wf b) { return _mm256_div_ps(a, b); }
W_INLINE wf w_fma(wf a, wf b, wf c) { return _mm256_fmadd_ps(a, b, c); }
W_INLINE wf w_fnma(wf a, wf b, wf c) { return _mm256_fnmadd_ps(a, b, c); } /* c - a b */
W_INLINE wf w_max(wf a, wf b) { return _mm256_max_ps(a, b); }              /* a > b ? a : b */
W_INLINE wf w_sign(wf a) { return _mm256_and_ps(_mm256_set1_ps(-0.0f), a); }
W_INLINE wf w_abs(wf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
W_INLINE wf w_or(wf a, wf b) { return _mm256_or_ps(a, b); }
/* a < b ? yes : no; NaN is not less. */
W_INLINE wf w_if_less(wf a, wf b, wf yes, wf no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
/* 2^n, n being the low bits of t as AG_EXP_ROUND leaves them. */
W_INLINE wf w_two_to(wf t) {
    const __m256i one = _mm256_castps_si256(_mm256_set1_ps(1.0f));
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(n, one));
}

W_INLINE __m256i w_lanes(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
/* The first n of W elements; the other lanes are 0. Touches only those n. */
W_INLINE wf w_load_n(const float *p, int n) {
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), w_lanes()));
}
W_INLINE void w_store_n(float *p, wf a, int n) {
    _mm256_maskstore_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), w_lanes()), a);
}
/* Lanes of a that stand for slots lo .. hi-1, lane 0 being slot `slot`; the others -infinity. */
W_INLINE wf w_show(wf a, int slot, int lo, int hi) {
    const __m256i at = _mm256_add_epi32(w_lanes(), _mm256_set1_epi32(slot));
    __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo), at);
    __m256i seen = _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), at));
    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), a, _mm256_castsi256_ps(seen));
}

/* The neighbours of each pair exchanged. */
W_INLINE wf w_swap(wf a) { return _mm256_permute_ps(a, 0xb1); }
/* W / 2 elements, each twice. */
W_INLINE wf w_load_twice(const float *p) {
    const __m256i spread = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), spread);
}
/* Even lanes a - b, odd lanes a + b. */
W_INLINE wf w_sub_add(wf a, wf b) { return _mm256_addsub_ps(a, b); }

/* W elements of the types of a cache, exact in float32. */
W_INLINE wf w_load_f16(const uint16_t *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
W_INLINE wf w_load_bf16(const uint16_t *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
W_INLINE wf w_load_i8(const int8_t *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}

/* The largest lane. */
W_INLINE float w_top(wf a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
/* Sums of integers. Added are the lanes of a, 0 to 2^51, rounded to nearest: 2^52 more, and they
 * stand in the low bits of a double. */
typedef __m256i ws;
W_INLINE ws ws_zero(void) { return _mm256_setzero_si256(); }
W_INLINE __m256i w_whole4(__m128 a) {
    const __m256d more = _mm256_set1_pd(0x1p52);
    const __m256d biased = _mm256_add_pd(_mm256_cvtps_pd(a), more);
    return _mm256_castpd_si256(_mm256_xor_pd(biased, more));
}
W_INLINE ws ws_add(ws sum, wf a) {
    sum = _mm256_add_epi64(sum, w_whole4(_mm256_castps256_ps128(a)));
    return _mm256_add_epi64(sum, w_whole4(_mm256_extractf128_ps(a, 1)));
}
W_INLINE uint64_t ws_total(ws sum) {
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return (uint64_t)_mm_cvtsi128_si64(two) + (uint64_t)_mm_extract_epi64(two, 1);
}
/* The sum of 32 values by halving: j + (j + 16), then + 8, + 4, + 2, + 1. */
W_INLINE float w_sum32(const wf a[4]) {
    wf eight = _mm256_add_ps(_mm256_add_ps(a[0], a[2]), _mm256_add_ps(a[1], a[3]));
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

#endif
