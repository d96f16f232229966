/* Private to the kernels room: what the encoders share. Rounding is done so that every machine and
 * every vector width gives the same bits, and no value, NaN included, leaves its range. */
#ifndef AG_KERNELS_REF_ENCODE_H
#define AG_KERNELS_REF_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/half.h"
#include "kernels/types.h"

/* One block of x[info->block] to its bytes. */
typedef void ag_encode_block(const float *x, uint8_t *out);

void ag_encode_q4_0(const float *x, uint8_t *out);
void ag_encode_q4_1(const float *x, uint8_t *out);
void ag_encode_q5_0(const float *x, uint8_t *out);
void ag_encode_q5_1(const float *x, uint8_t *out);
void ag_encode_q8_0(const float *x, uint8_t *out);

/* 1 / d, and 0 for 0. */
static inline float ag_encode_inverse(float d) { return d == 0.0f ? 0.0f : 1.0f / d; }

/* Towards zero, within [0, top]; NaN gives 0. */
static inline uint8_t ag_encode_trunc(float v, float top) {
    v = v > 0.0f ? v : 0.0f;
    v = v < top ? v : top;
    return (uint8_t)(int)v;
}

#endif
