/* Values and blocks of quantised weights.
 *
 * Rows are made 32 columns at a time, all wanted rows before the next columns: GPTQ and AWQ keep
 * the codes of neighbouring rows side by side, so that a cache line serves many rows.
 *
 * Rounding. As F32 values are exact: scale * (q - zero), rounded once. Blocks of Q4_0, Q4_1 and
 * Q8_0 take the codes as they are; their scale, and minimum scale * zero, are rounded to f16, which
 * is exact for f16 scales without zeros. Where codes do not fit a block (act-order, groups that are
 * no multiple of 32, zeros of 8-bit codes) and for FP8, values are encoded anew as Q8_0. */
#include <math.h>

#include "kernels/half.h"
#include "load/hf_quant.h"

#define RUN 32

static uint32_t word_at(const ag_hf_part *p, uint64_t i) {
    uint32_t w;
    memcpy(&w, p->data + i * 4, sizeof w);
    return w;
}

static float scale_at(const ag_hf_part *p, uint64_t i) {
    uint16_t h;
    float f;
    if (p->type == AG_ST_F32) {
        memcpy(&f, p->data + i * 4, sizeof f);
        return f;
    }
    memcpy(&h, p->data + i * 2, sizeof h);
    return p->type == AG_ST_F16 ? ag_f16_to_f32(h) : ag_bf16_to_f32(h);
}

/* AWQ puts columns 0 2 4 6 1 3 5 7 into the nibbles of a word, lowest first. */
static int awq_shift(uint64_t column) {
    int c = (int)(column % 8);
    return 4 * (c % 2 ? 4 + c / 2 : c / 2);
}

static uint32_t mask_of(const ag_hf_quantised *q) { return (1u << q->bits) - 1; }

int ag_hf_quant_zero(const ag_hf_quantised *q, uint64_t g, uint64_t o) {
    uint64_t per = (uint64_t)q->per;
    const ag_hf_part *z = &q->zero;
    if (!z->data)
        return q->middle;
    switch (q->layout) {
    case AG_LAY_GPTQ:
        return (int)(word_at(z, g * (q->rows / per) + o / per) >> q->bits * (int)(o % per) &
                     mask_of(q)) +
               q->zero_add;
    case AG_LAY_AWQ:
        return (int)(word_at(z, g * (q->rows / 8) + o / 8) >> awq_shift(o) & 15);
    case AG_LAY_PACKED:
        return (int)(word_at(z, o / per * q->n_groups + g) >> q->bits * (int)(o % per) &
                     mask_of(q));
    case AG_LAY_INT8:
        return (int8_t)z->data[o * q->n_groups + g];
    case AG_LAY_FP8:
        break;
    }
    return 0;
}

static float group_scale(const ag_hf_quantised *q, uint64_t g, uint64_t o) {
    if (q->layout == AG_LAY_GPTQ || q->layout == AG_LAY_AWQ)
        return scale_at(&q->scale, g * q->rows + o);
    return scale_at(&q->scale, o / q->block_rows * q->n_groups + g);
}

static uint64_t group_of(const ag_hf_quantised *q, uint64_t i) {
    return q->ordered ? i / q->group : word_at(&q->index, i);
}

/* Codes of row o, columns [i, i + n). */
static void codes(const ag_hf_quantised *q, uint64_t o, uint64_t i, int n, int out[RUN]) {
    const ag_hf_part *c = &q->codes;
    uint64_t per = (uint64_t)q->per, words = (q->cols + per - 1) / per;
    for (int k = 0; k < n; k++) {
        uint64_t at = i + (uint64_t)k;
        switch (q->layout) {
        case AG_LAY_GPTQ:
            out[k] =
                (int)(word_at(c, at / per * q->rows + o) >> q->bits * (int)(at % per) & mask_of(q));
            break;
        case AG_LAY_AWQ:
            out[k] = (int)(word_at(c, at * (q->rows / 8) + o / 8) >> awq_shift(o) & 15);
            break;
        case AG_LAY_PACKED:
            out[k] =
                (int)(word_at(c, o * words + at / per) >> q->bits * (int)(at % per) & mask_of(q));
            break;
        case AG_LAY_INT8:
            out[k] = (int8_t)c->data[o * q->cols + at];
            break;
        case AG_LAY_FP8:
            out[k] = c->data[o * q->cols + at];
            break;
        }
    }
}

/* E4M3 "fn": sign, 4 bits of exponent (bias 7), 3 of mantissa; no infinity, 7F and FF are NaN. */
static float e4m3(int code) {
    int e = code >> 3 & 15, m = code & 7;
    float v = e ? ldexpf((float)(8 + m), e - 10) : (float)m * 0x1p-9f;
    if ((code & 127) == 127)
        v = NAN;
    return code & 128 ? -v : v;
}

static void values(const ag_hf_quantised *q, uint64_t o, uint64_t i, int n, float *out) {
    int c[RUN];
    codes(q, o, i, n, c);
    uint64_t last = UINT64_MAX;
    float scale = 0;
    int zero = 0;
    for (int k = 0; k < n; k++) {
        uint64_t g = group_of(q, i + (uint64_t)k);
        if (g != last) {
            scale = group_scale(q, g, o);
            zero = ag_hf_quant_zero(q, g, o);
            last = g;
        }
        out[k] = q->layout == AG_LAY_FP8 ? e4m3(c[k]) * scale : scale * (float)(c[k] - zero);
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static bool takes_codes(const ag_hf_quantised *q) {
    return q->layout != AG_LAY_FP8 && q->ordered && q->group % RUN == 0 &&
           (q->bits == 4 || q->centred);
}

ag_type ag_hf_quant_keep(const ag_hf_quantised *q) {
    if (q->cols % RUN)
        return AG_T_BF16;
    if (q->bits == 8 || !takes_codes(q))
        return AG_T_Q8_0;
    return q->centred ? AG_T_Q4_0 : AG_T_Q4_1;
}

/* One block of 32 whose codes are kept: f16 scale (and minimum), then the codes. */
static void write_block(const ag_hf_quantised *q, ag_type as, uint64_t o, uint64_t i,
                        uint8_t *out) {
    int c[RUN];
    uint64_t g = i / q->group;
    float scale = group_scale(q, g, o);
    uint16_t d = ag_f32_to_f16(scale);
    codes(q, o, i, RUN, c);
    memcpy(out, &d, 2);
    out += 2;
    if (as == AG_T_Q8_0) {
        for (int k = 0; k < RUN; k++)
            out[k] = (uint8_t)(int8_t)(c[k] - q->middle);
        return;
    }
    if (as == AG_T_Q4_1) {
        uint16_t m = ag_f32_to_f16(-scale * (float)ag_hf_quant_zero(q, g, o));
        memcpy(out, &m, 2);
        out += 2;
    }
    for (int k = 0; k < RUN / 2; k++)
        out[k] = (uint8_t)(c[k] | c[k + RUN / 2] << 4);
}

static void read_quantised(const ag_tensor *t, uint64_t row, size_t n, ag_type as, void *dst) {
    const ag_hf_quantised *q = t->state;
    size_t row_bytes = ag_type_bytes(as, (size_t)q->cols);
    bool direct = as != AG_T_F32 && as != AG_T_BF16 && takes_codes(q);
    for (uint64_t i = 0; i < q->cols; i += RUN) {
        int run = q->cols - i < RUN ? (int)(q->cols - i) : RUN;
        size_t at = ag_type_bytes(as, (size_t)i);
        for (size_t r = 0; r < n; r++) {
            uint8_t *out = (uint8_t *)dst + r * row_bytes + at;
            float v[RUN];
            if (direct) {
                write_block(q, as, row + r, i, out);
                continue;
            }
            values(q, row + r, i, run, v);
            ag_type_encode(as, v, out, (size_t)run);
        }
    }
}

static bool quantised_piece(const ag_tensor *t, size_t i, int *file, uint64_t *at, size_t *bytes) {
    const ag_hf_quantised *q = t->state;
    for (size_t k = 0; k < AG_HF_PARTS; k++)
        if (q->part[k].data && i-- == 0) {
            *file = q->part[k].file;
            *at = q->part[k].at;
            *bytes = q->part[k].bytes;
            return true;
        }
    return false;
}

const ag_view ag_hf_quant_view = {read_quantised, quantised_piece};
