/* Writing one token's K and V into a block, and the sizes of a head in a block: shared by every
 * tier (layout: kernels/attend.h). Thread: one writer a block. */
#include "kernels/attend_store.h"

#include <math.h>

#include "kernels/attend.h"
#include "kernels/half.h"

size_t ag_kv_bytes_f32(int d) { return (size_t)d * AG_KV_BLOCK * sizeof(float); }
size_t ag_kv_bytes_16(int d) { return (size_t)d * AG_KV_BLOCK * sizeof(uint16_t); }
size_t ag_kv_bytes_q8(int d) {
    return (size_t)d * AG_KV_BLOCK + (size_t)ag_attend_groups(d) * AG_KV_BLOCK * sizeof(uint16_t);
}

void ag_kv_store_k_f32(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i++)
        ((float *)k)[ag_attend_k_at(i, slot)] = x[i];
}
void ag_kv_store_v_f32(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i++)
        ((float *)v)[ag_attend_v_at(i, slot)] = x[i];
}
void ag_kv_store_k_f16(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i++)
        ((uint16_t *)k)[ag_attend_k_at(i, slot)] = ag_f32_to_f16(x[i]);
}
void ag_kv_store_v_f16(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i++)
        ((uint16_t *)v)[ag_attend_v_at(i, slot)] = ag_f32_to_f16(x[i]);
}
void ag_kv_store_k_bf16(void *k, int d, int slot, const float *x) {
    for (int i = 0; i < d; i++)
        ((uint16_t *)k)[ag_attend_k_at(i, slot)] = ag_f32_to_bf16(x[i]);
}
void ag_kv_store_v_bf16(void *v, int d, int slot, const float *x) {
    for (int i = 0; i < d; i++)
        ((uint16_t *)v)[ag_attend_v_at(i, slot)] = ag_f32_to_bf16(x[i]);
}

/* The scale of a group of n values: the largest magnitude over 127, rounded to float16. A value
 * that is not finite makes the scale NaN, so that a broken activation stays visible. */
static uint16_t group_scale(const float *x, int n) {
    float most = 0;
    for (int i = 0; i < n; i++) {
        float u = fabsf(x[i]);
        if (!(u <= 0x1.fffffep+127f))
            return 0x7e00;
        most = u > most ? u : most;
    }
    float scale = most / 127.0f;
    return ag_f32_to_f16(scale < 65504.0f ? scale : 65504.0f);
}

static int8_t quantise(float x, float inv) {
    float y = x * inv; /* NaN (0 * inf) fails both comparisons and becomes -127 times scale 0 */
    return (int8_t)lrintf(y > -127.0f ? y < 127.0f ? y : 127.0f : -127.0f);
}

void ag_kv_store_k_q8(void *k, int d, int slot, const float *x) {
    uint16_t *scales = (uint16_t *)ag_attend_scales(k, d);
    for (int i = 0; i < d; i += 32) {
        int n = d - i < 32 ? d - i : 32;
        uint16_t scale = group_scale(x + i, n);
        scales[i / 32 * AG_KV_BLOCK + slot] = scale;
        float inv = 1.0f / ag_f16_to_f32(scale);
        for (int j = i; j < i + n; j++)
            ((int8_t *)k)[ag_attend_k_at(j, slot)] = quantise(x[j], inv);
    }
}

void ag_kv_store_v_q8(void *v, int d, int slot, const float *x) {
    uint16_t *scales = (uint16_t *)ag_attend_scales(v, d);
    for (int i = 0; i < d; i += 32) {
        int n = d - i < 32 ? d - i : 32;
        uint16_t scale = group_scale(x + i, n);
        scales[i / 32 * AG_KV_BLOCK + slot] = scale;
        float inv = 1.0f / ag_f16_to_f32(scale);
        for (int j = i; j < i + n; j++)
            ((int8_t *)v)[ag_attend_v_at(j, slot)] = quantise(x[j], inv);
    }
}
