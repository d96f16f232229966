/* Attention in plain C: the inner loops over a block decoded to float32. The other tiers equal it
 * bit for bit (the arithmetic is stated in kernels/attend.h). Thread: any. */
#include "kernels/attend.h"

#include <string.h>

#include "kernels/attend_store.h"
#include "kernels/exp.h"
#include "kernels/fill.h"
#include "kernels/ref/clones.h"

/* Slots, and dimensions of a slab, are independent chains that run side by side. */
AG_CLONES static void score(const float *q, int rows, int d, const void *k, float *s,
                            const void *next) {
    (void)next;
    for (int r = 0; r < rows; r++, q += d, s += AG_KV_BLOCK) {
        const float *key = k;
        float sum[AG_KV_BLOCK] = {0};
        for (int i = 0; i < d; i++, key += AG_KV_BLOCK)
            for (int j = 0; j < AG_KV_BLOCK; j++)
                sum[j] = fmaf(q[i], key[j], sum[j]);
        memcpy(s, sum, sizeof sum);
    }
}

AG_CLONES static void mix(const float *p, const float *corr, int rows, int d, const void *v, int lo,
                          int hi, float *acc, const void *next) {
    (void)next;
    for (int r = 0; r < rows; r++, p += AG_KV_BLOCK, acc += d)
        for (int i = 0; i < d; i += AG_ATTEND_SLAB) {
            const float *value = (const float *)v + ag_attend_v_at(i, 0);
            float sum[AG_ATTEND_SLAB];
            for (int l = 0; l < AG_ATTEND_SLAB; l++)
                sum[l] = acc[i + l] * corr[r];
            for (int j = lo; j < hi; j++)
                for (int l = 0; l < AG_ATTEND_SLAB; l++)
                    sum[l] = fmaf(p[j], value[j * AG_ATTEND_SLAB + l], sum[l]);
            memcpy(acc + i, sum, sizeof sum);
        }
}

/* The sum of the weights is halved: j + (j + 16), then + 8, + 4, + 2, + 1. */
AG_CLONES static void soften(const ag_attend_rows *rows) {
    const float inv_cap = 1.0f / rows->cap;
    for (int r = 0; r < rows->n; r++) {
        float *s = rows->s + (size_t)r * AG_KV_BLOCK, m = rows->m[r];
        const int lo = rows->lo[r], hi = rows->hi[r];
        for (int j = 0; j < AG_KV_BLOCK; j++) {
            if (rows->cap > 0.0f)
                s[j] = rows->cap * ag_tanh(s[j] * inv_cap);
            if (j < lo || j >= hi)
                s[j] = -INFINITY;
            m = s[j] > m ? s[j] : m;
        }
        float sum[AG_KV_BLOCK];
        for (int j = 0; j < AG_KV_BLOCK; j++)
            sum[j] = s[j] = ag_exp_neg(s[j] - m);
        for (int half = AG_KV_BLOCK / 2; half > 0; half /= 2)
            for (int j = 0; j < half; j++)
                sum[j] += sum[j + half];
        rows->corr[r] = ag_exp_neg(rows->m[r] - m);
        rows->l[r] = fmaf(rows->l[r], rows->corr[r], sum[0]);
        rows->m[r] = m;
    }
}

AG_CLONES static void decode_f16(const void *src, int d, float *out) {
    for (int i = 0; i < d * AG_KV_BLOCK; i++)
        out[i] = ag_f16_to_f32(((const uint16_t *)src)[i]);
}

AG_CLONES static void decode_bf16(const void *src, int d, float *out) {
    for (int i = 0; i < d * AG_KV_BLOCK; i++)
        out[i] = ag_bf16_to_f32(((const uint16_t *)src)[i]);
}

AG_CLONES static void decode_q8_k(const void *k, int d, float *out) {
    const uint16_t *scales = ag_attend_scales(k, d);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < AG_KV_BLOCK; j++) {
            float scale = ag_f16_to_f32(scales[i / 32 * AG_KV_BLOCK + j]);
            out[ag_attend_k_at(i, j)] = scale * ((const int8_t *)k)[ag_attend_k_at(i, j)];
        }
}

AG_CLONES static void decode_q8_v(const void *v, int d, float *out) {
    const uint16_t *scales = ag_attend_scales(v, d);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < AG_KV_BLOCK; j++) {
            float scale = ag_f16_to_f32(scales[i / 32 * AG_KV_BLOCK + j]);
            out[ag_attend_v_at(i, j)] = scale * ((const int8_t *)v)[ag_attend_v_at(i, j)];
        }
}

#define OPS(k, v)                                                                                  \
    {                                                                                              \
        .tile = 8, .score = score, .mix = mix, .soften = soften, .decode_k = k, .decode_v = v,     \
        .score_f32 = score, .mix_f32 = mix                                                         \
    }
static const ag_attend_ops ops_f32 = OPS(NULL, NULL);
static const ag_attend_ops ops_f16 = OPS(decode_f16, decode_f16);
static const ag_attend_ops ops_bf16 = OPS(decode_bf16, decode_bf16);
static const ag_attend_ops ops_q8 = OPS(decode_q8_k, decode_q8_v);

static void attend_f32(const ag_attend_args *args) { ag_attend_walk(args, &ops_f32); }
static void attend_f16(const ag_attend_args *args) { ag_attend_walk(args, &ops_f16); }
static void attend_bf16(const ag_attend_args *args) { ag_attend_walk(args, &ops_bf16); }
static void attend_q8(const ag_attend_args *args) { ag_attend_walk(args, &ops_q8); }

void ag_k_attend_fill_ref(ag_kernels *k) {
    k->kv[AG_KV_F32] = (ag_kv_ops){.name = "attend_f32_ref",
                                   .k_bytes = ag_kv_bytes_f32,
                                   .v_bytes = ag_kv_bytes_f32,
                                   .store_k = ag_kv_store_k_f32,
                                   .store_v = ag_kv_store_v_f32,
                                   .attend_scratch = ag_attend_scratch,
                                   .attend = attend_f32};
    k->kv[AG_KV_F16] = (ag_kv_ops){.name = "attend_f16_ref",
                                   .k_bytes = ag_kv_bytes_16,
                                   .v_bytes = ag_kv_bytes_16,
                                   .store_k = ag_kv_store_k_f16,
                                   .store_v = ag_kv_store_v_f16,
                                   .attend_scratch = ag_attend_scratch,
                                   .attend = attend_f16};
    k->kv[AG_KV_BF16] = (ag_kv_ops){.name = "attend_bf16_ref",
                                    .k_bytes = ag_kv_bytes_16,
                                    .v_bytes = ag_kv_bytes_16,
                                    .store_k = ag_kv_store_k_bf16,
                                    .store_v = ag_kv_store_v_bf16,
                                    .attend_scratch = ag_attend_scratch,
                                    .attend = attend_bf16};
    k->kv[AG_KV_Q8_0] = (ag_kv_ops){.name = "attend_q8_0_ref",
                                    .k_bytes = ag_kv_bytes_q8,
                                    .v_bytes = ag_kv_bytes_q8,
                                    .store_k = ag_kv_store_k_q8,
                                    .store_v = ag_kv_store_v_q8,
                                    .attend_scratch = ag_attend_scratch,
                                    .attend = attend_q8};
}
