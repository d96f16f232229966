/* Encoders of IQ4_NL, IQ4_XS and MXFP4, whose codes are numbers of table entries. */
#include <math.h>
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/ref/encode.h"
#include "kernels/ref/encode_super.h"

/* Entries of the table to their numbers. */
static void iq4_codes(const int8_t *v, int n, uint8_t *q) {
    static const int8_t values[16] = {AG_IQ4_VALUES};
    for (int i = 0; i < n; i++) {
        uint8_t at = 0;
        for (uint8_t j = 1; j < 16; j++)
            at = v[i] == values[j] ? j : at;
        q[i] = at;
    }
}

void ag_encode_iq4_nl(const float *x, const float *given, uint8_t *out) {
    ag_block_iq4_nl *b = (ag_block_iq4_nl *)out;
    int8_t v[32] = {0};
    uint8_t q[32];
    float w[32];
    uint16_t d = AG_ENCODE_NAN;
    if (ag_encode_prepare(x, given, 32, w)) {
        const float scale = ag_fit_scale(x, w, 32, AG_CODES_IQ4);
        ag_fit_values(x, 32, AG_CODES_IQ4, ag_encode_f16(scale, &d), v);
    }
    b->d = d;
    iq4_codes(v, 32, q);
    ag_encode_nibbles(q, b->qs);
}

void ag_encode_iq4_xs(const float *x, const float *given, uint8_t *out) {
    ag_block_iq4_xs *b = (ag_block_iq4_xs *)out;
    ag_super s = {.d = AG_ENCODE_NAN};
    float w[256];
    uint8_t q[256];
    if (ag_encode_prepare(x, given, 256, w))
        ag_super_fit(x, w, 32, AG_CODES_IQ4, -32, &s);
    iq4_codes(s.v, 256, q);
    unsigned high = 0;
    memset(b->low, 0, sizeof b->low);
    for (int j = 0; j < 8; j++) {
        const int u = s.sc[j] + 32;
        b->low[j / 2] |= (uint8_t)((u & 15) << (4 * (j % 2)));
        high |= (unsigned)(u >> 4) << 2 * j;
        ag_encode_nibbles(q + 32 * j, b->qs + 16 * j);
    }
    b->high = (uint16_t)high;
    b->d = s.d;
}

/* The number of the FP4 value nearest to v, doubled values being halves apart or more. */
static uint8_t fp4_code(float v, float *value) {
    static const float doubled[8] = {0, 1, 2, 3, 4, 6, 8, 12};
    const float size = fabsf(v);
    uint8_t at = 0;
    for (int j = 0; j < 7; j++)
        at = (uint8_t)(at + (size > (doubled[j] + doubled[j + 1]) * 0.25f));
    *value = v < 0.0f ? -doubled[at] * 0.5f : doubled[at] * 0.5f;
    return (uint8_t)(at | (v < 0.0f && at ? 8 : 0));
}

static float mxfp4_try(const float *x, const float *w, int e, uint8_t q[32]) {
    const float scale = ag_e8m0_to_f32((uint8_t)e), inverse = 1.0f / scale;
    float sum = 0.0f;
    for (int i = 0; i < 32; i++) {
        float value;
        q[i] = fp4_code(x[i] * inverse, &value);
        const float error = x[i] - scale * value;
        sum += w[i] * error * error;
    }
    return sum;
}

/* The largest value lies between 4 and 8 times the scale that the format's authors choose; with
 * the next larger scale it is not clipped, with the next smaller one small values keep more. */
void ag_encode_mxfp4(const float *x, const float *given, uint8_t *out) {
    ag_block_mxfp4 *b = (ag_block_mxfp4 *)out;
    uint8_t best[32] = {0}, q[32];
    float w[32], top = 0.0f, least = INFINITY;
    b->e = 255;
    if (ag_encode_prepare(x, given, 32, w)) {
        for (int i = 0; i < 32; i++)
            top = fabsf(x[i]) > top ? fabsf(x[i]) : top;
        const int e = (int)(ag_f32_bits(top) >> 23) - 2;
        b->e = 0;
        for (int k = e - 1; k <= e + 1; k++) {
            if (k < 1 || k > 254)
                continue;
            const float error = mxfp4_try(x, w, k, q);
            if (error < least) {
                least = error;
                b->e = (uint8_t)k;
                memcpy(best, q, sizeof best);
            }
        }
    }
    ag_encode_nibbles(best, b->qs);
}
