/* Plain decoders: file blocks to float32, rounding where the reference formulas round. */
#include <string.h>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "kernels/ref/split.h"

static void decode_f16(const uint8_t *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, 2);
        dst[i] = ag_f16_to_f32(h);
    }
}

static void decode_bf16(const uint8_t *src, float *dst, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, src + 2 * i, 2);
        dst[i] = ag_bf16_to_f32(h);
    }
}

/* Q4_0, Q5_0: w = d * (u - offset) */
static void value_offset(const ag_split *s, int offset, float *dst) {
    const float d = ag_f16_to_f32(s->d);
    for (int i = 0; i < 32; i++)
        dst[i] = d * (float)(s->u[i] - offset);
}

/* Q4_1, Q5_1: w = d * u + m, two roundings */
static void value_min(const ag_split *s, float *dst) {
    const float d = ag_f16_to_f32(s->d), m = ag_f16_to_f32(s->m);
    for (int i = 0; i < 32; i++)
        dst[i] = d * (float)s->u[i] + m;
}

static void value_q8_0(const ag_split *s, float *dst) {
    const float d = ag_f16_to_f32(s->d);
    for (int i = 0; i < 32; i++)
        dst[i] = d * (float)(int8_t)s->u[i];
}

/* Q4_K, Q5_K: w = (d * sc) * u - (dmin * mn) */
static void value_k(const ag_split *s, float *dst) {
    const float d = ag_f16_to_f32(s->d), dmin = ag_f16_to_f32(s->m);
    for (int j = 0; j < 8; j++) {
        const float scale = d * (float)s->sc[j], min = dmin * (float)s->mn[j];
        for (int i = 32 * j; i < 32 * j + 32; i++)
            dst[i] = scale * (float)s->u[i] - min;
    }
}

/* Q2_K: the same with scales for each 16 */
static void value_q2_k(const ag_split *s, float *dst) {
    const float d = ag_f16_to_f32(s->d), dmin = ag_f16_to_f32(s->m);
    for (int j = 0; j < 16; j++) {
        const float scale = d * (float)s->sc[j], min = dmin * (float)s->mn[j];
        for (int i = 16 * j; i < 16 * j + 16; i++)
            dst[i] = scale * (float)s->u[i] - min;
    }
}

/* Q3_K, Q6_K: w = (d * sc) * (u - offset) */
static void value_halves(const ag_split *s, int offset, float *dst) {
    const float d = ag_f16_to_f32(s->d);
    for (int i = 0; i < 256; i++)
        dst[i] = d * (float)(int8_t)s->sc[i / 16] * (float)(s->u[i] - offset);
}

static const float iq4_values[16] = {AG_IQ4_VALUES};

static void value_iq4_nl(const ag_split *s, float *dst) {
    const float d = ag_f16_to_f32(s->d);
    for (int i = 0; i < 32; i++)
        dst[i] = d * iq4_values[s->u[i]];
}

static void value_iq4_xs(const ag_split *s, float *dst) {
    const float d = ag_f16_to_f32(s->d);
    for (int i = 0; i < 256; i++)
        dst[i] = d * (float)(int8_t)s->sc[i / 32] * iq4_values[s->u[i]];
}

/* The table has a negative zero, which the doubled integers of blocks.h do not. */
static void value_mxfp4(const ag_split *s, float *dst) {
    static const float values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                     -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
    const float d = ag_e8m0_to_f32((uint8_t)s->d);
    for (int i = 0; i < 32; i++)
        dst[i] = d * values[s->u[i]];
}

static void value_block(ag_type type, const ag_split *s, float *dst) {
    switch (type) {
    case AG_T_Q4_0:
        value_offset(s, 8, dst);
        break;
    case AG_T_Q5_0:
        value_offset(s, 16, dst);
        break;
    case AG_T_Q4_1:
    case AG_T_Q5_1:
        value_min(s, dst);
        break;
    case AG_T_Q8_0:
        value_q8_0(s, dst);
        break;
    case AG_T_Q4_K:
    case AG_T_Q5_K:
        value_k(s, dst);
        break;
    case AG_T_Q2_K:
        value_q2_k(s, dst);
        break;
    case AG_T_Q3_K:
        value_halves(s, 4, dst);
        break;
    case AG_T_IQ4_NL:
        value_iq4_nl(s, dst);
        break;
    case AG_T_IQ4_XS:
        value_iq4_xs(s, dst);
        break;
    case AG_T_MXFP4:
        value_mxfp4(s, dst);
        break;
    default: /* the one left of the decoded block types: Q6_K */
        value_halves(s, 32, dst);
        break;
    }
}

void ag_type_decode(ag_type type, const void *src, float *dst, size_t n) {
    if (type == AG_T_F32) {
        memcpy(dst, src, n * sizeof *dst);
        return;
    }
    if (type == AG_T_F16) {
        decode_f16(src, dst, n);
        return;
    }
    if (type == AG_T_BF16) {
        decode_bf16(src, dst, n);
        return;
    }
    const ag_type_info *info = ag_type_find((uint32_t)type);
    const uint8_t *p = src;
    for (size_t i = 0; i < n; i += info->block, p += info->bytes) {
        ag_split s;
        ag_split_block(type, p, &s);
        value_block(type, &s, dst + i);
    }
}
