/* The quantised matmuls: the ways through a matrix, over the steps of matmul_dots.h.
 *   direct  few tokens: unpack, use, forget. Bound by memory. Further tiles of tokens unpack the
 *           panel anew, from L1, which for some formats costs less than writing wblocks.
 *   slab    many tokens: the wblocks of two panels and SLAB groups of columns stay in L1 while a
 *           block of tokens, whose activations stay in L2, passes over them in tiles. Meanwhile the
 *           next slab is asked for, so that unpacking does not wait for memory.
 * Tiles differ in shape only: every (row, token) result is one chain of operations over the groups
 * in order.
 *
 * An ISA with a better dot product for several tokens than for one defines words before:
 * V_SLAB_WEIGHTS changes a wblock, once, into what V_SLAB_DOTS wants, which gives what dots()
 * gives. Or V_SLAB_TOKENS does what slab_tokens() does, with blocks of up to V_BLOCK tokens, a
 * multiple of V_STEP unless no more follow. */
#ifndef AG_KERNELS_SIMD_MATMUL_QUANT_H
#define AG_KERNELS_SIMD_MATMUL_QUANT_H

#include "kernels/simd/matmul_dots.h"

#ifndef V_DIRECT
#define V_DIRECT(f) 4 /* most tokens that go direct */
#endif
#ifndef V_AHEAD
#define V_AHEAD 2048 /* bytes between what is read and what is asked for */
#endif
#ifndef V_SLAB_WEIGHTS
#define V_SLAB_WEIGHTS(f, block) (void)(block)
#endif
#ifndef V_SLAB_DOTS
#define V_SLAB_DOTS dots
#endif
#ifndef V_SLAB_TOKENS
#define V_SLAB_TOKENS slab_tokens
#define V_STEP        V_TILE
#define V_BLOCK       (32 * V_STEP)
#endif

enum {
    SLAB = V_SLAB,          /* groups of 32 columns in a slab, a multiple of 8 */
    TOKENS = V_BLOCK,       /* most tokens of a block, whole steps */
    FEWEST = V_BLOCK / 2,   /* its fewest, for unpacking to count little */
    ACT_BYTES = V_ACT_BYTES /* activations of a block of tokens, to stay in L2 */
};

/* One group for np panels and nt tokens: w[p * w_step] and x[t] to acc[p][t]. */
V_INLINE void step(const ag_qformat *f, int np, int nt, const wblock *w, int w_step,
                   const ag_q8_block *const x[], bool in_slab, vf acc[2][V_ALONE]) {
    vi isum[2][V_ALONE];
    if (in_slab)
        V_SLAB_DOTS(f, np, nt, w, w_step, x, isum);
    else
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

/* The last panel of a matrix may have rows that are not there. Not inlined: the array would cost
 * every store of a whole vector a guarded stack. */
__attribute__((noinline)) static void store_last(const ag_matmul_args *a, int tok, int row,
                                                 vf acc) {
    float *out = a->out + (size_t)tok * a->out_stride + row;
    float lanes[V_ROWS];
    vf_store(lanes, acc);
    for (int i = 0; i < a->rows - row; i++)
        out[i] = a->bias ? lanes[i] + a->bias[row + i] : lanes[i];
}

V_INLINE void store_rows(const ag_matmul_args *a, int tok, int panel, vf acc) {
    const int row = panel * V_ROWS;
    float *out = a->out + (size_t)tok * a->out_stride + row;
    if (row + V_ROWS > a->rows)
        store_last(a, tok, row, acc);
    else
        vf_store(out, a->bias ? vf_add(acc, vf_load(a->bias + row)) : acc);
}

/* What store_rows has put there, without a bias. */
__attribute__((noinline)) static vf load_last(const ag_matmul_args *a, int tok, int row) {
    const float *out = a->out + (size_t)tok * a->out_stride + row;
    float lanes[V_ROWS] = {0};
    for (int i = 0; i < a->rows - row; i++)
        lanes[i] = out[i];
    return vf_load(lanes);
}

V_INLINE vf load_rows(const ag_matmul_args *a, int tok, int panel) {
    const int row = panel * V_ROWS;
    if (row + V_ROWS > a->rows)
        return load_last(a, tok, row);
    return vf_load(a->out + (size_t)tok * a->out_stride + row);
}

V_INLINE const ag_q8_block *act_row(const ag_matmul_args *a, int tok) {
    return (const ag_q8_block *)((const char *)a->act + (size_t)tok * a->act_stride);
}

/* Asks for what a stream reads that many bytes after group `sub` of this unit. */
V_INLINE void ask_ahead(const ag_qformat *f, const uint8_t *unit, int sub) {
    const int part = (int)unit_bytes(f) / (f->unit / 32);
    for (int i = 0; i < part; i += 64)
        __builtin_prefetch(unit + V_AHEAD + sub * part + i);
}

/* Few tokens: for ns streams, panel `panel + s * apart` and nt tokens from `tok` on, all columns.
 * Four streams far apart keep more reads of memory in flight than one: 24 GB/s instead of 15 on a
 * Zen 3 core. One alone, of 3 tokens or more, is foreseen better by us than by the processor. */
V_INLINE void direct_tile(const ag_qformat *f, int ns, int nt, const ag_matmul_args *a, int tok,
                          int panel, int apart) {
    const size_t bytes = ag_qf_panel_bytes(f, V_ROWS, a->cols);
    const uint8_t *w[4];
    const ag_q8_block *x[V_ALONE];
    vf acc[4][2][V_ALONE];
    UNROLL
    for (int s = 0; s < ns; s++)
        w[s] = (const uint8_t *)a->w + (size_t)(panel + s * apart) * bytes;
    UNROLL
    for (int t = 0; t < nt; t++) {
        x[t] = act_row(a, tok + t);
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
                if (nt >= 3)
                    ask_ahead(f, w[s], sub);
                unpack(f, w[s], &h[s], sub, &b);
                step(f, 1, nt, &b, 0, x, false, acc[s]);
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
        store_rows(a, tok + t, panel + s * apart, acc[s][0][t]);
}

V_INLINE void direct_panels(const ag_qformat *f, int ns, int nt, const ag_matmul_args *a) {
    const int apart = (a->panel1 - a->panel0) / ns;
    for (int p = a->panel0; p < a->panel0 + apart; p++)
        direct_tile(f, ns, nt, a, 0, p, apart);
    for (int p = a->panel0 + ns * apart; p < a->panel1; p++)
        direct_tile(f, 1, nt, a, 0, p, 0);
}

/* Three tokens or more of one panel, in tiles of about the same size. */
V_INLINE void direct_tokens(const ag_qformat *f, const ag_matmul_args *a, int panel) {
    int t = 0;
    for (int tiles = (a->n_tok + V_ALONE - 1) / V_ALONE; tiles > 0; tiles--) {
        const int n = (a->n_tok - t + tiles - 1) / tiles;
        if (n == 2)
            direct_tile(f, 1, 2, a, t, panel, 0);
        else if (n == 3)
            direct_tile(f, 1, 3, a, t, panel, 0);
        else if (n == 4)
            direct_tile(f, 1, 4, a, t, panel, 0);
        else if (V_ALONE >= 5 && n == 5)
            direct_tile(f, 1, 5, a, t, panel, 0);
        else if (V_ALONE >= 6 && n == 6)
            direct_tile(f, 1, 6, a, t, panel, 0);
        else if (V_ALONE >= 7 && n == 7)
            direct_tile(f, 1, 7, a, t, panel, 0);
        else if (V_ALONE >= 8)
            direct_tile(f, 1, 8, a, t, panel, 0);
        t += n;
    }
}

V_INLINE void run_direct(const ag_qformat *f, const ag_matmul_args *a) {
    if (a->n_tok == 1)
        direct_panels(f, 4, 1, a);
    else if (a->n_tok == 2)
        direct_panels(f, 2, 2, a);
    else
        for (int p = a->panel0; p < a->panel1; p++)
            direct_tokens(f, a, p);
}

/* Packed weights that are wanted next: `bytes` of each panel, `apart` from panel to panel. */
typedef struct next_slab {
    const uint8_t *at;
    size_t apart;
    int bytes;
} next_slab;

/* A slab of np panels (wblocks of panel p at slab + p * SLAB) and nt tokens: n_groups steps on the
 * accumulators kept between slabs, with a line of each panel at next->at asked for in every one. */
V_INLINE void slab_tile(const ag_qformat *f, int np, int nt, const wblock *slab, int n_groups,
                        const char *x0, size_t stride, vf (*sums)[2], next_slab next) {
    const ag_q8_block *x[V_TILE];
    vf acc[2][V_ALONE];
    UNROLL
    for (int t = 0; t < nt; t++) {
        x[t] = (const ag_q8_block *)(const void *)(x0 + (size_t)t * stride);
        UNROLL
        for (int p = 0; p < np; p++)
            acc[p][t] = sums[t][p];
    }
    for (int g = 0; g < n_groups; g++) {
        UNROLL
        for (int p = 0; p < np; p++)
            __builtin_prefetch(next.at + (size_t)p * next.apart + 64 * g);
        step(f, np, nt, slab + g, SLAB, x, true, acc);
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
                          const ag_q8_block *x, size_t stride, int n_tok, vf (*sums)[2],
                          next_slab next) {
    const uint8_t *const end = next.at + next.bytes;
    const char *x0 = (const char *)x;
    int t = 0;
    for (; t + V_TILE <= n_tok; t += V_TILE) {
        slab_tile(f, np, V_TILE, slab, n_groups, x0 + t * stride, stride, sums + t, next);
        if (next.at + 64 * n_groups < end)
            next.at += 64 * n_groups;
    }
    for (; t + 4 <= n_tok; t += 4)
        slab_tile(f, np, 4, slab, n_groups, x0 + t * stride, stride, sums + t, next);
    for (; t + 2 <= n_tok; t += 2)
        slab_tile(f, np, 2, slab, n_groups, x0 + t * stride, stride, sums + t, next);
    if (t < n_tok)
        slab_tile(f, np, 1, slab, n_groups, x0 + t * stride, stride, sums + t, next);
}

/* Groups [g0, g0 + n) of a panel; both are multiples of a unit. */
V_INLINE void unpack_slab(const ag_qformat *f, const uint8_t *panel, int g0, int n, wblock *slab) {
    const int groups = f->unit / 32;
    const uint8_t *unit = panel + (size_t)(g0 / groups) * unit_bytes(f);
    for (; n > 0; n -= groups, unit += unit_bytes(f)) {
        const unit_head h = read_head(f, unit);
        for (int sub = 0; sub < groups; sub++) {
            wblock b; /* in registers until it is done */
            unpack(f, unit, &h, sub, &b);
            V_SLAB_WEIGHTS(f, &b);
            *slab++ = b;
        }
    }
}

/* Bytes of the first n groups of a panel, whole units. */
V_INLINE int groups_bytes(const ag_qformat *f, int n) {
    return n / (f->unit / 32) * (int)unit_bytes(f);
}

/* np panels, n_tok (at most TOKENS) tokens from `tok` on, groups [from, to), added to what out
 * holds of the groups before. */
V_INLINE void slab_panels(const ag_qformat *f, int np, const ag_matmul_args *a, int panel, int tok,
                          int n_tok, int from, int to) {
    const size_t bytes = ag_qf_panel_bytes(f, V_ROWS, a->cols);
    const uint8_t *w = (const uint8_t *)a->w + (size_t)panel * bytes;
    wblock slab[2 * SLAB];
    vf sums[TOKENS][2];
    for (int t = 0; t < n_tok; t++)
        for (int p = 0; p < np; p++)
            sums[t][p] = from ? load_rows(a, tok + t, panel + p) : vf_zero();
    for (int g0 = from; g0 < to; g0 += SLAB) {
        const int n = to - g0 < SLAB ? to - g0 : SLAB;
        for (int p = 0; p < np; p++)
            unpack_slab(f, w + p * bytes, g0, n, slab + p * SLAB);
        const uint8_t *at =
            g0 + n < to ? w + groups_bytes(f, g0 + n) : w + np * bytes + groups_bytes(f, from);
        const next_slab next = {at, bytes, groups_bytes(f, n)};
        V_SLAB_TOKENS(f, np, slab, n, act_row(a, tok) + g0, a->act_stride, n_tok, sums, next);
    }
    for (int t = 0; t < n_tok; t++)
        for (int p = 0; p < np; p++)
            store_rows(a, tok + t, panel + p, sums[t][p]);
}

/* A block of tokens meets all panels. Where their whole rows do not stay in L2, it meets them a
 * span of groups at a time, and out keeps the sums meanwhile. */
V_INLINE void run_slab(const ag_qformat *f, const ag_matmul_args *a) {
    const int groups = a->cols / 32, fit = ACT_BYTES / (int)sizeof(ag_q8_block);
    const int most = fit / groups > TOKENS ? TOKENS : fit / groups < FEWEST ? FEWEST : fit / groups;
    const int blocks = (a->n_tok + most - 1) / most;
    const int block = (a->n_tok + blocks * V_STEP - 1) / (blocks * V_STEP) * V_STEP;
    const bool again = a->panel1 - a->panel0 > V_PANELS; /* do panels follow that read the same? */
    const int span = !again ? groups : fit / block > SLAB ? fit / block / SLAB * SLAB : SLAB;
    for (int tok = 0; tok < a->n_tok; tok += block) {
        const int n = a->n_tok - tok < block ? a->n_tok - tok : block;
        for (int from = 0; from < groups; from += span) {
            const int to = groups - from < span ? groups : from + span;
            ag_matmul_args part = *a;
            if (to < groups)
                part.bias = NULL;
            int p = a->panel0;
            for (; p + V_PANELS <= a->panel1; p += V_PANELS)
                slab_panels(f, V_PANELS, &part, p, tok, n, from, to);
            if (p < a->panel1)
                slab_panels(f, 1, &part, p, tok, n, from, to);
        }
    }
}

#define AG_QUANT_RUN(id, name, ...)                                                                \
    static void matmul_##name(const ag_matmul_args *a) {                                           \
        const ag_qformat f = AG_QFORMAT(id, name, __VA_ARGS__);                                    \
        if (a->n_tok <= V_DIRECT(&f))                                                              \
            run_direct(&f, a);                                                                     \
        else                                                                                       \
            run_slab(&f, a);                                                                       \
    }

#endif
