/* The vector words of the matmul templates, for AVX2: 8 rows a vector. */
#ifndef AG_KERNELS_X86_ISA_AVX2_H
#define AG_KERNELS_X86_ISA_AVX2_H

#include <string.h>

#include "kernels/act.h"
#include "kernels/x86/intrin.h"

#define V_ROWS 8
#define V_TILE                                                                                     \
    4 /* tokens of a tile: 2 * 4 sums, 2 weights, 1 product and 1 value in 16 registers */
#define V_SLAB      16 /* groups of a slab: 2 panels in 12 KiB of L1 */
#define V_ACT_BYTES (192 << 10)
/* Measured: 8 bits need no unpacking, and heads of 256 columns make unpacking twice dear. */
#define V_DIRECT(f) ((f)->bits == 8 ? 20 : (f)->unit == 32 ? 8 : 4)

typedef __m256i vi;
typedef __m256 vf;

V_INLINE vi v_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
V_INLINE vi v_all4(const void *p) { /* 4 bytes to every lane */
    int u;
    memcpy(&u, p, 4);
    return _mm256_set1_epi32(u);
}
V_INLINE vi v_zero(void) { return _mm256_setzero_si256(); }
V_INLINE vi v_set1(int byte) { return _mm256_set1_epi8((char)byte); }
V_INLINE vi v_and(vi a, vi b) { return _mm256_and_si256(a, b); }
V_INLINE vi v_or(vi a, vi b) { return _mm256_or_si256(a, b); }
V_INLINE vi v_shr(vi a, int n) { return _mm256_srli_epi16(a, n); }
V_INLINE vi v_shl(vi a, int n) { return _mm256_slli_epi16(a, n); }
V_INLINE vi v_add32(vi a, vi b) { return _mm256_add_epi32(a, b); }
V_INLINE vi v_sub32(vi a, vi b) { return _mm256_sub_epi32(a, b); }
V_INLINE vi v_shl32(vi a, int n) { return _mm256_slli_epi32(a, n); }

V_INLINE vi v_table(const void *bytes) { /* 16 bytes to every 128 bits */
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)bytes));
}
/* table[index] for bytes below 16. */
V_INLINE vi v_lookup(vi table, vi index) { return _mm256_shuffle_epi8(table, index); }

V_INLINE vf vf_zero(void) { return _mm256_setzero_ps(); }
V_INLINE vf vf_all(const float *p) { return _mm256_broadcast_ss(p); }
V_INLINE vf vf_set1(float x) { return _mm256_set1_ps(x); }
V_INLINE vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
V_INLINE void vf_store(float *p, vf a) { _mm256_storeu_ps(p, a); }
V_INLINE vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
V_INLINE vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
V_INLINE vf vf_neg(vf a) { return _mm256_xor_ps(a, _mm256_set1_ps(-0.0f)); }
V_INLINE vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
V_INLINE vf vf_of_int(vi a) { return _mm256_cvtepi32_ps(a); }
V_INLINE vf vf_of_f16(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
/* The first and the second of each lane's pair of bfloat16. */
V_INLINE vf vf_of_even(vi pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
V_INLINE vf vf_of_odd(vi pairs) {
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32((int)0xffff0000u)));
}
V_INLINE vf vf_of_u8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
V_INLINE vf vf_of_i8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
V_INLINE vf vf_of_e8m0(const void *p) { /* 2^(e - 127), subnormal for 0 */
    const __m256i e = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p));
    const __m256i least = _mm256_set1_epi32(0x00400000);
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_slli_epi32(e, 23), least));
}

/* Dot products of unsigned weights of 2 to 6 bits with int8 activations. Pairs of products are
 * added in int16, which wraps and so is exact whenever the true sum of the lane fits:
 *   4 bits  8 quads: at most 16 * 15 * 127 = 30480
 *   5 bits  8 quads centred by -16: at most 16 * 16 * 127 = 32512
 *   6 bits  4 quads centred by -32: at most 8 * 32 * 127 = 32512
 *   MXFP4   8 quads centred by -12: at most 16 * 12 * 127 = 24384
 * No single pair saturates: 2 * 63 * 127 = 16002. */
typedef vi vdot;
enum {
    DOT_CENTRES_5 = 1, /* 5-bit sums come out centred */
    V_PANELS = 2       /* panels of a slab */
};

V_INLINE vdot dot_zero(void) { return v_zero(); }
V_INLINE vdot dot_centre5(const ag_q8_block *x) { return v_all4(x->c32); }
/* -32 >> down times the sums of a half. */
V_INLINE vdot dot_centre_half(const ag_q8_block *x, int half, int down) {
    return _mm256_srai_epi16(v_all4(x->c16[half]), down);
}
V_INLINE vdot dot_centre12(const ag_q8_block *x) { /* -8 - 4 */
    const vi c = v_all4(x->c32);
    return _mm256_add_epi16(_mm256_srai_epi16(c, 1), _mm256_srai_epi16(c, 2));
}
/* The compiler would reassociate the sums of a whole block and keep every product in memory until
 * the end; the empty asm makes it add each product at once (2 times faster). */
V_INLINE vdot dot_add(vdot acc, vi w, vi x) {
    acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
    AG_IN_REGISTER(acc);
    return acc;
}
V_INLINE vi dot_end(vdot acc) { return _mm256_madd_epi16(acc, _mm256_set1_epi16(1)); }

/* Scales of 16 columns: int8 to a form that dot_scaled multiplies with; its low nibble. */
V_INLINE vi scale_of_i8(const void *p) {
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)p);
    return _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(bytes, bytes));
}
V_INLINE vi scale_mask(void) { return _mm256_set1_epi16(15); }
V_INLINE vi dot_scaled(vdot acc, vi scale) { return _mm256_madd_epi16(acc, scale); }

/* Signed weights: |w| * (x with the sign of w), so that -128 is exact. One pair may reach
 * 2 * 128 * 127 = 32512, so every quad goes to int32. */
V_INLINE vi signed_zero(const ag_q8_block *x) {
    (void)x;
    return v_zero();
}
V_INLINE vi signed_weight(vi w) { return w; }
V_INLINE vi signed_end(vdot acc) { return acc; }
V_INLINE vi signed_add(vi acc, vi w, vi x) {
    const vi pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    AG_IN_REGISTER(acc);
    return acc;
}

#endif
