/* Float32 to the formats of weight files. */
#include "kernels/ref/encode.h"

#include <string.h>

static void encode_halves(ag_type type, const float *src, uint8_t *out, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint16_t h = type == AG_T_F16 ? ag_f32_to_f16(src[i]) : ag_f32_to_bf16(src[i]);
        memcpy(out + 2 * i, &h, 2);
    }
}

/* By type; NULL where there is no block encoder. */
static ag_encode_block *const encoders[AG_T_LIMIT] = {
    [AG_T_Q4_0] = ag_encode_q4_0, [AG_T_Q4_1] = ag_encode_q4_1, [AG_T_Q5_0] = ag_encode_q5_0,
    [AG_T_Q5_1] = ag_encode_q5_1, [AG_T_Q8_0] = ag_encode_q8_0,
};

bool ag_type_encodes(ag_type type) {
    return type == AG_T_F32 || type == AG_T_F16 || type == AG_T_BF16 || encoders[type];
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
        encoders[type](src + i, out);
}
