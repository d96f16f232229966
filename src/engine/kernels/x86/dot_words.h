/* Private to the kernels room: the dot products of the matmul templates with VNNI. One instruction
 * adds four products of unsigned weights and signed activations to an int32. */
#ifndef AG_KERNELS_X86_DOT_WORDS_H
#define AG_KERNELS_X86_DOT_WORDS_H

#include "kernels/x86/isa_avx512.h"

#include "kernels/simd/dot_int32.h"

V_INLINE vdot dot_centre_half(const ag_q8_block *x, int half, int down) {
    return _mm512_srai_epi32(v_all4(&x->s16[half]), (unsigned)down);
}
V_INLINE vdot dot_centre12(const ag_q8_block *x) { /* 4 - 16 */
    const vi sum = v_all4(&x->sum);
    return v_sub32(v_shl32(sum, 2), v_shl32(sum, 4));
}
V_INLINE vdot dot_add(vdot acc, vi w, vi x) { return _mm512_dpbusd_epi32(acc, w, x); }

V_INLINE vi scale_of_i8(const void *p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
}
V_INLINE vi scale_mask(void) { return _mm512_set1_epi32(15); }
V_INLINE vi dot_scaled(vdot acc, vi scale) { return _mm512_mullo_epi32(acc, scale); }

/* Signed weights become unsigned by +128; the sum starts at -128 * (sum of x). */
V_INLINE vi signed_zero(const ag_q8_block *x) {
    return v_sub32(v_zero(), v_shl32(v_all4(&x->sum), 7));
}
V_INLINE vi signed_weight(vi w) { return _mm512_xor_si512(w, v_set1(0x80)); }
V_INLINE vi signed_add(vi acc, vi w, vi x) { return dot_add(acc, w, x); }

#endif
