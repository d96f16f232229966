/* From packed bytes to integer sums: the first part of the quantised matmuls, a template over the
 * vector words of isa_*.h and the dot products, which come first. What makes a result, and in which
 * order, is defined in ref/matmul.c.
 *
 * 32 columns of a panel are unpacked into a wblock (8 quads, scale, min), which then meets several
 * tokens. */
#ifndef AG_KERNELS_SIMD_MATMUL_DOTS_H
#define AG_KERNELS_SIMD_MATMUL_DOTS_H

#include "kernels/blocks.h"
#include "kernels/kernels.h"
#include "kernels/panel.h"

#ifndef V_ALONE
#define V_ALONE V_TILE /* most tokens of a tile of one panel */
#endif

typedef struct wblock {
    vi w[8];
    vf scale, min;
    vi sc[2]; /* of each 16 columns; Q2_K: with the minima in the upper nibbles */
} wblock;

/* Weights with a sign take another way than those of few bits with an offset. */
V_INLINE bool is_signed(const ag_qformat *f) { return f->bits == 8 || f->table == AG_QT_IQ4; }

static const int8_t iq4_values[16] = {AG_IQ4_VALUES};
/* MXFP4's doubled values plus 12: they have no sign then, and few bits. */
static const int8_t fp4_shifted[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

/* Shifts bits that lie at `from` of each byte to `to`; neighbours' bits must be masked away. */
V_INLINE vi move_bits(vi a, int from, int to) {
    return from == to ? a : from < to ? v_shl(a, to - from) : v_shr(a, from - to);
}

V_INLINE void unpack_quads(const ag_qformat *f, const uint8_t *p, vi w[8]) {
    const int vec = 4 * V_ROWS;
    int used = 0; /* bits of w that are there */
    UNROLL
    for (int j = 0; j < 8; j++)
        w[j] = f->bits == 8 ? signed_weight(v_load(p + j * vec)) : v_zero();
    if (ag_qf_nibbles(f)) {
        const vi low = v_set1(15);
        UNROLL
        for (int j = 0; j < 4; j++) {
            const vi both = v_load(p + j * vec);
            w[j] = v_and(both, low);
            w[j + 4] = v_and(v_shr(both, 4), low);
        }
        p += 4 * vec;
        used = 4;
    }
    if (ag_qf_pairs(f)) {
        const vi bits = v_set1(3 << used), h0 = v_load(p), h1 = v_load(p + vec);
        UNROLL
        for (int j = 0; j < 4; j++) {
            w[j] = v_or(w[j], v_and(move_bits(h0, 2 * j, used), bits));
            w[j + 4] = v_or(w[j + 4], v_and(move_bits(h1, 2 * j, used), bits));
        }
        p += 2 * vec;
        used += 2;
    }
    if (ag_qf_bits(f)) {
        const vi bit = v_set1(1 << used), high = v_load(p);
        UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = v_or(w[j], v_and(move_bits(high, j, used), bit));
    }
    if (f->table) {
        const vi table =
            f->table == AG_QT_IQ4 ? signed_weight(v_table(iq4_values)) : v_table(fp4_shifted);
        UNROLL
        for (int j = 0; j < 8; j++)
            w[j] = v_lookup(table, w[j]);
    }
}

V_INLINE size_t unit_bytes(const ag_qformat *f) { return (size_t)(ag_qf_unit_bytes(f) * V_ROWS); }

/* What a unit's columns share: its d, and m or -dmin. */
typedef struct unit_head {
    vf d, m;
} unit_head;

V_INLINE unit_head read_head(const ag_qformat *f, const uint8_t *unit) {
    unit_head h = {vf_zero(), vf_zero()};
    h.d = f->scales == AG_QS_E8M0 ? vf_mul(vf_of_e8m0(unit), vf_set1(0.5f)) : vf_of_f16(unit);
    if (f->min)
        h.m = vf_of_f16(unit + 2 * V_ROWS);
    if (f->scales == AG_QS_U8)
        h.m = vf_neg(h.m);
    if (f->scales == AG_QS_U4_H)
        h.m = vf_mul(h.m, vf_set1(0x1p-5f));
    return h;
}

/* Columns 32 * sub and on of a unit. */
V_INLINE void unpack(const ag_qformat *f, const uint8_t *unit, const unit_head *h, int sub,
                     wblock *out) {
    const uint8_t *sc = unit + ag_qf_scales_at(f) * V_ROWS;
    unpack_quads(f, unit + (f->head + sub * ag_qf_group_bytes(f)) * V_ROWS, out->w);
    out->scale = h->d;
    out->min = h->m;
    if (ag_qf_halves(f)) {
        out->sc[0] = scale_of_i8(sc + 2 * sub * V_ROWS);
        out->sc[1] = scale_of_i8(sc + (2 * sub + 1) * V_ROWS);
    } else if (f->scales == AG_QS_U8) {
        out->scale = vf_mul(h->d, vf_of_u8(sc + sub * V_ROWS));
        out->min = vf_mul(h->m, vf_of_u8(sc + (8 + sub) * V_ROWS));
    } else if (f->scales == AG_QS_I8) {
        out->scale = vf_mul(h->d, vf_of_i8(sc + sub * V_ROWS));
    }
}

/* What a dot product starts from: the offset of the weights times the activations, where the words
 * have it. */
V_INLINE vdot dot_start(const ag_qformat *f, const ag_q8_block *x, int half) {
    return is_signed(f)            ? signed_zero(x)
           : f->bits == 6          ? dot_centre_half(x, half, 0)
           : f->bits == 3          ? dot_centre_half(x, half, 3)
           : f->bits == 5          ? dot_centre5(x)
           : f->table == AG_QT_FP4 ? dot_centre12(x)
                                   : dot_zero();
}

/* Quads [from, to) of one group for np panels and nt tokens. */
V_INLINE void dot_span(const ag_qformat *f, int np, int nt, const wblock *w, int w_step,
                       const ag_q8_block *const x[], int from, int to, vdot acc[2][V_ALONE]) {
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        acc[p][t] = dot_start(f, x[t], from / 4);
    UNROLL
    for (int j = from; j < to; j++)
        UNROLL
    for (int t = 0; t < nt; t++) {
        const vi quad = v_all4(x[t]->q + 4 * j);
        UNROLL
        for (int p = 0; p < np; p++) {
            const vi weight = w[p * w_step].w[j];
            acc[p][t] = is_signed(f) ? signed_add(acc[p][t], weight, quad)
                                     : dot_add(acc[p][t], weight, quad);
        }
    }
}

/* The scales of 16 columns, without the minima that Q2_K keeps beside them. */
V_INLINE vi half_scale(const ag_qformat *f, vi sc) {
    return f->scales == AG_QS_U4_H ? v_and(sc, scale_mask()) : sc;
}

/* isum of one group, but for the constant that step() adds. */
V_INLINE void dots(const ag_qformat *f, int np, int nt, const wblock *w, int w_step,
                   const ag_q8_block *const x[], vi isum[2][V_ALONE]) {
    vdot acc[2][V_ALONE];
    dot_span(f, np, nt, w, w_step, x, 0, ag_qf_halves(f) ? 4 : 8, acc);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        isum[p][t] = ag_qf_halves(f) ? dot_scaled(acc[p][t], half_scale(f, w[p * w_step].sc[0]))
                     : is_signed(f)  ? signed_end(acc[p][t])
                                     : dot_end(acc[p][t]);
    if (!ag_qf_halves(f))
        return;
    dot_span(f, np, nt, w, w_step, x, 4, 8, acc);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        isum[p][t] = v_add32(isum[p][t], dot_scaled(acc[p][t], half_scale(f, w[p * w_step].sc[1])));
}

/* Q2_K's msum: what the dot products of the other types start from is -32 * (sum of x), here
 * multiplied by the minima. */
V_INLINE vi min_sum(const wblock *w, const ag_q8_block *x) {
    const vi m0 = v_and(v_shr(w->sc[0], 4), scale_mask());
    const vi m1 = v_and(v_shr(w->sc[1], 4), scale_mask());
    return v_add32(dot_scaled(dot_centre_half(x, 0, 0), m0),
                   dot_scaled(dot_centre_half(x, 1, 0), m1));
}

#endif
