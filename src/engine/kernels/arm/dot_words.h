/* Private to the kernels room: the dot products of the matmul templates with sdot. Four products of
 * signed bytes are added to the int32 of a row. */
#ifndef AG_KERNELS_ARM_DOT_WORDS_H
#define AG_KERNELS_ARM_DOT_WORDS_H

#include "kernels/arm/isa_neon.h"

#include "kernels/simd/dot_int32.h"

/* -32 >> down times the sum of a half. */
V_INLINE vdot dot_centre_half(const ag_q8_block *x, int half, int down) {
    return v_all32(x->s16[half] >> down);
}
V_INLINE vdot dot_centre12(const ag_q8_block *x) { return v_all32(-12 * x->sum); }
V_INLINE vdot dot_add(vdot acc, vi w, vi x) {
    return (vdot){vdotq_s32(acc.a, as_i8(w.a), as_i8(x.a)),
                  vdotq_s32(acc.b, as_i8(w.b), as_i8(x.b))};
}
V_INLINE vi dot_scaled(vdot acc, vi scale) { return v_mul32(acc, scale); }

V_INLINE vdot signed_zero(const ag_q8_block *x) {
    (void)x;
    return v_zero();
}
V_INLINE vi signed_weight(vi w) { return w; }
V_INLINE vdot signed_add(vdot acc, vi w, vi x) { return dot_add(acc, w, x); }

#endif
