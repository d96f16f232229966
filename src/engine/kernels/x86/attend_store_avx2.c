/* Writers of KV blocks with AVX2 and F16C: the same bytes as kernels/ref/attend_store.c. Converting
 * is done eight elements at a time; K must still be scattered, one element to each line of 32
 * slots. Thread: one writer a block. */
#include <immintrin.h>

#include "kernels/attend.h"
#include "kernels/attend_store.h"
#include "kernels/half.h"

static inline __m128i to_f16(const float *x) {
    return _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT);
}

/* Round to nearest even at bit 16; a NaN keeps its top half and becomes quiet. */
static inline __m128i to_bf16(const float *x) {
    const __m256 v = _mm256_loadu_ps(x);
    const __m256i u = _mm256_castps_si256(v);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i near = _mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
    __m256i top =
        _mm256_srli_epi32(_mm256_blendv_epi8(near, quiet, _mm256_castps_si256(is_nan)), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
}

static inline void scatter16(uint16_t *k, int i, int slot, __m128i eight) {
    uint16_t x[8];
    _mm_storeu_si128((__m128i *)x, eight);
    for (int n = 0; n < 8; n++)
        k[ag_attend_k_at(i + n, slot)] = x[n];
}

void ag_kv_store_v_f32_avx2(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        _mm256_storeu_ps((float *)v + ag_attend_v_at(i, slot), _mm256_loadu_ps(x + i));
}
void ag_kv_store_k_f16_avx2(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        scatter16(k, i, slot, to_f16(x + i));
}
void ag_kv_store_v_f16_avx2(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        _mm_storeu_si128((__m128i *)((uint16_t *)v + ag_attend_v_at(i, slot)), to_f16(x + i));
}
void ag_kv_store_k_bf16_avx2(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        scatter16(k, i, slot, to_bf16(x + i));
}
void ag_kv_store_v_bf16_avx2(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        _mm_storeu_si128((__m128i *)((uint16_t *)v + ag_attend_v_at(i, slot)), to_bf16(x + i));
}

/* Magnitudes are compared as integers, which orders floats and puts infinity and NaN on top. */
static uint16_t group_scale(const float *x, int n) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i most = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 8) {
        __m256i u = _mm256_castps_si256(_mm256_loadu_ps(x + i));
        most = _mm256_max_epi32(most, _mm256_and_si256(u, magnitude));
    }
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    const uint32_t top = (uint32_t)_mm_cvtsi128_si32(four);
    if (top >= 0x7f800000u)
        return 0x7e00;
    const float scale = ag_f32_of_bits(top) / 127.0f;
    return ag_f32_to_f16(scale < 65504.0f ? scale : 65504.0f);
}

/* Eight elements to int8, in the low half. max gives its second operand for NaN, here -127. */
static inline __m128i to_i8(const float *x, __m256 inv) {
    __m256 y = _mm256_max_ps(_mm256_mul_ps(_mm256_loadu_ps(x), inv), _mm256_set1_ps(-127.0f));
    __m256i w = _mm256_cvtps_epi32(_mm256_min_ps(y, _mm256_set1_ps(127.0f)));
    __m128i h = _mm_packs_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
    return _mm_packs_epi16(h, h);
}

/* Sets the scale of dimensions i .. i + n - 1 of this slot and returns 1 / scale in all lanes. */
static inline __m256 begin_group(void *kv, int d, int slot, const float *x, int i, int n) {
    uint16_t *scales = (uint16_t *)ag_attend_scales(kv, d);
    const uint16_t scale = group_scale(x + i, n);
    scales[i / 32 * AG_KV_BLOCK + slot] = scale;
    return _mm256_set1_ps(1.0f / ag_f16_to_f32(scale));
}

void ag_kv_store_k_q8_avx2(void *k, int d, int slot, const float *x) {
    for (int i0 = 0; i0 < d; i0 += 32) {
        const int n = d - i0 < 32 ? d - i0 : 32;
        const __m256 inv = begin_group(k, d, slot, x, i0, n);
        for (int i = i0; i < i0 + n; i += 8) {
            int8_t y[8];
            _mm_storel_epi64((__m128i *)y, to_i8(x + i, inv));
            for (int j = 0; j < 8; j++)
                ((int8_t *)k)[ag_attend_k_at(i + j, slot)] = y[j];
        }
    }
}

void ag_kv_store_v_q8_avx2(void *v, int d, int slot, const float *x) {
    for (int i0 = 0; i0 < d; i0 += 32) {
        const int n = d - i0 < 32 ? d - i0 : 32;
        const __m256 inv = begin_group(v, d, slot, x, i0, n);
        for (int i = i0; i < i0 + n; i += 8)
            _mm_storel_epi64((__m128i *)((int8_t *)v + ag_attend_v_at(i, slot)), to_i8(x + i, inv));
    }
}
