/* Private to the kernels room: what the encoders share. Rounding is done so that every machine and
 * every vector width gives the same bits, and no value, NaN included, leaves its range. */
#ifndef AG_KERNELS_REF_ENCODE_H
#define AG_KERNELS_REF_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/half.h"
#include "kernels/types.h"

/* One block of x[info->block] to its bytes; w[info->block] are the weights of the squared errors,
 * NULL for equal ones. */
typedef void ag_encode_block(const float *x, const float *w, uint8_t *out);

/* encode_simple.c: without weights the reference rounding. */
ag_encode_block ag_encode_q4_0, ag_encode_q4_1, ag_encode_q5_0, ag_encode_q5_1, ag_encode_q8_0;
/* encode_tables.c */
ag_encode_block ag_encode_iq4_nl, ag_encode_iq4_xs, ag_encode_mxfp4;
/* encode_k.c */
ag_encode_block ag_encode_q2_k, ag_encode_q3_k, ag_encode_q4_k, ag_encode_q5_k, ag_encode_q6_k;

/* Weights as the fits want them: the given ones divided by the largest, or all 1 where none is
 * given or none is positive. False when a value of x is not finite, which no fit can serve. */
bool ag_encode_prepare(const float *x, const float *given, int n, float *w);

static inline void ag_encode_nibbles(const uint8_t q[32], uint8_t qs[16]) {
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)((q[i] & 15) | q[i + 16] << 4);
}

#define AG_ENCODE_NAN 0x7e00 /* f16: the scale of a block with values that are not finite */

/* The nearest f16, as float32. */
static inline float ag_encode_f16(float d, uint16_t *bits) {
    *bits = ag_f32_to_f16(d);
    return ag_f16_to_f32(*bits);
}

/* 1 / d, and 0 for 0. */
static inline float ag_encode_inverse(float d) { return d == 0.0f ? 0.0f : 1.0f / d; }

/* Towards zero, within [0, top]; NaN gives 0. */
static inline uint8_t ag_encode_trunc(float v, float top) {
    v = v > 0.0f ? v : 0.0f;
    v = v < top ? v : top;
    return (uint8_t)(int)v;
}

#endif
