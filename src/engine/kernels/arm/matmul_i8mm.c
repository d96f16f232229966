/* Quantised matmuls for AArch64 with i8mm: panels of 8 rows, packed as for plain NEON. One
 * instruction adds the products of 2 rows and 2 tokens, 8 columns each, to four int32. Few tokens
 * go the way of dotprod, for which weights need no change. */
#include "kernels/arm/dot_words.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_dots.h"

/* Two quads side by side, so that 16 bytes are 8 columns of 2 rows: w[j] of an even j has rows 0, 1
 * and 4, 5, w[j + 1] has rows 2, 3 and 6, 7. */
V_INLINE void pair_weights(wblock *b) {
    UNROLL
    for (int j = 0; j < 8; j += 2) {
        const vi x = b->w[j], y = b->w[j + 1];
        b->w[j] = (vi){vzip1q_s32(x.a, y.a), vzip1q_s32(x.b, y.b)};
        b->w[j + 1] = (vi){vzip2q_s32(x.a, y.a), vzip2q_s32(x.b, y.b)};
    }
}

/* Sums of rows 2 i and 2 i + 1 with two tokens, in the order (row, token), (row, other token),
 * (next row, token), (next row, other token). */
typedef struct vpair {
    int32x4_t rows[4];
} vpair;

V_INLINE vpair pair_zero(void) {
    const int32x4_t zero = vdupq_n_s32(0);
    return (vpair){{zero, zero, zero, zero}};
}
V_INLINE vpair pair_add(vpair acc, vi even, vi odd, int8x16_t x) {
    acc.rows[0] = vmmlaq_s32(acc.rows[0], as_i8(even.a), x);
    acc.rows[1] = vmmlaq_s32(acc.rows[1], as_i8(odd.a), x);
    acc.rows[2] = vmmlaq_s32(acc.rows[2], as_i8(even.b), x);
    acc.rows[3] = vmmlaq_s32(acc.rows[3], as_i8(odd.b), x);
    return acc;
}
V_INLINE vi pair_first(vpair acc) {
    return (vi){vuzp1q_s32(acc.rows[0], acc.rows[1]), vuzp1q_s32(acc.rows[2], acc.rows[3])};
}
V_INLINE vi pair_second(vpair acc) {
    return (vi){vuzp2q_s32(acc.rows[0], acc.rows[1]), vuzp2q_s32(acc.rows[2], acc.rows[3])};
}

/* Quads [from, to) of one group. A token without a partner is its own. */
V_INLINE void pair_span(const ag_qformat *f, int np, int nt, const wblock *w, int w_step,
                        const ag_q8_block *const x[], int from, int to, vi sums[2][V_TILE]) {
    vpair acc[2][V_TILE / 2];
    UNROLL
    for (int t = 0; t < nt; t += 2)
        UNROLL
    for (int p = 0; p < np; p++)
        acc[p][t / 2] = pair_zero();
    UNROLL
    for (int j = from; j < to; j += 2)
        UNROLL
    for (int t = 0; t < nt; t += 2) {
        const int other = t + 1 < nt ? t + 1 : t;
        const int8x16_t both = vcombine_s8(vld1_s8(x[t]->q + 4 * j), vld1_s8(x[other]->q + 4 * j));
        UNROLL
        for (int p = 0; p < np; p++) {
            const wblock *b = &w[p * w_step];
            acc[p][t / 2] = pair_add(acc[p][t / 2], b->w[j], b->w[j + 1], both);
        }
    }
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++) {
        const vi sum = t % 2 ? pair_second(acc[p][t / 2]) : pair_first(acc[p][t / 2]);
        sums[p][t] = v_add32(sum, dot_start(f, x[t], from / 4));
    }
}

V_INLINE void pair_dots(const ag_qformat *f, int np, int nt, const wblock *w, int w_step,
                        const ag_q8_block *const x[], vi isum[2][V_TILE]) {
    if (!ag_qf_halves(f)) {
        pair_span(f, np, nt, w, w_step, x, 0, 8, isum);
        return;
    }
    vi sums[2][2][V_TILE];
    pair_span(f, np, nt, w, w_step, x, 0, 4, sums[0]);
    pair_span(f, np, nt, w, w_step, x, 4, 8, sums[1]);
    UNROLL
    for (int t = 0; t < nt; t++)
        UNROLL
    for (int p = 0; p < np; p++) {
        const vi *sc = w[p * w_step].sc;
        isum[p][t] = v_add32(dot_scaled(sums[0][p][t], half_scale(f, sc[0])),
                             dot_scaled(sums[1][p][t], half_scale(f, sc[1])));
    }
}

#define V_SLAB_WEIGHTS(f, block) pair_weights(block)
#define V_SLAB_DOTS              pair_dots
#include "kernels/simd/matmul_quant.h"

AG_QFORMAT_MAP(AG_QUANT_RUN)

void ag_k_matmul_fill_i8mm(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_i8mm", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
}
