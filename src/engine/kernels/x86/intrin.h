/* Private to the kernels room: intrinsics. A test compiles the AVX-512 files with AG_SIMDE, which
 * replaces the instructions by SIMDe's plain C, so that a machine without AVX-512 can check every
 * result bit. */
#ifndef AG_KERNELS_X86_INTRIN_H
#define AG_KERNELS_X86_INTRIN_H

#include "kernels/simd/unroll.h"

#ifdef AG_SIMDE
#include <math.h>
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#define AG_IN_REGISTER(v) (void)0
/* SIMDe 0.7.4 defines this name for the masked form. */
#undef _mm512_madd_epi16
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)

/* Conversions and a shift that SIMDe 0.7.4 lacks, made of two halves. */
static inline __m512 _mm512_cvtph_ps(__m256i a) {
    simde__m512_private r;
    r.m256[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
    r.m256[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));
    return simde__m512_from_private(r);
}
static inline __m512i _mm512_cvtepu16_epi32(__m256i a) {
    simde__m512i_private r;
    r.m256i[0] = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a));
    r.m256i[1] = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1));
    return simde__m512i_from_private(r);
}
static inline __m512i _mm512_cvtepu8_epi32(__m128i a) {
    simde__m512i_private r;
    r.m256i[0] = _mm256_cvtepu8_epi32(a);
    r.m256i[1] = _mm256_cvtepu8_epi32(_mm_srli_si128(a, 8));
    return simde__m512i_from_private(r);
}
static inline __m512i _mm512_cvtepi8_epi32(__m128i a) {
    simde__m512i_private r;
    r.m256i[0] = _mm256_cvtepi8_epi32(a);
    r.m256i[1] = _mm256_cvtepi8_epi32(_mm_srli_si128(a, 8));
    return simde__m512i_from_private(r);
}
static inline __m512 _mm512_cvtepi32_ps(__m512i a) {
    const simde__m512i_private s = simde__m512i_to_private(a);
    simde__m512_private r;
    r.m256[0] = _mm256_cvtepi32_ps(s.m256i[0]);
    r.m256[1] = _mm256_cvtepi32_ps(s.m256i[1]);
    return simde__m512_from_private(r);
}
static inline __m512i _mm512_cvtps_epi32(__m512 a) {
    const simde__m512_private s = simde__m512_to_private(a);
    simde__m512i_private r;
    r.m256i[0] = _mm256_cvtps_epi32(s.m256[0]);
    r.m256i[1] = _mm256_cvtps_epi32(s.m256[1]);
    return simde__m512i_from_private(r);
}
static inline __m512i _mm512_cvtps_epi64(__m256 a) {
    float from[8];
    _mm256_storeu_ps(from, a);
    simde__m512i_private r;
    for (int i = 0; i < 8; i++)
        r.i64[i] = llrintf(from[i]);
    return simde__m512i_from_private(r);
}
static inline long long _mm512_reduce_add_epi64(__m512i a) {
    const simde__m512i_private s = simde__m512i_to_private(a);
    int64_t sum = 0;
    for (int i = 0; i < 8; i++)
        sum += s.i64[i];
    return sum;
}
static inline __m512i _mm512_srai_epi32(__m512i a, unsigned n) {
    simde__m512i_private r = simde__m512i_to_private(a);
    r.m256i[0] = _mm256_srai_epi32(r.m256i[0], (int)n);
    r.m256i[1] = _mm256_srai_epi32(r.m256i[1], (int)n);
    return simde__m512i_from_private(r);
}
/* Masked memory, which it lacks too: only the chosen lanes are touched. */
static inline __m512 _mm512_maskz_loadu_ps(__mmask16 m, const void *p) {
    float all[16];
    for (int i = 0; i < 16; i++)
        all[i] = m >> i & 1 ? ((const float *)p)[i] : 0.0f;
    return _mm512_loadu_ps(all);
}
static inline void _mm512_mask_storeu_ps(void *p, __mmask16 m, __m512 a) {
    float all[16];
    _mm512_storeu_ps(all, a);
    for (int i = 0; i < 16; i++)
        if (m >> i & 1)
            ((float *)p)[i] = all[i];
}
#else
#include <immintrin.h>
/* Makes the compiler finish a value where it stands. */
#define AG_IN_REGISTER(v) __asm__("" : "+v"(v))
#endif

/* Makes the compiler take a pointer as it is, without knowing what it is made of. */
#define AG_AS_IS(p) __asm__("" : "+r"(p))
/* What p points to is written: gcc does not tell itself that tiles are loaded from memory. */
#define AG_IN_MEMORY(p) __asm__ volatile("" : : "r"(p) : "memory")

#endif
