/* The vector words of the matmul templates (kernels/simd), for AArch64: 8 rows a vector, which is
 * two registers. The dot products are with their files, for they differ between plain NEON, dotprod
 * and i8mm. */
#ifndef AG_KERNELS_ARM_ISA_NEON_H
#define AG_KERNELS_ARM_ISA_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernels/act.h"
#include "kernels/simd/unroll.h"

#define V_ROWS      8
#define V_TILE      4  /* tokens of a tile */
#define V_SLAB      16 /* groups of a slab: 2 panels in 12 KiB of L1 */
#define V_ACT_BYTES (192 << 10)

typedef struct vi {
    int32x4_t a, b; /* rows 0-3, rows 4-7; 4 bytes or one integer each */
} vi;
typedef struct vf {
    float32x4_t a, b;
} vf;

V_INLINE int8x16_t as_i8(int32x4_t a) { return vreinterpretq_s8_s32(a); }
V_INLINE int32x4_t of_i8(int8x16_t a) { return vreinterpretq_s32_s8(a); }
V_INLINE uint16x8_t as_u16(int32x4_t a) { return vreinterpretq_u16_s32(a); }
V_INLINE int32x4_t of_u16(uint16x8_t a) { return vreinterpretq_s32_u16(a); }

V_INLINE vi v_load(const void *p) {
    return (vi){of_i8(vld1q_s8(p)), of_i8(vld1q_s8((const int8_t *)p + 16))};
}
V_INLINE vi v_all32(int32_t x) { return (vi){vdupq_n_s32(x), vdupq_n_s32(x)}; }
V_INLINE vi v_all4(const void *p) { /* 4 bytes to every lane */
    int32_t u;
    memcpy(&u, p, 4);
    return v_all32(u);
}
V_INLINE vi v_zero(void) { return v_all32(0); }
V_INLINE vi v_set1(int byte) {
    const int32x4_t all = of_i8(vdupq_n_s8((int8_t)byte));
    return (vi){all, all};
}
V_INLINE vi v_and(vi x, vi y) { return (vi){vandq_s32(x.a, y.a), vandq_s32(x.b, y.b)}; }
V_INLINE vi v_or(vi x, vi y) { return (vi){vorrq_s32(x.a, y.a), vorrq_s32(x.b, y.b)}; }
/* Shifts of 16-bit lanes, whose counts are constants once the loops around them are unrolled. */
V_INLINE vi v_shift16(vi x, int by) {
    const int16x8_t n = vdupq_n_s16((int16_t)by);
    return (vi){of_u16(vshlq_u16(as_u16(x.a), n)), of_u16(vshlq_u16(as_u16(x.b), n))};
}
V_INLINE vi v_shr(vi x, int n) { return v_shift16(x, -n); }
V_INLINE vi v_shl(vi x, int n) { return v_shift16(x, n); }
V_INLINE vi v_add32(vi x, vi y) { return (vi){vaddq_s32(x.a, y.a), vaddq_s32(x.b, y.b)}; }
V_INLINE vi v_sub32(vi x, vi y) { return (vi){vsubq_s32(x.a, y.a), vsubq_s32(x.b, y.b)}; }
V_INLINE vi v_shl32(vi x, int n) {
    const int32x4_t by = vdupq_n_s32(n);
    return (vi){vshlq_s32(x.a, by), vshlq_s32(x.b, by)};
}

V_INLINE vi v_table(const void *bytes) { /* 16 bytes, for both registers */
    const int32x4_t all = of_i8(vld1q_s8(bytes));
    return (vi){all, all};
}
/* table[index] for bytes below 16. */
V_INLINE int32x4_t look_up(int32x4_t table, int32x4_t index) {
    return of_i8(vqtbl1q_s8(as_i8(table), vreinterpretq_u8_s32(index)));
}
V_INLINE vi v_lookup(vi table, vi index) {
    return (vi){look_up(table.a, index.a), look_up(table.b, index.b)};
}

V_INLINE vf vf_zero(void) { return (vf){vdupq_n_f32(0), vdupq_n_f32(0)}; }
V_INLINE vf vf_all(const float *p) { return (vf){vld1q_dup_f32(p), vld1q_dup_f32(p)}; }
V_INLINE vf vf_set1(float x) { return (vf){vdupq_n_f32(x), vdupq_n_f32(x)}; }
V_INLINE vf vf_load(const float *p) { return (vf){vld1q_f32(p), vld1q_f32(p + 4)}; }
V_INLINE void vf_store(float *p, vf x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
}
V_INLINE vf vf_add(vf x, vf y) { return (vf){vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b)}; }
V_INLINE vf vf_mul(vf x, vf y) { return (vf){vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b)}; }
V_INLINE vf vf_neg(vf x) { return (vf){vnegq_f32(x.a), vnegq_f32(x.b)}; }
V_INLINE vf vf_fma(vf x, vf y, vf z) {
    return (vf){vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b)};
}
V_INLINE vf vf_of_int(vi x) { return (vf){vcvtq_f32_s32(x.a), vcvtq_f32_s32(x.b)}; }
V_INLINE vf vf_of_f16(const void *p) {
    const float16x8_t h = vreinterpretq_f16_u8(vld1q_u8(p));
    return (vf){vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h)};
}
/* The first and the second of each lane's pair of bfloat16. */
V_INLINE vf vf_of_even(vi pairs) {
    return (vf){vreinterpretq_f32_s32(vshlq_n_s32(pairs.a, 16)),
                vreinterpretq_f32_s32(vshlq_n_s32(pairs.b, 16))};
}
V_INLINE vf vf_of_odd(vi pairs) {
    const int32x4_t high = vdupq_n_s32((int32_t)0xffff0000u);
    return (vf){vreinterpretq_f32_s32(vandq_s32(pairs.a, high)),
                vreinterpretq_f32_s32(vandq_s32(pairs.b, high))};
}
V_INLINE vi v_of_i16(int16x8_t h) { return (vi){vmovl_s16(vget_low_s16(h)), vmovl_high_s16(h)}; }
V_INLINE vf vf_of_u8(const void *p) {
    return vf_of_int(v_of_i16(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p)))));
}
V_INLINE vf vf_of_i8(const void *p) { return vf_of_int(v_of_i16(vmovl_s8(vld1_s8(p)))); }
V_INLINE float32x4_t of_e8m0(uint16x4_t e) {
    const uint32x4_t bits = vshlq_n_u32(vmovl_u16(e), 23);
    return vreinterpretq_f32_u32(vmaxq_u32(bits, vdupq_n_u32(0x00400000)));
}
V_INLINE vf vf_of_e8m0(const void *p) { /* 2^(e - 127), subnormal for 0 */
    const uint16x8_t e = vmovl_u8(vld1_u8(p));
    return (vf){of_e8m0(vget_low_u16(e)), of_e8m0(vget_high_u16(e))};
}

/* The scales of types with one for each 16 columns: int8 to what an integer sum is multiplied
 * with. */
V_INLINE vi scale_of_i8(const void *p) { return v_of_i16(vmovl_s8(vld1_s8(p))); }
V_INLINE vi scale_mask(void) { return v_all32(15); }
V_INLINE vi v_mul32(vi x, vi y) { return (vi){vmulq_s32(x.a, y.a), vmulq_s32(x.b, y.b)}; }

#endif
