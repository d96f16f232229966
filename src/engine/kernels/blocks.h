/* The blocks of weight files, byte for byte. All numbers are little-endian. In the 32-element
 * formats element i lies in byte i % 16: low nibble below 16, high nibble from 16 on. */
#ifndef AG_KERNELS_BLOCKS_H
#define AG_KERNELS_BLOCKS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define AG_PACKED __attribute__((packed))

/* 0 d | 2 qs[16]                       w = d * (n - 8) */
typedef struct AG_PACKED ag_block_q4_0 {
    uint16_t d; /* f16 */
    uint8_t qs[16];
} ag_block_q4_0;
static_assert(sizeof(ag_block_q4_0) == 18, "Q4_0");

/* 0 d | 2 m | 4 qs[16]                 w = d * n + m */
typedef struct AG_PACKED ag_block_q4_1 {
    uint16_t d, m; /* f16 */
    uint8_t qs[16];
} ag_block_q4_1;
static_assert(sizeof(ag_block_q4_1) == 20 && offsetof(ag_block_q4_1, qs) == 4, "Q4_1");

/* 0 d | 2 qh[4] | 6 qs[16]             w = d * ((n | h << 4) - 16), h = bit i of qh */
typedef struct AG_PACKED ag_block_q5_0 {
    uint16_t d; /* f16 */
    uint8_t qh[4];
    uint8_t qs[16];
} ag_block_q5_0;
static_assert(sizeof(ag_block_q5_0) == 22 && offsetof(ag_block_q5_0, qs) == 6, "Q5_0");

/* 0 d | 2 m | 4 qh[4] | 8 qs[16]       w = d * (n | h << 4) + m */
typedef struct AG_PACKED ag_block_q5_1 {
    uint16_t d, m; /* f16 */
    uint8_t qh[4];
    uint8_t qs[16];
} ag_block_q5_1;
static_assert(sizeof(ag_block_q5_1) == 24 && offsetof(ag_block_q5_1, qs) == 8, "Q5_1");

/* 0 d | 2 q[32]                        w = d * q */
typedef struct AG_PACKED ag_block_q8_0 {
    uint16_t d; /* f16 */
    int8_t q[32];
} ag_block_q8_0;
static_assert(sizeof(ag_block_q8_0) == 34 && offsetof(ag_block_q8_0, q) == 2, "Q8_0");

/* 0 s[16] | 16 qs[64] | 80 d | 82 dmin
 *   q = qs[32 (i/128) + i%32] >> 2 (i%128 / 32) & 3
 *   w = (d * (s[i / 16] & 15)) * q - (dmin * (s[i / 16] >> 4)) */
typedef struct AG_PACKED ag_block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d, dmin; /* f16 */
} ag_block_q2_k;
static_assert(sizeof(ag_block_q2_k) == 84 && offsetof(ag_block_q2_k, d) == 80, "Q2_K");

/* 0 hmask[32] | 32 qs[64] | 96 s[12] | 108 d
 *   lo = qs[32 (i/128) + i%32] >> 2 (i%128 / 32) & 3;  hi = hmask[i%32] >> (i/32) & 1
 *   sc = (s[j%8] >> 4 (j/8) & 15) | (s[8 + j%4] >> 2 (j/4) & 3) << 4, j = i / 16
 *   w = (d * (sc - 32)) * ((lo | hi << 2) - 4) */
typedef struct AG_PACKED ag_block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d; /* f16 */
} ag_block_q3_k;
static_assert(sizeof(ag_block_q3_k) == 110 && offsetof(ag_block_q3_k, scales) == 96, "Q3_K");

/* The 12 bytes s of Q4_K and Q5_K hold eight 6-bit scales and eight 6-bit minima:
 *   j < 4:  sc = s[j] & 63                          mn = s[j+4] & 63
 *   j >= 4: sc = s[j+4] & 15 | (s[j-4] >> 6) << 4   mn = s[j+4] >> 4 | (s[j] >> 6) << 4
 * Sub-block j is elements 32 j and on; it lies in qs[32 (j/2)] and on, low nibbles for even j.
 *
 * 0 d | 2 dmin | 4 s[12] | 16 qs[128]  w = (d * sc) * n - (dmin * mn) */
typedef struct AG_PACKED ag_block_q4_k {
    uint16_t d, dmin; /* f16 */
    uint8_t scales[12];
    uint8_t qs[128];
} ag_block_q4_k;
static_assert(sizeof(ag_block_q4_k) == 144 && offsetof(ag_block_q4_k, qs) == 16, "Q4_K");

/* 0 d | 2 dmin | 4 s[12] | 16 qh[32] | 48 qs[128]
 * as Q4_K with n |= (qh[i % 32] >> (i / 32) & 1) << 4 */
typedef struct AG_PACKED ag_block_q5_k {
    uint16_t d, dmin; /* f16 */
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
} ag_block_q5_k;
static_assert(sizeof(ag_block_q5_k) == 176 && offsetof(ag_block_q5_k, qs) == 48, "Q5_K");

/* 0 ql[128] | 128 qh[64] | 192 scales[16] | 208 d
 *   lo = ql[64 (i/128) + i%64] >> 4 (i%128 / 64) & 15
 *   hi = qh[32 (i/128) + i%32] >> 2 (i%128 / 32) & 3
 *   w = (d * scales[i / 16]) * ((lo | hi << 4) - 32) */
typedef struct AG_PACKED ag_block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d; /* f16 */
} ag_block_q6_k;
static_assert(sizeof(ag_block_q6_k) == 210 && offsetof(ag_block_q6_k, d) == 208, "Q6_K");

/* The values that the 4 bits of IQ4_NL and IQ4_XS stand for, denser around zero as weights are. */
#define AG_IQ4_VALUES -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113

/* 0 d | 2 qs[16]                       w = d * K[n] */
typedef struct AG_PACKED ag_block_iq4_nl {
    uint16_t d; /* f16 */
    uint8_t qs[16];
} ag_block_iq4_nl;
static_assert(sizeof(ag_block_iq4_nl) == 18, "IQ4_NL");

/* 0 d | 2 high | 4 low[4] | 8 qs[128]  sub-block j is elements 32 j and on, in qs[16 j] and on
 *   sc = (low[j / 2] >> 4 (j%2) & 15) | (high >> 2 j & 3) << 4
 *   w = (d * (sc - 32)) * K[n] */
typedef struct AG_PACKED ag_block_iq4_xs {
    uint16_t d; /* f16 */
    uint16_t high;
    uint8_t low[4];
    uint8_t qs[128];
} ag_block_iq4_xs;
static_assert(sizeof(ag_block_iq4_xs) == 136 && offsetof(ag_block_iq4_xs, qs) == 8, "IQ4_XS");

/* Twice the values of MXFP4's floats of 4 bits (sign, 2 of exponent, 1 of mantissa). */
#define AG_FP4_DOUBLED 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12

/* 0 e | 1 qs[16]                       w = 2^(e - 127) * FP4[n] */
typedef struct AG_PACKED ag_block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
} ag_block_mxfp4;
static_assert(sizeof(ag_block_mxfp4) == 17, "MXFP4");

#endif
