/* quantize_q8 for AVX-512: the operations of ref/quantize.c, four blocks at a time. In comments
 * "a b c d" are 32 bits of each of the four. */
#include "kernels/act.h"
#include "kernels/ref/matmul.h"
#include "kernels/x86/intrin.h"

static __m128i tops_of(const float *p) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i m[4];
    for (int i = 0; i < 4; i++) {
        const __m512i x0 = _mm512_loadu_si512(p + 32 * i), x1 = _mm512_loadu_si512(p + 32 * i + 16);
        m[i] = _mm512_max_epu32(_mm512_and_si512(x0, magnitude), _mm512_and_si512(x1, magnitude));
    }
    const __m512i ab =
        _mm512_max_epu32(_mm512_unpacklo_epi32(m[0], m[1]), _mm512_unpackhi_epi32(m[0], m[1]));
    const __m512i cd =
        _mm512_max_epu32(_mm512_unpacklo_epi32(m[2], m[3]), _mm512_unpackhi_epi32(m[2], m[3]));
    const __m512i abcd =
        _mm512_max_epu32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half =
        _mm256_max_epu32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
    return _mm_max_epu32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

/* 32 values as int16: each 128 bits have four of the first half, then four of the second. */
static __m512i words_of(const float *p, __m512 inverse) {
    const __m512 x0 = _mm512_mul_ps(_mm512_loadu_ps(p), inverse);
    const __m512 x1 = _mm512_mul_ps(_mm512_loadu_ps(p + 16), inverse);
    return _mm512_packs_epi32(_mm512_cvtps_epi32(x0), _mm512_cvtps_epi32(x1));
}

/* Stores the q of blocks a and b. Returns sums: both 128 bits have those of lanes 0 and 1 of a's
 * halves, then of b's, of some quads; added they are those of all. */
static __m256i quantize_two(const float *p, __m512 inverse_a, __m512 inverse_b, ag_q8_block *out) {
    const __m512i q = _mm512_packs_epi16(words_of(p, inverse_a), words_of(p + 32, inverse_b));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i in_order = _mm512_permutexvar_epi32(order, q);
    _mm256_storeu_si256((__m256i *)(void *)out[0].q, _mm512_castsi512_si256(in_order));
    _mm256_storeu_si256((__m256i *)(void *)out[1].q, _mm512_extracti64x4_epi64(in_order, 1));
    const __m512i pairs = _mm512_maddubs_epi16(_mm512_set1_epi8(1), q);
    return _mm256_add_epi16(_mm512_castsi512_si256(pairs), _mm512_extracti64x4_epi64(pairs, 1));
}

static void store_sums(ag_q8_block *b, __m128i d_to_c32, __m128i c16_s16) {
    _mm_storeu_si128((__m128i *)(void *)&b->d, d_to_c32);
    _mm_storeu_si128((__m128i *)(void *)b->c16, c16_s16);
}

static void quantize_four(const float *p, __m128 amax, ag_q8_block *out) {
    const __m128 most = _mm_set1_ps(127.0f);
    const __m512 inverses = _mm512_castps128_ps512(_mm_div_ps(most, amax));
    __m512 inverse[4];
    for (int i = 0; i < 4; i++)
        inverse[i] = _mm512_permutexvar_ps(_mm512_set1_epi32(i), inverses);
    const __m256i ab = quantize_two(p, inverse[0], inverse[1], out);
    const __m256i cd = quantize_two(p + 64, inverse[2], inverse[3], out + 2);

    /* From here on "a a b b c c d d", one for each half of 16 or one twice. */
    const __m256i lanes = _mm256_add_epi16(_mm256_permute2x128_si256(ab, cd, 0x20),
                                           _mm256_permute2x128_si256(ab, cd, 0x31));
    const __m256i minus = _mm256_sub_epi16(_mm256_setzero_si256(), lanes);
    const __m256i c16 = _mm256_slli_epi16(minus, 5);
    const __m256i s16 = _mm256_madd_epi16(c16, _mm256_set1_epi16(1));
    const __m256i c32 =
        _mm256_slli_epi16(_mm256_add_epi16(minus, _mm256_shuffle_epi32(minus, 0xb1)), 4);
    const __m256i s32 = _mm256_add_epi32(s16, _mm256_shuffle_epi32(s16, 0xb1));
    const __m256i sum = _mm256_srai_epi32(_mm256_sub_epi32(_mm256_setzero_si256(), s32), 5);
    const __m256 d = _mm256_permutevar8x32_ps(_mm256_castps128_ps256(_mm_div_ps(amax, most)),
                                              _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    const __m256 dsum = _mm256_mul_ps(d, _mm256_cvtepi32_ps(sum));

    const __m256i floats = _mm256_castps_si256(_mm256_blend_ps(d, dsum, 0xaa));
    const __m256i ints = _mm256_blend_epi32(sum, c32, 0xaa);
    const __m256i head_ac = _mm256_unpacklo_epi64(floats, ints);
    const __m256i head_bd = _mm256_unpackhi_epi64(floats, ints);
    const __m256i tail_ac = _mm256_unpacklo_epi64(c16, s16);
    const __m256i tail_bd = _mm256_unpackhi_epi64(c16, s16);
    store_sums(out, _mm256_castsi256_si128(head_ac), _mm256_castsi256_si128(tail_ac));
    store_sums(out + 1, _mm256_castsi256_si128(head_bd), _mm256_castsi256_si128(tail_bd));
    store_sums(out + 2, _mm256_extracti128_si256(head_ac, 1), _mm256_extracti128_si256(tail_ac, 1));
    store_sums(out + 3, _mm256_extracti128_si256(head_bd, 1), _mm256_extracti128_si256(tail_bd, 1));
}

/* Special cases and what is left of a row are AVX2's. */
void ag_k_quantize_q8_avx512(const float *x, int n, void *act) {
    ag_q8_block *b = act;
    for (; n >= 128; n -= 128, x += 128, b += 4) {
        const __m128i tops = tops_of(x); /* no sign: they compare as int32 do */
        const __m128i special =
            _mm_or_si128(_mm_cmplt_epi32(tops, _mm_set1_epi32(AG_Q8_ZERO_BELOW)),
                         _mm_cmpgt_epi32(tops, _mm_set1_epi32(AG_Q8_NOT_FINITE - 1)));
        if (!_mm_testz_si128(special, special))
            ag_k_quantize_q8_avx2(x, 128, b);
        else
            quantize_four(x, _mm_castsi128_ps(tops), b);
    }
    ag_k_quantize_q8_avx2(x, n, b);
}
