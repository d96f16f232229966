/* The vector words of the matmul templates, for AVX-512 (F, BW, VL, DQ): 16 rows a vector. The dot
 * products are with their files, for they differ between plain AVX-512 and VNNI. */
#ifndef AG_KERNELS_X86_ISA_AVX512_H
#define AG_KERNELS_X86_ISA_AVX512_H

#include <string.h>

#include "kernels/act.h"
#include "kernels/x86/intrin.h"

#define V_ROWS 16
#define V_TILE 6 /* tokens of a tile: 12 chains hide the latency of a dot product */
#ifndef V_SLAB
#define V_SLAB 8 /* groups of a slab: 2 panels in 12 KiB of L1 */
#endif
#ifndef V_ACT_BYTES
#define V_ACT_BYTES (512 << 10) /* such cores have an L2 of 1 MiB and more */
#endif

typedef __m512i vi;
typedef __m512 vf;

V_INLINE vi v_load(const void *p) { return _mm512_loadu_si512(p); }
V_INLINE vi v_all4(const void *p) { /* 4 bytes to every lane */
    int u;
    memcpy(&u, p, 4);
    return _mm512_set1_epi32(u);
}
V_INLINE vi v_zero(void) { return _mm512_setzero_si512(); }
V_INLINE vi v_set1(int byte) { return _mm512_set1_epi8((char)byte); }
V_INLINE vi v_and(vi a, vi b) { return _mm512_and_si512(a, b); }
V_INLINE vi v_or(vi a, vi b) { return _mm512_or_si512(a, b); }
V_INLINE vi v_shr(vi a, int n) { return _mm512_srli_epi16(a, (unsigned)n); }
V_INLINE vi v_shl(vi a, int n) { return _mm512_slli_epi16(a, (unsigned)n); }
V_INLINE vi v_add32(vi a, vi b) { return _mm512_add_epi32(a, b); }
V_INLINE vi v_sub32(vi a, vi b) { return _mm512_sub_epi32(a, b); }
V_INLINE vi v_shl32(vi a, int n) { return _mm512_slli_epi32(a, (unsigned)n); }

V_INLINE vi v_table(const void *bytes) { /* 16 bytes to every 128 bits */
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)bytes));
}
/* table[index] for bytes below 16. */
V_INLINE vi v_lookup(vi table, vi index) { return _mm512_shuffle_epi8(table, index); }

V_INLINE vf vf_zero(void) { return _mm512_setzero_ps(); }
V_INLINE vf vf_all(const float *p) { return _mm512_set1_ps(*p); }
V_INLINE vf vf_set1(float x) { return _mm512_set1_ps(x); }
V_INLINE vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
V_INLINE void vf_store(float *p, vf a) { _mm512_storeu_ps(p, a); }
V_INLINE vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
V_INLINE vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
V_INLINE vf vf_neg(vf a) { return _mm512_xor_ps(a, _mm512_set1_ps(-0.0f)); }
V_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
V_INLINE vf vf_of_int(vi a) { return _mm512_cvtepi32_ps(a); }
V_INLINE vf vf_of_f16(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
/* The first and the second of each lane's pair of bfloat16. */
V_INLINE vf vf_of_even(vi pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
V_INLINE vf vf_of_odd(vi pairs) {
    return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32((int)0xffff0000u)));
}
V_INLINE vf vf_of_u8(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
V_INLINE vf vf_of_i8(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
V_INLINE vf vf_of_e8m0(const void *p) { /* 2^(e - 127), subnormal for 0 */
    const vi e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm512_castsi512_ps(_mm512_max_epi32(v_shl32(e, 23), _mm512_set1_epi32(0x00400000)));
}

#endif
