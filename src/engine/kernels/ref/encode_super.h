/* Private to the kernels room: fits of whole super-blocks of 256, whose runs share f16 scales and
 * have small integer ones. */
#ifndef AG_KERNELS_REF_ENCODE_SUPER_H
#define AG_KERNELS_REF_ENCODE_SUPER_H

#include "kernels/ref/encode_fit.h"

/* x ~ d * sc[j] * v: run j of `run` values; 256 / run of them. */
typedef struct ag_super {
    uint16_t d; /* f16 */
    int8_t sc[16];
    int8_t v[256]; /* what the codes stand for */
} ag_super;

/* Scales sc from `low` (which the largest gets) to -low - 1. */
void ag_super_fit(const float *x, const float *w, int run, ag_codes codes, int low, ag_super *out);

/* x ~ d * sc[j] * q - dmin * mn[j] */
typedef struct ag_super_affine {
    uint16_t d, dmin; /* f16 */
    uint8_t sc[16], mn[16];
    uint8_t q[256];
} ag_super_affine;

/* q = 0 .. levels; sc and mn = 0 .. top. */
void ag_super_fit_affine(const float *x, const float *w, int run, int levels, int top,
                         ag_super_affine *out);

#endif
