/* Private to the kernels room: the sizes and writers of KV blocks, ag_kv_ops.k_bytes, .v_bytes,
 * .store_k and .store_v of each type. Every tier may use the plain ones: the layout is one. */
#ifndef AG_KERNELS_ATTEND_STORE_H
#define AG_KERNELS_ATTEND_STORE_H

#include <stddef.h>

size_t ag_kv_bytes_f32(int d);
size_t ag_kv_bytes_16(int d); /* F16, BF16 */
size_t ag_kv_bytes_q8(int d);

void ag_kv_store_k_f32(void *k, int d, int slot, const float *x);
void ag_kv_store_v_f32(void *v, int d, int slot, const float *x);
void ag_kv_store_k_f16(void *k, int d, int slot, const float *x);
void ag_kv_store_v_f16(void *v, int d, int slot, const float *x);
void ag_kv_store_k_bf16(void *k, int d, int slot, const float *x);
void ag_kv_store_v_bf16(void *v, int d, int slot, const float *x);
void ag_kv_store_k_q8(void *k, int d, int slot, const float *x);
void ag_kv_store_v_q8(void *v, int d, int slot, const float *x);

/* The same bytes, faster (x86/attend_store_avx2.c, arm/attend_store_neon.c). K of F32 has nothing
 * to gain. */
void ag_kv_store_v_f32_avx2(void *v, int d, int slot, const float *x);
void ag_kv_store_k_f16_avx2(void *k, int d, int slot, const float *x);
void ag_kv_store_v_f16_avx2(void *v, int d, int slot, const float *x);
void ag_kv_store_k_bf16_avx2(void *k, int d, int slot, const float *x);
void ag_kv_store_v_bf16_avx2(void *v, int d, int slot, const float *x);
void ag_kv_store_k_q8_avx2(void *k, int d, int slot, const float *x);
void ag_kv_store_v_q8_avx2(void *v, int d, int slot, const float *x);
void ag_kv_store_v_f32_neon(void *v, int d, int slot, const float *x);
void ag_kv_store_k_f16_neon(void *k, int d, int slot, const float *x);
void ag_kv_store_v_f16_neon(void *v, int d, int slot, const float *x);
void ag_kv_store_k_bf16_neon(void *k, int d, int slot, const float *x);
void ag_kv_store_v_bf16_neon(void *v, int d, int slot, const float *x);
void ag_kv_store_k_q8_neon(void *k, int d, int slot, const float *x);
void ag_kv_store_v_q8_neon(void *v, int d, int slot, const float *x);

#endif
