/* The plain matmuls, over panels of 8 rows. They define every result bit: the fast versions do the
 * same operations in the same order.
 *
 * Quantised types, for each block of 32 columns in order, with x the activation block:
 *   isum = sum v * q                            exact integers, v = u - offset or the table entry
 *                                               (MXFP4: doubled). Q2_K, Q3_K, Q6_K: sum over both
 *                                               halves of sc[half] * sum v * q
 *   acc = fmaf(scale * x.d, (float)isum, acc)   Q4_K, Q5_K, IQ4_XS: scale = d * sc; MXFP4: half of
 *                                               2^(e - 127); otherwise scale = d
 *   acc = fmaf(min, x.dsum, acc)                Q4_1, Q5_1: min = m; Q4_K, Q5_K: -(dmin * mn)
 * or, for Q2_K, whose minima change within the block,
 *   acc = fmaf(dmin / 32 * x.d, (float)msum, acc)   msum = sum over both halves of mn[half] *
 *                                                   x.s16[half], which is -32 * sum q
 * The other types skip it. F32 and F16, for each column k in order: acc = fmaf(w, x, acc).
 * BF16, for each 32 columns in order, the last made up with zeros: acc = acc + (even + odd), where
 * even and odd are chains of fmaf(w, x, ...) from 0 over the columns of that kind. That is what AMX
 * does with a tile (TDPBF16PS; Intel's Software Developer's Manual, volume 2).
 * acc starts at 0; the bias is added last.
 *
 * The rows of a panel are independent chains that a compiler may run side by side. */
#include <math.h>
#include <string.h>

#include "kernels/act.h"
#include "kernels/blocks.h"
#include "kernels/fill.h"
#include "kernels/half.h"
#include "kernels/panel.h"
#include "kernels/ref/clones.h"
#include "kernels/ref/matmul.h"

#define INLINE static inline __attribute__((always_inline))
enum { PANEL = 8, TOKENS = 16 /* that share one unpacking */, SLAB = 32 /* columns of floats */ };

/* 32 columns of a panel. */
typedef struct group {
    int16_t w[PANEL][32];
    float scale[PANEL], min[PANEL];
    int sc[PANEL][2], mn[PANEL][2]; /* where each 16 columns have their own */
} group;

INLINE float f16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return ag_f16_to_f32(h);
}

static const int8_t tables[][16] = {
    [AG_QT_NONE] = {0}, [AG_QT_IQ4] = {AG_IQ4_VALUES}, [AG_QT_FP4] = {AG_FP4_DOUBLED}};

enum { VEC = 4 * PANEL }; /* bytes of a quad of every row */

/* The integers of 32 columns as the panel has them: u[j][4 r + i] is column 4 j + i of row r. */
INLINE void unpack_quads(const ag_qformat *f, const uint8_t *p, int8_t u[8][VEC]) {
    const int used = ag_qf_nibbles(f) ? 4 : 0; /* bits before the pairs, if any */
    const uint8_t *pairs = p + (used ? 4 : 0) * VEC, *bits = pairs + (ag_qf_pairs(f) ? 2 : 0) * VEC;
    const int less = f->offset ? 1 << f->offset : 0;
    for (int j = 0; j < 8; j++)
        for (int b = 0; b < VEC; b++) {
            int v = f->bits == 8 ? (int8_t)p[j * VEC + b] : 0;
            if (ag_qf_nibbles(f))
                v = p[j % 4 * VEC + b] >> (j / 4 * 4) & 15;
            if (ag_qf_pairs(f))
                v |= (pairs[j / 4 * VEC + b] >> (j % 4 * 2) & 3) << used;
            if (ag_qf_bits(f))
                v |= (bits[b] >> j & 1) << (used + (ag_qf_pairs(f) ? 2 : 0));
            u[j][b] = f->table ? tables[f->table][v] : (int8_t)(v - less);
        }
}

INLINE void unpack_scales(const ag_qformat *f, const uint8_t *head, int sub, int row, group *out) {
    const uint8_t *sc = head + ag_qf_scales_at(f) * PANEL + row;
    if (f->scales == AG_QS_E8M0) {
        out->scale[row] = ag_e8m0_to_f32(head[row]) * 0.5f;
        return;
    }
    out->scale[row] = f16_at(head + 2 * row);
    out->min[row] = f->min ? f16_at(head + 2 * PANEL + 2 * row) : 0;
    if (f->scales == AG_QS_U8) {
        out->scale[row] *= (float)sc[sub * PANEL];
        out->min[row] = -(out->min[row] * (float)sc[(8 + sub) * PANEL]);
    }
    if (f->scales == AG_QS_I8)
        out->scale[row] *= (float)(int8_t)sc[sub * PANEL];
    if (f->scales == AG_QS_U4_H)
        out->min[row] *= 0x1p-5f;
    for (int half = 0; ag_qf_halves(f) && half < 2; half++) {
        const uint8_t byte = sc[(2 * sub + half) * PANEL];
        out->sc[row][half] = f->scales == AG_QS_U4_H ? byte & 15 : (int8_t)byte;
        out->mn[row][half] = byte >> 4;
    }
}

/* Group g (of 32 columns) of the panel. */
INLINE void unpack_group(const ag_qformat *f, const uint8_t *panel, int g, group *out) {
    const int groups = f->unit / 32, sub = g % groups;
    const uint8_t *head = panel + (size_t)(g / groups) * (ag_qf_unit_bytes(f) * PANEL);
    const uint8_t *quads = head + (f->head + sub * ag_qf_group_bytes(f)) * PANEL;
    int8_t u[8][VEC];
    unpack_quads(f, quads, u);
    for (int row = 0; row < PANEL; row++) {
        unpack_scales(f, head, sub, row, out);
        int8_t w[32];
        for (int j = 0; j < 8; j++)
            memcpy(w + 4 * j, u[j] + 4 * row, 4);
        for (int k = 0; k < 32; k++)
            out->w[row][k] = w[k];
    }
}

INLINE int dot(const int16_t *w, const int16_t *q, int n) {
    int sum = 0;
    for (int k = 0; k < n; k++)
        sum += w[k] * q[k];
    return sum;
}

INLINE void step(const ag_qformat *f, const group *w, const ag_q8_block *x, float acc[PANEL]) {
    int16_t q[32];
    int isum[PANEL], msum[PANEL];
    for (int k = 0; k < 32; k++)
        q[k] = x->q[k];
    for (int r = 0; r < PANEL; r++) {
        isum[r] = ag_qf_halves(f) ? w->sc[r][0] * dot(w->w[r], q, 16) +
                                        w->sc[r][1] * dot(w->w[r] + 16, q + 16, 16)
                                  : dot(w->w[r], q, 32);
        msum[r] = f->scales == AG_QS_U4_H ? w->mn[r][0] * x->s16[0] + w->mn[r][1] * x->s16[1] : 0;
    }
    for (int r = 0; r < PANEL; r++) {
        acc[r] = fmaf(w->scale[r] * x->d, (float)isum[r], acc[r]);
        if (f->scales == AG_QS_U4_H)
            acc[r] = fmaf(w->min[r] * x->d, (float)msum[r], acc[r]);
        else if (f->min)
            acc[r] = fmaf(w->min[r], x->dsum, acc[r]);
    }
}

INLINE void store(const ag_matmul_args *a, int tok, int panel, const float acc[PANEL]) {
    const int row0 = panel * PANEL;
    for (int r = 0; r < PANEL && row0 + r < a->rows; r++)
        a->out[(size_t)tok * a->out_stride + row0 + r] =
            a->bias ? acc[r] + a->bias[row0 + r] : acc[r];
}

INLINE const uint8_t *act_row(const ag_matmul_args *a, int tok) {
    return (const uint8_t *)a->act + (size_t)tok * a->act_stride;
}

INLINE void quant_tile(const ag_matmul_args *a, const ag_qformat *f, int panel, int tok, int n) {
    const uint8_t *p = (const uint8_t *)a->w + (size_t)panel * ag_qf_panel_bytes(f, PANEL, a->cols);
    float acc[TOKENS][PANEL] = {{0}};
    for (int g = 0; g < a->cols / 32; g++) {
        group w;
        unpack_group(f, p, g, &w);
        for (int t = 0; t < n; t++)
            step(f, &w, (const ag_q8_block *)(const void *)act_row(a, tok + t) + g, acc[t]);
    }
    for (int t = 0; t < n; t++)
        store(a, tok + t, panel, acc[t]);
}

INLINE float float_at(ag_type type, const uint8_t *p) {
    if (type == AG_T_F16)
        return f16_at(p);
    float w;
    memcpy(&w, p, 4);
    return w;
}

INLINE void float_steps(const float w[][PANEL], const float *x, int n, float acc[PANEL]) {
    float sum[PANEL];
    memcpy(sum, acc, sizeof sum);
    for (int k = 0; k < n; k++)
        for (int r = 0; r < PANEL; r++)
            sum[r] = fmaf(w[k][r], x[k], sum[r]);
    memcpy(acc, sum, sizeof sum);
}

INLINE void float_tile(const ag_matmul_args *a, ag_type type, int panel, int tok, int n) {
    const int item = type == AG_T_F32 ? 4 : 2;
    const uint8_t *p =
        (const uint8_t *)a->w + (size_t)panel * ag_float_panel_bytes(item, PANEL, a->cols);
    float acc[TOKENS][PANEL] = {{0}};
    for (int k0 = 0; k0 < a->cols; k0 += SLAB) {
        const int cols = a->cols - k0 < SLAB ? a->cols - k0 : SLAB;
        float w[SLAB][PANEL];
        for (int i = 0; i < cols * PANEL; i++)
            (&w[0][0])[i] = float_at(type, p + (size_t)(k0 * PANEL + i) * item);
        for (int t = 0; t < n; t++)
            float_steps(w, (const float *)(const void *)act_row(a, tok + t) + k0, cols, acc[t]);
    }
    for (int t = 0; t < n; t++)
        store(a, tok + t, panel, acc[t]);
}

/* 32 columns: x as ag_k_round_bf16_ref writes it. */
INLINE void bf16_step(const float w[32][PANEL], const float *x, float acc[PANEL]) {
    float even[PANEL] = {0}, odd[PANEL] = {0};
    for (int k = 0; k < 32; k += 2)
        for (int r = 0; r < PANEL; r++) {
            even[r] = fmaf(w[k][r], x[k], even[r]);
            odd[r] = fmaf(w[k + 1][r], x[k + 1], odd[r]);
        }
    for (int r = 0; r < PANEL; r++)
        acc[r] += even[r] + odd[r];
}

INLINE void bf16_tile(const ag_matmul_args *a, ag_type type, int panel, int tok, int n) {
    (void)type;
    const uint8_t *p = (const uint8_t *)a->w + (size_t)panel * ag_bf16_panel_bytes(PANEL, a->cols);
    float acc[TOKENS][PANEL] = {{0}};
    for (int k0 = 0; k0 < a->cols; k0 += 32) {
        float w[32][PANEL];
        for (int k = 0; k < 32; k++)
            for (int r = 0; r < PANEL; r++) {
                uint16_t h;
                memcpy(&h, p + ((size_t)((k0 + k) / 2 * PANEL + r) * 2 + k % 2) * 2, 2);
                w[k][r] = ag_bf16_to_f32(h);
            }
        for (int t = 0; t < n; t++)
            bf16_step(w, (const float *)(const void *)act_row(a, tok + t) + k0, acc[t]);
    }
    for (int t = 0; t < n; t++)
        store(a, tok + t, panel, acc[t]);
}

/* Every panel and tile of tokens. */
#define RUN(tile, a, format)                                                                       \
    for (int panel = (a)->panel0; panel < (a)->panel1; panel++)                                    \
        for (int tok = 0; tok < (a)->n_tok; tok += TOKENS)                                         \
    tile(a, format, panel, tok, (a)->n_tok - tok < TOKENS ? (a)->n_tok - tok : TOKENS)

#define QUANT(id, name, ...)                                                                       \
    AG_CLONES static void matmul_##name(const ag_matmul_args *a) {                                 \
        RUN(quant_tile, a, &(const ag_qformat)AG_QFORMAT(id, name, __VA_ARGS__));                  \
    }
AG_QFORMAT_MAP(QUANT)

AG_CLONES static void matmul_f32(const ag_matmul_args *a) { RUN(float_tile, a, AG_T_F32); }
AG_CLONES static void matmul_f16(const ag_matmul_args *a) { RUN(float_tile, a, AG_T_F16); }
AG_CLONES static void matmul_bf16(const ag_matmul_args *a) { RUN(bf16_tile, a, AG_T_BF16); }

void ag_k_matmul_fill_ref(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_ref", PANEL, matmul_##name);
    AG_QFORMAT_MAP(PUT)
    PUT(F32, f32)
    PUT(F16, f16)
    PUT(BF16, bf16)
    k->quantize_q8 = ag_k_quantize_q8_ref;
    k->round_bf16 = ag_k_round_bf16_ref;
}
