/* The matmul of BF16 as a template over the vector words of isa_*.h, after matmul_quant.h, whose
 * stores it uses. Every result is made as a tile of AMX makes it: in each 32 columns, one chain of
 * fused multiply-adds over the even columns and one over the odd ones, both from 0, whose sum is
 * added to the result.
 *
 * Activations are float32 that are bfloat16 (ag_k_round_bf16_ref), or, where B_PAIRS is defined,
 * pairs of bfloat16 as they are. */
#ifndef AG_KERNELS_SIMD_MATMUL_BF16_H
#define AG_KERNELS_SIMD_MATMUL_BF16_H

#include "kernels/kernels.h"
#include "kernels/panel.h"

enum {
    B_TILE = V_ROWS == 16 ? 12 : 6, /* tokens of a tile of two panels */
    B_FAR = V_ROWS == 16 ? 8 : 4,   /* panels of one token; of two and three half as many */
    B_SPAN = 8,                     /* blocks of 32 columns whose weights stay in L1 meanwhile */
    B_TOKENS = 96                   /* most tokens of a block, whole tiles */
};

#ifdef B_PAIRS
enum { B_PAIR = 4 }; /* bytes of two activations */
V_INLINE vf b_even(const uint8_t *x) { return vf_of_even(v_all4(x)); }
V_INLINE vf b_odd(const uint8_t *x) { return vf_of_odd(v_all4(x)); }
#else
enum { B_PAIR = 8 };
V_INLINE vf b_even(const uint8_t *x) { return vf_all((const float *)(const void *)x); }
V_INLINE vf b_odd(const uint8_t *x) { return vf_all((const float *)(const void *)x + 1); }
#endif

/* Of 32 columns of np panels and nt tokens, the even ones (0), the odd ones (1), or both: weights
 * of panel p at w + p * w_step, token t at x + t * stride. */
V_INLINE void bf16_chains(int np, int nt, int first, int last, const uint8_t *w, size_t w_step,
                          const uint8_t *x, size_t stride, vf sums[2][B_TILE][B_FAR]) {
    UNROLL
    for (int odd = first; odd <= last; odd++)
        UNROLL_TILE
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        sums[odd][t][p] = vf_zero();
    UNROLL_STEPS
    for (int i = 0; i < 16; i++) {
        vi pairs[B_FAR];
        UNROLL
        for (int p = 0; p < np; p++)
            pairs[p] = v_load(w + p * w_step + i * (4 * V_ROWS));
        UNROLL
        for (int odd = first; odd <= last; odd++) {
            vf weight[B_FAR];
            UNROLL
            for (int p = 0; p < np; p++)
                weight[p] = odd ? vf_of_odd(pairs[p]) : vf_of_even(pairs[p]);
            UNROLL_TILE
            for (int t = 0; t < nt; t++) {
                const uint8_t *pair = x + t * stride + i * B_PAIR;
                const vf value = odd ? b_odd(pair) : b_even(pair);
                UNROLL
                for (int p = 0; p < np; p++)
                    sums[odd][t][p] = vf_fma(weight[p], value, sums[odd][t][p]);
            }
        }
    }
}

/* Blocks of 32 columns on sums kept between calls, `step` vectors a token. Few tokens, which wait
 * for memory, read weights once; more need their registers for one kind of chain after the other.
 */
V_INLINE void bf16_steps(int np, int nt, const uint8_t *w, size_t w_step, const uint8_t *x,
                         size_t stride, int n_blocks, vf *sums, int step) {
    for (int b = 0; b < n_blocks; b++, w += 64 * V_ROWS, x += 16 * B_PAIR) {
        vf chains[2][B_TILE][B_FAR];
        if (nt <= 3) {
            bf16_chains(np, nt, 0, 1, w, w_step, x, stride, chains);
        } else {
            bf16_chains(np, nt, 0, 0, w, w_step, x, stride, chains);
            bf16_chains(np, nt, 1, 1, w, w_step, x, stride, chains);
        }
        UNROLL_TILE
        for (int t = 0; t < nt; t++)
            UNROLL
        for (int p = 0; p < np; p++)
            sums[t * step + p] =
                vf_add(sums[t * step + p], vf_add(chains[0][t][p], chains[1][t][p]));
    }
}

V_INLINE const uint8_t *bf16_panel(const ag_matmul_args *a, int panel) {
    return (const uint8_t *)a->w + (size_t)panel * ag_bf16_panel_bytes(V_ROWS, a->cols);
}

V_INLINE const uint8_t *bf16_row(const ag_matmul_args *a, int tok) {
    return (const uint8_t *)a->act + (size_t)tok * a->act_stride;
}

/* Up to three tokens: all columns of np panels. */
V_INLINE void bf16_direct(int np, int nt, const ag_matmul_args *a, int panel) {
    vf sums[3][B_FAR];
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        sums[t][p] = vf_zero();
    bf16_steps(np, nt, bf16_panel(a, panel), ag_bf16_panel_bytes(V_ROWS, a->cols), bf16_row(a, 0),
               a->act_stride, ag_bf16_cols(a->cols) / 32, sums[0], B_FAR);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++)
        store_rows(a, t, panel + p, sums[t][p]);
}

V_INLINE void bf16_few(int np, int nt, const ag_matmul_args *a) {
    int p = a->panel0;
    for (; p + np <= a->panel1; p += np)
        bf16_direct(np, nt, a, p);
    for (; p < a->panel1; p++)
        bf16_direct(1, nt, a, p);
}

V_INLINE void bf16_tokens(int np, const uint8_t *w, size_t w_step, const uint8_t *x, size_t stride,
                          int n_tok, int n_blocks, vf (*kept)[2]) {
    int t = 0;
    for (; t + B_TILE <= n_tok; t += B_TILE)
        bf16_steps(np, B_TILE, w, w_step, x + t * stride, stride, n_blocks, kept[t], 2);
    for (; t + 4 <= n_tok; t += 4)
        bf16_steps(np, 4, w, w_step, x + t * stride, stride, n_blocks, kept[t], 2);
    for (; t + 2 <= n_tok; t += 2)
        bf16_steps(np, 2, w, w_step, x + t * stride, stride, n_blocks, kept[t], 2);
    if (t < n_tok)
        bf16_steps(np, 1, w, w_step, x + t * stride, stride, n_blocks, kept[t], 2);
}

V_INLINE void bf16_panels(int np, const ag_matmul_args *a, int panel, int tok, int n_tok) {
    const int blocks = ag_bf16_cols(a->cols) / 32;
    const uint8_t *w = bf16_panel(a, panel), *x = bf16_row(a, tok);
    vf kept[B_TOKENS][2];
    for (int t = 0; t < n_tok; t++)
        kept[t][0] = kept[t][1] = vf_zero();
    for (int b = 0; b < blocks; b += B_SPAN)
        bf16_tokens(np, w + (size_t)b * (64 * V_ROWS), ag_bf16_panel_bytes(V_ROWS, a->cols),
                    x + (size_t)b * (16 * B_PAIR), a->act_stride, n_tok,
                    blocks - b < B_SPAN ? blocks - b : B_SPAN, kept);
    for (int t = 0; t < n_tok; t++)
        for (int p = 0; p < np; p++)
            store_rows(a, tok + t, panel + p, kept[t][p]);
}

V_INLINE void bf16_run(const ag_matmul_args *a) {
    if (a->n_tok <= 3) {
        if (a->n_tok == 1)
            bf16_few(B_FAR, 1, a);
        else if (a->n_tok == 2)
            bf16_few(B_FAR / 2, 2, a);
        else
            bf16_few(B_FAR / 2, 3, a);
        return;
    }
    for (int tok = 0; tok < a->n_tok; tok += B_TOKENS) {
        const int n = a->n_tok - tok < B_TOKENS ? a->n_tok - tok : B_TOKENS;
        int p = a->panel0;
        for (; p + 1 < a->panel1; p += 2)
            bf16_panels(2, a, p, tok, n);
        if (p < a->panel1)
            bf16_panels(1, a, p, tok, n);
    }
}

#define AG_BF16_RUN                                                                                \
    static void matmul_bf16(const ag_matmul_args *a) { bf16_run(a); }

#endif
