/* Matmuls for every AArch64: panels of 8 rows. The templates hold the loops, isa_neon.h the
 * instructions. */
#include "kernels/arm/isa_neon.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"

/* Dot products of unsigned weights of 2 to 6 bits with int8 activations, in 16-bit lanes: register
 * i has the products of rows 2 i and 2 i + 1, a lane each for k % 4. A lane adds one product a
 * quad, so its true sum fits:
 *   4 bits  8 quads: at most 8 * 15 * 127 = 15240
 *   5 bits  8 quads: at most 8 * 31 * 127 = 31496
 *   6 bits  4 quads centred by -32, that of two k in one lane: at most 4 * (32 + 32) * 127 = 32512
 *   MXFP4   8 quads centred by -12 in the same way: at most 8 * (12 + 12) * 127 = 24384
 * Signed weights need 32 bits: there a lane has k % 4 in {0, 1} or in {2, 3} of one row. */
typedef struct vdot {
    int32x4_t rows[4];
} vdot;
enum { DOT_CENTRES_5 = 0, V_PANELS = 1 /* 4 tokens fill 16 registers with sums */ };

V_INLINE int16x8_t as_i16(int32x4_t a) { return vreinterpretq_s16_s32(a); }
V_INLINE int32x4_t of_i16(int16x8_t a) { return vreinterpretq_s32_s16(a); }

V_INLINE vdot dot_all(int32x4_t a) { return (vdot){{a, a, a, a}}; }
V_INLINE vdot dot_zero(void) { return dot_all(vdupq_n_s32(0)); }
V_INLINE vdot dot_centre5(const ag_q8_block *x) {
    (void)x;
    return dot_zero();
}
/* The lanes of every row begin with c0, 0, c1, 0. */
V_INLINE vdot dot_centre(int c0, int c1) {
    const uint64_t row = (uint16_t)c0 | (uint64_t)(uint16_t)c1 << 32;
    return dot_all(vreinterpretq_s32_u64(vdupq_n_u64(row)));
}
/* -32 >> down times the sums of a half. */
V_INLINE vdot dot_centre_half(const ag_q8_block *x, int half, int down) {
    return dot_centre(x->c16[half][0] >> down, x->c16[half][1] >> down);
}
V_INLINE vdot dot_centre12(const ag_q8_block *x) { /* -16 * 3/4 */
    return dot_centre(x->c32[0] / 4 * 3, x->c32[1] / 4 * 3);
}

V_INLINE int8x8_t low8(int32x4_t a) { return vget_low_s8(as_i8(a)); }
V_INLINE vdot dot_add(vdot acc, vi w, vi x) {
    acc.rows[0] = of_i16(vmlal_s8(as_i16(acc.rows[0]), low8(w.a), low8(x.a)));
    acc.rows[1] = of_i16(vmlal_high_s8(as_i16(acc.rows[1]), as_i8(w.a), as_i8(x.a)));
    acc.rows[2] = of_i16(vmlal_s8(as_i16(acc.rows[2]), low8(w.b), low8(x.b)));
    acc.rows[3] = of_i16(vmlal_high_s8(as_i16(acc.rows[3]), as_i8(w.b), as_i8(x.b)));
    return acc;
}

V_INLINE vdot signed_zero(const ag_q8_block *x) {
    (void)x;
    return dot_zero();
}
V_INLINE vi signed_weight(vi w) { return w; }
V_INLINE vdot signed_add(vdot acc, vi w, vi x) {
    acc.rows[0] = vpadalq_s16(acc.rows[0], vmull_s8(low8(w.a), low8(x.a)));
    acc.rows[1] = vpadalq_s16(acc.rows[1], vmull_high_s8(as_i8(w.a), as_i8(x.a)));
    acc.rows[2] = vpadalq_s16(acc.rows[2], vmull_s8(low8(w.b), low8(x.b)));
    acc.rows[3] = vpadalq_s16(acc.rows[3], vmull_high_s8(as_i8(w.b), as_i8(x.b)));
    return acc;
}
V_INLINE vi signed_end(vdot acc) {
    return (vi){vpaddq_s32(acc.rows[0], acc.rows[1]), vpaddq_s32(acc.rows[2], acc.rows[3])};
}
V_INLINE vi dot_end(vdot acc) {
    UNROLL
    for (int i = 0; i < 4; i++)
        acc.rows[i] = vpaddlq_s16(as_i16(acc.rows[i]));
    return signed_end(acc);
}
V_INLINE vi dot_scaled(vdot acc, vi scale) { return v_mul32(dot_end(acc), scale); }

#include "kernels/simd/matmul_quant.h"

#include "kernels/simd/matmul_float.h"

#include "kernels/simd/matmul_bf16.h"

AG_QFORMAT_MAP(AG_QUANT_RUN)
AG_FLOAT_RUN(F32, f32)
AG_FLOAT_RUN(F16, f16)
AG_BF16_RUN

void ag_k_matmul_fill_neon(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_neon", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
    PUT(F32, f32)
    PUT(F16, f16)
    PUT(BF16, bf16)
    k->quantize_q8 = ag_k_quantize_q8_neon;
}
