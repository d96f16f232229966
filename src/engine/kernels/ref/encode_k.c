/* Encoders of Q2_K to Q6_K: the fits of encode_super.c into the layouts of kernels/blocks.h. */
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/ref/encode.h"
#include "kernels/ref/encode_super.h"

static void pack_scales_k4(const uint8_t sc[8], const uint8_t mn[8], uint8_t s[12]) {
    for (int j = 0; j < 4; j++) {
        s[j] = (uint8_t)(sc[j] | (sc[j + 4] >> 4) << 6);
        s[j + 4] = (uint8_t)(mn[j] | (mn[j + 4] >> 4) << 6);
        s[j + 8] = (uint8_t)((sc[j + 4] & 15) | (mn[j + 4] & 15) << 4);
    }
}

static void pack_nibbles(const uint8_t q[256], uint8_t qs[128]) {
    for (int i = 0; i < 128; i++) {
        const int at = 64 * (i / 32) + i % 32;
        qs[i] = (uint8_t)((q[at] & 15) | (q[at + 32] & 15) << 4);
    }
}

/* Two bits of each from bit `from` on, four to a byte, 32 apart. */
static void pack_pairs(const uint8_t q[256], int from, uint8_t qs[64]) {
    for (int i = 0; i < 64; i++) {
        unsigned byte = 0;
        for (int j = 0; j < 4; j++)
            byte |= (q[128 * (i / 32) + 32 * j + i % 32] >> from & 3u) << 2 * j;
        qs[i] = (uint8_t)byte;
    }
}

/* One bit of each, eight to a byte, 32 apart. */
static void pack_bits(const uint8_t q[256], int from, uint8_t out[32]) {
    for (int i = 0; i < 32; i++) {
        unsigned byte = 0;
        for (int j = 0; j < 8; j++)
            byte |= (q[32 * j + i] >> from & 1u) << j;
        out[i] = (uint8_t)byte;
    }
}

void ag_encode_q2_k(const float *x, const float *given, uint8_t *out) {
    ag_block_q2_k *b = (ag_block_q2_k *)out;
    ag_super_affine s = {.d = AG_ENCODE_NAN};
    float w[256];
    if (ag_encode_prepare(x, given, 256, w))
        ag_super_fit_affine(x, w, 16, 3, 15, &s);
    for (int j = 0; j < 16; j++)
        b->scales[j] = (uint8_t)(s.sc[j] | s.mn[j] << 4);
    pack_pairs(s.q, 0, b->qs);
    b->d = s.d;
    b->dmin = s.dmin;
}

void ag_encode_q4_k(const float *x, const float *given, uint8_t *out) {
    ag_block_q4_k *b = (ag_block_q4_k *)out;
    ag_super_affine s = {.d = AG_ENCODE_NAN};
    float w[256];
    if (ag_encode_prepare(x, given, 256, w))
        ag_super_fit_affine(x, w, 32, 15, 63, &s);
    b->d = s.d;
    b->dmin = s.dmin;
    pack_scales_k4(s.sc, s.mn, b->scales);
    pack_nibbles(s.q, b->qs);
}

void ag_encode_q5_k(const float *x, const float *given, uint8_t *out) {
    ag_block_q5_k *b = (ag_block_q5_k *)out;
    ag_super_affine s = {.d = AG_ENCODE_NAN};
    float w[256];
    if (ag_encode_prepare(x, given, 256, w))
        ag_super_fit_affine(x, w, 32, 31, 63, &s);
    b->d = s.d;
    b->dmin = s.dmin;
    pack_scales_k4(s.sc, s.mn, b->scales);
    pack_nibbles(s.q, b->qs);
    pack_bits(s.q, 4, b->qh);
}

/* The unsigned codes of values around 0. */
static void add_offset(const int8_t v[256], int offset, uint8_t q[256]) {
    for (int i = 0; i < 256; i++)
        q[i] = (uint8_t)(v[i] + offset);
}

void ag_encode_q3_k(const float *x, const float *given, uint8_t *out) {
    ag_block_q3_k *b = (ag_block_q3_k *)out;
    ag_super s = {.d = AG_ENCODE_NAN};
    float w[256];
    uint8_t q[256];
    if (ag_encode_prepare(x, given, 256, w))
        ag_super_fit(x, w, 16, AG_CODES_3, -32, &s);
    add_offset(s.v, 4, q);
    pack_bits(q, 2, b->hmask);
    pack_pairs(q, 0, b->qs);
    memset(b->scales, 0, sizeof b->scales);
    for (int j = 0; j < 16; j++) {
        const int u = s.sc[j] + 32;
        b->scales[j % 8] |= (uint8_t)((u & 15) << (4 * (j / 8)));
        b->scales[8 + j % 4] |= (uint8_t)((u >> 4) << (2 * (j / 4)));
    }
    b->d = s.d;
}

void ag_encode_q6_k(const float *x, const float *given, uint8_t *out) {
    ag_block_q6_k *b = (ag_block_q6_k *)out;
    ag_super s = {.d = AG_ENCODE_NAN};
    float w[256];
    uint8_t q[256];
    if (ag_encode_prepare(x, given, 256, w))
        ag_super_fit(x, w, 16, AG_CODES_6, -128, &s);
    add_offset(s.v, 32, q);
    for (int i = 0; i < 128; i++) {
        const int at = 128 * (i / 64) + i % 64;
        b->ql[i] = (uint8_t)((q[at] & 15) | (q[at + 64] & 15) << 4);
    }
    pack_pairs(q, 4, b->qh);
    memcpy(b->scales, s.sc, 16);
    b->d = s.d;
}
