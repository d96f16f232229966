/* Private to the kernels room: the int8 activation row that quantize_q8 writes and the quantised
 * matmuls read.
 *
 * One block of 32 elements is one cache line: 32 values, the scale, and every sum that some weight
 * format needs, so that a kernel touches one line a block and token, at a fixed stride. */
#ifndef AG_KERNELS_ACT_H
#define AG_KERNELS_ACT_H

#include <assert.h>
#include <stdint.h>

/* Kernels multiply 4 consecutive k of a row at a time and add neighbouring products in pairs:
 * "lane 0" below means the elements with k % 4 in {0, 1}, "lane 1" those with k % 4 in {2, 3}. */
typedef struct ag_q8_block {
    int8_t q[32];      /* -127..127 */
    float d;           /* x ~ d * q; 0 for a block of zeros, NaN where any x is not finite */
    float dsum;        /* d * (float)sum, rounded once */
    int32_t sum;       /* sum of q */
    int16_t c32[2];    /* -16 * sum of q over lane 0 and lane 1: centres 5-bit weights */
    int16_t c16[2][2]; /* -32 * the same, for each half of 16: centres 6-bit weights */
    int32_t s16[2];    /* -32 * sum of q of each half of 16 */
} ag_q8_block;
static_assert(sizeof(ag_q8_block) == 64, "one cache line");

#endif
