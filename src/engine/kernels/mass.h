/* Probabilities as integers: the formulas of every tier. The vector versions do the same operations
 * in the same order (simd/mass_words.h), so masses are equal on all of them; none may be contracted
 * to fused operations (cmake/flags.cmake). What masses are for: sample/mass.h. */
#ifndef AG_KERNELS_MASS_H
#define AG_KERNELS_MASS_H

#include <stdint.h>

#define AG_MASS_BITS 39       /* 2^39 times 2^24 tokens (AG_MAX_VOCAB) fits 63 bits */
#define AG_MASS_LOW  (-30.0f) /* exp(-30) * 2^39 rounds to 0 */
#define AG_ROW_BLOCK 64       /* logits of a block of a row: block_max, block_mass */

/* d = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer, which then stands in
 * the low bits; ln 2 is split so that n times its first part is exact. */
#define AG_MASS_LOG2E  1.44269504f
#define AG_MASS_ROUND  12582912.0f
#define AG_MASS_LN2_HI 0.693359375f
#define AG_MASS_LN2_LO (-2.12194440e-4f)
#define AG_MASS_C3     (1.0f / 6) /* the series of exp, in pairs, so that multiplications overlap */
#define AG_MASS_C4     (1.0f / 24)
#define AG_MASS_C5     (1.0f / 120)
#define AG_MASS_C6     (1.0f / 720)

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
    const ag_f32x4 t = d * AG_MASS_LOG2E + AG_MASS_ROUND;
    const ag_f32x4 n = t - AG_MASS_ROUND;
    const ag_f32x4 r = (d - n * AG_MASS_LN2_HI) - n * AG_MASS_LN2_LO;
    const ag_f32x4 r2 = r * r;
    const ag_f32x4 low = (r2 * 0.5f + r) + 1.0f;
    const ag_f32x4 mid = (r * AG_MASS_C4 + AG_MASS_C3) + r2 * (r * AG_MASS_C6 + AG_MASS_C5);
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

#endif
