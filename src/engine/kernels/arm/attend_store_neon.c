/* Writers of KV blocks for AArch64: the same bytes as kernels/ref/attend_store.c. Converting is
 * done eight elements at a time; K must still be scattered, one element to each line of 32 slots.
 * Thread: one writer a block. */
#include "kernels/attend_store.h"

#include <arm_neon.h>

#include "kernels/attend.h"
#include "kernels/half.h"

static inline uint16x8_t to_f16(const float *x) {
    const float16x4_t lo = vcvt_f16_f32(vld1q_f32(x));
    return vreinterpretq_u16_f16(vcvt_high_f16_f32(lo, vld1q_f32(x + 4)));
}

/* Round to nearest even at bit 16; a NaN keeps its top half and becomes quiet. */
static inline uint32x4_t round_bf16(const float *x) {
    const float32x4_t v = vld1q_f32(x);
    const uint32x4_t u = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    const uint32x4_t near = vaddq_u32(vaddq_u32(u, odd), vdupq_n_u32(0x7fff));
    const uint32x4_t quiet = vorrq_u32(u, vdupq_n_u32(0x400000));
    return vbslq_u32(vceqq_f32(v, v), near, quiet);
}
static inline uint16x8_t to_bf16(const float *x) {
    return vshrn_high_n_u32(vshrn_n_u32(round_bf16(x), 16), round_bf16(x + 4), 16);
}

static inline void scatter16(uint16_t *k, int i, int slot, uint16x8_t eight) {
    uint16_t x[8];
    vst1q_u16(x, eight);
    for (int n = 0; n < 8; n++)
        k[ag_attend_k_at(i + n, slot)] = x[n];
}

void ag_kv_store_v_f32_neon(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 4)
        vst1q_f32((float *)v + ag_attend_v_at(i, slot), vld1q_f32(x + i));
}
void ag_kv_store_k_f16_neon(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        scatter16(k, i, slot, to_f16(x + i));
}
void ag_kv_store_v_f16_neon(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        vst1q_u16((uint16_t *)v + ag_attend_v_at(i, slot), to_f16(x + i));
}
void ag_kv_store_k_bf16_neon(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        scatter16(k, i, slot, to_bf16(x + i));
}
void ag_kv_store_v_bf16_neon(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i += 8)
        vst1q_u16((uint16_t *)v + ag_attend_v_at(i, slot), to_bf16(x + i));
}

/* Magnitudes are compared as integers, which orders floats and puts infinity and NaN on top. */
static uint16_t group_scale(const float *x, int n) {
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint32x4_t most = vdupq_n_u32(0);
    for (int i = 0; i < n; i += 4) {
        const uint32x4_t u = vreinterpretq_u32_f32(vld1q_f32(x + i));
        most = vmaxq_u32(most, vandq_u32(u, magnitude));
    }
    const uint32_t top = vmaxvq_u32(most);
    if (top >= 0x7f800000u)
        return 0x7e00;
    const float scale = ag_f32_of_bits(top) / 127.0f;
    return ag_f32_to_f16(scale < 65504.0f ? scale : 65504.0f);
}

/* Four elements to integers within +-127. The maximum and minimum by number give the bound for
 * NaN, here -127. */
static inline int32x4_t to_i32(const float *x, float inv) {
    const float32x4_t y = vmulq_n_f32(vld1q_f32(x), inv);
    return vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(y, vdupq_n_f32(-127.0f)), vdupq_n_f32(127.0f)));
}
static inline int8x8_t to_i8(const float *x, float inv) {
    return vmovn_s16(vcombine_s16(vmovn_s32(to_i32(x, inv)), vmovn_s32(to_i32(x + 4, inv))));
}

/* Sets the scale of dimensions i .. i + n - 1 of this slot and returns 1 / scale. */
static inline float begin_group(void *kv, int d, int slot, const float *x, int i, int n) {
    uint16_t *scales = (uint16_t *)ag_attend_scales(kv, d);
    const uint16_t scale = group_scale(x + i, n);
    scales[i / 32 * AG_KV_BLOCK + slot] = scale;
    return 1.0f / ag_f16_to_f32(scale);
}

void ag_kv_store_k_q8_neon(void *k, int d, int slot, const float *x) {
    for (int i0 = 0; i0 < d; i0 += 32) {
        const int n = d - i0 < 32 ? d - i0 : 32;
        const float inv = begin_group(k, d, slot, x, i0, n);
        for (int i = i0; i < i0 + n; i += 8) {
            int8_t y[8];
            vst1_s8(y, to_i8(x + i, inv));
            for (int j = 0; j < 8; j++)
                ((int8_t *)k)[ag_attend_k_at(i + j, slot)] = y[j];
        }
    }
}

void ag_kv_store_v_q8_neon(void *v, int d, int slot, const float *x) {
    for (int i0 = 0; i0 < d; i0 += 32) {
        const int n = d - i0 < 32 ? d - i0 : 32;
        const float inv = begin_group(v, d, slot, x, i0, n);
        for (int i = i0; i < i0 + n; i += 8)
            vst1_s8((int8_t *)v + ag_attend_v_at(i, slot), to_i8(x + i, inv));
    }
}
