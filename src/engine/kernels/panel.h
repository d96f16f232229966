/* Private to the kernels room: how weight panels are laid out.
 *
 * A panel is P rows (8, or 16 for AVX-512) of the matrix, interleaved so that vector lanes are
 * rows.
 *
 * F32, F16: for k = 0, 1, ...: the P values of column k, in file format.
 * BF16: for k = 0, 2, ...: columns k and k + 1 of row 0, of row 1, ... Zeros make the columns up to
 * a multiple of 32.
 *
 * Quantised types: units of one file block of every row (32 or 256 columns), one after the other.
 * A unit is a head and then, for each 32 columns, the integers.
 *   head     d f16[P] (MXFP4: e u8[P]), then (types with a minimum) m or dmin f16[P], then scales:
 *            Q4_K, Q5_K: sc u8[8][P], mn u8[8][P];  IQ4_XS: sc i8[8][P];
 *            Q3_K, Q6_K: sc i8[16][P];  Q2_K: (sc | mn << 4) u8[16][P]
 *   quad     4 consecutive k of P rows: byte 4 r + i is element (row r, k + i). One vector.
 *   nibbles  4 vectors: vector j has quad j in its low and quad j + 4 in its high nibbles
 *   pairs    2 vectors: bits 2 j and 2 j + 1 of vector h are two bits of quad 4 h + j
 *   bits     1 vector: bit j of each byte is one bit of quad j
 *   bytes    8 vectors: the quads
 * 4 bits are nibbles; 5 bits nibbles, then bits; 6 bits nibbles, then pairs; 2 bits pairs; 3 bits
 * pairs, then bits; the lower bits always first. Integers are stored unsigned with their offset
 * (Q4_0: +8, Q5_0: +16, Q6_K: +32, Q3_K: +4) or as numbers of table entries; Q8_0 is signed.
 * Bits per weight equal the file's, except 4.625 for Q4_K (file 4.5), 5.625 for Q5_K (5.5), 3.5625
 * for Q3_K (3.4375) and 4.3125 for IQ4_XS (4.25). */
#ifndef AG_KERNELS_PANEL_H
#define AG_KERNELS_PANEL_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/types.h"

typedef enum ag_qscales {
    AG_QS_F16,  /* one a unit of 32: d */
    AG_QS_E8M0, /* one a unit of 32: a power of two */
    AG_QS_U8,   /* for each 32 of 256 columns: d * u8, and a minimum dmin * u8 */
    AG_QS_I8,   /* for each 32 of 256 columns: d * i8 */
    AG_QS_I8_H, /* for each 16: d times an i8 that multiplies integer sums */
    AG_QS_U4_H, /* for each 16: the same with 4 bits, and a minimum of 4 bits */
} ag_qscales;

/* What the integers stand for. */
typedef enum ag_qtable { AG_QT_NONE, AG_QT_IQ4, AG_QT_FP4 } ag_qtable;

typedef struct ag_qformat {
    ag_type type;
    int bits;   /* of the stored integers */
    int unit;   /* columns */
    int head;   /* bytes a row of the unit's head */
    int offset; /* log2 of what is subtracted from the integers; 0: nothing */
    bool min;   /* has a float minimum */
    ag_qscales scales;
    ag_qtable table;
} ag_qformat;

/* X(id, name, bits, unit, head, offset, min, scales, table) */
#define AG_QFORMAT_MAP(X)                                                                          \
    X(Q4_0, q4_0, 4, 32, 2, 3, 0, F16, NONE)                                                       \
    X(Q4_1, q4_1, 4, 32, 4, 0, 1, F16, NONE)                                                       \
    X(Q5_0, q5_0, 5, 32, 2, 4, 0, F16, NONE)                                                       \
    X(Q5_1, q5_1, 5, 32, 4, 0, 1, F16, NONE)                                                       \
    X(Q8_0, q8_0, 8, 32, 2, 0, 0, F16, NONE)                                                       \
    X(Q2_K, q2_k, 2, 256, 20, 0, 1, U4_H, NONE)                                                    \
    X(Q3_K, q3_k, 3, 256, 18, 2, 0, I8_H, NONE)                                                    \
    X(Q4_K, q4_k, 4, 256, 20, 0, 1, U8, NONE)                                                      \
    X(Q5_K, q5_k, 5, 256, 20, 0, 1, U8, NONE)                                                      \
    X(Q6_K, q6_k, 6, 256, 18, 5, 0, I8_H, NONE)                                                    \
    X(IQ4_NL, iq4_nl, 4, 32, 2, 0, 0, F16, IQ4)                                                    \
    X(IQ4_XS, iq4_xs, 4, 256, 10, 0, 0, I8, IQ4)                                                   \
    X(MXFP4, mxfp4, 4, 32, 1, 0, 0, E8M0, FP4)

#define AG_QFORMAT(id, name, bits, unit, head, offset, min, scales, table)                         \
    { AG_T_##id, bits, unit, head, offset, min, AG_QS_##scales, AG_QT_##table }

/* Which vectors the integers of 32 columns are made of; bytes when none of these. */
static inline bool ag_qf_nibbles(const ag_qformat *f) { return f->bits >= 4 && f->bits <= 6; }
static inline bool ag_qf_pairs(const ag_qformat *f) { return f->bits % 4 == 2 || f->bits == 3; }
static inline bool ag_qf_bits(const ag_qformat *f) { return f->bits == 3 || f->bits == 5; }
/* Scales for each 16 columns? */
static inline bool ag_qf_halves(const ag_qformat *f) { return f->scales >= AG_QS_I8_H; }
/* Bytes a row of d and the minimum, which the scales follow. */
static inline int ag_qf_scales_at(const ag_qformat *f) { return f->min ? 4 : 2; }

/* Bytes of the integers of 32 columns, and of a unit, of one row. */
static inline int ag_qf_group_bytes(const ag_qformat *f) { return f->bits * 4; }
static inline int ag_qf_unit_bytes(const ag_qformat *f) {
    return f->head + f->unit / 32 * ag_qf_group_bytes(f);
}
static inline size_t ag_qf_panel_bytes(const ag_qformat *f, int panel, int cols) {
    const size_t bytes = (size_t)(cols / f->unit) * (size_t)(ag_qf_unit_bytes(f) * panel);
    return (bytes + 63) & ~(size_t)63;
}
static inline int ag_bf16_cols(int cols) { return (cols + 31) & ~31; }
static inline size_t ag_bf16_panel_bytes(int panel, int cols) {
    return (size_t)ag_bf16_cols(cols) * (size_t)(2 * panel);
}
static inline size_t ag_float_panel_bytes(int item, int panel, int cols) {
    return ((size_t)cols * (size_t)(item * panel) + 63) & ~(size_t)63;
}

#endif
