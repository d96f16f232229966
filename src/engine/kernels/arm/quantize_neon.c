/* quantize_q8 for AArch64: the operations of ref/quantize.c, a block in eight vectors. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/act.h"
#include "kernels/half.h"
#include "kernels/ref/matmul.h"

static uint32_t top_of(const float32x4_t x[8]) {
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint32x4_t top = vdupq_n_u32(0);
    for (int i = 0; i < 8; i++)
        top = vmaxq_u32(top, vandq_u32(vreinterpretq_u32_f32(x[i]), magnitude));
    return vmaxvq_u32(top);
}

/* The sums of a block, from its 32 values in order. */
static void finish_sums(ag_q8_block *b, int8x16_t q0, int8x16_t q1) {
    /* Adjacent pairs are lanes 0 1 0 1 ...: separate them, half 0 before half 1, and add fours. */
    const int16x8_t p0 = vpaddlq_s8(q0), p1 = vpaddlq_s8(q1);
    const int32x4_t even = vpaddlq_s16(vuzp1q_s16(p0, p1)), odd = vpaddlq_s16(vuzp2q_s16(p0, p1));
    const int32x4_t four = vpaddq_s32(even, odd); /* lane 0 of half 0, of half 1; lane 1 the same */
    const int32x2_t lane0 = vget_low_s32(four), lane1 = vget_high_s32(four);
    const int32x4_t halves = vcombine_s32(vzip1_s32(lane0, lane1), vzip2_s32(lane0, lane1));
    const int32x2_t both = vpadd_s32(lane0, lane1);
    vst1_s16(&b->c16[0][0], vmovn_s32(vmulq_n_s32(halves, -32)));
    vst1_s32(b->s16, vmul_n_s32(vadd_s32(lane0, lane1), -32));
    b->c32[0] = (int16_t)(-16 * vget_lane_s32(both, 0));
    b->c32[1] = (int16_t)(-16 * vget_lane_s32(both, 1));
    b->sum = vget_lane_s32(both, 0) + vget_lane_s32(both, 1);
    b->dsum = b->d * (float)b->sum;
}

static int16x8_t rounded(float32x4_t a, float32x4_t b, float by) {
    return vcombine_s16(vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(a, by))),
                        vmovn_s32(vcvtnq_s32_f32(vmulq_n_f32(b, by))));
}

static void quantize_block(const float *p, ag_q8_block *b) {
    float32x4_t x[8];
    for (int i = 0; i < 8; i++)
        x[i] = vld1q_f32(p + 4 * i);
    const uint32_t top = top_of(x);
    if (top < AG_Q8_ZERO_BELOW || top >= AG_Q8_NOT_FINITE) {
        memset(b, 0, sizeof *b);
        if (top >= AG_Q8_NOT_FINITE)
            b->d = b->dsum = ag_f32_of_bits(AG_Q8_NAN);
        return;
    }
    const float amax = ag_f32_of_bits(top), by = 127.0f / amax;
    b->d = amax / 127.0f;
    int8x16_t q[2];
    for (int i = 0; i < 2; i++)
        q[i] = vcombine_s8(vmovn_s16(rounded(x[4 * i], x[4 * i + 1], by)),
                           vmovn_s16(rounded(x[4 * i + 2], x[4 * i + 3], by)));
    vst1q_s8(b->q, q[0]);
    vst1q_s8(b->q + 16, q[1]);
    finish_sums(b, q[0], q[1]);
}

void ag_k_quantize_q8_neon(const float *x, int n, void *act) {
    ag_q8_block *b = act;
    for (int i = 0; i < n; i += 32)
        quantize_block(x + i, b++);
}
