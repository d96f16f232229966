/* Private to the kernels room: how weight panels are laid out.
 *
 * A panel is P rows (8, or 16 for AVX-512) of the matrix, interleaved so that vector lanes are
 * rows.
 *
 * Floats: for k = 0, 1, ...: the P values of column k, in file format.
 *
 * Quantised types: units of one file block of every row (32 or 256 columns), one after the other.
 * A unit is a head and then, for each 32 columns, the integers.
 *   head     d f16[P], then (types with a minimum) m or dmin f16[P],
 *            Q4_K, Q5_K: sc u8[8][P], mn u8[8][P];  Q6_K: sc i8[16][P]
 *   quad     4 consecutive k of P rows: byte 4 r + i is element (row r, k + i). One vector.
 *   4 bits   4 vectors: vector j has quad j in its low and quad j + 4 in its high nibbles
 *   5 bits   the same, then 1 vector: bit j of each byte is the fifth bit of quad j
 *   6 bits   the same, then 2 vectors: bits 2 j and 2 j + 1 of vector h are bits 4 and 5 of
 *            quad 4 h + j
 *   8 bits   8 vectors: the quads
 * Integers are stored unsigned with their offset (Q4_0: +8, Q5_0: +16, Q6_K: +32); Q8_0 is signed.
 * Bits per weight equal the file's, except 4.625 for Q4_K (file 4.5) and 5.625 for Q5_K (5.5). */
#ifndef AG_KERNELS_PANEL_H
#define AG_KERNELS_PANEL_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/types.h"

typedef struct ag_qformat {
    ag_type type;
    int bits;    /* of the stored integers */
    int unit;    /* columns */
    int head;    /* bytes a row of the unit's head */
    int offset;  /* log2 of what is subtracted from the integers; 0: nothing */
    bool min;    /* has a float minimum */
    bool halves; /* integer scales for each 16 columns */
} ag_qformat;

/* X(id, name, bits, unit, head, offset, min, halves) */
#define AG_QFORMAT_MAP(X)                                                                          \
    X(Q4_0, q4_0, 4, 32, 2, 3, 0, 0)                                                               \
    X(Q4_1, q4_1, 4, 32, 4, 0, 1, 0)                                                               \
    X(Q5_0, q5_0, 5, 32, 2, 4, 0, 0)                                                               \
    X(Q5_1, q5_1, 5, 32, 4, 0, 1, 0)                                                               \
    X(Q8_0, q8_0, 8, 32, 2, 0, 0, 0)                                                               \
    X(Q4_K, q4_k, 4, 256, 20, 0, 1, 0)                                                             \
    X(Q5_K, q5_k, 5, 256, 20, 0, 1, 0)                                                             \
    X(Q6_K, q6_k, 6, 256, 18, 5, 0, 1)

#define AG_QFORMAT(id, name, bits, unit, head, offset, min, halves)                                \
    { AG_T_##id, bits, unit, head, offset, min, halves }

/* Bytes of the integers of 32 columns, and of a unit, of one row. */
static inline int ag_qf_group_bytes(const ag_qformat *f) { return f->bits * 4; }
static inline int ag_qf_unit_bytes(const ag_qformat *f) {
    return f->head + f->unit / 32 * ag_qf_group_bytes(f);
}
static inline size_t ag_qf_panel_bytes(const ag_qformat *f, int panel, int cols) {
    const size_t bytes = (size_t)(cols / f->unit) * (size_t)(ag_qf_unit_bytes(f) * panel);
    return (bytes + 63) & ~(size_t)63;
}
static inline size_t ag_float_panel_bytes(int item, int panel, int cols) {
    return ((size_t)cols * (size_t)(item * panel) + 63) & ~(size_t)63;
}

#endif
