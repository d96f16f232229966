/* Probabilities as integers.
 *
 * The mass of a token is round(2^39 * exp(d)), where d <= 0 is the distance of its logit below the
 * best one (times 1/temperature). Sums of integers do not depend on the order of addition, so a
 * fast selection gives bit for bit the set that the plain definition (sort all, add up) gives, and
 * blocks of tokens too unlikely to weigh anything can be left out exactly. The cost: a token less
 * likely than 2^-40 of the best has mass 0 and is never drawn.
 *
 * exp and log are our own: libm's differ between versions and CPUs in the last place, and one
 * rounding is enough to make the same seed give another token. Nothing here may be contracted to
 * fused operations (cmake/flags.cmake). Thread: any; all functions are pure.
 */
#ifndef AG_SAMPLE_MASS_H
#define AG_SAMPLE_MASS_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AG_MASS_BITS 39       /* 2^39 times 2^24 tokens (AG_MAX_VOCAB) fits 63 bits */
#define AG_MASS_LOW  (-30.0f) /* exp(-30) * 2^39 rounds to 0 */
#define AG_LN2       0.693147180559945309417

/* Four at a time: the compilers' portable vectors, not an instruction set's. */
typedef float ag_f32x4 __attribute__((vector_size(16)));
typedef int32_t ag_i32x4 __attribute__((vector_size(16)));
typedef uint32_t ag_u32x4 __attribute__((vector_size(16)));
typedef double ag_f64x2 __attribute__((vector_size(16)));
typedef uint64_t ag_u64x2 __attribute__((vector_size(16)));

/* Write the masses of four distances d <= 0 (NaN and -infinity weigh nothing), as bit patterns of
 * AG_MASS_BIAS plus the mass: integers that can be added as they are. Relative error below 3e-7
 * before rounding; exactly 2^39 for d == 0. */
#define AG_MASS_BIAS 0x4330000000000000ull /* 2^52 as a double: its low bits are the integer */
static inline void ag_mass4(ag_f32x4 d, ag_u64x2 biased[2]) {
    const ag_i32x4 weighs = d > AG_MASS_LOW;
    /* d = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer, which then
     * stands in the low bits; ln 2 is split so that n times its first part is exact. */
    const ag_f32x4 t = d * 1.44269504f + 12582912.0f;
    const ag_f32x4 n = t - 12582912.0f;
    const ag_f32x4 r = (d - n * 0.693359375f) - n * -2.12194440e-4f;
    /* The series of exp in pairs, so that the multiplications overlap. */
    const ag_f32x4 r2 = r * r;
    const ag_f32x4 low = (r2 * 0.5f + r) + 1.0f;
    const ag_f32x4 mid = (r * (1.0f / 24) + 1.0f / 6) + r2 * (r * (1.0f / 720) + 1.0f / 120);
    ag_f32x4 p = low + (r2 * r) * mid;
    /* Times 2^(n + 39), by the exponent, as unsigned so that lanes without weight may wrap. */
    const ag_u32x4 raised = (ag_u32x4)p + (((ag_u32x4)t - (0x4b400000u - AG_MASS_BITS)) << 23);
    p = (ag_f32x4)(raised & (ag_u32x4)weighs);
    biased[0] =
        (ag_u64x2)(__builtin_convertvector(__builtin_shufflevector(p, p, 0, 1), ag_f64x2) + 0x1p52);
    biased[1] =
        (ag_u64x2)(__builtin_convertvector(__builtin_shufflevector(p, p, 2, 3), ag_f64x2) + 0x1p52);
}

/* One distance. The only definition is the one above, so the two cannot differ. */
static inline uint64_t ag_mass(float d) {
    ag_u64x2 biased[2];
    ag_mass4((ag_f32x4){d, d, d, d}, biased);
    return biased[0][0] - AG_MASS_BIAS;
}

/* Natural logarithm of a normal number x > 0; error below 1e-15 relative to max(1, |result|). */
double ag_mass_ln(double x);

/* A row of logits with what one pass over it finds. */
typedef struct ag_row {
    const float *x;   /* [n] borrowed; NaN counts as -infinity, +infinity as FLT_MAX */
    float *block_max; /* [ag_row_blocks(n)] borrowed; most likely of each block, as above */
    int32_t n;
    float best; /* largest logit; -infinity when no token is usable */
} ag_row;

#define AG_ROW_BLOCK 64

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
ag_row ag_row_scan(const float *x, int32_t n, float *block_max);
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
