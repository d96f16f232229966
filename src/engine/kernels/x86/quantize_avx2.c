/* quantize_q8 for AVX2: the operations of ref/quantize.c, a block in four vectors. */
#include <immintrin.h>
#include <string.h>

#include "kernels/act.h"
#include "kernels/half.h"
#include "kernels/ref/matmul.h"

static uint32_t top_of(const __m256 x[4]) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i top = _mm256_setzero_si256();
    for (int i = 0; i < 4; i++)
        top = _mm256_max_epu32(top, _mm256_and_si256(_mm256_castps_si256(x[i]), magnitude));
    __m128i t = _mm_max_epu32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    t = _mm_max_epu32(t, _mm_shuffle_epi32(t, 0x4e));
    t = _mm_max_epu32(t, _mm_shuffle_epi32(t, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(t);
}

/* The sums of a block, from its 32 values in order. */
static void finish_sums(ag_q8_block *b, __m256i q) {
    /* Adjacent pairs as int16; then each 64 bits hold the lanes 0 1 0 1 of two quads. */
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), q);
    const __m256i two = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, 0x4e));
    const __m256i lanes = _mm256_add_epi16(two, _mm256_shuffle_epi32(two, 0xb1));
    const __m128i h0 = _mm256_castsi256_si128(lanes), h1 = _mm256_extracti128_si256(lanes, 1);
    const __m128i halves = _mm_unpacklo_epi32(h0, h1); /* lane sums of half 0, of half 1 */
    const __m128i c16 = _mm_slli_epi16(_mm_sub_epi16(_mm_setzero_si128(), halves), 5);
    const __m128i c32 =
        _mm_slli_epi16(_mm_sub_epi16(_mm_setzero_si128(), _mm_add_epi16(h0, h1)), 4);
    const __m128i s16 = _mm_madd_epi16(c16, _mm_set1_epi16(1));
    _mm_storel_epi64((__m128i *)(void *)b->c16, c16);
    _mm_storel_epi64((__m128i *)(void *)b->s16, s16);
    const int c = _mm_cvtsi128_si32(c32);
    memcpy(b->c32, &c, 4);
    b->sum = -(b->s16[0] + b->s16[1]) / 32;
    b->dsum = b->d * (float)b->sum;
}

static void quantize_block(const float *p, ag_q8_block *b) {
    __m256 x[4];
    for (int i = 0; i < 4; i++)
        x[i] = _mm256_loadu_ps(p + 8 * i);
    const uint32_t top = top_of(x);
    if (top < AG_Q8_ZERO_BELOW || top >= AG_Q8_NOT_FINITE) {
        memset(b, 0, sizeof *b);
        if (top >= AG_Q8_NOT_FINITE)
            b->d = b->dsum = ag_f32_of_bits(AG_Q8_NAN);
        return;
    }
    const float amax = ag_f32_of_bits(top);
    const __m256 inverse = _mm256_set1_ps(127.0f / amax);
    b->d = amax / 127.0f;
    __m256i i32[4];
    for (int i = 0; i < 4; i++)
        i32[i] = _mm256_cvtps_epi32(_mm256_mul_ps(x[i], inverse));
    const __m256i lo = _mm256_packs_epi32(i32[0], i32[1]), hi = _mm256_packs_epi32(i32[2], i32[3]);
    /* Packing works within 128-bit lanes: put the groups of four values back in order. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i q = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(lo, hi), order);
    _mm256_storeu_si256((__m256i *)(void *)b->q, q);
    finish_sums(b, q);
}

void ag_k_quantize_q8_avx2(const float *x, int n, void *act) {
    ag_q8_block *b = act;
    for (int i = 0; i < n; i += 32)
        quantize_block(x + i, b++);
}
