/* The plain matmuls, over panels of 8 rows. They define every result bit: the fast versions do the
 * same operations in the same order.
 *
 * Quantised types, for each block of 32 columns in order, with x the activation block:
 *   isum = sum (u - offset) * q                 exact integers; Q6_K: sum over both halves of
 *                                               sc[half] * sum (u - 32) * q
 *   acc = fmaf(scale * x.d, (float)isum, acc)   Q4_K, Q5_K: scale = d * sc; otherwise scale = d
 *   acc = fmaf(min, x.dsum, acc)                Q4_1, Q5_1: min = m; Q4_K, Q5_K: -(dmin * mn);
 *                                               the others skip it
 * Float types, for each column k in order: acc = fmaf(w, x, acc).
 * acc starts at 0; the bias is added last. */
#include <math.h>
#include <string.h>

#include "kernels/act.h"
#include "kernels/fill.h"
#include "kernels/half.h"
#include "kernels/panel.h"
#include "kernels/ref/matmul.h"

#define INLINE static inline __attribute__((always_inline))
enum { PANEL = 8, TOKENS = 16 /* that share one unpacking */ };

/* 32 columns of one row. */
typedef struct group {
    int w[32];
    float scale, min;
    int sc[2]; /* Q6_K only */
} group;

static float f16_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return ag_f16_to_f32(h);
}

INLINE void unpack_integers(const ag_qformat *f, const uint8_t *p, int row, int w[32]) {
    const int vec = 4 * PANEL;
    for (int k = 0; k < 32; k++) {
        const int j = k / 4, at = 4 * row + k % 4;
        if (f->bits == 8) {
            w[k] = (int8_t)p[j * vec + at];
            continue;
        }
        int u = p[j % 4 * vec + at] >> (j / 4 * 4) & 15;
        if (f->bits == 5)
            u |= (p[4 * vec + at] >> j & 1) << 4;
        if (f->bits == 6)
            u |= (p[(4 + j / 4) * vec + at] >> 2 * (j % 4) & 3) << 4;
        w[k] = u - (f->offset ? 1 << f->offset : 0);
    }
}

/* Group g (of 32 columns) of the panel. */
INLINE void unpack_group(const ag_qformat *f, const uint8_t *panel, int g, int row, group *out) {
    const int groups = f->unit / 32, sub = g % groups;
    const uint8_t *head = panel + (size_t)(g / groups) * (ag_qf_unit_bytes(f) * PANEL);
    unpack_integers(f, head + (f->head + sub * ag_qf_group_bytes(f)) * PANEL, row, out->w);
    out->scale = f16_at(head + 2 * row);
    out->min = f->min ? f16_at(head + 2 * PANEL + 2 * row) : 0;
    if (f->halves) {
        const int8_t *sc = (const int8_t *)head + 2 * PANEL;
        out->sc[0] = sc[2 * sub * PANEL + row];
        out->sc[1] = sc[(2 * sub + 1) * PANEL + row];
    } else if (groups > 1) {
        out->scale *= (float)head[(4 + sub) * PANEL + row];
        out->min = -(out->min * (float)head[(12 + sub) * PANEL + row]);
    }
}

INLINE float step(const ag_qformat *f, const group *w, const ag_q8_block *x, float acc) {
    int sums[2] = {0, 0};
    for (int k = 0; k < 32; k++)
        sums[k / 16] += w->w[k] * x->q[k];
    const int isum = f->halves ? w->sc[0] * sums[0] + w->sc[1] * sums[1] : sums[0] + sums[1];
    acc = fmaf(w->scale * x->d, (float)isum, acc);
    return f->min ? fmaf(w->min, x->dsum, acc) : acc;
}

static void store(const ag_matmul_args *a, int tok, int row, float acc) {
    a->out[(size_t)tok * a->out_stride + row] = a->bias ? acc + a->bias[row] : acc;
}

INLINE void run_quant(const ag_matmul_args *a, const ag_qformat *f) {
    const size_t panel_bytes = ag_qf_panel_bytes(f, PANEL, a->cols);
    const int end = a->panel1 * PANEL < a->rows ? a->panel1 * PANEL : a->rows;
    for (int row = a->panel0 * PANEL; row < end; row++) {
        const uint8_t *panel = (const uint8_t *)a->w + (size_t)(row / PANEL) * panel_bytes;
        for (int t0 = 0; t0 < a->n_tok; t0 += TOKENS) {
            const int n = a->n_tok - t0 < TOKENS ? a->n_tok - t0 : TOKENS;
            float acc[TOKENS] = {0};
            for (int g = 0; g < a->cols / 32; g++) {
                group w;
                unpack_group(f, panel, g, row % PANEL, &w);
                for (int t = 0; t < n; t++) {
                    const uint8_t *x = (const uint8_t *)a->act + (size_t)(t0 + t) * a->act_stride;
                    acc[t] = step(f, &w, (const ag_q8_block *)x + g, acc[t]);
                }
            }
            for (int t = 0; t < n; t++)
                store(a, t0 + t, row, acc[t]);
        }
    }
}

INLINE float float_at(ag_type type, const uint8_t *p) {
    if (type == AG_T_F16)
        return f16_at(p);
    float w;
    uint16_t h;
    if (type == AG_T_F32) {
        memcpy(&w, p, 4);
        return w;
    }
    memcpy(&h, p, 2);
    return ag_bf16_to_f32(h);
}

INLINE void run_float(const ag_matmul_args *a, ag_type type) {
    const int item = type == AG_T_F32 ? 4 : 2;
    const size_t panel_bytes = ag_float_panel_bytes(item, PANEL, a->cols);
    const int end = a->panel1 * PANEL < a->rows ? a->panel1 * PANEL : a->rows;
    for (int row = a->panel0 * PANEL; row < end; row++) {
        const uint8_t *w = (const uint8_t *)a->w + (size_t)(row / PANEL) * panel_bytes +
                           (size_t)(row % PANEL * item);
        for (int t = 0; t < a->n_tok; t++) {
            const float *x = (const float *)((const char *)a->act + (size_t)t * a->act_stride);
            float acc = 0;
            for (int k = 0; k < a->cols; k++)
                acc = fmaf(float_at(type, w + (size_t)k * (PANEL * item)), x[k], acc);
            store(a, t, row, acc);
        }
    }
}

#define QUANT(id, name, ...)                                                                       \
    static void matmul_##name(const ag_matmul_args *a) {                                           \
        run_quant(a, &(const ag_qformat)AG_QFORMAT(id, name, __VA_ARGS__));                        \
    }
AG_QFORMAT_MAP(QUANT)

static void matmul_f32(const ag_matmul_args *a) { run_float(a, AG_T_F32); }
static void matmul_f16(const ag_matmul_args *a) { run_float(a, AG_T_F16); }
static void matmul_bf16(const ag_matmul_args *a) { run_float(a, AG_T_BF16); }

void ag_k_matmul_fill_ref(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_ref", PANEL, matmul_##name);
    AG_QFORMAT_MAP(PUT)
    PUT(F32, f32)
    PUT(F16, f16)
    PUT(BF16, bf16)
    k->quantize_q8 = ag_k_quantize_q8_ref;
}
