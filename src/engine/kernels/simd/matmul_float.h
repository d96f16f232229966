/* The matmuls of F32 and F16 as a template over the vector words of isa_*.h, which is included
 * first.
 *
 * One fused multiply-add per weight, in the order of the columns, so a chain waits for each
 * addition to finish: a tile needs 8 or more chains to keep the multipliers busy. One token takes 8
 * panels at a time, more tokens fewer. */
#ifndef AG_KERNELS_SIMD_MATMUL_FLOAT_H
#define AG_KERNELS_SIMD_MATMUL_FLOAT_H

#include "kernels/kernels.h"
#include "kernels/panel.h"

enum {
    F_TILE = V_ROWS == 16 ? 12 : 6, /* tokens of a tile of two panels, as registers allow */
    F_SLAB = 192,                   /* columns whose weights stay in L1 while tokens pass */
    F_TOKENS = 96,                  /* most tokens of a block, a multiple of 12 */
    F_ACT_BYTES = 192 << 10         /* activations of a block of tokens, to stay in L2 */
};

V_INLINE int float_item(ag_type type) { return type == AG_T_F32 ? 4 : 2; }

V_INLINE vf float_load(ag_type type, const uint8_t *p) {
    return type == AG_T_F32 ? vf_load((const float *)(const void *)p) : vf_of_f16(p);
}

/* n columns: weights of panel p at w + p * w_step, token t at x[t]. */
V_INLINE void float_steps(ag_type type, int np, int nt, const uint8_t *w, size_t w_step,
                          const float *const x[], int n, vf acc[8][F_TILE]) {
    const int vec = V_ROWS * float_item(type);
    UNROLL_STEPS
    for (int k = 0; k < n; k++, w += vec) {
        vf weight[8];
        UNROLL
        for (int p = 0; p < np; p++)
            weight[p] = float_load(type, w + p * w_step);
        UNROLL_TILE
        for (int t = 0; t < nt; t++) {
            const vf value = vf_all(x[t] + k);
            UNROLL
            for (int p = 0; p < np; p++)
                acc[p][t] = vf_fma(weight[p], value, acc[p][t]);
        }
    }
}

V_INLINE const float *float_row(const ag_matmul_args *a, int tok) {
    return (const float *)((const char *)a->act + (size_t)tok * a->act_stride);
}

/* Few tokens: np panels and nt tokens over all columns. */
V_INLINE void float_direct(ag_type type, int np, int nt, const ag_matmul_args *a, int panel,
                           int tok) {
    const size_t bytes = ag_float_panel_bytes(float_item(type), V_ROWS, a->cols);
    const float *x[F_TILE];
    vf acc[8][F_TILE];
    UNROLL
    for (int t = 0; t < nt; t++) {
        x[t] = float_row(a, tok + t);
        UNROLL
        for (int p = 0; p < np; p++)
            acc[p][t] = vf_zero();
    }
    float_steps(type, np, nt, (const uint8_t *)a->w + (size_t)panel * bytes, bytes, x, a->cols,
                acc);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        store_rows(a, tok + t, panel + p, acc[p][t]);
}

V_INLINE void float_run_direct(ag_type type, const ag_matmul_args *a) {
    int p = a->panel0;
    if (a->n_tok == 1)
        for (; p + 8 <= a->panel1; p += 8)
            float_direct(type, 8, 1, a, p, 0);
    for (; p + 4 <= a->panel1; p += 4) {
        if (a->n_tok == 1)
            float_direct(type, 4, 1, a, p, 0);
        else if (a->n_tok == 2)
            float_direct(type, 4, 2, a, p, 0);
        else
            float_direct(type, 4, 3, a, p, 0);
    }
    for (; p < a->panel1; p++) {
        if (a->n_tok == 1)
            float_direct(type, 1, 1, a, p, 0);
        else if (a->n_tok == 2)
            float_direct(type, 1, 2, a, p, 0);
        else
            float_direct(type, 1, 3, a, p, 0);
    }
}

/* A slab: np panels, nt tokens from x0 on, n columns, on sums kept between slabs. */
V_INLINE void float_tile(ag_type type, int np, int nt, const uint8_t *w, size_t w_step,
                         const char *x0, size_t stride, int n, vf (*sums)[2]) {
    const float *x[F_TILE];
    vf acc[8][F_TILE];
    UNROLL_TILE
    for (int t = 0; t < nt; t++) {
        x[t] = (const float *)(const void *)(x0 + (size_t)t * stride);
        UNROLL
        for (int p = 0; p < np; p++)
            acc[p][t] = sums[t][p];
    }
    float_steps(type, np, nt, w, w_step, x, n, acc);
    UNROLL_TILE
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        sums[t][p] = acc[p][t];
}

V_INLINE void float_tokens(ag_type type, int np, const uint8_t *w, size_t w_step, const char *x,
                           size_t stride, int n_tok, int n, vf (*sums)[2]) {
    int t = 0;
    for (; F_TILE > 6 && t + F_TILE <= n_tok; t += F_TILE)
        float_tile(type, np, F_TILE, w, w_step, x + t * stride, stride, n, sums + t);
    for (; n_tok - t >= 9 || n_tok - t == 6; t += 6)
        float_tile(type, np, 6, w, w_step, x + t * stride, stride, n, sums + t);
    if (n_tok - t > 6) { /* 7 or 8: a tile of one token would take as long as one of two */
        float_tile(type, np, 4, w, w_step, x + t * stride, stride, n, sums + t);
        t += 4;
    }
    x += t * stride;
    sums += t;
    switch (n_tok - t) {
    case 5:
        float_tile(type, np, 5, w, w_step, x, stride, n, sums);
        break;
    case 4:
        float_tile(type, np, 4, w, w_step, x, stride, n, sums);
        break;
    case 3:
        float_tile(type, np, 3, w, w_step, x, stride, n, sums);
        break;
    case 2:
        float_tile(type, np, 2, w, w_step, x, stride, n, sums);
        break;
    case 1:
        float_tile(type, np, 1, w, w_step, x, stride, n, sums);
    }
}

V_INLINE void float_panels(ag_type type, int np, const ag_matmul_args *a, int panel, int tok,
                           int n_tok) {
    const int item = float_item(type);
    const size_t bytes = ag_float_panel_bytes(item, V_ROWS, a->cols);
    const uint8_t *w = (const uint8_t *)a->w + (size_t)panel * bytes;
    vf sums[F_TOKENS][2];
    for (int t = 0; t < n_tok; t++)
        sums[t][0] = sums[t][1] = vf_zero();
    for (int k = 0; k < a->cols; k += F_SLAB) {
        const int n = a->cols - k < F_SLAB ? a->cols - k : F_SLAB;
        float_tokens(type, np, w + (size_t)k * (size_t)(V_ROWS * item), bytes,
                     (const char *)(float_row(a, tok) + k), a->act_stride, n_tok, n, sums);
    }
    for (int t = 0; t < n_tok; t++)
        for (int p = 0; p < np; p++)
            store_rows(a, tok + t, panel + p, sums[t][p]);
}

V_INLINE void float_run(ag_type type, const ag_matmul_args *a) {
    if (a->n_tok <= 3) {
        float_run_direct(type, a);
        return;
    }
    int block = (int)(F_ACT_BYTES / ((size_t)a->cols * sizeof(float))) / 12 * 12;
    block = block < 12 ? 12 : block > F_TOKENS ? F_TOKENS : block;
    for (int tok = 0; tok < a->n_tok; tok += block) {
        const int n = a->n_tok - tok < block ? a->n_tok - tok : block;
        int p = a->panel0;
        for (; p + 1 < a->panel1; p += 2)
            float_panels(type, 2, a, p, tok, n);
        if (p < a->panel1)
            float_panels(type, 1, a, p, tok, n);
    }
}

#define AG_FLOAT_RUN(id, name)                                                                     \
    static void matmul_##name(const ag_matmul_args *a) { float_run(AG_T_##id, a); }

#endif
