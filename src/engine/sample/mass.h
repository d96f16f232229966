/* Probabilities as integers.
 *
 * The mass of a token is round(2^39 * exp(d)), where d <= 0 is the distance of its logit below the
 * best one (times 1/temperature). Sums of integers do not depend on the order of addition, so a
 * fast selection gives bit for bit the set that the plain definition (sort all, add up) gives, and
 * blocks of tokens too unlikely to weigh anything can be left out exactly. The cost: a token less
 * likely than 2^-40 of the best has mass 0 and is never drawn.
 *
 * exp and log are our own: libm's differ between versions and CPUs in the last place, and one
 * rounding is enough to make the same seed give another token (kernels/mass.h has exp). Nothing
 * here may be contracted to fused operations (cmake/flags.cmake). Thread: any; all functions are
 * pure.
 */
#ifndef AG_SAMPLE_MASS_H
#define AG_SAMPLE_MASS_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/mass.h"

#define AG_LN2 0.693147180559945309417

/* Natural logarithm of a normal number x > 0; error below 1e-15 relative to max(1, |result|). */
double ag_mass_ln(double x);

/* A row of logits with what one pass over it finds. */
typedef struct ag_row {
    const ag_kernels *kernels; /* borrowed */
    const float *x;            /* [n] borrowed; NaN counts as -infinity, +infinity as FLT_MAX */
    float *block_max; /* [ag_row_blocks(n)] borrowed; most likely of each block, as above */
    int32_t n;
    float best; /* largest logit; -infinity when no token is usable */
} ag_row;

static inline int32_t ag_row_blocks(int32_t n) { return (n - 1) / AG_ROW_BLOCK + 1; }
/* Tokens in block b. */
static inline int32_t ag_row_block_n(const ag_row *row, int32_t b) {
    const int32_t left = row->n - b * AG_ROW_BLOCK;
    return left < AG_ROW_BLOCK ? left : AG_ROW_BLOCK;
}
static inline float ag_row_finite(float x) { return x > FLT_MAX ? FLT_MAX : x; }
static inline bool ag_row_usable(const ag_row *row) { return row->best > -INFINITY; }

/* Copy n logits. A plain loop of vectors: memcpy was measured at 65 us for 49,152 logits against 5
 * on a virtual machine whose CPU announces fast string moves and has not got them. */
void ag_row_copy(float *to, const float *from, int32_t n);
/* Look at x[n] once; block_max has ag_row_blocks(n) places. */
ag_row ag_row_scan(const ag_kernels *k, const float *x, int32_t n, float *block_max);
/* The lowest id among the most likely tokens of a usable row. */
int32_t ag_row_argmax(const ag_row *row);
/* Sum of the masses of a usable row, its distances multiplied by `scale` (1 / temperature).
 * block_mass[ag_row_blocks(n)] gets the sum of each block; NULL: not wanted. */
uint64_t ag_row_mass(const ag_row *row, float scale, uint64_t *block_mass);
/* Sum of mass times distance over a usable row, added up by id. */
double ag_row_moment(const ag_row *row);
/* The token that holds unit `at` < ag_row_mass() when masses are laid end to end by id. */
int32_t ag_row_token_at(const ag_row *row, float scale, const uint64_t *block_mass, uint64_t at);

/* Mass of one token of a row. */
static inline uint64_t ag_row_mass_of(const ag_row *row, float scale, int32_t id) {
    return ag_mass((ag_row_finite(row->x[id]) - row->best) * scale);
}

#endif
