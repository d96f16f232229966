/* Float32 to the formats of weight files. */
#include "kernels/ref/encode.h"

#include <float.h>
#include <string.h>

static void encode_halves(ag_type type, const float *src, uint8_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = type == AG_T_F16 ? ag_f32_to_f16(src[i]) : ag_f32_to_bf16(src[i]);
        memcpy(out + 2 * i, &h, 2);
    }
}

/* By type; NULL where there is no block encoder. */
static ag_encode_block *const encoders[AG_T_LIMIT] = {
    [AG_T_Q4_0] = ag_encode_q4_0,     [AG_T_Q4_1] = ag_encode_q4_1,
    [AG_T_Q5_0] = ag_encode_q5_0,     [AG_T_Q5_1] = ag_encode_q5_1,
    [AG_T_Q8_0] = ag_encode_q8_0,     [AG_T_Q2_K] = ag_encode_q2_k,
    [AG_T_Q3_K] = ag_encode_q3_k,     [AG_T_Q4_K] = ag_encode_q4_k,
    [AG_T_Q5_K] = ag_encode_q5_k,     [AG_T_Q6_K] = ag_encode_q6_k,
    [AG_T_IQ4_NL] = ag_encode_iq4_nl, [AG_T_IQ4_XS] = ag_encode_iq4_xs,
    [AG_T_MXFP4] = ag_encode_mxfp4,
};

bool ag_type_encodes(ag_type type) {
    return type == AG_T_F32 || type == AG_T_F16 || type == AG_T_BF16 || encoders[type];
}

bool ag_encode_prepare(const float *x, const float *given, int n, float *w) {
    float top = 0.0f, odd = 0.0f;
    for (int i = 0; i < n; i++) {
        odd += x[i] - x[i]; /* NaN where x is not finite */
        w[i] = given && given[i] > 0.0f ? given[i] : 0.0f;
        top = w[i] > top ? w[i] : top;
    }
    const bool usable = top > 0.0f && top <= FLT_MAX;
    for (int i = 0; i < n; i++)
        w[i] = usable ? w[i] / top : 1.0f;
    return odd == 0.0f;
}

void ag_type_encode_weighted(ag_type type, const float *src, const float *weights, void *dst,
                             size_t rows, size_t cols) {
    const ag_type_info *info = ag_type_find((uint32_t)type);
    uint8_t *out = dst;
    if (!weights || !encoders[type]) { /* floats have no choice that weights could guide */
        ag_type_encode(type, src, dst, rows * cols);
        return;
    }
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < cols; i += info->block, src += info->block, out += info->bytes)
            encoders[type](src, weights + i, out);
}

void ag_type_encode(ag_type type, const float *src, void *dst, size_t n) {
    if (type == AG_T_F32) {
        memcpy(dst, src, n * sizeof *src);
        return;
    }
    uint8_t *out = dst;
    if (type == AG_T_F16 || type == AG_T_BF16) {
        encode_halves(type, src, out, n);
        return;
    }
    const ag_type_info *info = ag_type_find((uint32_t)type);
    for (size_t i = 0; i < n; i += info->block, out += info->bytes)
        encoders[type](src + i, NULL, out);
}
