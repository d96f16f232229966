/* Plain encoders: float32 to the formats of weight files. */
#include <string.h>

#include "kernels/half.h"
#include "kernels/types.h"

void ag_type_encode(ag_type type, const float *src, void *dst, size_t n) {
    if (type == AG_T_F32) {
        memcpy(dst, src, n * sizeof *src);
        return;
    }
    uint8_t *out = dst;
    for (size_t i = 0; i < n; i++) {
        uint16_t h = type == AG_T_F16 ? ag_f32_to_f16(src[i]) : ag_f32_to_bf16(src[i]);
        memcpy(out + 2 * i, &h, 2);
    }
}
