/* Encoders of the 32-element types: the reference rounding, without a search for better scales.
 *
 *   symmetric   d = (x of largest magnitude) / -half, so that it becomes integer 0 exactly
 *   affine      m = least x, d = (greatest - m) / levels
 *   Q8_0        d = (largest magnitude) / 127
 * Integers come from the scale in float32; the file holds it rounded to f16. A block with a value
 * that is not finite gets a scale that is not finite either, so that the damage shows. */
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/ref/encode.h"

/* The first of the values of largest magnitude. Magnitudes are compared as bits: NaN is above all.
 */
static float signed_top(const float x[32]) {
    uint32_t top = 0;
    for (int i = 0; i < 32; i++) {
        const uint32_t u = ag_f32_bits(x[i]) & 0x7fffffffu;
        top = u > top ? u : top;
    }
    int at = 0;
    while ((ag_f32_bits(x[at]) & 0x7fffffffu) != top)
        at++;
    return x[at];
}

static void nibbles(const uint8_t q[32], uint8_t qs[16]) {
    for (int i = 0; i < 16; i++)
        qs[i] = (uint8_t)((q[i] & 15) | q[i + 16] << 4);
}

static void fifth_bits(const uint8_t q[32], uint8_t qh[4]) {
    for (int i = 0; i < 4; i++) {
        unsigned bits = 0;
        for (int j = 0; j < 8; j++)
            bits |= (unsigned)(q[8 * i + j] >> 4) << j;
        qh[i] = (uint8_t)bits;
    }
}

static float symmetric(const float x[32], int half, uint8_t q[32]) {
    const float d = signed_top(x) / (float)-half, inverse = ag_encode_inverse(d);
    for (int i = 0; i < 32; i++)
        q[i] = ag_encode_trunc(x[i] * inverse + ((float)half + 0.5f), (float)(2 * half - 1));
    return d;
}

static float affine(const float x[32], int levels, float *m, uint8_t q[32]) {
    float low = x[0], high = x[0], nan = 0.0f;
    for (int i = 0; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        nan += x[i] - x[i]; /* infinity - infinity is NaN too */
    }
    const float d = (high - low) / (float)levels, inverse = ag_encode_inverse(d);
    for (int i = 0; i < 32; i++)
        q[i] = ag_encode_trunc((x[i] - low) * inverse + 0.5f, (float)levels);
    *m = low;
    return d + nan;
}

void ag_encode_q4_0(const float *x, uint8_t *out) {
    ag_block_q4_0 *b = (ag_block_q4_0 *)out;
    uint8_t q[32];
    b->d = ag_f32_to_f16(symmetric(x, 8, q));
    nibbles(q, b->qs);
}

void ag_encode_q5_0(const float *x, uint8_t *out) {
    ag_block_q5_0 *b = (ag_block_q5_0 *)out;
    uint8_t q[32];
    b->d = ag_f32_to_f16(symmetric(x, 16, q));
    nibbles(q, b->qs);
    fifth_bits(q, b->qh);
}

void ag_encode_q4_1(const float *x, uint8_t *out) {
    ag_block_q4_1 *b = (ag_block_q4_1 *)out;
    uint8_t q[32];
    float m;
    b->d = ag_f32_to_f16(affine(x, 15, &m, q));
    b->m = ag_f32_to_f16(m);
    nibbles(q, b->qs);
}

void ag_encode_q5_1(const float *x, uint8_t *out) {
    ag_block_q5_1 *b = (ag_block_q5_1 *)out;
    uint8_t q[32];
    float m;
    b->d = ag_f32_to_f16(affine(x, 31, &m, q));
    b->m = ag_f32_to_f16(m);
    nibbles(q, b->qs);
    fifth_bits(q, b->qh);
}

void ag_encode_q8_0(const float *x, uint8_t *out) {
    ag_block_q8_0 *b = (ag_block_q8_0 *)out;
    const float top = signed_top(x), amax = top < 0 ? -top : top;
    const float d = amax / 127.0f, inverse = ag_encode_inverse(d);
    b->d = ag_f32_to_f16(d);
    for (int i = 0; i < 32; i++) {
        /* Halves away from zero: adding 0.5 to the magnitude, then towards zero. */
        const float v = x[i] * inverse;
        const int q = ag_encode_trunc((v < 0 ? -v : v) + 0.5f, 127.0f);
        b->q[i] = (int8_t)(v < 0 ? -q : q);
    }
}
