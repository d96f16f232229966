/* The quantised matmuls as a template over the vector words of isa_*.h and the dot products, which
 * come first. What makes a result, and in which order, is defined in ref/matmul.c.
 *
 * 32 columns of a panel are unpacked into a wblock (8 quads, scale, min), which then meets several
 * tokens. There are two ways through a matrix:
 *   direct  few tokens: unpack, use, forget. Bound by memory.
 *   slab    many tokens: the wblocks of two panels and SLAB groups of columns stay in L1 while a
 *           block of tokens, whose activations stay in L2, passes over them in tiles.
 * Tiles differ in shape only: every (row, token) result is one chain of operations over the groups
 * in order. */
#ifndef AG_KERNELS_SIMD_MATMUL_QUANT_H
#define AG_KERNELS_SIMD_MATMUL_QUANT_H

#include "kernels/blocks.h"
#include "kernels/kernels.h"
#include "kernels/panel.h"

enum {
    SLAB = V_SLAB,        /* groups of 32 columns in a slab, a multiple of 8 */
    DIRECT = 4,           /* up to so many tokens go direct */
    TOKENS = 32 * V_TILE, /* most tokens of a block */
    ACT_BYTES = 192 << 10 /* activations of a block of tokens, to stay in L2 */
};

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
                       const ag_q8_block *const x[], int from, int to, vdot acc[2][V_TILE]) {
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
                   const ag_q8_block *const x[], vi isum[2][V_TILE]) {
    vdot acc[2][V_TILE];
    dot_span(f, np, nt, w, w_step, x, 0, ag_qf_halves(f) ? 4 : 8, acc);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        isum[p][t] = ag_qf_halves(f) ? dot_scaled(acc[p][t], half_scale(f, w[p * w_step].sc[0]))
                     : is_signed(f)  ? acc[p][t]
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

/* One group for np panels and nt tokens: w[p * w_step] and x[t] to acc[p][t]. */
V_INLINE void step(const ag_qformat *f, int np, int nt, const wblock *w, int w_step,
                   const ag_q8_block *const x[], vf acc[2][V_TILE]) {
    vi isum[2][V_TILE];
    dots(f, np, nt, w, w_step, x, isum);
    UNROLL
    for (int t = 0; t < nt; t++) {
        const vf d = vf_all(&x[t]->d);
        vf dsum = d;
        vi shift = v_zero();
        if (f->min && !ag_qf_halves(f))
            dsum = vf_all(&x[t]->dsum);
        /* What the dot product has not subtracted, or has but should not have. */
        const bool centred = f->bits == 3 || f->bits == 6 || (f->bits == 5 && DOT_CENTRES_5);
        if (f->offset && !centred)
            shift = v_shl32(v_all4(&x[t]->sum), f->offset);
        if (f->min && centred)
            shift = v_shl32(v_all4(&x[t]->sum), 4);
        UNROLL
        for (int p = 0; p < np; p++) {
            vi sum = isum[p][t];
            if (f->offset && !centred)
                sum = v_sub32(sum, shift);
            if (f->min && centred)
                sum = v_add32(sum, shift);
            acc[p][t] = vf_fma(vf_mul(w[p * w_step].scale, d), vf_of_int(sum), acc[p][t]);
            if (f->min && ag_qf_halves(f))
                acc[p][t] = vf_fma(vf_mul(w[p * w_step].min, d),
                                   vf_of_int(min_sum(&w[p * w_step], x[t])), acc[p][t]);
            else if (f->min)
                acc[p][t] = vf_fma(w[p * w_step].min, dsum, acc[p][t]);
        }
    }
}

static void store_rows(const ag_matmul_args *a, int tok, int panel, vf acc) {
    const int row = panel * V_ROWS, rows = a->rows - row;
    float *out = a->out + (size_t)tok * a->out_stride + row;
    if (rows >= V_ROWS) {
        vf_store(out, a->bias ? vf_add(acc, vf_load(a->bias + row)) : acc);
        return;
    }
    float lanes[V_ROWS];
    vf_store(lanes, acc);
    for (int i = 0; i < rows; i++)
        out[i] = a->bias ? lanes[i] + a->bias[row + i] : lanes[i];
}

V_INLINE const ag_q8_block *act_row(const ag_matmul_args *a, int tok) {
    return (const ag_q8_block *)((const char *)a->act + (size_t)tok * a->act_stride);
}

/* Few tokens: for ns streams, panel `panel + s * apart` and nt tokens, all columns. Four streams
 * far apart keep more reads of memory in flight than one: 24 GB/s instead of 15 on a Zen 3 core. */
V_INLINE void direct_tile(const ag_qformat *f, int ns, int nt, const ag_matmul_args *a, int panel,
                          int apart) {
    const size_t bytes = ag_qf_panel_bytes(f, V_ROWS, a->cols);
    const uint8_t *w[4];
    const ag_q8_block *x[V_TILE];
    vf acc[4][2][V_TILE];
    UNROLL
    for (int s = 0; s < ns; s++)
        w[s] = (const uint8_t *)a->w + (size_t)(panel + s * apart) * bytes;
    UNROLL
    for (int t = 0; t < nt; t++) {
        x[t] = act_row(a, t);
        UNROLL
        for (int s = 0; s < ns; s++)
            acc[s][0][t] = vf_zero();
    }
    for (int k = 0; k < a->cols; k += f->unit) {
        unit_head h[4];
        UNROLL
        for (int s = 0; s < ns; s++)
            h[s] = read_head(f, w[s]);
        for (int sub = 0; sub < f->unit / 32; sub++) {
            UNROLL
            for (int s = 0; s < ns; s++) {
                wblock b;
                unpack(f, w[s], &h[s], sub, &b);
                step(f, 1, nt, &b, 0, x, acc[s]);
            }
            UNROLL
            for (int t = 0; t < nt; t++)
                x[t]++;
        }
        UNROLL
        for (int s = 0; s < ns; s++)
            w[s] += unit_bytes(f);
    }
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int s = 0; s < ns; s++)
        store_rows(a, t, panel + s * apart, acc[s][0][t]);
}

V_INLINE void direct_panels(const ag_qformat *f, int ns, int nt, const ag_matmul_args *a) {
    const int apart = (a->panel1 - a->panel0) / ns;
    for (int p = a->panel0; p < a->panel0 + apart; p++)
        direct_tile(f, ns, nt, a, p, apart);
    for (int p = a->panel0 + ns * apart; p < a->panel1; p++)
        direct_tile(f, 1, nt, a, p, 0);
}

V_INLINE void run_direct(const ag_qformat *f, const ag_matmul_args *a) {
    if (a->n_tok == 1)
        direct_panels(f, 4, 1, a);
    else if (a->n_tok == 2)
        direct_panels(f, 2, 2, a);
    else if (a->n_tok == 3)
        direct_panels(f, 1, 3, a);
    else
        direct_panels(f, 1, 4, a);
}

/* A slab of np panels (wblocks of panel p at slab + p * SLAB) and nt tokens: n_groups steps on the
 * accumulators kept between slabs. */
V_INLINE void slab_tile(const ag_qformat *f, int np, int nt, const wblock *slab, int n_groups,
                        const char *x0, size_t stride, vf (*sums)[2]) {
    const ag_q8_block *x[V_TILE];
    vf acc[2][V_TILE];
    UNROLL
    for (int t = 0; t < nt; t++) {
        x[t] = (const ag_q8_block *)(const void *)(x0 + (size_t)t * stride);
        UNROLL
        for (int p = 0; p < np; p++)
            acc[p][t] = sums[t][p];
    }
    for (int g = 0; g < n_groups; g++) {
        step(f, np, nt, slab + g, SLAB, x, acc);
        UNROLL
        for (int t = 0; t < nt; t++)
            x[t]++;
    }
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        sums[t][p] = acc[p][t];
}

V_INLINE void slab_tokens(const ag_qformat *f, int np, const wblock *slab, int n_groups,
                          const ag_q8_block *x, size_t stride, int n_tok, vf (*sums)[2]) {
    int t = 0;
    for (; t + V_TILE <= n_tok; t += V_TILE)
        slab_tile(f, np, V_TILE, slab, n_groups, (const char *)x + t * stride, stride, sums + t);
    for (; t + 4 <= n_tok; t += 4)
        slab_tile(f, np, 4, slab, n_groups, (const char *)x + t * stride, stride, sums + t);
    for (; t + 2 <= n_tok; t += 2)
        slab_tile(f, np, 2, slab, n_groups, (const char *)x + t * stride, stride, sums + t);
    if (t < n_tok)
        slab_tile(f, np, 1, slab, n_groups, (const char *)x + t * stride, stride, sums + t);
}

/* Groups [g0, g0 + n) of a panel; both are multiples of a unit. */
V_INLINE void unpack_slab(const ag_qformat *f, const uint8_t *panel, int g0, int n, wblock *slab) {
    const int groups = f->unit / 32;
    const uint8_t *unit = panel + (size_t)(g0 / groups) * unit_bytes(f);
    for (; n > 0; n -= groups, unit += unit_bytes(f)) {
        const unit_head h = read_head(f, unit);
        for (int sub = 0; sub < groups; sub++)
            unpack(f, unit, &h, sub, slab++);
    }
}

/* np panels, n_tok (at most TOKENS) tokens from `tok` on, all columns. */
V_INLINE void slab_panels(const ag_qformat *f, int np, const ag_matmul_args *a, int panel, int tok,
                          int n_tok) {
    const size_t bytes = ag_qf_panel_bytes(f, V_ROWS, a->cols);
    const uint8_t *w = (const uint8_t *)a->w + (size_t)panel * bytes;
    const int groups = a->cols / 32;
    wblock slab[2 * SLAB];
    vf sums[TOKENS][2];
    for (int t = 0; t < n_tok; t++)
        sums[t][0] = sums[t][1] = vf_zero();
    for (int g0 = 0; g0 < groups; g0 += SLAB) {
        const int n = groups - g0 < SLAB ? groups - g0 : SLAB;
        for (int p = 0; p < np; p++)
            unpack_slab(f, w + p * bytes, g0, n, slab + p * SLAB);
        slab_tokens(f, np, slab, n, act_row(a, tok) + g0, a->act_stride, n_tok, sums);
    }
    for (int t = 0; t < n_tok; t++)
        for (int p = 0; p < np; p++)
            store_rows(a, tok + t, panel + p, sums[t][p]);
}

V_INLINE void run_slab(const ag_qformat *f, const ag_matmul_args *a) {
    int block = (int)(ACT_BYTES / a->act_stride) / V_TILE * V_TILE;
    block = block < 4 * V_TILE ? 4 * V_TILE : block > TOKENS ? TOKENS : block;
    for (int tok = 0; tok < a->n_tok; tok += block) {
        const int n = a->n_tok - tok < block ? a->n_tok - tok : block;
        int p = a->panel0;
        for (; p + 1 < a->panel1; p += 2)
            slab_panels(f, 2, a, p, tok, n);
        if (p < a->panel1)
            slab_panels(f, 1, a, p, tok, n);
    }
}

#define AG_QUANT_RUN(id, name, ...)                                                                \
    static void matmul_##name(const ag_matmul_args *a) {                                           \
        const ag_qformat f = AG_QFORMAT(id, name, __VA_ARGS__);                                    \
        if (a->n_tok <= DIRECT)                                                                    \
            run_direct(&f, a);                                                                     \
        else                                                                                       \
            run_slab(&f, a);                                                                       \
    }

#endif
