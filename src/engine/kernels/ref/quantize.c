/* Activations to int8 and to bfloat16, and the sizes of a row.
 *
 * For each block of 32: amax = max |x|, d = amax / 127, q = nearest even of x * (127 / amax).
 * The vector versions do the same operations, so rows are bit-equal on every ISA.
 *   amax below 2^-100   the block is zero: the quotients would lose their meaning, the values have
 *                       none beside the weights
 *   any x not finite    d is NaN, so that the damage shows in the result instead of hiding */
#include <math.h>
#include <string.h>

#include "kernels/act.h"
#include "kernels/half.h"
#include "kernels/panel.h"
#include "kernels/ref/clones.h"
#include "kernels/ref/matmul.h"

/* An odd number of lines: the same block of the rows of a tile is read at once, and lies in as many
 * sets of a cache then. With a power of two it would be one or two sets. */
size_t ag_act_q8_bytes(int n) { return ((size_t)n / 32 | 1) * sizeof(ag_q8_block); }

size_t ag_act_bf16_bytes(int n) { return ((size_t)ag_bf16_cols(n) / 16 | 1) * 64; }

static uint32_t largest_magnitude(const float x[32]) {
    uint32_t top = 0; /* as bits: the order of magnitudes, NaN above all */
    for (int i = 0; i < 32; i++) {
        const uint32_t u = ag_f32_bits(x[i]) & 0x7fffffffu;
        top = u > top ? u : top;
    }
    return top;
}

static void finish_sums(ag_q8_block *b) {
    int sums[2][2] = {{0}}; /* [half][lane] */
    for (int i = 0; i < 32; i++)
        sums[i / 16][i % 4 / 2] += b->q[i];
    for (int half = 0; half < 2; half++) {
        for (int lane = 0; lane < 2; lane++)
            b->c16[half][lane] = (int16_t)(-32 * sums[half][lane]);
        b->s16[half] = -32 * (sums[half][0] + sums[half][1]);
    }
    for (int lane = 0; lane < 2; lane++)
        b->c32[lane] = (int16_t)(-16 * (sums[0][lane] + sums[1][lane]));
    b->sum = sums[0][0] + sums[0][1] + sums[1][0] + sums[1][1];
    b->dsum = b->d * (float)b->sum;
}

static void quantize_block(const float x[32], ag_q8_block *b) {
    const uint32_t top = largest_magnitude(x);
    memset(b, 0, sizeof *b);
    if (top < AG_Q8_ZERO_BELOW)
        return;
    if (top >= AG_Q8_NOT_FINITE) {
        b->d = b->dsum = ag_f32_of_bits(AG_Q8_NAN);
        return;
    }
    const float amax = ag_f32_of_bits(top), inverse = 127.0f / amax;
    b->d = amax / 127.0f;
    for (int i = 0; i < 32; i++)
        b->q[i] = (int8_t)lrintf(x[i] * inverse);
    finish_sums(b);
}

void ag_k_quantize_q8_ref(const float *x, int n, void *act) {
    ag_q8_block *b = act;
    for (int i = 0; i < n; i += 32)
        quantize_block(x + i, b++);
}

AG_CLONES static void round_bf16(const float *x, int n, float *out) {
    for (int i = 0; i < n; i++)
        out[i] = ag_bf16_to_f32(ag_bf16_act(x[i]));
    for (int i = n; i < ag_bf16_cols(n); i++)
        out[i] = 0;
}

/* Apart from the clones: the resolver of a function with external linkage is exported. */
void ag_k_round_bf16_ref(const float *x, int n, void *act) { round_bf16(x, n, act); }
