/* Private to the kernels room: scales for a run of values, so that the weighted squared error of
 * what the nearest codes stand for is small. Runs are n = 16 or 32 values; weights are positive or
 * 0, about 1 at most. Sums have 8 lanes whatever the machine's vectors, so results are the same
 * everywhere. Thread: any; nothing is allocated. */
#ifndef AG_KERNELS_REF_ENCODE_FIT_H
#define AG_KERNELS_REF_ENCODE_FIT_H

#include <stdbool.h>
#include <stdint.h>

/* To the nearest integer, ties to even, within [low, high] (below 2^22); NaN gives low. */
static inline float ag_fit_nearest(float v, float low, float high) {
    v = v > low ? v : low;
    v = v < high ? v : high;
    return (v + 0x1.8p+23f) - 0x1.8p+23f; /* leaves the integer in the low bits */
}

/* What a code without minimum stands for, before its scale. */
typedef enum ag_codes {
    AG_CODES_3,   /* -4 .. 3 */
    AG_CODES_4,   /* -8 .. 7 */
    AG_CODES_5,   /* -16 .. 15 */
    AG_CODES_6,   /* -32 .. 31 */
    AG_CODES_8,   /* -127 .. 127 */
    AG_CODES_IQ4, /* the table of IQ4_NL */
} ag_codes;

/* The scale (of either sign) for x ~ scale * code; 0 for zeros. Method: a grid of scales around
 * that which spends the code of largest magnitude on the value of largest magnitude; each is
 * replaced by the least squares of the codes it leads to; the best is refined the same way. */
float ag_fit_scale(const float *x, const float *w, int n, ag_codes codes);
/* sum w (x - scale * nearest)^2. */
float ag_fit_scale_error(const float *x, const float *w, int n, ag_codes codes, float scale);
/* What the nearest codes stand for: -32 .. 31, -127 .. 113 and so on. */
void ag_fit_values(const float *x, int n, ag_codes codes, float scale, int8_t *values);

typedef struct ag_affine {
    float scale, min; /* x ~ scale * q - min, q = 0 .. levels; scale is not negative */
} ag_affine;

/* The same for a scale and a minimum; `down`: the minimum may not be negative either. */
ag_affine ag_fit_affine(const float *x, const float *w, int n, int levels, bool down);
float ag_fit_affine_error(const float *x, const float *w, int n, int levels, ag_affine a);
void ag_fit_affine_codes(const float *x, int n, int levels, ag_affine a, uint8_t *q);

#endif
