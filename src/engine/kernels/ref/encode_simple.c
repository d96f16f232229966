/* Encoders of the 32-element types: the reference rounding, without a search for better scales
 * unless there are weights.
 *
 *   symmetric   d = (x of largest magnitude) / -half, so that it becomes integer 0 exactly
 *   affine      m = least x, d = (greatest - m) / levels
 *   Q8_0        d = (largest magnitude) / 127
 * Integers come from the scale in float32; the file holds it rounded to f16. A block with a value
 * that is not finite gets a scale that is not finite either, so that the damage shows. */
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/ref/encode.h"
#include "kernels/ref/encode_fit.h"

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

/* With weights: a search for the scale, rounded to f16 before the codes are chosen. */
static uint16_t fit_symmetric(const float x[32], const float given[32], ag_codes codes,
                              int8_t v[32]) {
    uint16_t bits = AG_ENCODE_NAN;
    float w[32];
    memset(v, 0, 32);
    if (ag_encode_prepare(x, given, 32, w))
        ag_fit_values(x, 32, codes, ag_encode_f16(ag_fit_scale(x, w, 32, codes), &bits), v);
    return bits;
}

static uint16_t symmetric_codes(const float x[32], const float *w, int half, uint8_t q[32]) {
    if (!w)
        return ag_f32_to_f16(symmetric(x, half, q));
    int8_t v[32];
    const uint16_t d = fit_symmetric(x, w, half == 8 ? AG_CODES_4 : AG_CODES_5, v);
    for (int i = 0; i < 32; i++)
        q[i] = (uint8_t)(v[i] + half);
    return d;
}

static uint16_t affine_codes(const float x[32], const float *given, int levels, uint16_t *m,
                             uint8_t q[32]) {
    uint16_t d = AG_ENCODE_NAN;
    float low, w[32];
    if (!given) {
        d = ag_f32_to_f16(affine(x, levels, &low, q));
        *m = ag_f32_to_f16(low);
        return d;
    }
    *m = 0;
    memset(q, 0, 32);
    if (ag_encode_prepare(x, given, 32, w)) {
        ag_affine a = ag_fit_affine(x, w, 32, levels, false);
        a.scale = ag_encode_f16(a.scale, &d);
        a.min = -ag_encode_f16(-a.min, m);
        ag_fit_affine_codes(x, 32, levels, a, q);
    }
    return d;
}

void ag_encode_q4_0(const float *x, const float *w, uint8_t *out) {
    ag_block_q4_0 *b = (ag_block_q4_0 *)out;
    uint8_t q[32];
    b->d = symmetric_codes(x, w, 8, q);
    ag_encode_nibbles(q, b->qs);
}

void ag_encode_q5_0(const float *x, const float *w, uint8_t *out) {
    ag_block_q5_0 *b = (ag_block_q5_0 *)out;
    uint8_t q[32];
    b->d = symmetric_codes(x, w, 16, q);
    ag_encode_nibbles(q, b->qs);
    fifth_bits(q, b->qh);
}

void ag_encode_q4_1(const float *x, const float *w, uint8_t *out) {
    ag_block_q4_1 *b = (ag_block_q4_1 *)out;
    uint8_t q[32];
    uint16_t m;
    b->d = affine_codes(x, w, 15, &m, q);
    b->m = m;
    ag_encode_nibbles(q, b->qs);
}

void ag_encode_q5_1(const float *x, const float *w, uint8_t *out) {
    ag_block_q5_1 *b = (ag_block_q5_1 *)out;
    uint8_t q[32];
    uint16_t m;
    b->d = affine_codes(x, w, 31, &m, q);
    b->m = m;
    ag_encode_nibbles(q, b->qs);
    fifth_bits(q, b->qh);
}

void ag_encode_q8_0(const float *x, const float *w, uint8_t *out) {
    ag_block_q8_0 *b = (ag_block_q8_0 *)out;
    if (w) {
        int8_t v[32];
        b->d = fit_symmetric(x, w, AG_CODES_8, v);
        memcpy(b->q, v, 32);
        return;
    }
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
