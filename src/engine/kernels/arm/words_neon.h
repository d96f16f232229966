/* Private to the kernels room: the vector words of the attention and vector loops (kernels/simd)
 * for AArch64. A word is one operation on W lanes, here two registers of four: the shape of the
 * loops for AVX2 then fills the 32 registers as well. */
#ifndef AG_KERNELS_ARM_WORDS_NEON_H
#define AG_KERNELS_ARM_WORDS_NEON_H

#include <arm_neon.h>
#include <math.h>
#include <stdint.h>

#define W_INLINE static inline __attribute__((always_inline))
#define W        8 /* lanes */
#define W_TILE   6 /* query rows: 6 x 2 sums, 2 values and 1 factor in 29 of 32 registers */

typedef struct wf {
    float32x4_t a, b;
} wf;
/* A mask: all bits of a lane, or none. */
typedef struct wm {
    uint32x4_t a, b;
} wm;

W_INLINE wf w_of(float32x4_t a, float32x4_t b) { return (wf){a, b}; }
W_INLINE wf w_all(float x) { return w_of(vdupq_n_f32(x), vdupq_n_f32(x)); }
W_INLINE wf w_load(const float *p) { return w_of(vld1q_f32(p), vld1q_f32(p + 4)); }
W_INLINE void w_store(float *p, wf x) {
    vst1q_f32(p, x.a);
    vst1q_f32(p + 4, x.b);
}
W_INLINE wf w_add(wf x, wf y) { return w_of(vaddq_f32(x.a, y.a), vaddq_f32(x.b, y.b)); }
W_INLINE wf w_sub(wf x, wf y) { return w_of(vsubq_f32(x.a, y.a), vsubq_f32(x.b, y.b)); }
W_INLINE wf w_mul(wf x, wf y) { return w_of(vmulq_f32(x.a, y.a), vmulq_f32(x.b, y.b)); }
W_INLINE wf w_div(wf x, wf y) { return w_of(vdivq_f32(x.a, y.a), vdivq_f32(x.b, y.b)); }
W_INLINE wf w_fma(wf x, wf y, wf z) {
    return w_of(vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b));
}
W_INLINE wf w_fnma(wf x, wf y, wf z) { /* z - x y */
    return w_of(vfmsq_f32(z.a, x.a, y.a), vfmsq_f32(z.b, x.b, y.b));
}
W_INLINE wm w_above(wf x, wf y) { return (wm){vcgtq_f32(x.a, y.a), vcgtq_f32(x.b, y.b)}; }
W_INLINE wf w_choose(wm m, wf yes, wf no) {
    return w_of(vbslq_f32(m.a, yes.a, no.a), vbslq_f32(m.b, yes.b, no.b));
}
/* x > y ? x : y. The instruction for it would let NaN of either side through. */
W_INLINE wf w_max(wf x, wf y) { return w_choose(w_above(x, y), x, y); }
/* x < y ? yes : no; NaN is not less. */
W_INLINE wf w_if_less(wf x, wf y, wf yes, wf no) { return w_choose(w_above(y, x), yes, no); }

/* The bits of `mask` in y, the others of x. */
W_INLINE wf w_mix_bits(uint32_t mask, wf x, wf y) {
    const uint32x4_t m = vdupq_n_u32(mask);
    return w_choose((wm){m, m}, y, x);
}
W_INLINE wf w_sign(wf x) { return w_mix_bits(0x80000000u, w_all(0.0f), x); }
W_INLINE wf w_abs(wf x) { return w_of(vabsq_f32(x.a), vabsq_f32(x.b)); }
W_INLINE float32x4_t w_or4(float32x4_t x, float32x4_t y) {
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(x), vreinterpretq_u32_f32(y)));
}
W_INLINE wf w_or(wf x, wf y) { return w_of(w_or4(x.a, y.a), w_or4(x.b, y.b)); }
/* 2^n, n being the low bits of t as AG_EXP_ROUND leaves them. */
W_INLINE float32x4_t w_two_to4(float32x4_t t) {
    const int32x4_t one = vreinterpretq_s32_f32(vdupq_n_f32(1.0f));
    return vreinterpretq_f32_s32(vaddq_s32(vshlq_n_s32(vreinterpretq_s32_f32(t), 23), one));
}
W_INLINE wf w_two_to(wf t) { return w_of(w_two_to4(t.a), w_two_to4(t.b)); }

/* The first n of W elements; the other lanes are 0. Touches only those n. */
W_INLINE wf w_load_n(const float *p, int n) {
    float all[W] = {0};
    for (int i = 0; i < n; i++)
        all[i] = p[i];
    return w_load(all);
}
W_INLINE void w_store_n(float *p, wf x, int n) {
    float all[W];
    w_store(all, x);
    for (int i = 0; i < n; i++)
        p[i] = all[i];
}
/* Lanes of x that stand for slots lo .. hi-1, lane 0 being slot `slot`; the others -infinity. */
W_INLINE wf w_show(wf x, int slot, int lo, int hi) {
    static const int32_t lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const int32x4_t from = vdupq_n_s32(lo), to = vdupq_n_s32(hi), at = vdupq_n_s32(slot);
    const int32x4_t a = vaddq_s32(vld1q_s32(lanes), at), b = vaddq_s32(vld1q_s32(lanes + 4), at);
    const wm seen = {vandq_u32(vcgeq_s32(a, from), vcltq_s32(a, to)),
                     vandq_u32(vcgeq_s32(b, from), vcltq_s32(b, to))};
    return w_choose(seen, x, w_all(-INFINITY));
}

/* The neighbours of each pair exchanged. */
W_INLINE wf w_swap(wf x) { return w_of(vrev64q_f32(x.a), vrev64q_f32(x.b)); }
/* W / 2 elements, each twice. */
W_INLINE wf w_load_twice(const float *p) {
    const float32x4_t x = vld1q_f32(p);
    return w_of(vzip1q_f32(x, x), vzip2q_f32(x, x));
}
/* Even lanes x - y, odd lanes x + y. */
W_INLINE wf w_sub_add(wf x, wf y) {
    const uint32x4_t even = vreinterpretq_u32_u64(vdupq_n_u64(0xffffffffu));
    return w_choose((wm){even, even}, w_sub(x, y), w_add(x, y));
}

/* W elements of the types of a cache, exact in float32. */
W_INLINE wf w_load_f16(const uint16_t *p) {
    const float16x8_t h = vreinterpretq_f16_u16(vld1q_u16(p));
    return w_of(vcvt_f32_f16(vget_low_f16(h)), vcvt_high_f32_f16(h));
}
W_INLINE wf w_load_bf16(const uint16_t *p) {
    const uint16x8_t h = vld1q_u16(p);
    return w_of(vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(h), 16)),
                vreinterpretq_f32_u32(vshll_high_n_u16(h, 16)));
}
W_INLINE wf w_load_i8(const int8_t *p) {
    const int16x8_t h = vmovl_s8(vld1_s8(p));
    return w_of(vcvtq_f32_s32(vmovl_s16(vget_low_s16(h))), vcvtq_f32_s32(vmovl_high_s16(h)));
}

/* The largest lane. */
W_INLINE float w_top(wf x) { return vmaxvq_f32(vmaxq_f32(x.a, x.b)); }
/* Sums of integers. Added are the lanes of x, 0 or more, rounded to nearest. */
typedef uint64x2_t ws;
W_INLINE ws ws_zero(void) { return vdupq_n_u64(0); }
W_INLINE ws ws_add4(ws sum, float32x4_t x) {
    sum = vaddq_u64(sum, vcvtnq_u64_f64(vcvt_f64_f32(vget_low_f32(x))));
    return vaddq_u64(sum, vcvtnq_u64_f64(vcvt_high_f64_f32(x)));
}
W_INLINE ws ws_add(ws sum, wf x) { return ws_add4(ws_add4(sum, x.a), x.b); }
W_INLINE uint64_t ws_total(ws sum) { return vaddvq_u64(sum); }
/* The sum of 32 values by halving: j + (j + 16), then + 8, + 4, + 2, + 1. */
W_INLINE float w_sum32(const wf x[4]) {
    const wf eight = w_add(w_add(x[0], x[2]), w_add(x[1], x[3]));
    const float32x4_t four = vaddq_f32(eight.a, eight.b);
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

#endif
