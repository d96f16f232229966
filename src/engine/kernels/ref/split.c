/* Takes file blocks apart. What the numbers mean is in kernels/blocks.h.
 *
 * Every weight of a model goes through here at load, so the loops walk as the bytes lie: compilers
 * make vectors of them, which they do not of an index that is computed for each element. */
#include "kernels/ref/split.h"

#include <string.h>

#include "kernels/blocks.h"

static void nibbles(const uint8_t qs[restrict 16], uint8_t u[restrict 32]) {
    for (int i = 0; i < 16; i++) {
        u[i] = qs[i] & 15;
        u[i + 16] = qs[i] >> 4;
    }
}

/* Bit i of each byte of qh to bit 4 of the i-th of eight integers. */
static void fifth_bits(const uint8_t qh[4], uint8_t u[32]) {
    for (int j = 0; j < 4; j++) {
        uint64_t eight;
        memcpy(&eight, u + 8 * j, 8);
        const uint64_t own = qh[j] * 0x0101010101010101u & 0x8040201008040201u;
        eight |= (own + 0x7f7f7f7f7f7f7f7fu) >> 3 & 0x1010101010101010u;
        memcpy(u + 8 * j, &eight, 8);
    }
}

static void scales_k4(const uint8_t s[12], uint8_t sc[8], uint8_t mn[8]) {
    for (int j = 0; j < 4; j++) {
        sc[j] = s[j] & 63;
        mn[j] = s[j + 4] & 63;
        sc[j + 4] = (uint8_t)((s[j + 8] & 15) | (s[j] >> 6) << 4);
        mn[j + 4] = (uint8_t)(s[j + 8] >> 4 | (s[j + 4] >> 6) << 4);
    }
}

static void nibbles_k(const uint8_t qs[128], uint8_t u[256]) {
    for (int j = 0; j < 4; j++, qs += 32, u += 64)
        for (int i = 0; i < 32; i++) {
            u[i] = qs[i] & 15;
            u[i + 32] = qs[i] >> 4;
        }
}

static void split_q6_k(const ag_block_q6_k *b, ag_split *out) {
    for (int j = 0; j < 2; j++) {
        const uint8_t *ql = b->ql + 64 * j, *qh = b->qh + 32 * j;
        uint8_t *u = out->u + 128 * j;
        for (int i = 0; i < 32; i++) {
            u[i] = (uint8_t)((ql[i] & 15) | (qh[i] << 4 & 0x30));
            u[i + 32] = (uint8_t)((ql[i + 32] & 15) | (qh[i] << 2 & 0x30));
            u[i + 64] = (uint8_t)(ql[i] >> 4 | (qh[i] & 0x30));
            u[i + 96] = (uint8_t)(ql[i + 32] >> 4 | (qh[i] >> 2 & 0x30));
        }
    }
    memcpy(out->sc, b->scales, 16);
    out->d = b->d;
}

/* Two bits of each element, as Q2_K and Q3_K have them. */
static void pairs_k(const uint8_t qs[64], uint8_t u[256]) {
    for (int j = 0; j < 2; j++, qs += 32, u += 128)
        for (int i = 0; i < 32; i++) {
            u[i] = qs[i] & 3;
            u[i + 32] = qs[i] >> 2 & 3;
            u[i + 64] = qs[i] >> 4 & 3;
            u[i + 96] = qs[i] >> 6;
        }
}

/* Bit j of the i-th byte of qh to one bit of the i-th of the j-th 32 integers. */
static void high_bits_k(const uint8_t qh[32], int bit, uint8_t u[256]) {
    for (int j = 0; j < 8; j++)
        for (int i = 0; i < 32; i++)
            u[32 * j + i] |= (uint8_t)((qh[i] >> j & 1) << bit);
}

static void split_q2_k(const ag_block_q2_k *b, ag_split *out) {
    pairs_k(b->qs, out->u);
    for (int j = 0; j < 16; j++) {
        out->sc[j] = b->scales[j] & 15;
        out->mn[j] = b->scales[j] >> 4;
    }
    out->d = b->d;
    out->m = b->dmin;
}

static void split_q3_k(const ag_block_q3_k *b, ag_split *out) {
    pairs_k(b->qs, out->u);
    high_bits_k(b->hmask, 2, out->u);
    for (int j = 0; j < 16; j++) {
        const int lo = b->scales[j % 8] >> (4 * (j / 8)) & 15;
        const int hi = b->scales[8 + j % 4] >> (2 * (j / 4)) & 3;
        out->sc[j] = (uint8_t)((lo | hi << 4) - 32);
    }
    out->d = b->d;
}

static void split_iq4_xs(const ag_block_iq4_xs *b, ag_split *out) {
    for (int j = 0; j < 8; j++) {
        nibbles(b->qs + 16 * j, out->u + 32 * j);
        const int lo = b->low[j / 2] >> (4 * (j % 2)) & 15, hi = b->high >> (2 * j) & 3;
        out->sc[j] = (uint8_t)((lo | hi << 4) - 32);
    }
    out->d = b->d;
}

void ag_split_block(ag_type type, const void *block, ag_split *out) {
    out->m = 0;
    switch (type) {
    case AG_T_Q4_0: {
        const ag_block_q4_0 *b = block;
        out->d = b->d;
        nibbles(b->qs, out->u);
        break;
    }
    case AG_T_Q4_1: {
        const ag_block_q4_1 *b = block;
        out->d = b->d;
        out->m = b->m;
        nibbles(b->qs, out->u);
        break;
    }
    case AG_T_Q5_0: {
        const ag_block_q5_0 *b = block;
        out->d = b->d;
        nibbles(b->qs, out->u);
        fifth_bits(b->qh, out->u);
        break;
    }
    case AG_T_Q5_1: {
        const ag_block_q5_1 *b = block;
        out->d = b->d;
        out->m = b->m;
        nibbles(b->qs, out->u);
        fifth_bits(b->qh, out->u);
        break;
    }
    case AG_T_Q8_0: {
        const ag_block_q8_0 *b = block;
        out->d = b->d;
        memcpy(out->u, b->q, 32);
        break;
    }
    case AG_T_Q4_K: {
        const ag_block_q4_k *b = block;
        out->d = b->d;
        out->m = b->dmin;
        scales_k4(b->scales, out->sc, out->mn);
        nibbles_k(b->qs, out->u);
        break;
    }
    case AG_T_Q5_K: {
        const ag_block_q5_k *b = block;
        out->d = b->d;
        out->m = b->dmin;
        scales_k4(b->scales, out->sc, out->mn);
        nibbles_k(b->qs, out->u);
        high_bits_k(b->qh, 4, out->u);
        break;
    }
    case AG_T_Q2_K:
        split_q2_k(block, out);
        break;
    case AG_T_Q3_K:
        split_q3_k(block, out);
        break;
    case AG_T_IQ4_NL: {
        const ag_block_iq4_nl *b = block;
        out->d = b->d;
        nibbles(b->qs, out->u);
        break;
    }
    case AG_T_IQ4_XS:
        split_iq4_xs(block, out);
        break;
    case AG_T_MXFP4: {
        const ag_block_mxfp4 *b = block;
        out->d = b->e;
        nibbles(b->qs, out->u);
        break;
    }
    case AG_T_Q6_K:
        split_q6_k(block, out);
        break;
    default: /* only quantised, decoded types come here */
        memset(out, 0, sizeof *out);
        break;
    }
}
