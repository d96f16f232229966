/* Matmuls for AVX-512 without VNNI: panels of 16 rows. */
#include "kernels/x86/isa_avx512.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"

/* Sums of pairs in int16, exact for the reasons given in isa_avx2.h. */
typedef vi vdot;
enum { DOT_CENTRES_5 = 1, V_PANELS = 2 };

V_INLINE vdot dot_zero(void) { return v_zero(); }
V_INLINE vdot dot_centre5(const ag_q8_block *x) { return v_all4(x->c32); }
V_INLINE vdot dot_centre_half(const ag_q8_block *x, int half, int down) {
    return _mm512_srai_epi16(v_all4(x->c16[half]), (unsigned)down);
}
V_INLINE vdot dot_centre12(const ag_q8_block *x) { /* -8 - 4 */
    const vi c = v_all4(x->c32);
    return _mm512_add_epi16(_mm512_srai_epi16(c, 1), _mm512_srai_epi16(c, 2));
}
V_INLINE vdot dot_add(vdot acc, vi w, vi x) {
    acc = _mm512_add_epi16(acc, _mm512_maddubs_epi16(w, x));
    AG_IN_REGISTER(acc);
    return acc;
}
V_INLINE vi dot_end(vdot acc) { return _mm512_madd_epi16(acc, _mm512_set1_epi16(1)); }

V_INLINE vi scale_of_i8(const void *p) {
    const __m128i b = _mm_loadu_si128((const __m128i *)p);
    const __m256i twice = _mm256_set_m128i(_mm_unpackhi_epi8(b, b), _mm_unpacklo_epi8(b, b));
    return _mm512_cvtepi8_epi16(twice);
}
V_INLINE vi scale_mask(void) { return _mm512_set1_epi16(15); }
V_INLINE vi dot_scaled(vdot acc, vi scale) { return _mm512_madd_epi16(acc, scale); }

V_INLINE vi signed_zero(const ag_q8_block *x) {
    (void)x;
    return v_zero();
}
V_INLINE vi signed_weight(vi w) { return w; }
V_INLINE vi signed_end(vdot acc) { return acc; }
V_INLINE vi signed_add(vi acc, vi w, vi x) {
    const vi turned = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(w), v_zero(), x);
    const vi pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(w), turned);
    acc = _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    AG_IN_REGISTER(acc);
    return acc;
}

#include "kernels/simd/matmul_quant.h"

#include "kernels/simd/matmul_float.h"

#include "kernels/simd/matmul_bf16.h"

AG_QFORMAT_MAP(AG_QUANT_RUN)
AG_FLOAT_RUN(F32, f32)
AG_FLOAT_RUN(F16, f16)
AG_BF16_RUN

void ag_k_matmul_fill_avx512(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_avx512", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
    PUT(F32, f32)
    PUT(F16, f16)
    PUT(BF16, bf16)
    k->quantize_q8 = ag_k_quantize_q8_avx512;
}
